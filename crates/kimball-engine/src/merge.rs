//! From action rows to a change set: new rows go to data files, replaced rows are noted by their address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Int64Type, SchemaRef, UInt32Type};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use kimball_lake::{
    DataFile, DataFileWriter, FILE_COLUMN, LakeTable, LiveRows, ROW_COLUMN, RowRemovals, read_schema,
};

use crate::EngineError;
use crate::columns::{ACTION, action};
use crate::fact::{Evidence, Rekeyed};
use crate::stage::{Spool, SpoolRoom, SpoolWriter};

/// What one batch does to one table, ready for one commit.
#[derive(Debug, Default)]
pub struct ChangeSet {
    /// Files with new rows, written and not yet visible.
    pub files: Vec<DataFile>,
    /// Rows that go or are replaced.
    pub removals: RowRemovals,
    /// How many rows of each kind.
    pub counts: RowCounts,
    /// Changes that repeated what held already, to be remembered before the commit (semantics 4.2).
    pub repeats: Vec<RecordBatch>,
    /// The new high-water mark of `sequence` keys (semantics 2.2).
    pub sequence: Option<i64>,
    /// Which rows wait for a member, and which wait no more (semantics 8.4).
    pub evidence: Evidence,
    /// Rows that were loaded before and got another key.
    pub rekeyed: Rekeyed,
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
    /// Columns of the table that nobody computes.
    foreign: Vec<String>,
    change: ChangeSet,
    /// Columns of rows that hold something new, to be tested before the commit.
    watched: Option<(Vec<usize>, SpoolWriter)>,
    /// What written rows are added to, for whoever watches.
    written: Arc<AtomicU64>,
}

impl Collector {
    /// Begins to collect rows of `table`, which is to have the columns of `schema`; nobody computes those in
    /// `foreign`.
    pub(crate) fn new(
        table: &LakeTable,
        schema: &SchemaRef,
        foreign: &[String],
    ) -> Result<Self, EngineError> {
        let stored = table.schema()?;
        let stored = read_schema(&stored);
        let same_field = |(left, right): (&Arc<Field>, &Arc<Field>)| {
            left.name() == right.name() && left.data_type() == right.data_type()
        };
        let is_same = stored.fields().len() == schema.fields().len()
            && stored.fields().iter().zip(schema.fields()).all(same_field);
        let (writer, schema) = match is_same {
            true => (DataFileWriter::new(table)?, Arc::new(stored)),
            false => (DataFileWriter::with_columns(table, schema)?, SchemaRef::clone(schema)),
        };
        let foreign = foreign.to_vec();
        let (change, written) = (ChangeSet::default(), Arc::default());
        Ok(Self { writer, schema, foreign, change, watched: None, written })
    }

    /// The same, adding written rows to `written` as they come.
    pub(crate) fn counted_by(self, written: Arc<AtomicU64>) -> Self {
        Self { written, ..self }
    }

    /// Writes rows as they are, without counting them.
    pub(crate) async fn write_uncounted(&mut self, rows: RecordBatch) -> Result<(), EngineError> {
        let columns = self.schema.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| arrow::compute::cast(column, field.data_type()));
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect::<Result<_, _>>()?)?;
        Ok(self.writer.write(rows).await?)
    }

    /// Runs a query for action rows and takes in each.
    pub(crate) async fn take(&mut self, actions: DataFrame) -> Result<(), EngineError> {
        let mut stream = actions.execute_stream().await?;
        while let Some(batch) = stream.try_next().await? {
            self.take_batch(&batch).await?;
        }
        Ok(())
    }

    /// Takes in action rows.
    pub(crate) async fn take_batch(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        let written = self.note(batch)?;
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(column) => Ok(arrow::compute::cast(column, field.data_type())?),
                None if self.foreign.contains(field.name()) => {
                    Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows()))
                }
                None => Err(missing(field.name())),
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?;
        self.watch(batch, &rows)?;
        self.written.fetch_add(written.true_count() as u64, Ordering::Relaxed);
        Ok(self.writer.write(filter_record_batch(&rows, &written)?).await?)
    }

    /// From here on keeps the columns `watched` of rows that are inserted or updated.
    pub(crate) fn watch_columns(&mut self, watched: &[String], room: SpoolRoom) -> Result<(), EngineError> {
        let places: Vec<usize> = watched
            .iter()
            .map(|column| Ok(self.schema.index_of(column)?))
            .collect::<Result<_, EngineError>>()?;
        let schema = Arc::new(self.schema.project(&places)?);
        self.watched = Some((places, SpoolWriter::new(room, schema)));
        Ok(())
    }

    /// The rows that were kept since [`watch_columns`](Self::watch_columns).
    pub(crate) fn watched(&mut self) -> Result<Option<Spool>, EngineError> {
        self.watched.take().map(|(_, spool)| spool.finish()).transpose()
    }

    fn watch(&mut self, batch: &RecordBatch, rows: &RecordBatch) -> Result<(), EngineError> {
        let Some((places, spool)) = &mut self.watched else { return Ok(()) };
        let actions =
            batch.column_by_name(ACTION).ok_or_else(|| missing(ACTION))?.as_primitive::<Int64Type>();
        let is_new = |code: &i64| Some(matches!(*code, action::INSERT | action::UPDATE));
        let is_new: BooleanArray = actions.values().iter().map(is_new).collect();
        spool.push(filter_record_batch(&rows.project(places)?, &is_new)?)
    }

    /// Counts a batch and notes the rows it replaces; tells which of its rows are written.
    fn note(&mut self, batch: &RecordBatch) -> Result<BooleanArray, EngineError> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let actions = column(ACTION)?.as_primitive::<Int64Type>();
        let files = column(FILE_COLUMN)?.as_primitive::<UInt32Type>();
        let rows = column(ROW_COLUMN)?.as_primitive::<Int64Type>();
        for code in actions.values() {
            match *code {
                action::INSERT => self.change.counts.inserted += 1,
                action::UPDATE => self.change.counts.updated += 1,
                action::EXPIRE => self.change.counts.expired += 1,
                _ => self.change.counts.deleted += 1,
            }
        }
        note_addresses(files, rows, &mut self.change.removals);
        Ok(actions.values().iter().map(|code| Some(*code != action::REMOVE)).collect())
    }

    /// Takes rows out without anything in their place.
    pub(crate) fn remove(&mut self, rows: RowRemovals) {
        for (file, rows) in rows {
            self.change.counts.deleted += rows.len();
            *self.change.removals.entry(file).or_default() |= rows;
        }
    }

    pub(crate) async fn finish(self) -> Result<ChangeSet, EngineError> {
        let mut files = self.writer.finish().await?;
        files.extend(self.change.files);
        Ok(ChangeSet { files, ..self.change })
    }

    /// Ends the files of another collector of new rows and counts them as this one's.
    pub(crate) async fn join(&mut self, other: Self) -> Result<(), EngineError> {
        let other = other.finish().await?;
        self.change.counts.inserted += other.counts.inserted;
        self.change.files.extend(other.files);
        Ok(())
    }

    /// New rows taken in so far.
    pub(crate) fn inserted(&self) -> u64 {
        self.change.counts.inserted
    }

    /// What the batch does besides adding and replacing rows.
    pub(crate) fn change(&mut self) -> &mut ChangeSet {
        &mut self.change
    }

    /// The rows that no action row has replaced.
    pub(crate) fn untouched(&self, live: &LiveRows) -> RowRemovals {
        let mut rest = live.addresses();
        for (file, removed) in &self.change.removals {
            if let Some(rows) = rest.get_mut(file) {
                *rows -= removed;
            }
        }
        rest
    }

    /// Every row of the table goes; what shall stay has been written again.
    pub(crate) fn replace_all(&mut self, live: &LiveRows) {
        self.change.removals = live.addresses();
    }
}

fn missing(column: &str) -> EngineError {
    EngineError::Config(format!("internal: column `{column}` was not computed"))
}

/// Runs a query for [`FILE_COLUMN`] and [`ROW_COLUMN`] and collects the addresses.
pub(crate) async fn addresses(frame: DataFrame) -> Result<RowRemovals, EngineError> {
    addresses_in(frame.execute_stream().await?).await
}

/// The same of rows that are on their way.
pub(crate) async fn addresses_in(mut stream: SendableRecordBatchStream) -> Result<RowRemovals, EngineError> {
    let mut found = RowRemovals::new();
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
