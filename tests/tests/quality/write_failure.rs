//! Findings that cannot be written.

use super::{call, lines, open};
use crate::command::result_of;
use crate::project::Project;

const PIPELINE: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 1
keys: {surrogate_key: sk, natural_keys: [id]}
sources:
  - name: files.customers
    format: csv
    path: customers.csv
    contract:
      id: customers
      version: 1
      schema: {id: {type: bigint}}
      quality: [{name: known cities, rule: accepted_values, column: city, values: [Rome, Oslo]}]
observability: {event_table: findings, write_failure: LEVEL}
";

/// A project whose table of findings cannot be made: a file lies in its place.
fn blocked(level: &str, rows: &str) -> Project {
    let project = open(&[("dim", &PIPELINE.replace("LEVEL", level))]);
    project.write("customers.csv", &format!("id,city\n{rows}"));
    project.write("warehouse/gold/findings", "no folder");
    project
}

#[test]
fn it_is_a_warning_by_default() {
    let project = blocked("warn", "1,Rome\n");
    let ended = call(&project, "run", &[]).with_code(0);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("could not be recorded"), "{told}");
    assert_eq!(lines(&project, "gold.dim_customer", &["city", "__key_origin"]).len(), 5);
}

#[test]
fn it_fails_the_pipeline_where_that_is_asked_for() {
    let project = blocked("error", "1,Rome\n");
    let ended = call(&project, "run --format json", &[]).with_code(1);
    let result = result_of(&ended.summary(), "gold.dim_customer").clone();
    assert_eq!(result["status"], "FAILED");
    assert!(result["error_message"].as_str().unwrap().contains("could not be recorded"), "{result}");
    // The batch itself stands, and the log says so.
    assert_eq!(project.control().iter().map(|row| row.status.as_str()).collect::<Vec<_>>(), ["SUCCESS"]);
    project.require_honest_control();
}

#[test]
fn what_refused_the_batch_is_told_all_the_same() {
    for level in ["warn", "error"] {
        let project = blocked(level, "1,Lima\n");
        let ended = call(&project, "run", &[]).with_code(1);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(told.contains("known cities"), "{level}:\n{told}");
        assert!(told.contains("could not be recorded"), "{level}:\n{told}");
    }
}
