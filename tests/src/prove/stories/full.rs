//! Runs whose disk fills up: they fail and say so, and when there is room again the next one makes up for it.

use super::{Disturbance, Fate, StoryRun};
use crate::error::{Result, TestkitError};

/// Disks that are full from some call on.
#[derive(Debug, Clone, Copy)]
pub struct FullDisks {
    /// Of so many calls that change something one is the first that fails; 1 for all.
    pub every: usize,
}

impl Disturbance for FullDisks {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        let mut points = 0;
        for first in (1..=run.calls).skip(run.place % self.every).step_by(self.every) {
            let full = run.copy()?;
            let how = format!("full from call {first} of {} on", run.calls);
            let ended = full.end_of(run.program, &run.request, Fate::FullAt(first))?;
            let told = String::from_utf8_lossy(&ended.stderr);
            // What is written after the last commit may be left for the next run, with a warning.
            let says_so = told.contains("StorageError") || told.contains("no space");
            if !(ended.status.success() || says_so) {
                return Err(TestkitError::Step(format!("{how}: {told}")));
            }
            full.run(run.program, &run.request, Fate::Calm)?;
            run.compare(&full, &how)?;
            points += 1;
        }
        Ok(points)
    }
}
