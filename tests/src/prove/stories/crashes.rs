//! Runs that die at a call that changes the storage, at every one of them.

use super::{Disturbance, Fate, StoryRun};
use crate::error::{Result, TestkitError};

/// Processes that end at a call to the storage.
#[derive(Debug, Clone, Copy)]
pub struct Crashes {
    /// Of so many calls that change something one is fatal; 1 for all.
    pub every: usize,
}

impl Disturbance for Crashes {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        let mut points = 0;
        for fatal in (1..=run.calls).skip(run.place % self.every).step_by(self.every) {
            let crashed = run.copy()?;
            let how = format!("dead at call {fatal} of {}", run.calls);
            let ended = crashed.end_of(run.program, &run.request, Fate::DiesAt(fatal))?;
            if let Some(code) = ended.status.code() {
                let told = String::from_utf8_lossy(&ended.stdout);
                return Err(TestkitError::Step(format!("not {how}, but code {code}: {told}")));
            }
            crashed.run(run.program, &run.request, Fate::Calm)?;
            run.compare(&crashed, &how)?;
            points += 1;
        }
        Ok(points)
    }
}
