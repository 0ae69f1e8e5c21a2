//! The rows of an answer, as they come.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use crate::SqlError;

/// The rows of one answer. They are computed while they are read: whoever stops reading stops the work.
pub struct SqlRows {
    stream: SendableRecordBatchStream,
    notes: Vec<String>,
}

impl SqlRows {
    pub(crate) fn new(stream: SendableRecordBatchStream, notes: Vec<String>) -> Self {
        Self { stream, notes }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// What the asker should know of the answer, such as that a table did not exist at the time asked for.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// [`SqlError::Query`] when they cannot be computed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        Ok(self.stream.try_next().await?)
    }

    /// All rows that are left, in memory.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}
