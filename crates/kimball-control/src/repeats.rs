//! `etl_repeats`: changes that repeated what held already (semantics 4.2).
//!
//! A set of (target, member, instant, life) to which rows are only ever added, before the commit of the batch that
//! found them: a batch that dies or is computed twice adds what is there already, which does no harm.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kimball_lake::{LakeError, LakeTable, Warehouse};

use crate::ControlError;
use crate::committer::Change;
use crate::etl_table::{Design, EtlTable};

const DESIGN: Design = Design {
    name: "etl_repeats",
    schema: repeat_schema,
    partition_columns: &["target_table"],
    // Nobody looks back at repeats.
    log_kept: "interval 1 days",
};

/// The remembered repeats of a warehouse.
#[derive(Debug)]
pub struct RepeatStore {
    table: EtlTable,
}

impl RepeatStore {
    /// The repeats of `etl_schema`.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when the schema is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str) -> Result<Self, LakeError> {
        Ok(Self { table: EtlTable::new(warehouse, etl_schema, &DESIGN)? })
    }

    /// The table as it stands: target_table, key_hash (the hash of the natural key, semantics 2.1), effective_at,
    /// and life, the number of the member's deleted rows when the repeat was found, which tells its lives apart;
    /// `None` before the first repeat.
    ///
    /// # Errors
    /// Read failures.
    pub async fn open(&self) -> Result<Option<LakeTable>, ControlError> {
        self.table.open().await
    }

    /// Remembers repeats of one target: rows of key_hash, effective_at and life.
    ///
    /// # Errors
    /// Write failures.
    pub async fn remember(&self, target_table: &str, repeats: &[RecordBatch]) -> Result<(), ControlError> {
        let rows = concat_batches(&repeat_schema(), &self.with_target(target_table, repeats)?)
            .map_err(|source| self.table.malformed(source))?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let partitions = vec![vec![target_table.to_owned()]];
        let change = Change { rows, removed: Vec::new(), partitions, exclusive: false };
        // An append takes nothing away, so that it is never stale.
        self.table.committer().await?.commit(change).await.map(|_| ())
    }

    fn with_target(
        &self,
        target_table: &str,
        repeats: &[RecordBatch],
    ) -> Result<Vec<RecordBatch>, ControlError> {
        let malformed = |source| self.table.malformed(source);
        let one = |rows: &RecordBatch| {
            let target: ArrayRef = Arc::new(StringArray::from(vec![target_table; rows.num_rows()]));
            let columns = [target].into_iter().chain(rows.columns().iter().map(Arc::clone)).collect();
            RecordBatch::try_new(repeat_schema(), columns).map_err(malformed)
        };
        repeats.iter().map(one).collect()
    }

    /// Waits until everything is written, upkeep of the table included.
    pub async fn close(self) {
        self.table.close().await;
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
