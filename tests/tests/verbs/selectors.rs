//! `tag:` and `result:` as selectors.

use crate::project::Project;
use crate::verbs::{begun, edit, expected, outcomes};

/// The project with tags: the sales are loaded daily, the products weekly.
fn tagged() -> Project {
    let project = begun();
    edit(
        &project,
        "configs/fact_sales.yml",
        "table_type: fact\n",
        "table_type: fact\ntags: [daily, sales]\n",
    );
    edit(
        &project,
        "configs/dim_product.yml",
        "table_type: dimension\n",
        "table_type: dimension\ntags: [weekly]\n",
    );
    project
}

fn chosen(project: &Project, selectors: &str) -> Vec<String> {
    let summary = project.load(selectors);
    outcomes(&summary).into_iter().map(|(table, _)| table).collect()
}

#[test]
fn a_tag_selects_its_pipelines_with_what_they_need_and_what_needs_them() {
    let project = tagged();
    let all = ["gold.dim_customer", "gold.dim_product", "gold.fact_sales"];
    assert_eq!(chosen(&project, "-s +tag:daily"), all);
    assert_eq!(chosen(&project, "-s tag:daily"), ["gold.fact_sales"]);
    assert_eq!(chosen(&project, "--select tag:weekly+"), ["gold.dim_product", "gold.fact_sales"]);
    assert_eq!(chosen(&project, "-s tag:weekly,tag:sales"), ["gold.dim_product", "gold.fact_sales"]);
    assert_eq!(chosen(&project, "--exclude tag:daily"), ["gold.dim_customer", "gold.dim_product"]);
    assert_eq!(chosen(&project, "-s wave:1 --exclude tag:weekly"), ["gold.dim_customer"]);
}

#[test]
fn a_tag_that_no_pipeline_has_is_told_with_those_there_are() {
    let project = tagged();
    let ended = project.call("run -s tag:monthly").with_code(2);
    assert!(ended.stderr.contains("`tag:monthly` selects no pipeline"), "{}", ended.stderr);
    assert!(["daily", "sales", "weekly"].iter().all(|tag| ended.stderr.contains(tag)), "{}", ended.stderr);
    let ended = begun().call("run -s tag:daily").with_code(2);
    assert!(ended.stderr.contains("the project has no tags"), "{}", ended.stderr);
    for wrong in ["tag:", "tag:a.b", "tags:daily", "result:unknown", "result:"] {
        let ended = project.call(&format!("plan -s {wrong}")).with_code(2);
        assert!(ended.stderr.contains("is no selector"), "{wrong}: {}", ended.stderr);
    }
}

#[test]
fn a_result_selects_what_became_of_pipelines_in_the_last_run() {
    let project = begun();
    let ended = project.call("run -s result:failed").with_code(2);
    assert!(ended.stderr.contains("there is no earlier run to look at"), "{}", ended.stderr);
    project.load("");
    edit(&project, "data/customers.csv", "London,consumer,2025-01-01", "Turin,nobody,2025-03-01");
    project.call("run -q --keep-going").with_code(1);
    // A plan of what a selector means changes no result.
    for (selector, tables) in [
        ("result:failed", &["gold.dim_customer"][..]),
        ("result:skipped", &["gold.fact_sales"]),
        ("result:success", &["gold.dim_product"]),
        ("result:failed+", &["gold.dim_customer", "gold.fact_sales"]),
    ] {
        let plan = project.call(&format!("plan -s {selector}")).with_code(0).stdout;
        let planned: Vec<&str> = plan
            .lines()
            .filter(|line| line.starts_with("  gold."))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(planned, tables, "{selector}: {plan}");
    }
    edit(&project, "data/customers.csv", "nobody", "consumer");
    let again = project.call("run --format json -s result:failed,result:skipped").with_code(0);
    let (customers, sales) = ("gold.dim_customer", "gold.fact_sales");
    assert_eq!(outcomes(&again.summary()), expected(&[(customers, "SUCCESS"), (sales, "SUCCESS")]));
    // That was the last run now.
    assert_eq!(chosen(&project, "-s result:success --exclude fact_sales"), [customers]);
}
