//! A small table that many writers share, each in partitions of its own, with very many commits.
//!
//! Opening a table costs a listing of its log, which grows with every commit. This handle opens it once and then
//! follows the log entry by entry, by name: what a commit costs does not depend on how many came before. The Delta
//! protocol ("Writer Requirements") lets a writer commit version n + 1 if it knows versions up to n, and the storage
//! refuses an entry that is there already.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::object_store::ObjectStoreExt;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::logstore::CommitOrBytes;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::TryStreamExt;

use crate::commit::{CommitOutcome, fresh_id, merge_of};
use crate::partition::PartitionColumns;
use crate::scan::stored_at;
use crate::table::as_signed;
use crate::write::DataFile;
use crate::{LakeError, LakeTable, TableId, Warehouse};

/// A change of a table that many writers share, each in partitions of its own.
#[derive(Debug, Default)]
pub struct Swap {
    /// Files with new rows.
    pub files: Vec<DataFile>,
    /// Files that go.
    pub removed: Vec<DataFile>,
    /// SQL over the partition columns that covers every partition touched; `None` for a blind append.
    pub predicate: Option<String>,
}

/// A shared table at the newest version that was seen.
#[derive(Debug)]
pub struct SharedTable {
    /// Columns, protocol and storage; of an older version than `version`, as only files have changed since.
    pub(crate) table: LakeTable,
    pub(crate) version: u64,
    files: BTreeMap<String, DataFile>,
}

impl Warehouse {
    /// Opens a table for many commits; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn open_shared(&self, table: &TableId) -> Result<Option<SharedTable>, LakeError> {
        match self.open(table).await? {
            Some(table) => SharedTable::of(table).await.map(Some),
            None => Ok(None),
        }
    }
}

impl SharedTable {
    /// A table that was opened a moment ago, for many commits.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn of(table: LakeTable) -> Result<Self, LakeError> {
        let version = table.snapshot()?.version();
        let views: Vec<_> = table
            .inner
            .get_active_add_actions_by_predicate(None)
            .try_collect()
            .await
            .map_err(LakeError::delta(&table.name))?;
        let files = views.iter().map(DataFile::of_view).map(|file| (file.path().to_owned(), file)).collect();
        Ok(Self { table, version, files })
    }

    /// The table as files are written for it.
    pub fn table(&self) -> &LakeTable {
        &self.table
    }

    /// The newest version that was seen.
    pub fn version(&self) -> i64 {
        as_signed(self.version)
    }

    /// Takes in what others have committed since. Where the next entry is missing because it was cleaned away while this
    /// process slept, the table is opened anew.
    ///
    /// # Errors
    /// Read failures.
    pub async fn catch_up(&mut self) -> Result<(), LakeError> {
        while let Some(actions) = self.table.entry(self.version + 1).await? {
            let is_altered = |action: &Action| matches!(action, Action::Metadata(_) | Action::Protocol(_));
            if actions.iter().any(is_altered) {
                return self.reopen().await;
            }
            self.take(actions);
        }
        match self.lies_below_a_checkpoint(self.version + 1).await? {
            true => self.reopen().await,
            false => Ok(()),
        }
    }

    /// Opens the table anew.
    ///
    /// # Errors
    /// Read failures.
    pub async fn reopen(&mut self) -> Result<(), LakeError> {
        *self = Self::of(self.table.reopened().await?).await?;
        Ok(())
    }

    /// The next version, which consists of `actions`.
    fn take(&mut self, actions: Vec<Action>) {
        self.version += 1;
        for action in &actions {
            if let Action::Remove(remove) = action {
                self.files.remove(&remove.path);
            }
        }
        // A file whose rows were thinned is removed and added in one commit.
        for action in actions {
            if let Action::Add(add) = action {
                self.files.insert(add.path.clone(), DataFile(add));
            }
        }
    }

    /// Whether a data file belongs to the newest version that was seen.
    pub fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The data files whose partition values are all as given.
    pub fn files_of(&self, values: &[(&str, &str)]) -> Vec<DataFile> {
        let lies_there = |file: &&DataFile| {
            values.iter().all(|(column, value)| file.partition_value(column) == Some(value))
        };
        self.files.values().filter(lies_there).cloned().collect()
    }

    /// The rows of some data files, partition columns included. Files are read whole.
    ///
    /// # Errors
    /// Read failures.
    pub async fn read(&self, files: &[DataFile]) -> Result<Vec<RecordBatch>, LakeError> {
        let partitions = PartitionColumns::of(&self.table)?;
        let vectors = files.iter().map(|file| file.0.deletion_vector.clone()).collect();
        let deleted = self.table.deleted_rows(vectors).await?;
        let store = self.table.inner.object_store();
        let stored = LakeError::stored(&self.table.name);
        let mut found = Vec::new();
        for (file, deleted) in files.iter().zip(deleted) {
            let bytes = store.get(&stored_at(file.path())).await.map_err(&stored)?;
            let bytes = bytes.bytes().await.map_err(&stored)?;
            let unreadable = |source| LakeError::Query(DataFusionError::ParquetError(Box::new(source)));
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(unreadable)?;
            let values = partitions.values(&file.0.partition_values)?;
            let mut first = 0u64;
            for rows in reader.build().map_err(unreadable)? {
                let mut rows = rows.map_err(DataFusionError::from)?;
                let end = first + rows.num_rows() as u64;
                if !deleted.is_empty() {
                    let live: BooleanArray = (first..end).map(|row| Some(!deleted.contains(row))).collect();
                    rows = filter_record_batch(&rows, &live).map_err(DataFusionError::from)?;
                }
                first = end;
                found.push(with_partition(&rows, &partitions, &values)?);
            }
        }
        Ok(found)
    }

    /// Commits a change as the version after the newest one that was seen.
    ///
    /// A [`CommitOutcome::Conflict`] says no more than that somebody else committed: [`catch_up`](Self::catch_up),
    /// look whether the change still makes sense, and commit it again.
    ///
    /// # Errors
    /// Storage failures.
    pub async fn swap(&mut self, swap: &Swap) -> Result<CommitOutcome, LakeError> {
        // Every batch takes a file or two away; checkpoints that told of them would soon hold little else.
        let removed = swap.removed.iter().map(|file| Action::Remove(file.removal(None)));
        let added = swap.files.iter().map(|file| Action::Add(file.0.clone()));
        let operation = match &swap.predicate {
            Some(predicate) => merge_of(Some(predicate.clone())),
            None => DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: None,
                predicate: Some("false".to_owned()),
            },
        };
        let data = CommitData::new(removed.chain(added).collect(), operation, Default::default(), Vec::new());
        let failed = |source: TransactionError| LakeError::delta(&self.table.name)(source.into());
        let entry = CommitOrBytes::LogBytes(data.get_bytes().map_err(failed)?);
        let log = self.table.inner.log_store();
        match log.write_commit_entry(self.version + 1, entry, fresh_id()).await {
            Ok(()) if self.lies_below_a_checkpoint(self.version + 1).await? => {
                // Either somebody wrote a checkpoint just now; or the entry had been cleaned away while this process
                // slept, and nobody will read what it wrote again. The table tells.
                self.reopen().await?;
                match swap.files.iter().all(|file| self.holds(file.path())) {
                    true => Ok(CommitOutcome::Committed { version: self.version() }),
                    false => Ok(CommitOutcome::Conflict),
                }
            }
            Ok(()) => {
                self.take(data.actions);
                Ok(CommitOutcome::Committed { version: self.version() })
            }
            Err(TransactionError::VersionAlreadyExists(_)) => Ok(CommitOutcome::Conflict),
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether readers begin after `version`.
    async fn lies_below_a_checkpoint(&self, version: u64) -> Result<bool, LakeError> {
        let newest = self.table.last_checkpoint().await?;
        Ok(newest.is_some_and(|newest| newest >= version))
    }
}

fn with_partition(
    rows: &RecordBatch,
    partitions: &PartitionColumns,
    values: &[datafusion::common::ScalarValue],
) -> Result<RecordBatch, LakeError> {
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    for (field, value) in partitions.fields().iter().zip(values) {
        fields.push(Field::new(field.name(), value.data_type(), true).into());
        columns.push(value.to_array_of_size(rows.num_rows())?);
    }
    Ok(RecordBatch::try_new(Schema::new(fields).into(), columns).map_err(DataFusionError::from)?)
}
