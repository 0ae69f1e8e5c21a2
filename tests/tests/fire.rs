//! Exactly once under fire: races of real processes, schedules over a store in memory, a control table that grows.
//! `cargo xtask prove races`, `simulation` and `control` do more of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use kimball_control::{BatchEnd, BatchStart, ControlStore, SourceProgress, Transition};
use kimball_lake::Warehouse;
use kimball_tests::prove::{Proof, configs, control, files, races, simulation};

use crate::command::{program, target_folder};

#[test]
fn processes_that_race_make_every_batch_once_and_see_no_error_but_busy() {
    let raced = races::prove(&program(), 3).unwrap();
    assert_eq!(raced.processes, 3 * (8 + 4));
}

#[test]
fn no_schedule_of_runs_faults_and_stops_loses_or_doubles_a_change() {
    let simulated = simulation::prove(0..50).unwrap();
    println!("{simulated:?}");
    assert!(simulated.failed_calls > 100 && simulated.audited > 50, "{simulated:?}");
}

#[test]
fn configurations_that_nobody_would_write_end_in_errors() {
    let proof = Proof { cases: 3_000, seed: 11, failures: target_folder().join("prove") };
    let refuted = configs::prove(&proof, |_| {}).unwrap();
    assert!(refuted.is_none(), "{refuted:?}");
}

#[test]
fn source_files_that_are_damaged_load_or_fail_cleanly() {
    let proof = Proof { cases: 60, seed: 5, failures: target_folder().join("prove") };
    let refuted = files::prove(&proof, |told| println!("{told}")).unwrap();
    assert!(refuted.is_none(), "{refuted:?}");
}

#[test]
fn a_control_table_that_grows_keeps_every_batch_once() {
    let testkit = PathBuf::from(env!("CARGO_BIN_EXE_kimball-testkit"));
    let load = control::prove(400, &testkit, |told| println!("{told}")).unwrap();
    assert_eq!(load.rows, 400 + 200);
}

#[tokio::test]
async fn rows_older_than_the_history_go_and_the_watermark_stays() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::new(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
    let store = ControlStore::new(&warehouse, "etl").unwrap().with_history(TimeDelta::days(10));
    for day in 0..100i64 {
        let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day);
        // Nothing succeeds any more after the twentieth day.
        let event = if day <= 20 { Transition::Commit } else { Transition::Fail };
        let source =
            |version| SourceProgress { source_table: "silver.s".to_owned(), version, rows_read: None };
        let start = BatchStart {
            batch_id: day.to_string(),
            target_table: "gold.t".to_owned(),
            sources: vec![source(None)],
            started_at: at,
        };
        let running = store.begin(start).await.unwrap();
        let sources = if event == Transition::Commit { vec![source(Some(day))] } else { Vec::new() };
        let end = BatchEnd { event, completed_at: at, sources, rows_written: None, error_message: None };
        store.finish(running, &end).await.unwrap();
    }
    store.close().await;
    let rows = ControlStore::new(&warehouse, "etl").unwrap().rows().await.unwrap();
    assert!(rows.len() < 30, "{} rows", rows.len());
    let successes: Vec<_> =
        rows.iter().filter(|row| row.batch_status.as_deref() == Some("SUCCESS")).collect();
    let watermarks: Vec<_> = successes.iter().map(|row| row.last_processed_version).collect();
    assert_eq!(watermarks, [Some(20)]);
    assert!(rows.iter().any(|row| row.batch_id.as_deref() == Some("99")));
}
