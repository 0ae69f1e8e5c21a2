//! The JSON form of events and who is told of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};

use crossbeam::channel::unbounded;
use kimball_retry::FaultKind;
use serde_json::{Value, json};

use super::{Emitter, Event, EventKind};
use crate::fixture::{summary_of_three, table};
use crate::summary::RunId;

fn as_json(kind: EventKind) -> Value {
    let at = chrono::DateTime::from_timestamp(1_735_689_600, 123_456_000).unwrap();
    let mut value = serde_json::to_value(Event { run_id: RunId::new(), at, kind }).unwrap();
    let object = value.as_object_mut().unwrap();
    assert_eq!(object.remove("schema"), Some(json!(1)));
    assert_eq!(object.remove("at"), Some(json!("2025-01-01T00:00:00.123456Z")));
    assert_eq!(object.remove("run_id").unwrap().as_str().unwrap().len(), 36);
    value
}

#[test]
fn an_event_is_one_flat_object_that_begins_with_schema_event_run_and_time() {
    let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let run_id = RunId::new();
    let kind = EventKind::WaveStarted { wave: 1, label: "Dimensions".to_owned(), pipelines: 3 };
    assert_eq!(
        serde_json::to_string(&Event { run_id, at, kind }).unwrap(),
        format!(
            "{{\"schema\":1,\"event\":\"wave_started\",\"run_id\":\"{run_id}\",\
             \"at\":\"1970-01-01T00:00:00.000000Z\",\"wave\":1,\"label\":\"Dimensions\",\"pipelines\":3}}"
        )
    );
}

#[test]
fn a_retry_tells_the_failed_attempt_its_error_and_the_delay() {
    let kind = EventKind::PipelineRetrying {
        table_name: table("gold.dim_date"),
        attempt: 1,
        delay_seconds: 30.0,
        error_class: FaultKind::Conflict,
        error_message: "another writer was first".to_owned(),
    };
    assert_eq!(
        as_json(kind),
        json!({
            "event": "pipeline_retrying", "table_name": "gold.dim_date", "attempt": 1, "delay_seconds": 30.0,
            "error_class": "ConcurrentModificationError", "error_message": "another writer was first",
        })
    );
}

#[test]
fn the_end_of_a_pipeline_carries_its_result_and_the_end_of_the_run_its_summary() {
    let summary = summary_of_three();
    let mut failed = serde_json::to_value(&summary.results[1]).unwrap();
    failed["event"] = json!("pipeline_failed");
    assert_eq!(as_json(EventKind::PipelineFailed(Box::new(summary.results[1].clone()))), failed);

    let mut finished = serde_json::to_value(&summary).unwrap();
    finished["event"] = json!("run_finished");
    assert_eq!(as_json(EventKind::RunFinished(Box::new(summary))), finished);
}

#[test]
fn observers_and_subscribers_are_told_the_same_in_the_same_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sender, receiver) = unbounded();
    let (gone, _) = unbounded();
    let by_observer = Arc::clone(&seen);
    let emitter = Emitter::new(
        RunId::new(),
        vec![Arc::new(move |event: &Event| by_observer.lock().unwrap().push(event.clone()))],
        vec![gone, sender],
    );
    for wave in 1..=3 {
        emitter.emit(EventKind::WaveStarted { wave, label: "Facts".to_owned(), pipelines: 1 });
    }
    drop(emitter);
    let received: Vec<Event> = receiver.iter().collect();
    assert_eq!(received.len(), 3);
    assert_eq!(*seen.lock().unwrap(), received);
}
