//! Rows kept for more than one look: in memory while they are few and the memory of the run has room for them, in
//! files of their own beyond that. Files lie in the run's folder for what does not fit into memory, whose size is
//! bounded.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::datasource::MemTable;
use datafusion::error::Result as QueryResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::spill_file::SpillFile;
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::TryStreamExt;

use super::spooled::{SpooledFile, SpooledRows};
use crate::EngineError;
use crate::columns::ROW_ID;

/// Rows held in memory before a spool goes to disk, in bytes.
const IN_MEMORY: usize = 64 * 1024 * 1024;

/// Where memory is limited, the share of it that one spool may hold. A batch has two dozen.
const SHARE: usize = 32;

/// Files that a spool is spread over, at most: each stays open as long as the spool lives.
const FILES: usize = 4;

/// A set of rows that can be read many times.
#[derive(Debug)]
pub(crate) struct Spool {
    schema: SchemaRef,
    rows: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(
        Vec<RecordBatch>,
        #[expect(dead_code, reason = "holds the room that the rows take")] Option<MemoryReservation>,
    ),
    Disk(Arc<SpooledRows>),
}

/// Where rows can be kept.
#[derive(Debug, Clone)]
pub(crate) struct SpoolRoom {
    runtime: Arc<RuntimeEnv>,
    /// Files that a spool is spread over, one a thread that reads it.
    width: usize,
}

impl SpoolRoom {
    pub(crate) fn of(session: &SessionContext) -> Self {
        Self { runtime: session.runtime_env(), width: width(session.copied_config().target_partitions()) }
    }

    pub(crate) fn of_frame(frame: &DataFrame) -> Self {
        let task = frame.task_ctx();
        Self { runtime: task.runtime_env(), width: width(task.session_config().target_partitions()) }
    }

    /// Whether a spool that holds `held` bytes may hold `more`: all spools leave half of the memory to queries.
    fn has_room(&self, held: usize, more: usize) -> bool {
        let pool = &self.runtime.memory_pool;
        match pool.memory_limit() {
            MemoryLimit::Finite(limit) => {
                held + more <= IN_MEMORY.min(limit / SHARE) && pool.reserved() + more <= limit / 2
            }
            _ => held + more <= IN_MEMORY,
        }
    }
}

fn width(partitions: usize) -> usize {
    partitions.clamp(1, FILES)
}

/// A spool that is being filled.
pub(crate) struct SpoolWriter {
    room: SpoolRoom,
    schema: SchemaRef,
    rows: u64,
    memory: Vec<RecordBatch>,
    /// Counts what batches share once.
    counter: RecordBatchMemoryCounter,
    reserved: MemoryReservation,
    disk: Option<Files>,
}

/// Files that are written in turn.
struct Files {
    spills: SpillManager,
    files: Vec<OpenFile>,
    next: usize,
    bytes: usize,
}

type Step = dyn FnMut(Option<&RecordBatch>) -> QueryResult<Stepped> + Send;

/// What a step came to: the bytes of a batch that was appended, or the file that was ended.
enum Stepped {
    Appended(usize),
    Ended(Option<Arc<dyn SpillFile>>),
}

/// A file in the making. The library gives its type no name, so that it lives in a function: called with a batch it
/// appends, without one it ends the file and gives it back.
struct OpenFile {
    step: Box<Step>,
    rows: u64,
}

impl OpenFile {
    fn create(spills: &SpillManager) -> Result<Self, EngineError> {
        let mut file = spills.create_in_progress_file("spool")?;
        let step = move |batch: Option<&RecordBatch>| match batch {
            Some(batch) => file.append_batch(batch).map(Stepped::Appended),
            None => file.finish().map(Stepped::Ended),
        };
        Ok(Self { step: Box::new(step), rows: 0 })
    }
}

impl Files {
    fn create(spills: SpillManager, width: usize) -> Result<Self, EngineError> {
        let files = (0..width).map(|_| OpenFile::create(&spills)).collect::<Result<_, _>>()?;
        Ok(Self { spills, files, next: 0, bytes: 0 })
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        let place = self.next % self.files.len().max(1);
        self.next += 1;
        if let Some(file) = self.files.get_mut(place) {
            if let Stepped::Appended(bytes) = (file.step)(Some(batch))? {
                self.bytes += bytes;
            }
            file.rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    fn finish(self) -> Result<SpooledRows, EngineError> {
        let mut ended = Vec::with_capacity(self.files.len());
        for mut open in self.files {
            if let Stepped::Ended(Some(file)) = (open.step)(None)? {
                ended.push(SpooledFile { file, rows: open.rows });
            }
        }
        Ok(SpooledRows::new(self.spills, ended, self.bytes))
    }
}

impl SpoolWriter {
    pub(crate) fn new(room: SpoolRoom, schema: SchemaRef) -> Self {
        let reserved = MemoryConsumer::new("spool").register(&room.runtime.memory_pool);
        let counter = RecordBatchMemoryCounter::new();
        Self { room, schema, rows: 0, memory: Vec::new(), counter, reserved, disk: None }
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        if let Some(files) = &mut self.disk {
            return files.push(&batch);
        }
        let bytes = self.counter.count_batch(&batch);
        if self.room.has_room(self.reserved.size(), bytes) && self.reserved.try_grow(bytes).is_ok() {
            self.memory.push(batch);
            return Ok(());
        }
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let runtime = Arc::clone(&self.room.runtime);
        let spills = SpillManager::new(runtime, metrics, Arc::clone(&self.schema));
        let mut files = Files::create(spills, self.room.width)?;
        for held in self.memory.drain(..) {
            files.push(&held)?;
        }
        self.reserved.free();
        files.push(&batch)?;
        self.disk = Some(files);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Spool, EngineError> {
        let kept = match self.disk {
            None => Kept::Memory(self.memory, Some(self.reserved)),
            Some(files) => Kept::Disk(Arc::new(files.finish()?)),
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
    /// Takes in the rows of a query.
    pub(crate) async fn fill(frame: DataFrame, numbering: Numbering) -> Result<Self, EngineError> {
        let room = SpoolRoom::of_frame(&frame);
        Self::fill_from(room, frame.execute_stream().await?, numbering).await
    }

    /// Takes in a stream of rows.
    pub(crate) async fn fill_from(
        room: SpoolRoom,
        mut stream: SendableRecordBatchStream,
        numbering: Numbering,
    ) -> Result<Self, EngineError> {
        let schema = match numbering {
            Numbering::Numbered => numbered_schema(&stream.schema()),
            Numbering::Plain => stream.schema(),
        };
        let mut spool = SpoolWriter::new(room, schema);
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
        Self { schema, rows: 0, kept: Kept::Memory(Vec::new(), None) }
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
        let rows: Arc<dyn TableProvider> = match &self.kept {
            Kept::Memory(batches, _) => {
                let width = session.copied_config().target_partitions().max(1);
                let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); width.min(batches.len().max(1))];
                let spread = parts.len();
                for (place, batch) in batches.iter().enumerate() {
                    if let Some(part) = parts.get_mut(place % spread) {
                        part.push(batch.clone());
                    }
                }
                Arc::new(MemTable::try_new(Arc::clone(&self.schema), parts)?)
            }
            Kept::Disk(rows) => Arc::clone(rows) as Arc<dyn TableProvider>,
        };
        session.register_table(name, rows)?;
        Ok(())
    }
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
