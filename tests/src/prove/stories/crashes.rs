//! Runs that die at a call that changes the storage, at every one of them.

use super::{Disturbance, Fate, StoryRun};
use crate::error::Result;

/// Processes that end at a call to the storage.
#[derive(Debug, Clone, Copy)]
pub struct Crashes {
    /// Of so many calls that change something one is fatal; 1 for all.
    pub every: usize,
}

impl Disturbance for Crashes {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        // A process that a signal ended has no code.
        run.at_calls(self.every, Fate::DiesAt, |ended| ended.status.code().is_none())
    }
}
