//! The console for callers without a tokio runtime.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinError;

use crate::{SqlConsole, SqlError};

/// Bytes of stack of every thread that may plan a query: deep expressions recurse.
const STACK_BYTES: usize = 16 * 1024 * 1024;
/// Batches that wait to be read, at most.
const BATCHES_AHEAD: usize = 2;

/// A [`SqlConsole`] with a runtime of its own.
#[derive(Debug)]
pub struct BlockingSqlConsole {
    console: SqlConsole,
    runtime: Runtime,
}

/// What comes next of an answer.
#[derive(Debug)]
pub enum Next {
    /// Rows.
    Rows(RecordBatch),
    /// Nothing: it is complete.
    End,
    /// Nothing: the caller gave up.
    GivenUp,
}

/// The rows of one answer, as [`SqlRows`](crate::SqlRows); they are computed a little ahead.
#[derive(Debug)]
pub struct BlockingSqlRows {
    schema: SchemaRef,
    notes: Vec<String>,
    batches: Receiver<Result<RecordBatch, SqlError>>,
    handle: Handle,
}

impl BlockingSqlConsole {
    /// Gives `console` a runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(console: SqlConsole) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("kimball-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self { console, runtime })
    }

    /// As [`SqlConsole::tables`].
    ///
    /// # Errors
    /// As for [`SqlConsole::tables`].
    pub fn tables(&self) -> Result<Vec<String>, SqlError> {
        let console = self.console.clone();
        self.on_deep_stack(async move { console.tables().await })
    }

    /// As [`SqlConsole::columns`].
    ///
    /// # Errors
    /// As for [`SqlConsole::columns`].
    pub fn columns(&self, table: &str) -> Result<Vec<String>, SqlError> {
        let (console, table) = (self.console.clone(), table.to_owned());
        self.on_deep_stack(async move { console.columns(&table).await })
    }

    /// As [`SqlConsole::query`].
    ///
    /// # Errors
    /// As for [`SqlConsole::query`].
    pub fn query(&self, statement: &str, now: DateTime<Utc>) -> Result<BlockingSqlRows, SqlError> {
        let (console, statement) = (self.console.clone(), statement.to_owned());
        let mut rows = self.on_deep_stack(async move { console.query(&statement, now).await })?;
        let (schema, notes) = (rows.schema(), rows.notes().to_vec());
        let (sender, batches) = channel(BATCHES_AHEAD);
        self.runtime.spawn(async move {
            // Ends after the last row, with the first error, or when nobody reads any more.
            while let Some(next) = rows.next().await.transpose() {
                let is_last = next.is_err();
                if sender.send(next).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(BlockingSqlRows { schema, notes, batches, handle: self.runtime.handle().clone() })
    }

    /// Runs `work` on a thread of the runtime. A panic goes on in the caller.
    fn on_deep_stack<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SqlError>> + Send + 'static,
    ) -> Result<T, SqlError> {
        self.runtime.block_on(self.runtime.spawn(work)).unwrap_or_else(|ended: JoinError| {
            match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nothing cancels these tasks but the end of the runtime, which this borrow outlives.
                Err(ended) => Err(SqlError::from(datafusion::error::DataFusionError::External(ended.into()))),
            }
        })
    }
}

impl BlockingSqlRows {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// As [`SqlRows::notes`](crate::SqlRows::notes).
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What comes next, unless `stop` is over before.
    ///
    /// # Errors
    /// [`SqlError::Query`] when it cannot be computed.
    pub fn next_until(&mut self, stop: impl Future) -> Result<Next, SqlError> {
        let batches = &mut self.batches;
        self.handle.block_on(async {
            tokio::select! {
                biased;
                _ = stop => Ok(Next::GivenUp),
                batch = batches.recv() => Ok(batch.transpose()?.map_or(Next::End, Next::Rows)),
            }
        })
    }
}
