//! How far a batch is, for whoever watches it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a batch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It looks at logs: what there is to read, and whether there is anything.
    Preparing,
    /// Its query runs over the sources.
    Reading,
    /// Its rows meet those of the table, and are written into files.
    Merging,
    /// The files become visible.
    Committing,
}

/// How far a batch is. Counts are for people: they may be a little behind, and begin again when a batch is computed anew.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    read: Mutex<Vec<Arc<AtomicU64>>>,
    written: Arc<AtomicU64>,
}

impl Progress {
    /// Says what the batch is doing from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What the batch is doing.
    pub fn phase(&self) -> Phase {
        let phases = [Phase::Preparing, Phase::Reading, Phase::Merging, Phase::Committing];
        let entered = self.phase.load(Ordering::Relaxed);
        phases.into_iter().find(|phase| *phase as u8 == entered).unwrap_or(Phase::Preparing)
    }

    /// Rows read of all sources.
    pub fn rows_read(&self) -> u64 {
        let counts = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Rows written into files.
    pub fn rows_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The batch begins to read; `counts` are what it counts its sources with.
    pub(crate) fn read_by(&self, counts: &[Arc<AtomicU64>]) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = counts.to_vec();
        self.written.store(0, Ordering::Relaxed);
        self.enter(Phase::Reading);
    }

    /// What written rows are added to.
    pub(crate) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }
}
