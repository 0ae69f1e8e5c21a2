//! Times, and values that may be missing, as people and programs read them.

use chrono::{DateTime, SecondsFormat, Utc};

/// The time that a run was given, or the real one.
#[allow(clippy::disallowed_methods, reason = "the clock comes in here")]
pub fn now(run_time: Option<DateTime<Utc>>) -> DateTime<Utc> {
    run_time.unwrap_or_else(Utc::now)
}

/// A time to the microsecond, for programs.
pub fn rfc_3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A time to the second, for people.
pub fn shown_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A value, or a dash where there is none.
pub fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Seconds from one time to another, where both are known.
pub fn seconds_between(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    Some(to?.signed_duration_since(from?).num_milliseconds() as f64 / 1e3)
}
