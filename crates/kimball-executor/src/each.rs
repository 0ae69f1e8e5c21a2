//! The same work on each pipeline of a project, several at a time, whatever they need of each other.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam::thread;
use kimball_config::Pipeline;
use tokio::runtime::Handle;

use crate::error::ExecutorError;
use crate::runtime::STACK_BYTES;
use crate::settings::Settings;

/// What `work` makes of each pipeline, in their order, on as many threads as the settings allow.
///
/// # Errors
/// [`ExecutorError::Threads`] when the system gives no thread.
pub(crate) fn each<T: Send>(
    pipelines: &[Pipeline],
    settings: &Settings,
    handle: &Handle,
    work: impl AsyncFn(&Pipeline) -> T + Sync,
) -> Result<Vec<T>, ExecutorError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::default();
    let worker = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(pipeline) = pipelines.get(place) else { return };
            let made = handle.block_on(work(pipeline));
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, made));
        }
    };
    let workers = settings.max_workers().get().min(pipelines.len());
    let ended = thread::scope(|scope| {
        for number in 1..=workers {
            let builder = scope.builder().name(format!("kimball-worker-{number}")).stack_size(STACK_BYTES);
            builder.spawn(|_| worker()).map_err(ExecutorError::Threads)?;
        }
        Ok::<(), ExecutorError>(())
    });
    ended.unwrap_or_else(|panic| resume_unwind(panic))?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, made)| made).collect())
}
