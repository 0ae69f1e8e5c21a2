//! Stopping a run from outside.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks a run to stop: nothing new starts, what is loading stops before its commit or ends it, waits end at once.
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
pub struct CancelToken(Arc<watch::Sender<bool>>);

impl CancelToken {
    /// A token that nobody has cancelled yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks for the stop. Asking twice is asking once.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether the stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the stop is asked for; dropping it changes nothing.
    pub async fn cancelled(&self) {
        // The token itself keeps the sender, so that the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|is_cancelled| *is_cancelled).await;
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::CancelToken;

    #[tokio::test]
    async fn a_wait_that_nobody_cancels_goes_on() {
        let token = CancelToken::new();
        assert!(timeout(Duration::from_millis(20), token.cancelled()).await.is_err());
    }

    #[tokio::test]
    async fn cancelling_ends_every_wait_at_once() {
        let token = CancelToken::new();
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let token = token.clone();
                tokio::spawn(async move { token.cancelled().await })
            })
            .collect();
        token.cancel();
        for wait in waits {
            assert!(timeout(Duration::from_secs(60), wait).await.is_ok_and(|ended| ended.is_ok()));
        }
    }

    #[tokio::test]
    async fn a_cancelled_token_stays_cancelled_in_every_clone() {
        let token = CancelToken::new();
        let clone = token.clone();
        assert!(!clone.is_cancelled());
        token.cancel();
        token.cancel();
        assert!(clone.is_cancelled());
        clone.cancelled().await;
    }
}
