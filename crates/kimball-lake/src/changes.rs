//! The rows that commits changed, found as the Delta protocol tells ("Change Data Files"): a commit's change files
//! where it wrote some, else the rows of the files that it added and removed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::object_store::{Error, ObjectStoreExt};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use deltalake::DeltaTableError;
use deltalake::kernel::{Action, Add, AddCDCFile, DeletionVectorDescriptor, Remove};
use futures::stream::{self, StreamExt, TryStreamExt};
use roaring::RoaringTreemap;

use crate::feed::{CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION};
use crate::partition::PartitionColumns;
use crate::scan::{Fetch, Origin, ScanColumns, TableStore, only, scanned, stored_at, without};
use crate::{LakeError, LakeTable};

/// Files that are looked for at a time.
const LOOKS: usize = 16;

pub(crate) const INSERT: &str = "insert";
pub(crate) const DELETE: &str = "delete";

/// One file that a commit changed.
pub(crate) struct Change {
    version: i64,
    time: i64,
    file: ChangedFile,
}

enum ChangedFile {
    /// Its rows say themselves what became of them.
    Recorded(AddCDCFile),
    Added(Add),
    Removed(Remove),
    /// Before and after it misses other rows.
    Thinned {
        before: Option<DeletionVectorDescriptor>,
        after: Add,
    },
}

impl Change {
    /// What one commit changed.
    pub(crate) fn of_commit(version: i64, time: i64, actions: Vec<Action>) -> Vec<Self> {
        let mut recorded = Vec::new();
        let mut added = Vec::new();
        let mut removed: HashMap<String, Remove> = HashMap::new();
        for action in actions {
            match action {
                Action::Cdc(file) => recorded.push(ChangedFile::Recorded(file)),
                Action::Add(add) if add.data_change => added.push(add),
                Action::Remove(remove) if remove.data_change => {
                    removed.insert(remove.path.clone(), remove);
                }
                _ => {}
            }
        }
        let files = if recorded.is_empty() {
            let added: Vec<ChangedFile> = added
                .into_iter()
                .map(|after| match removed.remove(&after.path) {
                    Some(remove) => ChangedFile::Thinned { before: remove.deletion_vector, after },
                    None => ChangedFile::Added(after),
                })
                .collect();
            added.into_iter().chain(removed.into_values().map(ChangedFile::Removed)).collect()
        } else {
            recorded
        };
        files.into_iter().map(|file| Self { version, time, file }).collect()
    }

    fn path(&self) -> &str {
        match &self.file {
            ChangedFile::Recorded(file) => &file.path,
            ChangedFile::Added(add) | ChangedFile::Thinned { after: add, .. } => &add.path,
            ChangedFile::Removed(remove) => &remove.path,
        }
    }

    fn size(&self) -> Option<u64> {
        let size = match &self.file {
            ChangedFile::Recorded(file) => file.size,
            ChangedFile::Added(add) | ChangedFile::Thinned { after: add, .. } => add.size,
            ChangedFile::Removed(remove) => remove.size?,
        };
        u64::try_from(size).ok()
    }

    fn partition(&self) -> Option<&HashMap<String, Option<String>>> {
        match &self.file {
            ChangedFile::Recorded(file) => Some(&file.partition_values),
            ChangedFile::Added(add) | ChangedFile::Thinned { after: add, .. } => Some(&add.partition_values),
            ChangedFile::Removed(remove) => remove.partition_values.as_ref(),
        }
    }

    /// Rows in the file, where the log tells.
    fn records(&self) -> Option<u64> {
        let (ChangedFile::Added(add) | ChangedFile::Thinned { after: add, .. }) = &self.file else {
            return None;
        };
        u64::try_from(add.get_stats().ok()??.num_records).ok()
    }

    /// The deletion vectors of the file before and after the commit.
    fn vectors(&self) -> [Option<DeletionVectorDescriptor>; 2] {
        match &self.file {
            ChangedFile::Recorded(_) => [None, None],
            ChangedFile::Added(add) => [None, add.deletion_vector.clone()],
            ChangedFile::Removed(remove) => [remove.deletion_vector.clone(), None],
            ChangedFile::Thinned { before, after } => [before.clone(), after.deletion_vector.clone()],
        }
    }
}

/// Changed rows as a query sees them: the table's columns, then those of a change feed.
pub(crate) struct ChangedRows {
    store: TableStore,
    /// Files of which every row that is read changed in one way.
    plain: Files,
    /// Change files.
    recorded: Files,
}

struct Files {
    columns: ScanColumns,
    files: Vec<PartitionedFile>,
}

impl ChangedRows {
    /// Reads what the log tells of the rows of `changes`; the rows themselves are read by queries.
    pub(crate) async fn read(table: &LakeTable, changes: Vec<Change>) -> Result<Self, LakeError> {
        require_files(table, &changes).await?;
        let partitions = PartitionColumns::of(table)?;
        let columns = table.schema()?;
        let shape = |change_type: Origin| {
            let feed = feed_columns(change_type);
            Files {
                columns: ScanColumns::new(partitions.located(&columns).chain(feed).collect()),
                files: Vec::new(),
            }
        };
        let mut rows =
            Self { store: TableStore::of(table), plain: shape(Origin::Log), recorded: shape(Origin::File) };
        let vectors = table.deleted_rows(changes.iter().flat_map(Change::vectors).collect()).await?;
        for (change, deleted) in changes.iter().zip(vectors.chunks_exact(2)) {
            let [before, after] = deleted else { continue };
            rows.take(table, &partitions, change, (before, after)).await?;
        }
        Ok(rows)
    }

    async fn take(
        &mut self,
        table: &LakeTable,
        partitions: &PartitionColumns,
        change: &Change,
        (before, after): (&RoaringTreemap, &RoaringTreemap),
    ) -> Result<(), LakeError> {
        let untold = |what: &str| {
            let reason =
                format!("version {} does not tell {what} of the file {}", change.version, change.path());
            LakeError::delta(&table.name)(DeltaTableError::MetadataError(reason))
        };
        let partition = match change.partition() {
            Some(stored) => partitions.values(stored)?,
            None if partitions.is_empty() => Vec::new(),
            None => return Err(untold("the partition")),
        };
        let size = change.size().ok_or_else(|| untold("the size"))?;
        let path = stored_at(change.path());
        let file = |change_type: Option<&str>| {
            let mut values = partition.clone();
            values.extend(change_type.map(ScalarValue::from));
            values.push(ScalarValue::UInt64(u64::try_from(change.version).ok()));
            values.push(ScalarValue::TimestampMillisecond(Some(change.time), None));
            scanned(path.clone(), size).with_partition_values(values)
        };
        let records = match change.records() {
            Some(records) => records,
            None if before.is_empty() && after.is_empty() => 0,
            None => self.store.count_records(&path, size).await?,
        };
        let live = |change_type: &str, deleted: &RoaringTreemap| match deleted.is_empty() {
            true => Some(file(Some(change_type))),
            false => Some(file(Some(change_type)).with_extension(without(deleted, records)?)),
        };
        let chosen = |change_type: &str, rows: RoaringTreemap| {
            (!rows.is_empty()).then(|| file(Some(change_type)).with_extension(only(&rows, records)))
        };
        match &change.file {
            ChangedFile::Recorded(_) => self.recorded.files.push(file(None)),
            ChangedFile::Added(_) => self.plain.files.extend(live(INSERT, after)),
            ChangedFile::Removed(_) => self.plain.files.extend(live(DELETE, before)),
            ChangedFile::Thinned { .. } => {
                self.plain.files.extend(chosen(DELETE, after - before));
                self.plain.files.extend(chosen(INSERT, before - after));
            }
        }
        Ok(())
    }
}

/// Data files of old versions go when their table is vacuumed, and the log still tells of them.
async fn require_files(table: &LakeTable, changes: &[Change]) -> Result<(), LakeError> {
    let store = table.inner.object_store();
    let look = |change: &Change| {
        let (store, version, file) = (Arc::clone(&store), change.version, change.path().to_owned());
        async move {
            match store.head(&stored_at(&file)).await {
                Ok(_) => Ok(()),
                Err(Error::NotFound { .. }) => {
                    Err(LakeError::FeedVacuumed { table: table.name.clone(), version, file })
                }
                Err(source) => Err(LakeError::stored(&table.name)(source)),
            }
        }
    };
    let looks: Vec<_> = changes.iter().map(look).collect();
    stream::iter(looks).buffered(LOOKS).try_collect().await
}

fn feed_columns(change_type: Origin) -> [(FieldRef, Origin); 3] {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    [
        (Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)), change_type),
        (Arc::new(Field::new(COMMIT_VERSION, DataType::UInt64, true)), Origin::Log),
        (Arc::new(Field::new(COMMIT_TIMESTAMP, time, true)), Origin::Log),
    ]
}

impl fmt::Debug for ChangedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.plain.files.len() + self.recorded.files.len();
        f.debug_struct("ChangedRows").field("files", &files).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for ChangedRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.plain.columns.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let scan = |files: &Files| {
            let paths = files.files.iter().cloned();
            self.store.scan(session, &files.columns, paths, Fetch::Pages, (projection, limit))
        };
        match (self.plain.files.is_empty(), self.recorded.files.is_empty()) {
            (_, true) => scan(&self.plain),
            (true, false) => scan(&self.recorded),
            (false, false) => UnionExec::try_new(vec![scan(&self.plain)?, scan(&self.recorded)?]),
        }
    }
}
