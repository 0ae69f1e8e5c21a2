//! Rows of a first load on their way from the sources into data files: in one stream or in several side by side, each
//! with files of its own, and checked as they pass.
//!
//! What cannot be settled in passing needs a second look, and the batch begins again with rows that are kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use datafusion::common::runtime::JoinSet;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;

use crate::EngineError;
use crate::merge::Collector;

/// How many streams a load is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    One,
    /// One a thread, each with data files of its own.
    Several,
}

/// What is looked for in rows that pass; all streams share it.
pub(crate) trait Checks: Send + Sync + 'static {
    /// Looks at some rows.
    fn note(&self, rows: &RecordBatch) -> Result<(), EngineError>;

    /// Whether the rows need a second look, so that there is no use in going on.
    fn is_stopped(&self) -> bool;
}

/// Writes action rows as they come, one of `collectors` a stream, up to where `checks` stop it.
///
/// # Errors
/// Whatever reading and writing can bring; what was written is in the collectors then, too.
pub(crate) async fn pass<C: Checks>(
    rows: DataFrame,
    streams: Streams,
    checks: &Arc<C>,
    open: impl Fn() -> Result<Collector, EngineError>,
    collectors: &mut Vec<Collector>,
) -> Result<(), EngineError> {
    let streams = match streams {
        Streams::One => vec![rows.execute_stream().await?],
        Streams::Several => rows.execute_stream_partitioned().await?,
    };
    tracing::debug!(streams = streams.len(), "loading in one pass");
    let mut lanes = JoinSet::new();
    for stream in streams {
        lanes.spawn(lane(stream, open()?, Arc::clone(checks)));
    }
    while let Some(ended) = lanes.join_next().await {
        let (collector, result) = match ended {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => return Err(internal(&format!("a stream of a load ended: {error}"))),
            },
        };
        collectors.push(collector);
        result?;
    }
    Ok(())
}

/// What the checks of a load came to, when all its streams have ended.
pub(crate) fn ended<C>(checks: Arc<C>) -> Result<C, EngineError> {
    Arc::into_inner(checks).ok_or_else(|| internal("a stream outlived its load"))
}

/// One stream into files of its own, up to where any of them is stopped.
async fn lane<C: Checks>(
    mut stream: SendableRecordBatchStream,
    mut collector: Collector,
    checks: Arc<C>,
) -> (Collector, Result<(), EngineError>) {
    let work = async {
        while !checks.is_stopped()
            && let Some(batch) = stream.try_next().await?
        {
            checks.note(&batch)?;
            collector.take_batch(&batch).await?;
        }
        Ok(())
    };
    let result = work.await;
    (collector, result)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn internal(message: &str) -> EngineError {
    EngineError::Config(format!("internal: {message}"))
}
