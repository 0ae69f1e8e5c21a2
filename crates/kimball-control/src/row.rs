//! A row of `etl_control` and its columns.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::BatchStatus;

/// One batch and source, as the guide's table has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlRow {
    /// The table that the batch writes.
    pub target_table: String,
    /// The source; a second alias of one table appears as `name#alias`.
    pub source_table: String,
    /// The version that the batch read up to; while it runs, the watermark before it.
    pub last_processed_version: Option<i64>,
    /// The batch.
    pub batch_id: Option<String>,
    /// When it began.
    pub batch_started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub batch_completed_at: Option<DateTime<Utc>>,
    /// RUNNING, SUCCESS or FAILED.
    pub batch_status: Option<String>,
    /// Rows read of this source.
    pub rows_read: Option<i64>,
    /// Rows that the target gained or that changed.
    pub rows_written: Option<i64>,
    /// What went wrong, class first, at most 4,000 characters.
    pub error_message: Option<String>,
    /// When this row was written.
    pub updated_at: DateTime<Utc>,
}

impl ControlRow {
    /// Whether the batch began and has not ended.
    pub fn is_running(&self) -> bool {
        self.batch_status.as_deref() == Some(BatchStatus::Running.as_str())
    }

    /// What rows of one target and source are ordered by: the last one says how things stand. A load that could not begin
    /// may have failed while another process loaded; then that one ended later, although it began before.
    pub fn order(&self) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
        (self.updated_at, self.batch_started_at)
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The eleven columns of the guide.
pub(crate) fn control_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("target_table", DataType::Utf8, false),
        Field::new("source_table", DataType::Utf8, false),
        Field::new("last_processed_version", DataType::Int64, true),
        Field::new("batch_id", DataType::Utf8, true),
        Field::new("batch_started_at", timestamp(), true),
        Field::new("batch_completed_at", timestamp(), true),
        Field::new("batch_status", DataType::Utf8, true),
        Field::new("rows_read", DataType::Int64, true),
        Field::new("rows_written", DataType::Int64, true),
        Field::new("error_message", DataType::Utf8, true),
        Field::new("updated_at", timestamp(), false),
    ]))
}

/// Rows as a record batch with the columns of [`control_schema`].
pub(crate) fn to_batch(rows: &[ControlRow]) -> Result<RecordBatch, ArrowError> {
    let text = |get: &dyn Fn(&ControlRow) -> Option<String>| {
        Arc::new(rows.iter().map(get).collect::<StringArray>()) as Arc<dyn Array>
    };
    let number = |get: &dyn Fn(&ControlRow) -> Option<i64>| {
        Arc::new(rows.iter().map(get).collect::<Int64Array>()) as Arc<dyn Array>
    };
    let time = |get: &dyn Fn(&ControlRow) -> Option<DateTime<Utc>>| {
        let micros = rows.iter().map(|row| get(row).map(|time| time.timestamp_micros()));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as Arc<dyn Array>
    };
    RecordBatch::try_new(
        control_schema(),
        vec![
            text(&|row| Some(row.target_table.clone())),
            text(&|row| Some(row.source_table.clone())),
            number(&|row| row.last_processed_version),
            text(&|row| row.batch_id.clone()),
            time(&|row| row.batch_started_at),
            time(&|row| row.batch_completed_at),
            text(&|row| row.batch_status.clone()),
            number(&|row| row.rows_read),
            number(&|row| row.rows_written),
            text(&|row| row.error_message.clone()),
            time(&|row| Some(row.updated_at)),
        ],
    )
}

/// The rows of record batches as the table gives them, whatever its text and time types.
pub(crate) fn of_batches(batches: &[RecordBatch]) -> Result<Vec<ControlRow>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = Columns { batch };
        for row in 0..batch.num_rows() {
            rows.push(ControlRow {
                target_table: columns.text("target_table", row)?.unwrap_or_default(),
                source_table: columns.text("source_table", row)?.unwrap_or_default(),
                last_processed_version: columns.number("last_processed_version", row)?,
                batch_id: columns.text("batch_id", row)?,
                batch_started_at: columns.time("batch_started_at", row)?,
                batch_completed_at: columns.time("batch_completed_at", row)?,
                batch_status: columns.text("batch_status", row)?,
                rows_read: columns.number("rows_read", row)?,
                rows_written: columns.number("rows_written", row)?,
                error_message: columns.text("error_message", row)?,
                updated_at: columns.time("updated_at", row)?.unwrap_or_default(),
            });
        }
    }
    Ok(rows)
}

/// Reads cells by column name.
pub(crate) struct Columns<'a> {
    pub(crate) batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn column(&self, name: &str, kind: &DataType) -> Result<Arc<dyn Array>, ArrowError> {
        let column = self
            .batch
            .column_by_name(name)
            .ok_or_else(|| ArrowError::SchemaError(format!("column `{name}` is missing")))?;
        arrow::compute::cast(column, kind)
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Result<Option<String>, ArrowError> {
        let column = self.column(name, &DataType::Utf8)?;
        let column = column.as_string::<i32>();
        Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
    }

    pub(crate) fn number(&self, name: &str, row: usize) -> Result<Option<i64>, ArrowError> {
        let column = self.column(name, &DataType::Int64)?;
        let column = column.as_primitive::<Int64Type>();
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    pub(crate) fn time(&self, name: &str, row: usize) -> Result<Option<DateTime<Utc>>, ArrowError> {
        let column = self.column(name, &timestamp())?;
        let column = column.as_primitive::<TimestampMicrosecondType>();
        let micros = column.is_valid(row).then(|| column.value(row));
        Ok(micros.and_then(DateTime::from_timestamp_micros))
    }
}
