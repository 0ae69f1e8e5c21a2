//! Stopping a run from outside.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

/// Asks a run to stop: what is loading finishes, nothing new starts, waits for a retry end at once.
///
/// Clones are one token. A cancelled token stays cancelled.
///
/// ```
/// let token = kimball_executor::CancelToken::new();
/// let seen_by_the_run = token.clone();
/// token.cancel();
/// assert!(seen_by_the_run.is_cancelled());
/// ```
#[derive(Debug, Clone)]
pub struct CancelToken {
    // Nothing is ever sent: cancelling drops the only sender, which wakes every receiver at once.
    open: Arc<Mutex<Option<Sender<Infallible>>>>,
    closed: Receiver<Infallible>,
}

impl CancelToken {
    /// A token that nobody has cancelled yet.
    pub fn new() -> Self {
        let (sender, receiver) = bounded(0);
        Self { open: Arc::new(Mutex::new(Some(sender))), closed: receiver }
    }

    /// Asks for the stop. Asking twice is asking once.
    pub fn cancel(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether the stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.closed.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits for `delay`, or until the stop is asked for; says whether it was.
    pub(crate) fn wait(&self, delay: Duration) -> bool {
        matches!(self.closed.recv_timeout(delay), Err(RecvTimeoutError::Disconnected))
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::CancelToken;

    #[test]
    fn a_wait_that_nobody_cancels_runs_its_time() {
        let started = Instant::now();
        assert!(!CancelToken::new().wait(Duration::from_millis(20)));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn cancelling_ends_every_wait_at_once() {
        let token = CancelToken::new();
        let started = Instant::now();
        thread::scope(|scope| {
            let waits: Vec<_> =
                (0..3).map(|_| scope.spawn(|| token.clone().wait(Duration::from_secs(600)))).collect();
            token.cancel();
            assert!(waits.into_iter().all(|wait| wait.join().is_ok_and(|cancelled| cancelled)));
        });
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_cancelled_token_stays_cancelled_in_every_clone() {
        let token = CancelToken::new();
        let clone = token.clone();
        assert!(!clone.is_cancelled());
        token.cancel();
        token.cancel();
        assert!(clone.is_cancelled() && clone.wait(Duration::ZERO));
    }
}
