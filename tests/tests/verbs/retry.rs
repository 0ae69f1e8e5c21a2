//! `kimball retry`: what did not succeed in the last run, and nothing else.

use std::fs;

use crate::crash::killed_at;
use crate::project::{CONTROL, Project};
use crate::shop;
use crate::verbs::{begun, edit, expected, outcomes};

/// A project whose last run loaded the products, failed with the customers and skipped the sales.
fn failed() -> Project {
    let project = begun();
    edit(&project, "data/customers.csv", "London,consumer", "London,nobody");
    let ended = project.call("run configs --format json --keep-going -w 2").with_code(1);
    let outcomes = outcomes(&ended.summary());
    assert_eq!(
        outcomes,
        expected(&[
            ("gold.dim_customer", "FAILED"),
            ("gold.dim_product", "SUCCESS"),
            ("gold.fact_sales", "SKIPPED"),
        ])
    );
    project
}

fn mend(project: &Project) {
    edit(project, "data/customers.csv", "nobody", "consumer");
}

#[test]
fn what_failed_and_what_was_skipped_runs_again_with_the_same_options() {
    let project = failed();
    mend(&project);
    // JSON, because the run was asked for it.
    let ended = project.call("retry").with_code(0);
    let started: serde_json::Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&started["event"], &started["max_workers"]), (&"run_started".into(), &2.into()), "{started}");
    assert_eq!(
        outcomes(&ended.summary()),
        expected(&[("gold.dim_customer", "SUCCESS"), ("gold.fact_sales", "SUCCESS")])
    );
    project.call("status").with_code(0);
}

#[test]
fn a_retry_that_fails_can_be_retried() {
    let project = failed();
    let again = project.call("retry").with_code(1);
    let failing = expected(&[("gold.dim_customer", "FAILED"), ("gold.fact_sales", "SKIPPED")]);
    assert_eq!(outcomes(&again.summary()), failing);
    // Options that are given now go before those of the run.
    let told = project.call("retry --format text -w 3").with_code(1).stdout;
    assert!(told.contains("# Max Workers: 3\n") && told.contains("✗ Failed: gold.dim_customer"), "{told}");
    mend(&project);
    let last = project.call("retry --format json").with_code(0);
    assert_eq!(
        outcomes(&last.summary()),
        expected(&[("gold.dim_customer", "SUCCESS"), ("gold.fact_sales", "SUCCESS")])
    );
    let nothing = project.call("retry").with_code(0);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.starts_with("note: there is nothing to retry"), "{}", nothing.stderr);
}

#[test]
fn looking_at_a_plan_between_the_run_and_its_retry_changes_nothing() {
    let project = failed();
    for line in ["run --dry-run", "plan", "validate", "status", "run not/there"] {
        project.call(line);
    }
    mend(&project);
    assert_eq!(outcomes(&project.call("retry").with_code(0).summary()).len(), 2);
}

#[test]
fn a_retry_can_be_narrowed_and_leaves_the_rest_for_another() {
    let project = failed();
    mend(&project);
    let ended = project.call("retry --exclude fact_sales").with_code(0);
    assert_eq!(outcomes(&ended.summary()), expected(&[("gold.dim_customer", "SUCCESS")]));
}

#[test]
fn after_a_run_without_failures_there_is_nothing_to_retry() {
    let project = begun();
    project.load("");
    let versions = project.next_version("gold.fact_sales");
    let ended = project.call("retry").with_code(0);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr, "note: there is nothing to retry: every pipeline of the last run succeeded\n");
    assert_eq!(project.next_version("gold.fact_sales"), versions);
}

#[test]
fn without_a_run_there_is_nothing_to_retry() {
    let project = begun();
    let ended = project.call("retry").with_code(2);
    assert!(ended.stderr.contains("no run was made in this folder"), "{}", ended.stderr);
}

#[test]
fn what_became_of_a_run_that_did_not_end_is_not_known() {
    let before = shop::open();
    before.load("-s gold.dim_product");
    let first = before.next_version(CONTROL);
    let begun = |project: &Project| project.commit_file(CONTROL, first).exists();
    let open = |project: &Project| (!project.running("gold.dim_customer").is_empty()).then_some(());
    let (project, ()) = killed_at(&before, "run -s gold.dim_customer", "in its batch", begun, open);
    let ended = project.call("retry").with_code(2);
    assert!(ended.stderr.contains("the last run here did not end"), "{}", ended.stderr);
    assert!(ended.stderr.contains("`kimball run` goes on where it stopped"), "{}", ended.stderr);
    project.load("-s gold.dim_customer");
    project.call("retry").with_code(0);
}

#[test]
fn a_table_that_left_the_project_is_left_out_with_a_warning() {
    let project = failed();
    mend(&project);
    fs::remove_file(project.root().join("configs/fact_sales.yml")).unwrap();
    let ended = project.call("retry").with_code(0);
    assert_eq!(outcomes(&ended.summary()), expected(&[("gold.dim_customer", "SUCCESS")]));
    assert_eq!(ended.stderr, "warning: gold.fact_sales is no longer in the project and is left out\n");
}
