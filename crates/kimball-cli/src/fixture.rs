//! Events and results for tests of what is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use chrono::DateTime;
use kimball::{Event, EventKind, ExecutionSummary, PipelineResult, PipelineStatus, RunId, TableName};

pub fn table(name: &str) -> TableName {
    TableName::parse(name).unwrap()
}

pub fn event(kind: EventKind) -> Event {
    Event { run_id: RunId::new(), at: DateTime::from_timestamp(1_735_689_600, 0).unwrap(), kind }
}

pub fn result(name: &str, status: PipelineStatus) -> PipelineResult {
    PipelineResult {
        table_name: table(name),
        table_type: "dimension",
        config_path: "configs/any.yml".into(),
        status,
        rows_read: 0,
        rows_written: 0,
        rows_inserted: 0,
        rows_updated: 0,
        rows_deleted: 0,
        rows_expired: 0,
        rows_repaired: 0,
        rows_restated: 0,
        members_inferred: 0,
        up_to_date: false,
        attempts: 1,
        duration_seconds: 0.0,
        batch_id: None,
        error_class: None,
        error_message: None,
        skip_reason: None,
        sources: Vec::new(),
    }
}

pub fn summary(results: Vec<PipelineResult>, total_duration_seconds: f64) -> ExecutionSummary {
    let count = |status| results.iter().filter(|result| result.status == status).count();
    ExecutionSummary {
        total_pipelines: results.len(),
        successful: count(PipelineStatus::Success),
        failed: count(PipelineStatus::Failed),
        skipped: count(PipelineStatus::Skipped),
        total_rows_read: results.iter().map(|result| result.rows_read).sum(),
        total_rows_written: results.iter().map(|result| result.rows_written).sum(),
        total_duration_seconds,
        interrupted: false,
        results,
    }
}
