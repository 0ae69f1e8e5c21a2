//! `etl_repeats`: changes that repeated what held already (semantics 4.2).
//!
//! A set of (target, member, instant, life) to which rows are only ever added, before the commit of the batch that
//! found them: a batch that dies or is computed twice adds what is there already, which does no harm.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kimball_lake::{CommitOutcome, DataFileWriter, LakeError, LakeTable, Swap, TableId, Warehouse};

use crate::ControlError;
use crate::store::create_if_absent;

const PARTITIONS: &[&str] = &["target_table"];

/// Attempts to append; appends do not conflict with each other, but creating the table does.
const ATTEMPTS: usize = 20;

/// The remembered repeats of a warehouse.
#[derive(Debug)]
pub struct RepeatStore {
    warehouse: Warehouse,
    table: TableId,
}

impl RepeatStore {
    /// The repeats of `etl_schema`.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when the schema is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str) -> Result<Self, LakeError> {
        Ok(Self { warehouse: warehouse.clone(), table: TableId::new(etl_schema, "etl_repeats")? })
    }

    /// The table as it stands: target_table, key_hash (the hash of the natural key, semantics 2.1), effective_at,
    /// and life, the number of the member's deleted rows when the repeat was found, which tells its lives apart;
    /// `None` before the first repeat.
    ///
    /// # Errors
    /// Read failures.
    pub async fn open(&self) -> Result<Option<LakeTable>, ControlError> {
        Ok(self.warehouse.open(&self.table).await?)
    }

    /// Remembers repeats of one target: rows of key_hash, effective_at and life.
    ///
    /// # Errors
    /// Write failures.
    pub async fn remember(&self, target_table: &str, repeats: &[RecordBatch]) -> Result<(), ControlError> {
        if repeats.is_empty() {
            return Ok(());
        }
        create_if_absent(&self.warehouse, &self.table, &repeat_schema(), PARTITIONS).await?;
        for _ in 0..ATTEMPTS {
            let Some(table) = self.open().await? else { continue };
            let mut writer = DataFileWriter::new(&table)?;
            for rows in repeats {
                writer.write(self.with_target(target_table, rows)?).await?;
            }
            let swap = Swap { files: writer.finish().await?, ..Swap::default() };
            if let CommitOutcome::Committed { .. } = table.swap(swap).await? {
                return Ok(());
            }
        }
        Err(ControlError::Contention { table: self.table.to_string(), attempts: ATTEMPTS })
    }

    fn with_target(&self, target_table: &str, rows: &RecordBatch) -> Result<RecordBatch, ControlError> {
        let malformed = |source| ControlError::Columns { table: self.table.to_string(), source };
        let target: ArrayRef = Arc::new(StringArray::from(vec![target_table; rows.num_rows()]));
        let columns = [target].into_iter().chain(rows.columns().iter().map(Arc::clone)).collect();
        RecordBatch::try_new(repeat_schema(), columns).map_err(malformed)
    }
}

fn repeat_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("target_table", DataType::Utf8, true),
        Field::new("key_hash", DataType::Int64, true),
        Field::new("effective_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("life", DataType::Int64, true),
    ]))
}
