//! The rows of a pinned version, each with an address: the number of its file and its place in it.
//!
//! A merge reads its target through this: it can name the rows that it replaces, and it can fetch single
//! rows by their address without decoding the others. Deleted rows are skipped while reading.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::object_store::ObjectStoreExt;
use datafusion::physical_plan::ExecutionPlan;
use deltalake::parquet::arrow::RowNumber;
use deltalake::parquet::arrow::arrow_reader::RowSelection;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::ParquetMetaDataReader;
use deltalake::{ObjectStore, Path};
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use crate::commit::RowRemovals;
use crate::page_reader::PageReaders;
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
    store: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    schema: TableSchema,
    files: Arc<Vec<LiveFile>>,
    /// Rows to read, by file number; `None` reads all that live.
    chosen: Option<Arc<RowRemovals>>,
}

#[derive(Debug)]
pub(crate) struct LiveFile {
    pub(crate) file: DataFile,
    pub(crate) path: Path,
    /// Rows in the file, deleted ones included.
    pub(crate) records: u64,
    pub(crate) deleted: RoaringTreemap,
}

impl LakeTable {
    /// The rows of the pinned version, with addresses.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedTable`] for partitioned tables, read failures otherwise.
    pub async fn live_rows(&self) -> Result<LiveRows, LakeError> {
        let snapshot = self.snapshot()?;
        if !snapshot.metadata().partition_columns().is_empty() {
            return Err(LakeError::UnsupportedTable {
                table: self.name.clone(),
                reason: "it is partitioned".to_owned(),
            });
        }
        let views: Vec<_> = self
            .inner
            .get_active_add_actions_by_predicate(None)
            .try_collect()
            .await
            .map_err(LakeError::delta(&self.name))?;
        let stored: Vec<DataFile> = views.iter().map(DataFile::of_view).collect();
        let vectors = stored.iter().map(|file| file.0.deletion_vector.clone()).collect();
        let deleted = self.deleted_rows(vectors).await?;
        let store = self.inner.object_store();
        let mut files = Vec::with_capacity(stored.len());
        for ((view, file), deleted) in views.iter().zip(stored).zip(deleted) {
            let path = view.object_store_path();
            let records = match view.num_records() {
                Some(records) => records as u64,
                None => count_records(&store, &path, file.size()).await?,
            };
            files.push(LiveFile { file, path, records, deleted });
        }
        let columns = snapshot.snapshot().arrow_schema();
        Ok(LiveRows {
            store,
            store_url: self.inner.log_store().object_store_url(),
            schema: addressed(&columns),
            files: Arc::new(files),
            chosen: None,
        })
    }
}

/// Rows of a file whose log entry does not tell; reads the file's footer.
async fn count_records(store: &Arc<dyn ObjectStore>, path: &Path, size: u64) -> Result<u64, LakeError> {
    let mut wanted = size.min(64 * 1024);
    loop {
        let tail = store
            .get_range(path, size - wanted..size)
            .await
            .map_err(|source| LakeError::Query(DataFusionError::ObjectStore(Box::new(source))))?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&tail, size).and_then(|()| reader.finish()) {
            Ok(footer) => return Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default()),
            Err(ParquetError::NeedMoreData(needed))
                if (needed as u64) > wanted && (needed as u64) <= size =>
            {
                wanted = needed as u64;
            }
            Err(source) => return Err(LakeError::Query(DataFusionError::ParquetError(Box::new(source)))),
        }
    }
}

fn addressed(columns: &Schema) -> TableSchema {
    let row = Field::new(ROW_COLUMN, DataType::Int64, true).with_extension_type(RowNumber);
    TableSchema::builder(Arc::new(columns.clone()))
        .with_table_partition_cols(vec![Arc::new(Field::new(FILE_COLUMN, DataType::UInt32, false))])
        .with_virtual_columns(vec![Arc::new(row)])
        .build()
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
        let scanned = PartitionedFile::new(file.path.to_string(), file.file.size())
            .with_partition_values(vec![ScalarValue::UInt32(Some(number))]);
        match &self.chosen {
            None if file.deleted.is_empty() => Some(scanned),
            None => {
                let live = complement(&file.deleted, file.records);
                (!live.is_empty()).then(|| scanned.with_extension(select(live, file.records)))
            }
            Some(chosen) => {
                let rows = chosen.get(&number)? - &file.deleted;
                (!rows.is_empty()).then(|| scanned.with_extension(select(runs(&rows), file.records)))
            }
        }
    }
}

/// The runs of consecutive numbers in a set.
fn runs(rows: &RoaringTreemap) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for row in rows {
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        match found.last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => found.push(row..row + 1),
        }
    }
    found
}

/// The runs of numbers below `records` that are not in a set.
fn complement(deleted: &RoaringTreemap, records: u64) -> Vec<Range<usize>> {
    let end = usize::try_from(records).unwrap_or(usize::MAX);
    let mut start = 0;
    let mut found = Vec::new();
    for gone in runs(deleted) {
        if gone.start > start {
            found.push(start..gone.start);
        }
        start = gone.end;
    }
    if start < end {
        found.push(start..end);
    }
    found
}

fn select(rows: Vec<Range<usize>>, records: u64) -> ParquetRowSelection {
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    ParquetRowSelection::new(RowSelection::from_consecutive_ranges(rows.into_iter(), records))
}

impl fmt::Debug for LiveRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRows").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for LiveRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
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
        session.runtime_env().register_object_store(self.store_url.as_ref(), Arc::clone(&self.store));
        let mut groups: Vec<Vec<PartitionedFile>> = Vec::new();
        groups.resize_with(session.config().target_partitions().max(1), Vec::new);
        let width = groups.len();
        let scanned = (0u32..).zip(self.files.iter()).filter_map(|(number, file)| self.scanned(number, file));
        for (place, file) in scanned.enumerate() {
            if let Some(group) = groups.get_mut(place % width) {
                group.push(file);
            }
        }
        groups.retain(|group| !group.is_empty());
        let options = session.table_options().parquet.clone();
        let mut source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        if self.chosen.is_some() {
            let readers = PageReaders::new(Arc::clone(&self.store));
            source = source.with_parquet_file_reader_factory(Arc::new(readers));
        }
        let scan = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
