//! The rows of a pinned version, each with an address: the number of its file and its place in it.
//!
//! A merge reads its target through this: it can name the rows that it replaces, and it can fetch single
//! rows by their address without decoding the others. Deleted rows are skipped while reading.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake::Path;
use deltalake::parquet::arrow::RowNumber;
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use crate::commit::RowRemovals;
use crate::partition::PartitionColumns;
use crate::scan::{Fetch, Origin, ScanColumns, TableStore, only, scanned, without};
use crate::write::DataFile;
use crate::{LakeError, LakeTable};

/// The column with the number of a row's file: UInt32, valid for one [`LiveRows`].
pub const FILE_COLUMN: &str = "__kimball_file";
/// The column with a row's place in its file: Int64, from 0.
pub const ROW_COLUMN: &str = "__kimball_row";

/// The rows of a table's pinned version as a query sees them: the table's columns, then
/// [`FILE_COLUMN`] and [`ROW_COLUMN`].
#[derive(Clone)]
pub struct LiveRows {
    store: TableStore,
    columns: Arc<ScanColumns>,
    partitions: Arc<PartitionColumns>,
    files: Arc<Vec<LiveFile>>,
    /// Rows to read, by file number; `None` reads all that live.
    chosen: Option<Arc<RowRemovals>>,
}

#[derive(Debug)]
pub(crate) struct LiveFile {
    pub(crate) file: DataFile,
    path: Path,
    /// The values of the partition columns.
    partition: Vec<ScalarValue>,
    /// Rows in the file, deleted ones included.
    pub(crate) records: u64,
    pub(crate) deleted: RoaringTreemap,
}

impl LakeTable {
    /// The rows of the pinned version, with addresses.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedTable`] for tables whose partition columns or column mapping cannot be read,
    /// [`LakeError::PartitionValue`] for a log at odds with its columns, read failures otherwise.
    pub async fn live_rows(&self) -> Result<LiveRows, LakeError> {
        if self.has_mapped_columns()? {
            let reason = "its columns have other names in its files (`delta.columnMapping.mode`)".to_owned();
            return Err(LakeError::UnsupportedTable { table: self.name.clone(), reason });
        }
        let partitions = PartitionColumns::of(self)?;
        let views: Vec<_> = self
            .inner
            .get_active_add_actions_by_predicate(None)
            .try_collect()
            .await
            .map_err(LakeError::delta(&self.name))?;
        let stored: Vec<DataFile> = views.iter().map(DataFile::of_view).collect();
        let vectors = stored.iter().map(|file| file.0.deletion_vector.clone()).collect();
        let deleted = self.deleted_rows(vectors).await?;
        let store = TableStore::of(self);
        let mut files = Vec::with_capacity(stored.len());
        for ((view, file), deleted) in views.iter().zip(stored).zip(deleted) {
            let path = view.object_store_path();
            let records = match view.num_records() {
                Some(records) => records as u64,
                None => store.count_records(&path, file.size()).await?,
            };
            let partition = partitions.values(&file.0.partition_values)?;
            files.push(LiveFile { file, path, partition, records, deleted });
        }
        Ok(LiveRows {
            store,
            columns: Arc::new(addressed(self.schema()?.as_ref(), &partitions)),
            partitions: Arc::new(partitions),
            files: Arc::new(files),
            chosen: None,
        })
    }
}

fn addressed(columns: &Schema, partitions: &PartitionColumns) -> ScanColumns {
    let file = Field::new(FILE_COLUMN, DataType::UInt32, false);
    let row = Field::new(ROW_COLUMN, DataType::Int64, true).with_extension_type(RowNumber);
    let addresses = [(Arc::new(file), Origin::Log), (Arc::new(row), Origin::Reader)];
    ScanColumns::new(partitions.located(columns).chain(addresses).collect())
}

impl LiveRows {
    /// The same rows, but only those with an address in `chosen`; the others are not decoded.
    pub fn at(&self, chosen: RowRemovals) -> Self {
        Self { chosen: Some(Arc::new(chosen)), ..self.clone() }
    }

    /// No row of the table.
    pub fn none(&self) -> Self {
        self.at(RowRemovals::new())
    }

    /// The addresses of all rows.
    pub fn addresses(&self) -> RowRemovals {
        let all = (0u32..).zip(self.files.iter()).map(|(number, file)| {
            let mut rows = RoaringTreemap::new();
            rows.insert_range(0..file.records);
            (number, rows - &file.deleted)
        });
        all.collect()
    }

    /// The addresses of all rows of the partitions that the rows of `wanted` name by the partition columns, which
    /// must be among its columns; no data file is read. Empty text stands for NULL, as it does in the table, and an
    /// unpartitioned table is one partition.
    ///
    /// # Errors
    /// [`LakeError::Query`] when a partition column is missing or of another kind.
    pub fn in_partitions(&self, wanted: &[RecordBatch]) -> Result<RowRemovals, LakeError> {
        let mut partitions = HashSet::new();
        for rows in wanted {
            partitions.extend(self.partitions.of_rows(rows)?);
        }
        let mut addresses = self.addresses();
        addresses.retain(|number, rows| {
            !rows.is_empty() && self.file(*number).is_some_and(|file| partitions.contains(&file.partition))
        });
        Ok(addresses)
    }

    /// Whether there is no live row.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.deleted.len() >= file.records)
    }

    /// Live rows, as the log counts them.
    pub fn count(&self) -> u64 {
        self.files.iter().map(|file| file.records.saturating_sub(file.deleted.len())).sum()
    }

    pub(crate) fn file(&self, number: u32) -> Option<&LiveFile> {
        self.files.get(usize::try_from(number).ok()?)
    }

    fn scanned(&self, number: u32, file: &LiveFile) -> Option<PartitionedFile> {
        let mut values = file.partition.clone();
        values.push(ScalarValue::UInt32(Some(number)));
        let scanned = scanned(file.path.clone(), file.file.size()).with_partition_values(values);
        match &self.chosen {
            None if file.deleted.is_empty() => Some(scanned),
            None => Some(scanned.with_extension(without(&file.deleted, file.records)?)),
            Some(chosen) => {
                let rows = chosen.get(&number)? - &file.deleted;
                (!rows.is_empty()).then(|| scanned.with_extension(only(&rows, file.records)))
            }
        }
    }
}

impl fmt::Debug for LiveRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRows").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for LiveRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.columns.schema())
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
        let files = (0u32..).zip(self.files.iter()).filter_map(|(number, file)| self.scanned(number, file));
        let fetch = if self.chosen.is_some() { Fetch::Pages } else { Fetch::Chunks };
        self.store.scan(session, &self.columns, files, fetch, (projection, limit))
    }
}
