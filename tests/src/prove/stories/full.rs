//! Runs whose disk fills up: they fail and say so, and when there is room again the next one makes up for it.

use super::{Disturbance, Fate, StoryRun};
use crate::error::Result;

/// Disks that are full from some call on.
#[derive(Debug, Clone, Copy)]
pub struct FullDisks {
    /// Of so many calls that change something one is the first that fails; 1 for all.
    pub every: usize,
}

impl Disturbance for FullDisks {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        run.at_calls(self.every, Fate::FullAt, |ended| {
            let told = String::from_utf8_lossy(&ended.stderr);
            // What is written after the last commit may be left for the next run, with a warning.
            ended.status.success() || told.contains("StorageError") || told.contains("no space")
        })
    }
}
