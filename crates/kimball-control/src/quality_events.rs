//! `etl_data_quality_events`: what checks of data came to.
//!
//! Rows are only ever added. They are evidence, not state: no load depends on them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use kimball_lake::{LakeError, Warehouse};

use crate::ControlError;
use crate::committer::Change;
use crate::etl_table::{Design, EtlTable};

const DESIGN: Design = Design {
    name: "etl_data_quality_events",
    schema: event_schema,
    partition_columns: &["target_table"],
    log_kept: "interval 30 days",
};

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityEvent {
    /// An identity of its own.
    pub event_id: String,
    /// When it was found.
    pub observed_at: DateTime<Utc>,
    /// The batch; `None` where none was begun.
    pub batch_id: Option<String>,
    /// The table that the pipeline writes.
    pub target_table: String,
    /// The source that was checked; `None` for the rows of the table.
    pub source_table: Option<String>,
    /// The contract that asks for the check.
    pub contract_id: Option<String>,
    /// Its version.
    pub contract_version: Option<String>,
    /// What kind of check.
    pub category: String,
    /// Which one.
    pub check_name: String,
    /// `error` or `warn`.
    pub severity: String,
    /// `PASSED` or `FAILED`.
    pub status: String,
    /// Rows that fail.
    pub failed_rows: Option<i64>,
    /// Rows that were looked at.
    pub total_rows: Option<i64>,
    /// What was found, as a JSON object.
    pub details_json: String,
    /// Some failing rows, as a JSON array.
    pub sample_failures_json: Option<String>,
}

/// The table of events of one ETL schema.
#[derive(Debug)]
pub struct QualityEventStore {
    table: EtlTable,
}

impl QualityEventStore {
    /// The events of `etl_schema`, in the table `name`.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when either is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str, name: &str) -> Result<Self, LakeError> {
        Ok(Self { table: EtlTable::named(warehouse, etl_schema, name, &DESIGN)? })
    }

    /// Adds events of one target.
    ///
    /// # Errors
    /// Write failures.
    pub async fn record(&self, target_table: &str, events: &[QualityEvent]) -> Result<(), ControlError> {
        if events.is_empty() {
            return Ok(());
        }
        let rows = rows_of(events).map_err(|source| self.table.malformed(source))?;
        let partitions = vec![vec![target_table.to_owned()]];
        let change = Change { rows, removed: Vec::new(), partitions, exclusive: false };
        // An append takes nothing away, so that it is never stale.
        self.table.committer().await?.commit(change).await.map(|_| ())
    }

    /// Waits until everything is written, upkeep of the table included.
    pub async fn close(self) {
        self.table.close().await;
    }
}

fn rows_of(events: &[QualityEvent]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |get: &dyn Fn(&QualityEvent) -> Option<&str>| {
        Arc::new(events.iter().map(get).collect::<StringArray>()) as ArrayRef
    };
    let number = |get: &dyn Fn(&QualityEvent) -> Option<i64>| {
        Arc::new(events.iter().map(get).collect::<Int64Array>()) as ArrayRef
    };
    let observed = events.iter().map(|event| Some(event.observed_at.timestamp_micros()));
    let observed = observed.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    RecordBatch::try_new(
        event_schema(),
        vec![
            text(&|event| Some(&event.event_id)),
            Arc::new(observed),
            text(&|event| event.batch_id.as_deref()),
            text(&|event| Some(&event.target_table)),
            text(&|event| event.source_table.as_deref()),
            text(&|event| event.contract_id.as_deref()),
            text(&|event| event.contract_version.as_deref()),
            text(&|event| Some(&event.category)),
            text(&|event| Some(&event.check_name)),
            text(&|event| Some(&event.severity)),
            text(&|event| Some(&event.status)),
            number(&|event| event.failed_rows),
            number(&|event| event.total_rows),
            text(&|event| Some(&event.details_json)),
            text(&|event| event.sample_failures_json.as_deref()),
        ],
    )
}

fn event_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Utf8, false),
        Field::new("observed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        text("batch_id"),
        Field::new("target_table", DataType::Utf8, false),
        text("source_table"),
        text("contract_id"),
        text("contract_version"),
        Field::new("category", DataType::Utf8, false),
        Field::new("check_name", DataType::Utf8, false),
        Field::new("severity", DataType::Utf8, false),
        Field::new("status", DataType::Utf8, false),
        Field::new("failed_rows", DataType::Int64, true),
        Field::new("total_rows", DataType::Int64, true),
        text("details_json"),
        text("sample_failures_json"),
    ]))
}
