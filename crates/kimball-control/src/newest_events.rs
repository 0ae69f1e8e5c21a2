//! `etl_contract_temporal_state`: the newest event of each key of a source, as contracts remember it.
//!
//! One row a target, source, contract and key. The rows of a target and source are written anew when they rise, by
//! whoever holds the lease on the target; a batch that is made again writes the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use kimball_lake::{LakeError, LakeTable, Warehouse};

use crate::ControlError;
use crate::committer::{Change, Written};
use crate::etl_table::{Design, EtlTable};
use crate::row::Columns;

const DESIGN: Design = Design {
    name: "etl_contract_temporal_state",
    schema: state_schema,
    partition_columns: &["target_table", "source_table"],
    // Nobody looks back at it.
    log_kept: "interval 1 days",
};

/// The table of newest events of one ETL schema.
#[derive(Debug)]
pub struct NewestEventStore {
    table: EtlTable,
}

/// By contract and key: when the newest event happened, in microseconds since 1970, and the version that brought it.
type Newest = BTreeMap<(String, i64), (i64, i64)>;

impl NewestEventStore {
    /// The newest events of `etl_schema`, in the table `name`.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when either is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str, name: &str) -> Result<Self, LakeError> {
        Ok(Self { table: EtlTable::named(warehouse, etl_schema, name, &DESIGN)? })
    }

    /// The table as it stands: target_table, source_table, contract_id, business_key_hash, max_event_time,
    /// max_commit_version; `None` before the first event.
    ///
    /// # Errors
    /// Read failures.
    pub async fn open(&self) -> Result<Option<LakeTable>, ControlError> {
        self.table.open().await
    }

    /// Takes in the newest events of a batch: rows of business_key_hash, max_event_time and max_commit_version.
    ///
    /// # Errors
    /// Write failures.
    pub async fn raise(
        &self,
        target_table: &str,
        source: &str,
        contract: &str,
        events: &[RecordBatch],
    ) -> Result<(), ControlError> {
        let malformed = |error| self.table.malformed(error);
        let mut found = Newest::new();
        for batch in events {
            take_in(&mut found, batch, &|_| Ok(contract.to_owned())).map_err(malformed)?;
        }
        if found.is_empty() {
            return Ok(());
        }
        let partition = vec![target_table.to_owned(), source.to_owned()];
        loop {
            let committer = self.table.committer().await?;
            let (removed, batches) = committer.read(partition.clone()).await?;
            let mut newest = Newest::new();
            for batch in &batches {
                let columns = Columns { batch };
                let contract = |row| Ok(columns.text("contract_id", row)?.unwrap_or_default());
                take_in(&mut newest, batch, &contract).map_err(malformed)?;
            }
            let before = newest.clone();
            for (key, event) in &found {
                raise(&mut newest, key.clone(), *event);
            }
            if newest == before {
                return Ok(());
            }
            let rows = rows_of(target_table, source, &newest).map_err(malformed)?;
            let change = Change { rows, removed, partitions: vec![partition.clone()], exclusive: true };
            if let Written::Committed(_) = committer.commit(change).await? {
                return Ok(());
            }
        }
    }

    /// Waits until everything is written, upkeep of the table included.
    pub async fn close(self) {
        self.table.close().await;
    }
}

fn raise(newest: &mut Newest, key: (String, i64), (event, version): (i64, i64)) {
    let known = newest.entry(key).or_insert((event, version));
    *known = (known.0.max(event), known.1.max(version));
}

fn take_in(
    newest: &mut Newest,
    batch: &RecordBatch,
    contract: &dyn Fn(usize) -> Result<String, ArrowError>,
) -> Result<(), ArrowError> {
    let column = |name: &str, kind: &DataType| -> Result<ArrayRef, ArrowError> {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| ArrowError::SchemaError(format!("column `{name}` is missing")))?;
        cast(column, kind)
    };
    let keys = column("business_key_hash", &DataType::Int64)?;
    let versions = column("max_commit_version", &DataType::Int64)?;
    let times = column("max_event_time", &timestamp())?;
    let (keys, versions) = (keys.as_primitive::<Int64Type>(), versions.as_primitive::<Int64Type>());
    let times = times.as_primitive::<TimestampMicrosecondType>();
    for row in (0..batch.num_rows()).filter(|row| keys.is_valid(*row) && times.is_valid(*row)) {
        let version = if versions.is_valid(row) { versions.value(row) } else { i64::MIN };
        raise(newest, (contract(row)?, keys.value(row)), (times.value(row), version));
    }
    Ok(())
}

fn rows_of(target_table: &str, source: &str, newest: &Newest) -> Result<RecordBatch, ArrowError> {
    let text = |value: &str| Arc::new(StringArray::from(vec![value; newest.len()])) as ArrayRef;
    let contracts = newest.keys().map(|(contract, _)| Some(contract.as_str())).collect::<StringArray>();
    let keys = newest.keys().map(|(_, key)| *key).collect::<Vec<_>>();
    let times = newest.values().map(|(event, _)| *event).collect::<Vec<_>>();
    let versions = newest.values().map(|(_, version)| *version).collect::<Vec<_>>();
    RecordBatch::try_new(
        state_schema(),
        vec![
            text(target_table),
            text(source),
            Arc::new(contracts),
            Arc::new(Int64Array::from(keys)),
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            Arc::new(Int64Array::from(versions)),
        ],
    )
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn state_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("target_table", DataType::Utf8, false),
        Field::new("source_table", DataType::Utf8, false),
        Field::new("contract_id", DataType::Utf8, false),
        Field::new("business_key_hash", DataType::Int64, false),
        Field::new("max_event_time", timestamp(), false),
        Field::new("max_commit_version", DataType::Int64, true),
    ]))
}
