//! Scans of data files: which columns lie in the files, which the log tells, and which of a file's rows are read.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::object_store::{ObjectMeta, ObjectStoreExt};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use deltalake::parquet::arrow::arrow_reader::RowSelection;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::ParquetMetaDataReader;
use deltalake::{ObjectStore, Path};
use roaring::RoaringTreemap;

use crate::page_reader::PageReaders;
use crate::{LakeError, LakeTable};

/// Where the values of a scanned column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// They lie in the data files.
    File,
    /// One value for all rows of a file, given with the file.
    Log,
    /// The reader counts them.
    Reader,
}

/// The columns of a scan, in the order in which a query sees them.
#[derive(Debug, Clone)]
pub(crate) struct ScanColumns {
    visible: SchemaRef,
    /// The same columns as a scan orders them: by their origin.
    scanned: TableSchema,
    /// The place among the scanned columns of each visible one.
    places: Vec<usize>,
    /// What every row that is wanted fulfils.
    predicate: Option<Arc<dyn PhysicalExpr>>,
}

impl ScanColumns {
    pub(crate) fn new(columns: Vec<(FieldRef, Origin)>) -> Self {
        let of = |wanted: Origin| -> Vec<FieldRef> {
            let chosen = columns.iter().filter(|(_, origin)| *origin == wanted);
            chosen.map(|(field, _)| Arc::clone(field)).collect()
        };
        let scanned = TableSchema::builder(Arc::new(Schema::new(of(Origin::File))))
            .with_table_partition_cols(of(Origin::Log))
            .with_virtual_columns(of(Origin::Reader))
            .build();
        let before = |place: usize, origin: Origin| {
            let comes_first =
                |(other, (_, from)): &(usize, &(FieldRef, Origin))| (*from, *other) < (origin, place);
            columns.iter().enumerate().filter(comes_first).count()
        };
        let places = columns.iter().enumerate().map(|(place, (_, origin))| before(place, *origin)).collect();
        let visible = Schema::new(columns.into_iter().map(|(field, _)| field).collect::<Vec<_>>());
        Self { visible: Arc::new(visible), scanned, places, predicate: None }
    }

    /// The same columns of rows that fulfil `filters`, as far as these look at columns that lie in the files.
    pub(crate) fn filtered_by(&self, session: &dyn Session, filters: &[Expr]) -> QueryResult<Self> {
        let stored = self.scanned.file_schema();
        let is_of_files = |filter: &&Expr| {
            let columns = filter.column_refs();
            columns.iter().all(|column| stored.field_with_name(column.name()).is_ok())
        };
        let Some(filter) = conjunction(filters.iter().filter(is_of_files).cloned()) else {
            return Ok(self.clone());
        };
        let columns = DFSchema::try_from(Arc::clone(self.scanned.table_schema()))?;
        let predicate = Some(session.create_physical_expr(filter, &columns)?);
        Ok(Self { predicate, ..self.clone() })
    }

    /// The columns as a query sees them.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.visible
    }

    fn projection(&self, visible: Option<&Vec<usize>>) -> Option<Vec<usize>> {
        match visible {
            Some(wanted) => {
                Some(wanted.iter().filter_map(|&column| self.places.get(column).copied()).collect())
            }
            None if self.places.is_sorted() => None,
            None => Some(self.places.clone()),
        }
    }
}

/// How a scan fetches what it reads of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// Whole column chunks.
    Chunks,
    /// The pages that hold a chosen row.
    Pages,
}

/// Where the files of a table are read from.
#[derive(Clone)]
pub(crate) struct TableStore {
    store: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
}

impl TableStore {
    pub(crate) fn of(table: &LakeTable) -> Self {
        Self { store: table.inner.object_store(), url: table.inner.log_store().object_store_url() }
    }

    /// A scan of `files`, each with the values of its [`Origin::Log`] columns.
    pub(crate) fn scan(
        &self,
        session: &dyn Session,
        columns: &ScanColumns,
        files: impl IntoIterator<Item = PartitionedFile>,
        fetch: Fetch,
        (projection, limit): (Option<&Vec<usize>>, Option<usize>),
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        session.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        let mut groups: Vec<Vec<PartitionedFile>> = Vec::new();
        groups.resize_with(session.config().target_partitions().max(1), Vec::new);
        let width = groups.len();
        for (place, file) in files.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(place % width) {
                group.push(file);
            }
        }
        groups.retain(|group| !group.is_empty());
        if groups.is_empty() {
            // A scan of nothing is still one stream, which joins count on.
            groups.push(Vec::new());
        }
        let options = session.table_options().parquet.clone();
        let mut source = ParquetSource::new(columns.scanned.clone()).with_table_parquet_options(options);
        if let Some(predicate) = &columns.predicate {
            source = source.with_predicate(Arc::clone(predicate));
        }
        if fetch == Fetch::Pages {
            let readers: Arc<dyn ParquetFileReaderFactory> =
                Arc::new(PageReaders::new(Arc::clone(&self.store)));
            source = source.with_parquet_file_reader_factory(readers);
        }
        let scan = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(columns.projection(projection))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    /// Rows of a file whose log entry does not tell; reads the file's footer.
    pub(crate) async fn count_records(&self, path: &Path, size: u64) -> Result<u64, LakeError> {
        let mut wanted = size.min(64 * 1024);
        loop {
            let tail = self
                .store
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
}

/// The place of a file in its store, from its path in the log once that is decoded. A folder's name may hold
/// percent signs of its own, those of a partition value, which must not be encoded again.
pub(crate) fn stored_at(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// A file as a scan takes it.
pub(crate) fn scanned(path: Path, size: u64) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location: path,
        last_modified: Default::default(),
        size,
        e_tag: None,
        version: None,
    })
}

/// Reads of a file with `records` rows those in `rows` alone.
pub(crate) fn only(rows: &RoaringTreemap, records: u64) -> ParquetRowSelection {
    select(runs(rows), records)
}

/// Reads of a file with `records` rows those that are not in `deleted`; `None` when all are.
pub(crate) fn without(deleted: &RoaringTreemap, records: u64) -> Option<ParquetRowSelection> {
    let live = complement(deleted, records);
    (!live.is_empty()).then(|| select(live, records))
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
