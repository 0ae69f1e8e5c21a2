//! The threads a run works on.

use std::panic::resume_unwind;
use std::time::Duration;

use crossbeam::thread;
use tokio::runtime::{Builder, Handle};

use crate::error::ExecutorError;

/// Bytes of stack of every thread that may plan a query: deep expressions recurse, and unoptimised builds
/// use much of it.
pub(crate) const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How long threads of the runtime get to end what they are doing after a run.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Runs `work` on a thread of its own with a deep stack, and waits for it. As the thread is no thread of any
/// runtime, `work` may block on one. A panic goes on in the caller.
pub(crate) fn on_deep_stack<R: Send>(
    work: impl FnOnce() -> Result<R, ExecutorError> + Send,
) -> Result<R, ExecutorError> {
    let ended = thread::scope(|scope| {
        let builder = scope.builder().name("kimball-run".to_owned()).stack_size(STACK_BYTES);
        Ok(builder.spawn(|_| work()).map_err(ExecutorError::Threads)?.join())
    });
    match ended {
        Ok(Ok(Ok(result))) => result,
        Ok(Err(error)) => Err(error),
        Ok(Ok(Err(panic))) | Err(panic) => resume_unwind(panic),
    }
}

/// Runs `work` with a runtime that lives as long as it does.
pub(crate) fn with_own_runtime<R: Send>(
    work: impl FnOnce(&Handle) -> Result<R, ExecutorError> + Send,
) -> Result<R, ExecutorError> {
    on_deep_stack(|| {
        let runtime = Builder::new_multi_thread()
            .thread_name("kimball-runtime")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(ExecutorError::Threads)?;
        let result = work(runtime.handle());
        runtime.shutdown_timeout(SHUTDOWN);
        result
    })
}

/// Runs `work` with the runtime of the caller, without blocking a thread that other tasks need.
///
/// # Panics
/// Outside a tokio runtime, as everything of tokio does.
pub(crate) async fn with_callers_runtime<R: Send + 'static>(
    work: impl FnOnce(&Handle) -> Result<R, ExecutorError> + Send + 'static,
) -> Result<R, ExecutorError> {
    let handle = Handle::current();
    let task = tokio::task::spawn_blocking(move || on_deep_stack(|| work(&handle)));
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The caller's runtime is shutting down.
            Err(error) => Err(ExecutorError::Threads(std::io::Error::other(error))),
        },
    }
}
