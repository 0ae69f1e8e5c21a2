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
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake::Path;
use deltalake::parquet::arrow::RowNumber;
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use crate::commit::RowRemovals;
use crate::partition::PartitionColumns;
use crate::scan::{Fetch, Origin, ScanColumns, TableStore, only, scanned, stored_at, without};
use crate::write::DataFile;
use crate::{LakeError, LakeTable};

/// The column with the number of a row's file: UInt32, valid for one [`LiveRows`].
pub const FILE_COLUMN: &str = "__kimball_file";
/// The column with a row's place in its file: Int64, from 0.
pub const ROW_COLUMN: &str = "__kimball_row";

/// Rows of a page, as this crate writes them.
const PAGE_ROWS: u64 = crate::write::PAGE_ROWS as u64;

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
    pub(crate) partition: Vec<ScalarValue>,
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
        let views: Vec<_> = self
            .inner
            .get_active_add_actions_by_predicate(None)
            .try_collect()
            .await
            .map_err(LakeError::delta(&self.name))?;
        let stored: Vec<DataFile> = views.iter().map(DataFile::of_view).collect();
        let records = views.iter().map(|view| view.num_records().map(|records| records as u64)).collect();
        self.rows_in(stored, records, self.schema()?.as_ref()).await
    }

    /// The rows of files that are no part of a version yet, which will be one with the columns of `columns`.
    pub(crate) async fn rows_of(&self, files: &[DataFile], columns: &Schema) -> Result<LiveRows, LakeError> {
        let records = files.iter().map(DataFile::records).collect();
        self.rows_in(files.to_vec(), records, columns).await
    }

    /// The rows of `stored`, each file with the count of its rows where the log tells.
    async fn rows_in(
        &self,
        stored: Vec<DataFile>,
        records: Vec<Option<u64>>,
        columns: &Schema,
    ) -> Result<LiveRows, LakeError> {
        let partitions = PartitionColumns::of(self)?;
        let vectors = stored.iter().map(|file| file.0.deletion_vector.clone()).collect();
        let deleted = self.deleted_rows(vectors).await?;
        let store = TableStore::of(self);
        let mut files = Vec::with_capacity(stored.len());
        for ((file, records), deleted) in stored.into_iter().zip(records).zip(deleted) {
            let path = stored_at(file.path());
            let records = match records {
                Some(records) => records,
                None => store.count_records(&path, file.size()).await?,
            };
            let partition = partitions.values(&file.0.partition_values)?;
            files.push(LiveFile { file, path, partition, records, deleted });
        }
        Ok(LiveRows {
            store,
            columns: Arc::new(addressed(columns, &partitions)),
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

    /// The rows of those files alone that hold a row of `removals`; addresses stay what they are.
    pub(crate) fn of_files_with(&self, removals: &RowRemovals) -> Self {
        let mut rows = self.addresses();
        rows.retain(|number, _| removals.get(number).is_some_and(|removed| !removed.is_empty()));
        self.at(rows)
    }

    /// The same rows but those of `removals`.
    pub(crate) fn without(&self, removals: &RowRemovals) -> Self {
        let chosen = self.chosen.as_deref().cloned().unwrap_or_else(|| self.addresses());
        let left = |(number, rows): (u32, RoaringTreemap)| {
            let left = match removals.get(&number) {
                Some(removed) => rows - removed,
                None => rows,
            };
            (!left.is_empty()).then_some((number, left))
        };
        self.at(chosen.into_iter().filter_map(left).collect())
    }

    /// The files that hold a row.
    pub(crate) fn files(&self) -> impl Iterator<Item = &DataFile> {
        let is_read = |number: &u32| self.chosen.as_ref().is_none_or(|chosen| chosen.contains_key(number));
        self.numbered_files().filter(move |(number, _)| is_read(number)).map(|(_, file)| &file.file)
    }

    /// The names of the table's columns.
    pub(crate) fn table_columns(&self) -> Vec<String> {
        let columns = self.columns.schema().fields().iter().map(|field| field.name().clone());
        columns.filter(|name| ![FILE_COLUMN, ROW_COLUMN].contains(&name.as_str())).collect()
    }

    /// No row of the table.
    pub fn none(&self) -> Self {
        self.at(RowRemovals::new())
    }

    /// The addresses of all rows.
    pub fn addresses(&self) -> RowRemovals {
        let all = self.numbered_files().map(|(number, file)| {
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
        match &self.chosen {
            Some(chosen) => chosen.values().all(RoaringTreemap::is_empty),
            None => self.files.iter().all(|file| file.deleted.len() >= file.records),
        }
    }

    /// Live rows, as the log counts them.
    pub fn count(&self) -> u64 {
        self.files.iter().map(|file| file.records.saturating_sub(file.deleted.len())).sum()
    }

    /// The files with their numbers.
    pub(crate) fn numbered_files(&self) -> impl Iterator<Item = (u32, &LiveFile)> {
        (0u32..).zip(self.files.iter())
    }

    /// Whether most pages hold no chosen row.
    fn is_sparse(&self) -> bool {
        let Some(chosen) = &self.chosen else { return false };
        let pages: u64 = self.files.iter().map(|file| file.records.div_ceil(PAGE_ROWS)).sum();
        let mut touched = 0;
        for rows in chosen.values() {
            let mut last = None;
            for page in rows.iter().map(|row| row / PAGE_ROWS) {
                touched += u64::from(last != Some(page));
                last = Some(page);
            }
            if touched * 2 > pages {
                return false;
            }
        }
        true
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
        filters: &[Expr],
        limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let files = self.numbered_files().filter_map(|(number, file)| self.scanned(number, file));
        let fetch = if self.is_sparse() { Fetch::Pages } else { Fetch::Chunks };
        let columns = self.columns.filtered_by(session, filters)?;
        self.store.scan(session, &columns, files, fetch, (projection, limit))
    }

    /// Filters leave out row groups and pages whose statistics they contradict, and no single row.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> QueryResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
