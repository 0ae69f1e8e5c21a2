//! The life of a batch as a total function: every state meets every event.

use std::fmt;

use thiserror::Error;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    /// No row yet.
    Planned,
    /// Begun; its commit may or may not be in the target's log.
    Running,
    /// Ended.
    Ended(BatchStatus),
}

/// What `batch_status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStatus {
    /// Begun and not ended.
    Running,
    /// Its commit is in the target's log.
    Success,
    /// Its commit is not, and never will be.
    Failed,
}

/// What can happen to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Its process begins it.
    Begin,
    /// Its process saw the commit succeed, or had nothing to commit.
    Commit,
    /// Its process gave up before a commit.
    Fail,
    /// Its process is dead, and the log holds its commit.
    SettleCommitted,
    /// Its process is dead and fenced off, and the log does not hold its commit.
    SettleUncommitted,
}

/// An event that cannot happen to a batch in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a batch that is {state:?} cannot {event:?}")]
pub struct IllegalTransition {
    /// Where the batch stands.
    pub state: BatchState,
    /// What was to happen.
    pub event: Transition,
}

impl BatchState {
    /// What becomes of the batch. Settling is idempotent: it may be cut off and done again.
    ///
    /// # Errors
    /// [`IllegalTransition`] for everything that can only come from a mistake.
    pub fn after(self, event: Transition) -> Result<Self, IllegalTransition> {
        use BatchStatus::{Failed, Success};
        use Transition::{Begin, Commit, Fail, SettleCommitted, SettleUncommitted};
        match (self, event) {
            (Self::Planned, Begin) => Ok(Self::Running),
            (Self::Running, Commit | SettleCommitted) => Ok(Self::Ended(Success)),
            (Self::Running, Fail | SettleUncommitted) => Ok(Self::Ended(Failed)),
            (Self::Ended(Success), SettleCommitted) => Ok(Self::Ended(Success)),
            (Self::Ended(Failed), SettleUncommitted) => Ok(Self::Ended(Failed)),
            (state, event) => Err(IllegalTransition { state, event }),
        }
    }
}

impl BatchStatus {
    /// As it stands in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    /// The status that a text of the table means.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Success, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for BatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{BatchState, BatchStatus, Transition};

    const STATES: [BatchState; 4] = [
        BatchState::Planned,
        BatchState::Running,
        BatchState::Ended(BatchStatus::Success),
        BatchState::Ended(BatchStatus::Failed),
    ];
    const EVENTS: [Transition; 5] = [
        Transition::Begin,
        Transition::Commit,
        Transition::Fail,
        Transition::SettleCommitted,
        Transition::SettleUncommitted,
    ];

    #[test]
    fn an_ended_batch_never_changes_its_end() {
        for status in [BatchStatus::Success, BatchStatus::Failed] {
            for event in EVENTS {
                if let Ok(after) = BatchState::Ended(status).after(event) {
                    assert_eq!(after, BatchState::Ended(status));
                }
            }
        }
    }

    #[test]
    fn settling_twice_is_settling_once() {
        for event in [Transition::SettleCommitted, Transition::SettleUncommitted] {
            let once = BatchState::Running.after(event);
            assert_eq!(once.and_then(|state| state.after(event)), once);
        }
    }

    #[test]
    fn only_a_planned_batch_can_begin() {
        let begun: Vec<_> = STATES.iter().filter(|state| state.after(Transition::Begin).is_ok()).collect();
        assert_eq!(begun, [&BatchState::Planned]);
    }
}
