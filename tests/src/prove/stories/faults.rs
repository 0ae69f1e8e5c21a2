//! Runs of which one call to the storage in ten fails, and one write in ten says that it failed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disturbance, Fate, StoryRun};
use crate::error::Result;

/// Calls that fail by chance.
#[derive(Debug, Default)]
pub struct Faults {
    /// How often each run is made, with other chances every time.
    pub rounds: u64,
    /// What the chances are drawn from.
    pub seed: u64,
    /// Calls that have failed so far.
    pub failed: AtomicU64,
}

impl Disturbance for Faults {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        for round in 0..self.rounds {
            let seed = self.seed.wrapping_add(round);
            let disturbed = run.copy()?;
            let told = disturbed.run(run.program, &run.request, Fate::Fails { seed })?;
            self.failed.fetch_add(told.failed, Ordering::Relaxed);
            // What it left to be settled, a quiet run settles.
            disturbed.run(run.program, &run.request, Fate::Calm)?;
            run.compare(&disturbed, &format!("disturbed with seed {seed}"))?;
        }
        Ok(self.rounds)
    }
}
