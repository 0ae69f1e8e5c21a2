//! The times of proofs: those that are measured, and those that runs are told.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// The real clock.
#[allow(clippy::disallowed_methods, reason = "stalls, kills and measurements need a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The run time of a round.
pub(crate) fn minute(number: usize) -> DateTime<Utc> {
    let minutes = i64::try_from(number).unwrap_or_default();
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}
