//! The threads a run works on.

use std::panic::resume_unwind;
use std::time::Duration;

use crossbeam::thread;
use tokio::runtime::{Builder, Handle};

use crate::error::ExecutorError;
use crate::settings::MOST_WORKERS;

/// Bytes of stack of every thread that may plan a query: deep expressions recurse, and unoptimised builds
/// use much of it.
pub(crate) const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Threads for calls that block, at most. Reading a log holds one while it waits for others that read its files, so that
/// there have to be more than the most workers that a run may have; they are made when they are needed.
const BLOCKING_THREADS: usize = 4 * MOST_WORKERS;

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
            .max_blocking_threads(BLOCKING_THREADS)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::{with_callers_runtime, with_own_runtime};
    use crate::error::ExecutorError;

    async fn answer() -> u32 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        42
    }

    #[test]
    fn a_runtime_of_its_own_drives_timers() {
        assert_eq!(with_own_runtime(|handle| Ok(handle.block_on(answer()))).unwrap(), 42);
    }

    #[tokio::test]
    async fn a_runtime_of_its_own_may_be_made_within_another_one() {
        assert_eq!(with_own_runtime(|handle| Ok(handle.block_on(answer()))).unwrap(), 42);
    }

    #[tokio::test]
    async fn the_runtime_of_the_caller_drives_the_work_even_on_a_single_thread() {
        assert_eq!(with_callers_runtime(|handle| Ok(handle.block_on(answer()))).await.unwrap(), 42);
    }

    #[test]
    fn a_deep_recursion_fits_on_the_stack() {
        fn depth(left: u32) -> u64 {
            let ballast = std::hint::black_box([1_u64; 128]);
            if left == 0 { 0 } else { ballast[0] + depth(left - 1) }
        }
        // 4,000 frames of more than 1 KiB each: more than the usual 2 MiB of a thread.
        assert_eq!(with_own_runtime(|_| Ok(depth(4_000))).unwrap(), 4_000);
    }

    #[test]
    fn a_panic_goes_on_in_the_caller() {
        let panicking = || with_own_runtime(|_| -> Result<(), ExecutorError> { panic!("broken") });
        let panic = catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken"));
    }
}
