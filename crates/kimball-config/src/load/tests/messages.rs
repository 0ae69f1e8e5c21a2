//! What problems show of the files, and what they do not.
use super::*;

#[test]
fn a_secret_of_a_pipeline_is_shown_by_no_problem() {
    let customer = DIM_CUSTOMER.replace("audit_columns: true", "SECRET");
    for secret in [
        "pii: {columns: [{column: email, strategy: tokenize, secret_ref: hunter2, colour: red}]}",
        "pii:\n  columns:\n    - column: email\n      strategy: tokenize\n      secret_ref: |\n        hunter2",
        "pii:\n  columns:\n    - column: email\n      strategy: mask\n      secret_ref: [hunter2]",
        "observability: {webhook_env: 'https://hooks/hunter2'}",
        "observability: {webhook_env: 'https://hooks/hunter2', {{ nope }}: 1}",
        "observability:\n  webhook_env: https: //hunter2",
    ] {
        let (_folder, request) = project(&[
            ("kimball.targets.yml", TARGETS),
            ("configs/a.yml", &customer.replace("SECRET", secret)),
        ]);
        let outcome = load_project(&request);
        assert!(!outcome.problems.is_empty(), "{secret}");
        for problem in outcome.problems {
            let shown = format!("{problem}\n{problem:?}");
            assert!(!shown.contains("hunter2"), "{secret}\n{shown}");
        }
    }
    // A template shows no secret: it is the environment that holds it.
    let templated = customer.replace(
        "SECRET",
        "pii: {columns: [{column: email, strategy: tokenize, secret_ref: '{{ PII_KEY }}'}]}",
    );
    let (_folder, mut request) = project(&[("kimball.targets.yml", TARGETS), ("configs/a.yml", &templated)]);
    request.environment.insert("PII_KEY".to_owned(), "hunter2".to_owned());
    let shown = load_project(&request).problems[0].to_string();
    assert!(shown.contains("secret_ref") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_value_that_does_not_fit_another_file_is_marked_itself() {
    let fact = FACT_SALES
        .replace("    dimension_key: customer_sk", "    dimension_key: customer_key")
        .replace("references: {{ target.gold_schema }}.dim_product", "references: gold.fact_inventory");
    let mut files = guide_files();
    files.retain(|(name, _)| !name.contains("sales"));
    files.push(("configs/facts/fact_sales.yml", &fact));
    let (_folder, request) = project(&files);
    let problems = load_project(&request).problems;
    let marked = |problem: &Problem| {
        let at = problem.location.clone().unwrap();
        at.source_line.chars().skip(at.column - 1).take(at.width).collect::<String>()
    };
    assert_eq!(problems.iter().map(marked).collect::<Vec<_>>(), ["customer_key", "gold.fact_inventory"]);
    assert_eq!(problems[0].help.as_deref(), Some("write `dimension_key: customer_sk`"));
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let (_folder, mut request) =
        project(&[("configs/dim_date.yml", DIM_DATE), ("kimball.targets.yml", TARGETS)]);
    let mut told = |configs: &str| {
        request.configs = vec![configs.to_owned()];
        let problem = load_project(&request).problems.remove(0);
        (problem.message, problem.help.unwrap())
    };
    assert_eq!(
        told("configs/dim_dat.yml"),
        (
            "there is no file or folder `configs/dim_dat.yml`".to_owned(),
            "did you mean `configs/dim_date.yml`?".to_owned()
        )
    );
    assert!(told("pipelines").1.starts_with("pipelines are looked for in the files and folders you name"));
    assert!(told("configs/*.sql").1.contains("`configs/**/*.yml`"));
}
