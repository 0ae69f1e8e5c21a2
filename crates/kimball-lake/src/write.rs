//! Writing rows to data files that no version refers to yet.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::object_store::prefix::PrefixStore;
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake::DeltaTableError;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::{Add, Remove};
use deltalake::logstore::ObjectStoreRef;
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::schema::cast::{cast_record_batch, normalize_for_delta};
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::writer::RecordBatchWriter;

use crate::partition::PartitionColumns;
use crate::schema::written_schema;
use crate::{LakeError, LakeTable};

/// A new file is begun when one has reached this many bytes.
pub(crate) const TARGET_FILE_BYTES: u64 = 128 * 1024 * 1024;

/// What may be under way to all partitions together, as it lies in memory; their files are ended when it is reached.
const OPEN_BYTES: usize = 512 * 1024 * 1024;

/// Bytes of distinct values from which on a column of a row group is written plainly: a dictionary of keys and
/// amounts, most of which are there once, costs more to make than all the rest of the writing and saves nothing.
const DICTIONARY_BYTES: usize = 128 * 1024;

/// Rows of a row group: what a writer holds of a file in memory, and what a reader can skip.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Where change files lie below their table (Delta protocol, "Change Data Files").
pub(crate) const CHANGE_FOLDER: &str = "_change_data";

/// Rows of a page: what has to be read to fetch one row of a column.
pub(crate) const PAGE_ROWS: usize = 4_096;

/// A data file of a table: written and waiting for its commit, or part of a version.
#[derive(Debug, Clone)]
pub struct DataFile(pub(crate) Add);

impl DataFile {
    #[expect(deprecated, reason = "the way to carry every field of a file into a commit")]
    pub(crate) fn of_view(view: &deltalake::kernel::LogicalFileView) -> Self {
        Self(view.add_action())
    }

    /// The action that takes this file out of the table. `None` for the time of it makes checkpoints forget the file
    /// at once (Delta protocol, "Add File and Remove File").
    pub(crate) fn removal(&self, deletion_timestamp: Option<i64>) -> Remove {
        Remove {
            path: self.0.path.clone(),
            data_change: true,
            deletion_timestamp,
            extended_file_metadata: Some(true),
            partition_values: Some(self.0.partition_values.clone()),
            size: Some(self.0.size),
            tags: None,
            deletion_vector: self.0.deletion_vector.clone(),
            base_row_id: None,
            default_row_commit_version: None,
        }
    }

    /// The file's value of a partition column.
    pub fn partition_value(&self, column: &str) -> Option<&str> {
        self.0.partition_values.get(column)?.as_deref()
    }

    /// Where the file lies in its table; no two files of a table share it.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Rows in the file, where the log tells.
    pub fn records(&self) -> Option<u64> {
        u64::try_from(self.0.get_stats().ok()??.num_records).ok()
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.0.size).unwrap_or_default()
    }
}

/// Writes record batches to data files of a table, one after the other, in bounded memory; each partition of a
/// partitioned table gets files of its own.
pub struct DataFileWriter {
    table: String,
    partitions: PartitionColumns,
    store: ObjectStoreRef,
    config: WriterConfig,
    columns: SchemaRef,
    /// What is under way, and its size in memory.
    open: Option<(DeltaWriter, usize)>,
    files: Vec<DataFile>,
    rows: u64,
}

impl DataFileWriter {
    /// Begins to write to `table`. Nothing is visible until the files are committed.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the table needs a feature that cannot be written,
    /// [`LakeError::UnsupportedTable`] when its partition columns cannot be.
    pub fn new(table: &LakeTable) -> Result<Self, LakeError> {
        let failed = |source: DeltaTableError| LakeError::delta(&table.name)(source);
        let stored = table.snapshot()?.metadata().parse_schema().map_err(|source| failed(source.into()))?;
        let columns: Schema = (&stored).try_into_arrow().map_err(|source| failed(source.into()))?;
        Self::with_columns(table, &Arc::new(columns))
    }

    /// Begins to write rows with other columns than the table has, which the same commit gives to it. Timestamps of a
    /// column that is stored without a zone are written so.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_columns(table: &LakeTable, columns: &SchemaRef) -> Result<Self, LakeError> {
        Self::to(table, table.inner.object_store(), columns)
    }

    /// Begins to write change files, whose paths are relative to [`CHANGE_FOLDER`].
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn of_changes(table: &LakeTable, columns: &SchemaRef) -> Result<Self, LakeError> {
        Self::to(table, Arc::new(PrefixStore::new(table.inner.object_store(), CHANGE_FOLDER)), columns)
    }

    fn to(table: &LakeTable, store: ObjectStoreRef, columns: &SchemaRef) -> Result<Self, LakeError> {
        // The check that the table can be written at all.
        drop(RecordBatchWriter::for_table(&table.inner).map_err(LakeError::delta(&table.name))?);
        let snapshot = table.snapshot()?;
        let stored = table.schema()?;
        let columns = normalize_for_delta(&Arc::new(written_schema(columns, &stored)));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .build();
        let config = WriterConfig::new(
            SchemaRef::clone(&columns),
            snapshot.metadata().partition_columns().to_vec(),
            Some(properties),
            NonZeroU64::new(TARGET_FILE_BYTES),
            None,
            snapshot.table_config().num_indexed_cols(),
            None,
        );
        Ok(Self {
            table: table.name.clone(),
            partitions: PartitionColumns::of(table)?,
            store,
            config,
            columns,
            open: None,
            files: Vec::new(),
            rows: 0,
        })
    }

    /// Writes rows whose columns are those that the writer was begun with, timestamps in UTC where the table has them
    /// without a zone. Empty text in a partition column becomes NULL, as Delta tables cannot tell the two apart.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the columns differ or storage fails; what was written since the last file ended is
    /// lost then, and the rows of the whole change are to be written anew.
    pub async fn write(&mut self, rows: RecordBatch) -> Result<(), LakeError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.rows += rows.num_rows() as u64;
        let rows = self.partitions.storable(rows)?;
        let rows = match rows.schema() == self.columns {
            true => rows,
            false => cast_record_batch(&rows, SchemaRef::clone(&self.columns), false, false)
                .map_err(LakeError::delta(&self.table))?,
        };
        let (mut writer, before) = match self.open.take() {
            Some(open) => open,
            None => (DeltaWriter::new(Arc::clone(&self.store), self.config.clone()), 0),
        };
        if let Err(source) = writer.write(&rows).await {
            // Parts of an upload that nobody ends would stay for ever.
            if let Err(error) = writer.abort().await {
                tracing::warn!(table = %self.table, %error, "an upload could not be taken back");
            }
            return Err(LakeError::delta(&self.table)(source));
        }
        self.open = Some((writer, before + rows.get_array_memory_size()));
        if !self.partitions.is_empty() && self.open.as_ref().is_some_and(|(_, bytes)| *bytes >= OPEN_BYTES) {
            self.end_files().await?;
        }
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the last files.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when storage fails.
    pub async fn finish(mut self) -> Result<Vec<DataFile>, LakeError> {
        self.end_files().await?;
        Ok(self.files)
    }

    async fn end_files(&mut self) -> Result<(), LakeError> {
        let Some((writer, _)) = self.open.take() else { return Ok(()) };
        let ended = writer.close().await.map_err(LakeError::delta(&self.table))?;
        self.files.extend(ended.into_iter().map(DataFile));
        Ok(())
    }
}
