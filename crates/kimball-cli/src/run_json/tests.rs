//! Lines of JSON and the file that keeps the last one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;

use kimball::{EventKind, PipelineStatus};
use serde_json::Value;

use super::{json_of, keep};
use crate::fixture::{event, result, summary};

fn finished() -> kimball::Event {
    let results = vec![result("gold.dim_date", PipelineStatus::Success)];
    event(EventKind::RunFinished(Box::new(summary(results, 1.5))))
}

#[test]
fn the_last_line_of_a_run_is_one_object_with_the_whole_summary() {
    let line = json_of(&finished()).unwrap();
    assert!(line.starts_with(r#"{"schema":1,"event":"run_finished","run_id":""#), "{line}");
    assert!(!line.contains('\n'));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["at"], "2025-01-01T00:00:00.000000Z");
    assert_eq!(value["total_duration_seconds"], 1.5);
    assert_eq!(value["results"][0]["table_name"], "gold.dim_date");
    assert_eq!(value["results"][0]["status"], "SUCCESS");
}

#[test]
fn the_results_of_a_run_replace_those_of_the_run_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("target/run_results.json");
    let (first, second) = (finished(), finished());
    keep(&first, &file).unwrap();
    keep(&second, &file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), json_of(&second).unwrap() + "\n");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}
