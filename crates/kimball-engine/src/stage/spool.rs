//! Rows kept for more than one look: in memory while they are few, in a file of their own beyond that.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::options::ArrowReadOptions;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use tempfile::NamedTempFile;

use crate::EngineError;
use crate::columns::ROW_ID;

/// Rows held in memory before a spool goes to disk, in bytes.
const IN_MEMORY: usize = 64 * 1024 * 1024;

/// A set of rows that can be read many times.
#[derive(Debug)]
pub(crate) struct Spool {
    schema: SchemaRef,
    rows: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<RecordBatch>),
    Disk(NamedTempFile),
}

/// A spool that is being filled.
pub(crate) struct SpoolWriter {
    schema: SchemaRef,
    rows: u64,
    /// Bytes of the rows in memory.
    held: usize,
    memory: Vec<RecordBatch>,
    disk: Option<(NamedTempFile, FileWriter<BufWriter<File>>)>,
}

impl SpoolWriter {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: 0, held: 0, memory: Vec::new(), disk: None }
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), EngineError> {
        self.rows += batch.num_rows() as u64;
        if let Some((_, writer)) = &mut self.disk {
            return Ok(writer.write(&batch)?);
        }
        self.held += batch.get_array_memory_size();
        self.memory.push(batch);
        if self.held > IN_MEMORY {
            let file = NamedTempFile::with_suffix(".arrow").map_err(io)?;
            let mut writer = FileWriter::try_new_buffered(file.reopen().map_err(io)?, &self.schema)?;
            for batch in self.memory.drain(..) {
                writer.write(&batch)?;
            }
            self.disk = Some((file, writer));
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Spool, EngineError> {
        let kept = match self.disk {
            None => Kept::Memory(self.memory),
            Some((file, mut writer)) => {
                writer.finish()?;
                Kept::Disk(file)
            }
        };
        Ok(Spool { schema: self.schema, rows: self.rows, kept })
    }
}

/// Whether a spool numbers its rows in [`ROW_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    Numbered,
    Plain,
}

impl Spool {
    /// Takes in a stream of rows.
    pub(crate) async fn fill(
        mut stream: SendableRecordBatchStream,
        numbering: Numbering,
    ) -> Result<Self, EngineError> {
        let schema = match numbering {
            Numbering::Numbered => numbered_schema(&stream.schema()),
            Numbering::Plain => stream.schema(),
        };
        let mut spool = SpoolWriter::new(schema);
        while let Some(batch) = stream.try_next().await? {
            let batch = match numbering {
                Numbering::Numbered => number(&batch, &spool.schema, spool.rows)?,
                Numbering::Plain => batch,
            };
            spool.push(batch)?;
        }
        spool.finish()
    }

    /// No rows of these columns.
    pub(crate) fn empty(schema: &SchemaRef, numbering: Numbering) -> Self {
        let schema = match numbering {
            Numbering::Numbered => numbered_schema(schema),
            Numbering::Plain => Arc::clone(schema),
        };
        Self { schema, rows: 0, kept: Kept::Memory(Vec::new()) }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Makes the rows a table of `session`.
    pub(crate) async fn register(&self, session: &SessionContext, name: &str) -> Result<(), EngineError> {
        session.deregister_table(name)?;
        match &self.kept {
            Kept::Memory(batches) => {
                let width = session.state().config().target_partitions().max(1);
                let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); width.min(batches.len().max(1))];
                let spread = parts.len();
                for (place, batch) in batches.iter().enumerate() {
                    if let Some(part) = parts.get_mut(place % spread) {
                        part.push(batch.clone());
                    }
                }
                session
                    .register_table(name, Arc::new(MemTable::try_new(Arc::clone(&self.schema), parts)?))?;
            }
            Kept::Disk(file) => {
                let options = ArrowReadOptions { schema: Some(&self.schema), ..Default::default() };
                session.register_arrow(name, &file.path().display().to_string(), options).await?;
            }
        }
        Ok(())
    }
}

fn io(source: std::io::Error) -> EngineError {
    datafusion::error::DataFusionError::IoError(source).into()
}

fn numbered_schema(schema: &Schema) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(ROW_ID, DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

fn number(batch: &RecordBatch, schema: &SchemaRef, from: u64) -> Result<RecordBatch, EngineError> {
    let first = i64::try_from(from).unwrap_or(i64::MAX);
    let last = first.saturating_add(i64::try_from(batch.num_rows()).unwrap_or(i64::MAX));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..last));
    let mut columns = batch.columns().to_vec();
    columns.push(numbers);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
