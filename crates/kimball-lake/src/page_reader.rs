//! Readers of single rows: they know where in a file each page lies, and fetch only the pages that hold a row that
//! is asked for.
//!
//! Without the index of a file's pages a reader fetches whole column chunks. A query loads that index for its
//! filters alone, and rows that are fetched by their address have none.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::error::Result as QueryResult;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use deltalake::ObjectStore;
use deltalake::parquet::arrow::arrow_reader::ArrowReaderOptions;
use deltalake::parquet::arrow::async_reader::AsyncFileReader;
use deltalake::parquet::errors::Result as ParquetResult;
use deltalake::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use futures::future::BoxFuture;

/// Makes readers that load the index of a file's pages with its footer.
#[derive(Debug)]
pub(crate) struct PageReaders(DefaultParquetFileReaderFactory);

impl PageReaders {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(DefaultParquetFileReaderFactory::new(store))
    }
}

impl ParquetFileReaderFactory for PageReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> QueryResult<Box<dyn AsyncFileReader + Send>> {
        let inner = self.0.create_reader(partition_index, partitioned_file, metadata_size_hint, metrics)?;
        Ok(Box::new(PageReader(inner)))
    }
}

struct PageReader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for PageReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.0.get_metadata(Some(&options)).await })
    }
}
