//! How the control table is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use chrono::{DateTime, Utc};
use kimball::{Alert, AlertCause, ControlRow};
use serde_json::json;

use super::{states, text_of};
use crate::json_line::json_line;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_735_689_600 + second, 0).unwrap()
}

/// A batch that started at `started` and, unless it runs, ended two seconds later.
fn batch(target: &str, status: &str, started: i64, version: i64) -> ControlRow {
    let ended = (status != "RUNNING").then(|| at(started + 2));
    ControlRow {
        target_table: format!("gold.{target}"),
        source_table: format!("silver.{target}"),
        last_processed_version: Some(version),
        batch_id: Some(format!("b-{started}")),
        batch_started_at: Some(at(started)),
        batch_completed_at: ended,
        batch_status: Some(status.to_owned()),
        rows_read: ended.map(|_| 10),
        rows_written: ended.map(|_| 1_000),
        error_message: (status == "FAILED").then(|| "DataQualityError: 2 rows\nhave no id".to_owned()),
        updated_at: ended.unwrap_or(at(started)),
    }
}

fn rows() -> Vec<ControlRow> {
    vec![
        batch("product", "FAILED", 20, 4),
        batch("customer", "SUCCESS", 0, 7),
        batch("product", "SUCCESS", 10, 4),
        batch("date", "RUNNING", 30, 1),
    ]
}

#[test]
fn the_table_shows_the_latest_batch_and_the_last_success_of_each_target() {
    assert_eq!(
        text_of(&states(rows(), &[]), None),
        "\
TARGET         SOURCE           STATUS   STARTED (UTC)        SECONDS  READ  WRITTEN  LAST SUCCESS (UTC)   WATERMARK
gold.customer  silver.customer  SUCCESS  2025-01-01 00:00:00      2.0    10     1000  2025-01-01 00:00:02          7
gold.date      silver.date      RUNNING  2025-01-01 00:00:30        -     -        -  -                            1
gold.product   silver.product   FAILED   2025-01-01 00:00:20      2.0    10     1000  2025-01-01 00:00:12          4

✗ gold.product from silver.product
    DataQualityError: 2 rows
    have no id

1 running, 1 failed, 1 succeeded
"
    );
}

#[test]
fn what_somebody_should_look_at_stands_below_the_table_and_in_the_objects() {
    let alert = Alert {
        target_table: "gold.customer".to_owned(),
        source_table: "silver.customer".to_owned(),
        batch_id: None,
        cause: AlertCause::Slow { seconds: 95.0, usual_seconds: 30.0 },
    };
    let states = states(rows(), &[alert]);
    let text = text_of(&states, None);
    let told = "\n! gold.customer from silver.customer\n    took 95.0 s, usually 30.0 s\n";
    assert!(text.contains(told), "{text}");
    let value: serde_json::Value = serde_json::from_str(&json_line("status", &states[0]).unwrap()).unwrap();
    assert_eq!(value["alerts"], json!([{"alert": "slow", "seconds": 95.0, "usual_seconds": 30.0}]));
}

#[test]
fn without_a_batch_there_were_no_runs() {
    assert_eq!(text_of(&states(Vec::new(), &[]), None), "No runs yet.\n");
}

#[test]
fn a_state_in_json_tells_times_in_utc() {
    let states = states(rows(), &[]);
    let line = json_line("status", &states[1]).unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        value,
        json!({
            "schema": 1, "event": "status", "target_table": "gold.date", "source_table": "silver.date",
            "batch_status": "RUNNING", "batch_id": "b-30", "batch_started_at": "2025-01-01T00:00:30.000000Z",
            "batch_completed_at": null, "rows_read": null, "rows_written": null, "error_message": null,
            "last_success_at": null, "last_processed_version": 1, "alerts": [],
        })
    );
}
