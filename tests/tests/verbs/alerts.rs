//! `kimball status` and `kimball history`: what became of batches, and an exit code that cron can go by.

use serde_json::Value;

use crate::command::Running;
use crate::crash::killed_at;
use crate::project::{CONTROL, Project};
use crate::shop;
use crate::verbs::{begun, edit, objects};

const TABLE: &str = "gold.dim_customer";

/// Attempts to stop a process in the middle of a load.
const ATTEMPTS: usize = 40;

/// The alerts on a table, by their names.
fn alerts(project: &Project, line: &str, code: i32) -> Vec<String> {
    let states = objects(&project.call(&format!("status --format json {line}")).with_code(code));
    let of_table = states.iter().filter(|state| state["target_table"] == TABLE);
    let alerts = of_table.flat_map(|state| state["alerts"].as_array().unwrap().clone());
    alerts.map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Lets a second load of the dimension's customers fail.
fn fail(project: &Project) {
    edit(project, "data/customers.csv", "London,consumer,2025-01-01", "Turin,nobody,2025-03-01");
    project.call("run -q").with_code(1);
}

#[test]
fn status_is_0_after_success_and_3_after_a_failure_until_it_is_made_good() {
    let project = begun();
    assert_eq!(project.call("status").with_code(0).stdout, "No runs yet.\n");
    project.load("");
    assert_eq!(alerts(&project, "", 0), Vec::<String>::new());
    assert!(project.call("status").with_code(0).stdout.ends_with("\n0 running, 0 failed, 3 succeeded\n"));

    fail(&project);
    assert_eq!(alerts(&project, "", 3), ["failed"]);
    let told = project.call("status").with_code(3).stdout;
    assert!(told.contains("✗ gold.dim_customer from customers\n    DataQualityError: "), "{told}");
    assert!(told.ends_with("\n0 running, 1 failed, 2 succeeded\n"), "{told}");
    // Whoever asks for another table is not troubled.
    project.call("status -s gold.dim_product").with_code(0);
    project.call("status --exclude gold.dim_customer").with_code(0);

    edit(&project, "data/customers.csv", "nobody", "consumer");
    project.load("");
    assert_eq!(alerts(&project, "", 0), Vec::<String>::new());
}

#[test]
fn status_is_3_when_a_batch_took_longer_than_it_may() {
    let project = begun();
    project.load("");
    assert_eq!(alerts(&project, "--max-duration 0.000001", 3), ["overdue"]);
    assert_eq!(alerts(&project, "--max-duration 3600", 0), Vec::<String>::new());
    let told = project.call("status --max-duration 0.000001").with_code(3).stdout;
    assert!(told.contains("! gold.dim_customer from customers\n    took "), "{told}");
    for wrong in ["--max-duration 0", "--max-duration -1", "--max-running never", "--max-slowdown NaN"] {
        project.call(&format!("status {wrong}")).with_code(2);
    }
}

#[test]
fn a_batch_whose_process_was_killed_is_abandoned_until_the_next_run() {
    let sources = shop::open();
    let begun = |project: &Project| project.commit_file(CONTROL, 1).exists();
    let open = |project: &Project| (!project.running(TABLE).is_empty()).then_some(());
    let (project, ()) = killed_at(&sources, &format!("run -s {TABLE}"), "in its batch", begun, open);
    assert_eq!(alerts(&project, "", 3), ["abandoned"]);
    let told = project.call("status").with_code(3).stdout;
    assert!(told.contains("RUNNING") && told.contains("its process is gone"), "{told}");
    project.load(&format!("-s {TABLE}"));
    assert_eq!(alerts(&project, "", 0), Vec::<String>::new());
}

/// A copy of the project with a load of the dimension that lives and does nothing.
fn stopped_in_a_load(before: &Project) -> (Project, Running) {
    let first = before.next_version(CONTROL);
    for _ in 0..ATTEMPTS {
        let project = before.copy();
        let mut run = project.start(&format!("run -s {TABLE} --full-refresh"));
        if run.reaches(|| project.commit_file(CONTROL, first).exists()) {
            run.pause();
            if project.running(TABLE).len() == 1 {
                return (project, run);
            }
        }
    }
    panic!("{ATTEMPTS} loads ended before they could be stopped");
}

#[test]
fn a_batch_that_runs_is_stuck_after_a_while_and_slow_against_its_own_past() {
    let project = shop::open();
    project.load(&format!("-s {TABLE}"));
    for _ in 0..2 {
        project.load(&format!("-s {TABLE} --full-refresh"));
    }
    let (project, mut run) = stopped_in_a_load(&project);
    assert_eq!(alerts(&project, "", 0), Vec::<String>::new(), "it has only begun");
    assert_eq!(alerts(&project, "--max-running 0.00001", 3), ["stuck"]);
    let much_later = "--run-time 2999-01-01T00:00:00Z";
    assert_eq!(alerts(&project, much_later, 3), ["stuck", "slow"]);
    assert_eq!(alerts(&project, &format!("{much_later} --max-running 99999999"), 3), ["stuck", "slow"]);
    assert_eq!(alerts(&project, &format!("{much_later} --max-slowdown 99999999"), 3)[0], "stuck");
    run.go_on();
    assert!(run.wait().success());
    assert_eq!(alerts(&project, "--max-running 0.00001", 0), Vec::<String>::new());
}

#[test]
fn history_shows_every_batch_the_newest_first() {
    let project = begun();
    assert_eq!(project.call("history").with_code(0).stdout, "No runs yet.\n");
    project.load("");
    fail(&project);
    let batches = objects(&project.call("history --format json").with_code(0));
    assert_eq!(batches.len(), 4);
    let started: Vec<&str> = batches.iter().map(|batch| text(&batch["batch_started_at"])).collect();
    assert!(started.is_sorted_by(|newer, older| newer >= older), "{started:?}");

    let (newest, oldest) = (&batches[0], &batches[3]);
    let keys = [
        "schema",
        "event",
        "target_table",
        "source_table",
        "batch_id",
        "batch_status",
        "batch_started_at",
        "batch_completed_at",
        "duration_seconds",
        "rows_read",
        "rows_written",
        "last_processed_version",
        "error_message",
    ];
    let mut named: Vec<&str> = newest.as_object().unwrap().keys().map(String::as_str).collect();
    named.sort_unstable();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!((&newest["event"], &newest["target_table"]), (&"batch".into(), &TABLE.into()));
    assert_eq!((text(&newest["batch_status"]), text(&oldest["batch_status"])), ("FAILED", "SUCCESS"));
    assert!(text(&newest["error_message"]).starts_with("DataQualityError: "), "{newest}");
    assert!(
        newest["duration_seconds"].as_f64().unwrap() > 0.0 && oldest["rows_written"].as_i64().unwrap() > 0
    );

    assert_eq!(objects(&project.call("history -n 1 --format json").with_code(0)), batches[..1]);
    assert_eq!(project.call("history --limit 2").with_code(0).stdout.lines().count(), 3);
    let of_products = objects(&project.call("history -s dim_product --format json").with_code(0));
    assert_eq!(of_products.len(), 1);
    let told = project.call("history").with_code(0).stdout;
    assert!(told.starts_with("STARTED (UTC)") && told.lines().nth(1).unwrap().contains("FAILED"), "{told}");
}
