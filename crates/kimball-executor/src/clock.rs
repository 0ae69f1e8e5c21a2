//! The one place where the executor reads a clock.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// The present, cut to the microsecond that the tables can hold (semantics 1.1).
#[allow(clippy::disallowed_methods, reason = "everything else receives the time that is read here")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A name that no other batch has.
#[allow(clippy::disallowed_methods, reason = "everything else receives the name that is made here")]
pub(crate) fn new_batch_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Measures how long something takes, untouched by changes of the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts to measure.
    #[allow(clippy::disallowed_methods, reason = "everything else receives the time that is read here")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
