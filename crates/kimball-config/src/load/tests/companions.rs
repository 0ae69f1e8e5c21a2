//! Tables that a dimension writes besides its own, among the files of a project.
use super::*;

const CUSTOMERS: &str = "\
table_name: gold.customers
table_type: dimension
scd_type: 4
keys: {surrogate_key: customer_sk, natural_keys: [customer_id]}
history_table: gold.customer_history
mini_dimensions:
  - {table: gold.segments, surrogate_key: segment_sk, columns: [segment]}
sources: [{name: silver.customers}]
";

fn sales(foreign_key: &str) -> String {
    format!(
        "table_name: gold.sales\ntable_type: fact\nmerge_keys: [id]\nsources: [{{name: silver.sales}}]\n\
         foreign_keys:\n  - {foreign_key}\n"
    )
}

#[test]
fn two_writers_of_a_companion_are_an_error_at_both() {
    let members = CUSTOMERS
        .replace("gold.customers", "gold.members")
        .replace("table: gold.customer_history", "table: gold.member_history")
        .replace("table: gold.segments", "table: main.gold.segments");
    let (_folder, request) = project(&[
        ("configs/a.yml", CUSTOMERS),
        ("configs/b.yml", &members),
        ("configs/c.yml", &sales("{column: x}").replace("gold.sales", "gold.customer_history")),
    ]);
    assert_eq!(
        shown(&load_project(&request)),
        [
            "configs/a.yml:5: the table `gold.customer_history` is also written by `configs/c.yml`",
            "configs/a.yml:7: the table `gold.segments` is also written by `configs/b.yml`",
            "configs/b.yml:7: the table `gold.segments` is also written by `configs/a.yml`",
            "configs/c.yml:1: the table `gold.customer_history` is also written by `configs/a.yml`",
        ]
    );
}

#[test]
fn a_file_with_errors_still_counts_as_a_writer_of_its_companions() {
    let broken = CUSTOMERS.replace("gold.customers", "gold.members").replace("scd_type: 4", "scd_type: four");
    let (_folder, request) = project(&[("configs/a.yml", CUSTOMERS), ("configs/b.yml", &broken)]);
    let shown = shown(&load_project(&request));
    for expected in [
        "configs/a.yml:5: the table `gold.customer_history` is also written by `configs/b.yml`",
        "configs/a.yml:7: the table `gold.segments` is also written by `configs/b.yml`",
    ] {
        assert!(shown.contains(&expected.to_owned()), "{shown:#?}");
    }
}

#[test]
fn a_foreign_key_may_point_at_a_mini_dimension_by_its_surrogate_key() {
    let lookup = "references: gold.segments, dimension_key: segment_sk, lookup: {source_columns: [segment]}";
    let good = sales(&format!("{{column: segment_sk, {lookup}}}"));
    let (_folder, request) = project(&[("configs/a.yml", CUSTOMERS), ("configs/b.yml", &good)]);
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    assert_eq!(outcome.project.unwrap().pipelines[1].notes, Vec::<String>::new());

    let wrong = good.replace("dimension_key: segment_sk", "dimension_key: customer_sk");
    let (_folder, request) = project(&[("configs/a.yml", CUSTOMERS), ("configs/b.yml", &wrong)]);
    assert_eq!(
        shown(&load_project(&request)),
        ["configs/b.yml:6: the surrogate key of `gold.segments` is `segment_sk`, not `customer_sk`"]
    );
}

#[test]
fn a_foreign_key_cannot_point_at_a_history_table() {
    let fact = sales("{column: customer_sk, references: gold.customer_history, dimension_key: customer_sk}");
    let (_folder, request) = project(&[("configs/a.yml", CUSTOMERS), ("configs/b.yml", &fact)]);
    assert_eq!(
        shown(&load_project(&request)),
        ["configs/b.yml:6: `gold.customer_history` is the history table of `gold.customers`: a foreign key \
          references a dimension"]
    );
}

#[test]
fn a_hard_delete_leaves_no_key_of_a_mini_dimension_without_its_member() {
    let hard = format!("{CUSTOMERS}delete_strategy: hard\n");
    let fact = sales("{column: segment_sk, references: gold.segments, dimension_key: segment_sk}");
    let (_folder, request) = project(&[("configs/a.yml", &hard), ("configs/b.yml", &fact)]);
    assert_eq!(shown(&load_project(&request)), Vec::<String>::new());
}

const JUNK: &str =
    "junk_dimensions:\n  - {dimension_table: gold.flags, surrogate_key: flags_sk, source_columns: [rush]}\n";

#[test]
fn two_writers_of_a_junk_dimension_are_an_error_at_both() {
    let orders = format!("{}{JUNK}", sales("{column: x}"));
    let returns = orders.replace("gold.sales", "gold.returns");
    let flags = CUSTOMERS.replace("gold.customers", "gold.flags").replace("segments", "other");
    let (_folder, request) =
        project(&[("configs/a.yml", &orders), ("configs/b.yml", &returns), ("configs/c.yml", &flags)]);
    assert_eq!(
        shown(&load_project(&request)),
        [
            "configs/a.yml:8: the table `gold.flags` is also written by `configs/b.yml`, `configs/c.yml`",
            "configs/b.yml:8: the table `gold.flags` is also written by `configs/a.yml`, `configs/c.yml`",
            "configs/c.yml:1: the table `gold.flags` is also written by `configs/a.yml`, `configs/b.yml`",
        ]
    );
}

#[test]
fn a_foreign_key_of_another_fact_may_point_at_a_junk_dimension_by_its_surrogate_key() {
    let orders = format!("{}{JUNK}delete_strategy: hard\n", sales("{column: x}"));
    let returns = sales("{column: order_flags_sk, references: gold.flags, dimension_key: flags_sk}")
        .replace("gold.sales", "gold.returns");
    let (_folder, request) = project(&[("configs/a.yml", &orders), ("configs/b.yml", &returns)]);
    assert_eq!(shown(&load_project(&request)), Vec::<String>::new());

    let wrong = returns.replace("dimension_key: flags_sk", "dimension_key: sk");
    let (_folder, request) = project(&[("configs/a.yml", &orders), ("configs/b.yml", &wrong)]);
    assert_eq!(
        shown(&load_project(&request)),
        ["configs/b.yml:6: the surrogate key of `gold.flags` is `flags_sk`, not `sk`"]
    );
}
