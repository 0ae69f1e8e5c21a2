//! From action rows to a change set: new rows go to data files, replaced rows are noted by their address.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef, UInt32Type};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use kimball_lake::{DataFile, DataFileWriter, FILE_COLUMN, LakeTable, ROW_COLUMN, RowRemovals};

use crate::EngineError;
use crate::columns::{ACTION, action};

/// What one batch does to one table, ready for one commit.
#[derive(Debug, Default)]
pub struct ChangeSet {
    /// Files with new rows, written and not yet visible.
    pub files: Vec<DataFile>,
    /// Rows that go or are replaced.
    pub removals: RowRemovals,
    /// How many rows of each kind.
    pub counts: RowCounts,
}

/// Rows that a batch wrote, by what happened to them. Default members are not counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// New rows.
    pub inserted: u64,
    /// Rows with new content.
    pub updated: u64,
    /// Rows marked deleted or taken out.
    pub deleted: u64,
    /// Versions whose interval ended.
    pub expired: u64,
}

impl RowCounts {
    /// Rows that the table gained or that changed.
    pub fn written(&self) -> u64 {
        self.inserted + self.updated + self.deleted + self.expired
    }
}

/// Collects action rows: the table's columns, [`FILE_COLUMN`], [`ROW_COLUMN`] and [`ACTION`].
pub(crate) struct Collector {
    writer: DataFileWriter,
    schema: SchemaRef,
    removals: RowRemovals,
    counts: RowCounts,
}

impl Collector {
    pub(crate) fn new(table: &LakeTable) -> Result<Self, EngineError> {
        Ok(Self {
            writer: DataFileWriter::new(table)?,
            schema: table.schema()?,
            removals: BTreeMap::new(),
            counts: RowCounts::default(),
        })
    }

    /// Writes rows as they are, without counting them.
    pub(crate) async fn write_uncounted(&mut self, rows: RecordBatch) -> Result<(), EngineError> {
        Ok(self.writer.write(rows).await?)
    }

    /// Runs a query for action rows and takes in each.
    pub(crate) async fn take(&mut self, actions: DataFrame) -> Result<(), EngineError> {
        let mut stream = actions.execute_stream().await?;
        while let Some(batch) = stream.try_next().await? {
            let written = self.note(&batch)?;
            let columns = self
                .schema
                .fields()
                .iter()
                .map(|field| {
                    let column = batch.column_by_name(field.name()).ok_or_else(|| {
                        EngineError::Config(format!("internal: column `{}` was not computed", field.name()))
                    })?;
                    Ok(arrow::compute::cast(column, field.data_type())?)
                })
                .collect::<Result<Vec<_>, EngineError>>()?;
            let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?;
            self.writer.write(filter_record_batch(&rows, &written)?).await?;
        }
        Ok(())
    }

    /// Counts a batch and notes the rows it replaces; tells which of its rows are written.
    fn note(&mut self, batch: &RecordBatch) -> Result<BooleanArray, EngineError> {
        let missing = |name: &str| EngineError::Config(format!("internal: column `{name}` was not computed"));
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let actions = column(ACTION)?.as_primitive::<Int64Type>();
        let files = column(FILE_COLUMN)?.as_primitive::<UInt32Type>();
        let rows = column(ROW_COLUMN)?.as_primitive::<Int64Type>();
        for code in actions.values() {
            match *code {
                action::INSERT => self.counts.inserted += 1,
                action::UPDATE => self.counts.updated += 1,
                action::EXPIRE => self.counts.expired += 1,
                _ => self.counts.deleted += 1,
            }
        }
        note_addresses(files, rows, &mut self.removals);
        Ok(actions.values().iter().map(|code| Some(*code != action::REMOVE)).collect())
    }

    pub(crate) async fn finish(self) -> Result<ChangeSet, EngineError> {
        let files = self.writer.finish().await?;
        Ok(ChangeSet { files, removals: self.removals, counts: self.counts })
    }
}

/// Runs a query for [`FILE_COLUMN`] and [`ROW_COLUMN`] and collects the addresses.
pub(crate) async fn addresses(frame: DataFrame) -> Result<RowRemovals, EngineError> {
    let mut found = RowRemovals::new();
    let mut stream = frame.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let files =
            batch.column_by_name(FILE_COLUMN).map(|column| column.as_primitive::<UInt32Type>().clone());
        let rows = batch.column_by_name(ROW_COLUMN).map(|column| column.as_primitive::<Int64Type>().clone());
        if let (Some(files), Some(rows)) = (files, rows) {
            note_addresses(&files, &rows, &mut found);
        }
    }
    Ok(found)
}

fn note_addresses(
    files: &arrow::array::PrimitiveArray<UInt32Type>,
    rows: &arrow::array::PrimitiveArray<Int64Type>,
    noted: &mut RowRemovals,
) {
    for (file, row) in files.iter().zip(rows.iter()) {
        if let (Some(file), Some(row)) = (file, row.and_then(|row| u64::try_from(row).ok())) {
            noted.entry(file).or_default().insert(row);
        }
    }
}
