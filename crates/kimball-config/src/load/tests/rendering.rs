use super::*;

#[test]
fn problems_are_rendered_with_the_line_the_user_wrote() {
    let (_folder, request) = project(&[
        ("kimball.targets.yml", TARGETS),
        (
            "configs/dim_customer.yml",
            "\
table_name: {{ target.gold_schema }}.dim_customer
table_type: dimension
scd_typ: 2
keys:
  surrogate_key: customer_sk
  natural_keys: [customer_id, customer_id]
sources:
  - name: {{ target.silver_schema }}.customers
    alias: c
    cdc_strategy: cfd
",
        ),
    ]);
    let outcome = load_project(&request);
    let text = outcome.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
    let expected = "\
error: unknown key `scd_typ` in a pipeline
 --> configs/dim_customer.yml:3:1
  |
3 | scd_typ: 2
  | ^^^^^^^
  = help: did you mean `scd_type`?

error: `customer_id` is in `natural_keys` twice
 --> configs/dim_customer.yml:6:31
  |
6 |   natural_keys: [customer_id, customer_id]
  |                               ^^^^^^^^^^^
";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.ends_with(
            "\
error: `cdc_strategy` must be `cdf`, `full` or `append`, found `cfd`
  --> configs/dim_customer.yml:10:19
   |
10 |     cdc_strategy: cfd
   |                   ^^^
   = help: did you mean `cdf`?"
        ),
        "{text}"
    );
}

#[test]
fn a_value_of_a_template_is_blamed_on_its_expression() {
    let (_folder, request) = project(&[
        ("kimball.targets.yml", &TARGETS.replace("gold_schema: gold", "gold_schema: gold.extra.part")),
        ("configs/a.yml", DIM_PRODUCT),
    ]);
    let outcome = load_project(&request);
    let shown = shown(&outcome);
    assert!(shown[0].starts_with("configs/a.yml:1: "), "{shown:?}");
    let location = outcome.problems[0].location.as_ref().unwrap();
    assert_eq!(location.source_line, "table_name: {{ target.gold_schema }}.dim_product");
}

#[test]
fn an_error_in_the_sql_points_into_the_block() {
    let broken = DIM_CUSTOMER.replace("    c.first_name,\n", "    c.first_name c.x,\n");
    let (_folder, request) = project(&[("kimball.targets.yml", TARGETS), ("configs/a.yml", &broken)]);
    let outcome = load_project(&request);
    let location = outcome.problems[0].location.as_ref().unwrap();
    assert_eq!(
        (location.line, location.source_line.as_str()),
        (23, "    c.first_name c.x,"),
        "{}",
        outcome.problems[0]
    );
    assert!(outcome.problems[0].message.starts_with("transformation_sql: "), "{}", outcome.problems[0]);
}
