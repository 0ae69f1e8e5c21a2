//! `etl_data_quality_events` and `etl_contract_temporal_state`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{EVENTS, call, lines, open};
use crate::command::result_of;
use crate::project::Project;

const CUSTOMERS: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 1
keys: {surrogate_key: sk, natural_keys: [id]}
sources:
  - name: silver.customers
    contract:
      id: customers
      version: 1.4.0
      schema: {id: {type: bigint, nullable: false}}
      quality:
        - {name: known cities, rule: accepted_values, column: city, values: [Rome, Oslo]}
        - {name: some street, rule: not_null, column: street, severity: warn}
tests:
  - {column: city, tests: [not_null]}
  - {column: street, tests: [{accepted_values: [a, b]}], severity: warn}
";

const COLUMNS: &str = "id bigint, city string, street string";

const SHOWN: [&str; 9] = [
    "source_table",
    "contract_id",
    "contract_version",
    "category",
    "check_name",
    "severity",
    "status",
    "failed_rows",
    "total_rows",
];

fn customers(rows: &str) -> Project {
    let project = open(&[("dim", CUSTOMERS)]);
    let source = project.source("silver.customers", COLUMNS);
    source.create();
    source.insert("2024-01-01T12:00:00Z", rows);
    project
}

/// The first row of `column` among the events of a check.
fn of_check(project: &Project, check: &str, column: &str) -> String {
    let found = lines(project, EVENTS, &["check_name", column]);
    let own = found.iter().find_map(|line| line.strip_prefix(&format!("{check} | ")));
    own.unwrap_or_else(|| panic!("no {check} in {found:?}")).to_owned()
}

#[test]
fn what_checks_come_to_is_recorded_whether_they_hold_or_not() {
    let project = customers("id|city|street\n1|Rome|a\n2|Oslo|NULL\n3|NULL|c\n");
    let summary = project.load("--run-time 2024-01-02T06:00:00Z");
    let events = lines(&project, EVENTS, &SHOWN);
    assert_eq!(
        events,
        [
            "NULL | NULL | NULL | test | accepted_values:street | warn | FAILED | 2 | 3",
            "NULL | NULL | NULL | test | not_null:city | error | PASSED | 0 | 3",
            "silver.customers | customers | 1.4.0 | contract_schema | additional_columns | error | PASSED | NULL | NULL",
            "silver.customers | customers | 1.4.0 | contract_schema | column:id | error | PASSED | NULL | NULL",
            "silver.customers | customers | 1.4.0 | contract_schema | nullable:id | error | PASSED | 0 | 3",
            "silver.customers | customers | 1.4.0 | source_quality | known cities | error | PASSED | 0 | 3",
            "silver.customers | customers | 1.4.0 | source_quality | some street | warn | FAILED | 1 | 3",
        ]
    );

    let batch = result_of(&summary, "gold.dim_customer")["batch_id"].as_str().unwrap().to_owned();
    let identities = lines(&project, EVENTS, &["event_id"]).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(identities.len(), events.len(), "each event has an identity of its own");
    let batches: BTreeSet<String> =
        lines(&project, EVENTS, &["batch_id", "target_table"]).into_iter().collect();
    assert_eq!(batches, BTreeSet::from([format!("{batch} | gold.dim_customer")]));
}

#[test]
fn a_failed_check_is_recorded_with_some_of_its_rows_as_json() {
    let project = customers("id|city|street\n1|Rome|NULL\n2|Oslo|a\n");
    project.load("--run-time 2024-01-02T06:00:00Z");
    let samples: Value =
        serde_json::from_str(&of_check(&project, "some street", "sample_failures_json")).unwrap();
    assert_eq!(samples.as_array().unwrap().len(), 1, "{samples}");
    let details: Value = serde_json::from_str(&of_check(&project, "some street", "details_json")).unwrap();
    assert!(details.as_object().unwrap()["message"].as_str().unwrap().contains("1 of 2 rows"), "{details}");
    assert_eq!(of_check(&project, "known cities", "sample_failures_json"), "NULL");
}

#[test]
fn a_batch_that_is_refused_leaves_its_events_and_nothing_else() {
    let project = customers("id|city|street\n1|Rome|a\n2|Lima|b\n");
    let ended = call(&project, "run --format json --run-time 2024-01-02T06:00:00Z", &[]).with_code(1);
    let result = result_of(&ended.summary(), "gold.dim_customer").clone();
    assert_eq!(result["error_class"], "DataQualityError");
    assert_eq!(project.next_version("gold.dim_customer"), 0, "there is no table");

    let control = project.control();
    assert_eq!(control.iter().map(|row| row.status.as_str()).collect::<Vec<_>>(), ["FAILED"]);
    assert_eq!(result["batch_id"], control[0].batch_id.as_str());
    let read = serde_json::json!([
        {"name": "silver.customers", "alias": "customers", "from_version": null, "to_version": 1}
    ]);
    assert_eq!(result["sources"], read);
    assert_eq!(of_check(&project, "known cities", "status"), "FAILED");
    assert_eq!(of_check(&project, "known cities", "batch_id"), control[0].batch_id);
    assert_eq!(of_check(&project, "some street", "status"), "PASSED");
}

#[test]
fn tests_that_refuse_a_batch_are_recorded_too() {
    let project = customers("id|city|street\n1|Rome|a\n");
    project.load("--run-time 2024-01-02T06:00:00Z");
    let strict = CUSTOMERS.replace("[a, b]}], severity: warn", "[a, b]}]");
    project.write("configs/dim.yml", &strict);
    project.source("silver.customers", COLUMNS).insert("2024-01-02T12:00:00Z", "id|city|street\n2|Oslo|q\n");
    let before = project.next_version("gold.dim_customer");
    call(&project, "run --run-time 2024-01-03T06:00:00Z", &[]).with_code(1);
    assert_eq!(project.next_version("gold.dim_customer"), before);
    let tests: Vec<String> = lines(&project, EVENTS, &["category", "check_name", "severity", "status"])
        .into_iter()
        .filter(|line| line.starts_with("test | accepted_values:street"))
        .collect();
    assert_eq!(
        tests,
        ["test | accepted_values:street | error | FAILED", "test | accepted_values:street | warn | PASSED"]
    );
}

#[test]
fn a_source_that_has_become_too_old_fails_in_a_batch_that_reads_nothing() {
    let fresh = CUSTOMERS.replace("      quality:", "      freshness: {max_age: 1 day}\n      quality:");
    let project = customers("id|city|street\n1|Rome|a\n");
    project.write("configs/dim.yml", &fresh);
    project.load("--run-time 2024-01-02T06:00:00Z");
    let loaded = project.control();

    let ended = call(&project, "run --format json --run-time 2024-01-02T12:00:01Z", &[]).with_code(1);
    let result = result_of(&ended.summary(), "gold.dim_customer").clone();
    assert_eq!(result["error_class"], "DataQualityError");
    assert!(result["error_message"].as_str().unwrap().contains("max_age"), "{result}");
    let failed: Vec<_> = project.control().into_iter().filter(|row| !loaded.contains(row)).collect();
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!((failed.status.as_str(), failed.last_processed_version), ("FAILED", Some(1)));
    assert_eq!(result["batch_id"], failed.batch_id.as_str());
    assert_eq!(
        lines(&project, EVENTS, &["category", "check_name", "status", "batch_id"])
            .iter()
            .filter(|line| line.starts_with("freshness | max_age | FAILED | "))
            .collect::<Vec<_>>(),
        [&format!("freshness | max_age | FAILED | {}", failed.batch_id)]
    );
}

#[test]
fn the_newest_event_of_each_key_is_remembered_a_row_a_target_source_and_contract() {
    let pipeline = |name: &str| {
        format!(
            "
table_name: gold.dim_{name}
table_type: dimension
scd_type: 1
keys: {{surrogate_key: sk, natural_keys: [id]}}
sources:
  - name: silver.customers
    contract:
      id: seen by {name}
      version: 1
      schema: {{id: {{type: bigint}}}}
      cdc: {{primary_key: [id]}}
      temporal: {{event_time_column: seen, allowed_lateness: 1 day}}
"
        )
    };
    let project = open(&[("one", &pipeline("one")), ("two", &pipeline("two"))]);
    let source = project.source("silver.customers", "id bigint, seen timestamp");
    source.create();
    source.insert("2024-01-01T12:00:00Z", "id|seen\n1|2024-01-01 10:00:00\n2|2024-01-01 11:00:00\n3|NULL\n");
    project.load("--run-time 2024-01-01T13:00:00Z");
    source.update("2024-01-01T14:00:00Z", "id = 2", &[("seen", "timestamp '2024-01-01 13:30:00'")]);
    project.load("--run-time 2024-01-01T15:00:00Z");
    let shown = ["target_table", "contract_id", "business_key_hash", "max_event_time", "max_commit_version"];
    let remembered = lines(&project, "gold.etl_contract_temporal_state", &shown);
    // The keys are hashed as natural keys are: xxhash64 of `id:1` and `id:2`.
    assert_eq!(
        remembered,
        [
            "gold.dim_one | seen by one | -3905818964486018149 | 2024-01-01 13:30:00 | 2",
            "gold.dim_one | seen by one | -8600539081312194538 | 2024-01-01 10:00:00 | 1",
            "gold.dim_two | seen by two | -3905818964486018149 | 2024-01-01 13:30:00 | 2",
            "gold.dim_two | seen by two | -8600539081312194538 | 2024-01-01 10:00:00 | 1",
        ]
    );
}

#[test]
fn findings_are_kept_where_the_pipeline_says_or_not_at_all() {
    let elsewhere = format!("{CUSTOMERS}observability: {{event_table: audit.findings}}\n");
    let nowhere = CUSTOMERS.replace("dim_customer", "dim_silent") + "observability: {enabled: false}\n";
    let project = customers("id|city|street\n1|Lima|a\n");
    project.write("configs/dim.yml", &elsewhere);
    project.write("configs/silent.yml", &nowhere);
    let summary = call(&project, "run --format json --keep-going", &[]).with_code(1).summary();
    for table in ["gold.dim_customer", "gold.dim_silent"] {
        assert_eq!(result_of(&summary, table)["error_class"], "DataQualityError");
    }
    let targets: BTreeSet<String> =
        lines(&project, "audit.findings", &["target_table"]).into_iter().collect();
    assert_eq!(targets, BTreeSet::from(["gold.dim_customer".to_owned()]));
    assert_eq!(project.next_version(EVENTS), 0, "there is no table");
}
