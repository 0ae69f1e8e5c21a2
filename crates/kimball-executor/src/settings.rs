//! How a run is to be made: workers, failures, retries, memory, time.

use std::num::NonZeroUsize;

use chrono::{DateTime, SubsecRound, Utc};
use kimball_engine::Refresh;
use kimball_retry::RetryPolicy;
use thiserror::Error;

/// Pipelines that run at a time where nobody says otherwise.
const DEFAULT_WORKERS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// The most workers that make sense in one process.
pub(crate) const MOST_WORKERS: usize = 1024;

/// The smallest memory limit under which sorts and joins can still spill: 64 MiB.
const LEAST_MEMORY: u64 = 64 * 1024 * 1024;

/// What becomes of a run when a pipeline fails. What is already loading always finishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// Nothing new starts, in this wave or a later one; the rest is skipped (`stop_on_failure` true).
    #[default]
    StopOnFailure,
    /// Only what depends on the failure is skipped (`stop_on_failure` false).
    KeepGoing,
}

/// When a pipeline may start. Either way it never starts before all that it needs has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// When all earlier waves have ended.
    #[default]
    Waves,
    /// When what it needs has ended; those first that the longest chains of others wait for.
    Ready,
}

/// What a pipeline does when another live process holds its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBusy {
    /// It fails as busy.
    #[default]
    Fail,
    /// It waits until the table is free.
    Wait,
}

/// The checked options of a run; made by [`SettingsBuilder`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    max_workers: NonZeroUsize,
    schedule: Schedule,
    on_failure: FailurePolicy,
    retry: RetryPolicy,
    memory_limit: Option<u64>,
    run_time: Option<DateTime<Utc>>,
    on_busy: OnBusy,
    refresh: Refresh,
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// No worker, or more than a process can use.
    #[error("{0} workers cannot be used: ask for 1 to {MOST_WORKERS}")]
    Workers(usize),
    /// Less memory than a sort or a join needs in order to spill.
    #[error("a memory limit of {0} bytes is too small: give at least {LEAST_MEMORY} bytes (64 MiB)")]
    Memory(u64),
    /// A run time that no open interval can end after (semantics 4.7).
    #[error("the run time {0} cannot be used: it must lie between 1900-01-01 and 9999-12-31")]
    RunTime(DateTime<Utc>),
}

impl Settings {
    /// Starts from the defaults: 4 workers, waves, stop on failure, no retries, no memory limit, the real clock,
    /// fail when a table is busy.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// The same options with another retry policy; any policy fits any other option.
    pub(crate) fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { retry, ..self.clone() }
    }

    /// Pipelines that run at a time.
    pub fn max_workers(&self) -> NonZeroUsize {
        self.max_workers
    }

    /// When a pipeline may start.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// What becomes of the run when a pipeline fails.
    pub fn on_failure(&self) -> FailurePolicy {
        self.on_failure
    }

    /// How often a pipeline is tried again, and after how long.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Bytes that the process of the run is to hold; `None` is no limit.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    /// The frozen clock reading of the run, in whole microseconds; `None` reads the real clock.
    pub fn run_time(&self) -> Option<DateTime<Utc>> {
        self.run_time
    }

    /// What a pipeline does when another live process holds its table.
    pub fn on_busy(&self) -> OnBusy {
        self.on_busy
    }

    /// Whether sources are read again from the start.
    pub fn refresh(&self) -> Refresh {
        self.refresh
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_workers: DEFAULT_WORKERS,
            schedule: Schedule::default(),
            on_failure: FailurePolicy::default(),
            retry: RetryPolicy::never(),
            memory_limit: None,
            run_time: None,
            on_busy: OnBusy::default(),
            refresh: Refresh::default(),
        }
    }
}

/// Collects options; [`build`](Self::build) checks them.
///
/// ```
/// use kimball_executor::{FailurePolicy, Settings};
///
/// let settings = Settings::builder().max_workers(8).on_failure(FailurePolicy::KeepGoing).build()?;
/// assert_eq!(settings.max_workers().get(), 8);
/// assert!(Settings::builder().max_workers(0).build().is_err());
/// # Ok::<(), kimball_executor::SettingsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SettingsBuilder {
    max_workers: usize,
    rest: Settings,
}

impl Default for SettingsBuilder {
    fn default() -> Self {
        Self { max_workers: DEFAULT_WORKERS.get(), rest: Settings::default() }
    }
}

impl SettingsBuilder {
    /// Pipelines that run at a time, 1 to 1024; 4 by default.
    #[must_use]
    pub fn max_workers(self, workers: usize) -> Self {
        Self { max_workers: workers, ..self }
    }

    /// When a pipeline may start; by default when all earlier waves have ended.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.rest.schedule = schedule;
        self
    }

    /// What becomes of the run when a pipeline fails; by default it stops.
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.rest.on_failure = policy;
        self
    }

    /// How often a pipeline is tried again after an error that may pass; by default never.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.rest.retry = policy;
        self
    }

    /// Bytes that the process of the run is to hold, at least 64 MiB; what does not fit spills to disk. Below 512 MiB
    /// the limit is one for the queries alone, which get half of it: the program itself needs its share.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.rest.memory_limit = Some(bytes);
        self
    }

    /// Freezes the one clock reading of the run; cut to microseconds.
    #[must_use]
    pub fn run_time(mut self, at: DateTime<Utc>) -> Self {
        self.rest.run_time = Some(at.trunc_subsecs(6));
        self
    }

    /// What a pipeline does when another live process holds its table; by default it fails.
    #[must_use]
    pub fn on_busy(mut self, on_busy: OnBusy) -> Self {
        self.rest.on_busy = on_busy;
        self
    }

    /// Whether sources are read again from the start; by default pipelines go on from their watermarks.
    #[must_use]
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.rest.refresh = refresh;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first option that cannot be used.
    pub fn build(self) -> Result<Settings, SettingsError> {
        let max_workers = NonZeroUsize::new(self.max_workers)
            .filter(|workers| workers.get() <= MOST_WORKERS)
            .ok_or(SettingsError::Workers(self.max_workers))?;
        if let Some(bytes) = self.rest.memory_limit.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(SettingsError::Memory(bytes));
        }
        if let Some(at) = self.rest.run_time.filter(|at| !is_usable(at)) {
            return Err(SettingsError::RunTime(at));
        }
        Ok(Settings { max_workers, ..self.rest })
    }
}

/// Whether an instant lies where default members (1900) and open intervals (9999-12-31) leave room.
fn is_usable(at: &DateTime<Utc>) -> bool {
    use chrono::Datelike;

    let day = at.date_naive();
    day.year() >= 1900 && (day.year(), day.month(), day.day()) < (9999, 12, 31)
}

#[cfg(test)]
mod tests;
