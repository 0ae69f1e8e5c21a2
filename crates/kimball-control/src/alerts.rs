//! What in the control table somebody should look at: the guide's three alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{BatchStatus, ControlRow};

/// Successful batches of a pipeline that its latest one is compared with, at most.
const PAST: usize = 20;
/// Successful batches that make a past.
const LEAST_PAST: usize = 3;
/// Differences below this are noise, whatever the factor.
const NOISE: TimeDelta = TimeDelta::seconds(10);

/// When something is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long a batch may be RUNNING.
    pub longest_running: TimeDelta,
    /// How many times as long as usual (the median of its past) a batch may take.
    pub slowdown: f64,
    /// How long a batch may take at all, if there is such a limit.
    pub longest_batch: Option<TimeDelta>,
}

impl Default for Limits {
    /// An hour in RUNNING, and three times the usual.
    fn default() -> Self {
        Self { longest_running: TimeDelta::hours(1), slowdown: 3.0, longest_batch: None }
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// The table that the batch writes.
    pub target_table: String,
    /// The source of the row.
    pub source_table: String,
    /// The batch.
    pub batch_id: Option<String>,
    /// What is wrong.
    #[serde(flatten)]
    pub cause: AlertCause,
}

/// What is wrong with the latest batch of a table and source. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "alert", rename_all = "snake_case")]
pub enum AlertCause {
    /// It failed.
    Failed,
    /// It is RUNNING, and no living process works on it. The next run of the pipeline settles it.
    Abandoned,
    /// It is RUNNING for too long.
    Stuck {
        /// Since its start.
        running_seconds: f64,
        /// The limit.
        limit_seconds: f64,
    },
    /// It took, or takes, much longer than it used to.
    Slow {
        /// From its start to its end, or until now.
        seconds: f64,
        /// The median of its past.
        usual_seconds: f64,
    },
    /// It took longer than it may.
    Overdue {
        /// From its start to its end, or until now.
        seconds: f64,
        /// The limit.
        limit_seconds: f64,
    },
}

impl fmt::Display for AlertCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed"),
            Self::Abandoned => {
                f.write_str("says RUNNING, but its process is gone; the next run of the pipeline settles it")
            }
            Self::Stuck { running_seconds, limit_seconds } => {
                write!(f, "is running for {running_seconds:.0} s, longer than {limit_seconds:.0} s")
            }
            Self::Slow { seconds, usual_seconds } => {
                write!(f, "took {seconds:.1} s, usually {usual_seconds:.1} s")
            }
            Self::Overdue { seconds, limit_seconds } => {
                write!(f, "took {seconds:.1} s, longer than {limit_seconds:.0} s")
            }
        }
    }
}

/// What of the latest batches is to be looked at, in the order of tables and sources. `held` are the tables on which a
/// living process has the lease.
pub fn alerts(
    rows: &[ControlRow],
    held: &BTreeSet<String>,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Vec<Alert> {
    let mut batches: BTreeMap<(&str, &str), Vec<&ControlRow>> = BTreeMap::new();
    for row in rows {
        batches.entry((&row.target_table, &row.source_table)).or_default().push(row);
    }
    let mut alerts = Vec::new();
    for mut rows in batches.into_values() {
        rows.sort_by_key(|row| row.order());
        let Some((latest, past)) = rows.split_last() else { continue };
        let causes = causes(latest, past, held.contains(&latest.target_table), limits, now);
        alerts.extend(causes.into_iter().map(|cause| Alert {
            target_table: latest.target_table.clone(),
            source_table: latest.source_table.clone(),
            batch_id: latest.batch_id.clone(),
            cause,
        }));
    }
    alerts
}

fn causes(
    latest: &ControlRow,
    past: &[&ControlRow],
    is_held: bool,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Vec<AlertCause> {
    let mut causes = Vec::new();
    if latest.batch_status.as_deref() == Some(BatchStatus::Failed.as_str()) {
        causes.push(AlertCause::Failed);
        return causes;
    }
    let Some(started) = latest.batch_started_at else { return causes };
    let took = latest.batch_completed_at.unwrap_or(now) - started;
    if latest.is_running() {
        if !is_held {
            causes.push(AlertCause::Abandoned);
            return causes;
        }
        if took > limits.longest_running {
            let (running_seconds, limit_seconds) = (seconds(took), seconds(limits.longest_running));
            causes.push(AlertCause::Stuck { running_seconds, limit_seconds });
        }
    }
    if let Some(limit) = limits.longest_batch.filter(|limit| took > *limit) {
        causes.push(AlertCause::Overdue { seconds: seconds(took), limit_seconds: seconds(limit) });
    }
    if let Some(usual) = usual(past)
        && took - usual > NOISE
        && seconds(took) > seconds(usual) * limits.slowdown
    {
        causes.push(AlertCause::Slow { seconds: seconds(took), usual_seconds: seconds(usual) });
    }
    causes
}

/// The median of what successful batches took, the newest of them that had something to do; `None` when there are too few.
fn usual(past: &[&ControlRow]) -> Option<TimeDelta> {
    let is_success = |row: &&&ControlRow| {
        let had_rows = (row.rows_read, row.rows_written) != (Some(0), Some(0));
        row.batch_status.as_deref() == Some(BatchStatus::Success.as_str()) && had_rows
    };
    let took = |row: &&ControlRow| Some(row.batch_completed_at? - row.batch_started_at?);
    let mut took: Vec<TimeDelta> = past.iter().rev().filter(is_success).filter_map(took).take(PAST).collect();
    took.sort();
    if took.len() < LEAST_PAST { None } else { took.get(took.len() / 2).copied() }
}

fn seconds(delta: TimeDelta) -> f64 {
    delta.num_milliseconds() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Alert, AlertCause, Limits, alerts};
    use crate::ControlRow;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_735_689_600 + second, 0).unwrap()
    }

    fn batch(status: &str, started: i64, took: i64) -> ControlRow {
        ControlRow {
            target_table: "gold.dim".to_owned(),
            source_table: "silver.dim".to_owned(),
            last_processed_version: None,
            batch_id: Some(format!("b-{started}")),
            batch_started_at: Some(at(started)),
            batch_completed_at: (status != "RUNNING").then(|| at(started + took)),
            batch_status: Some(status.to_owned()),
            rows_read: None,
            rows_written: None,
            error_message: None,
            updated_at: at(started + took),
        }
    }

    fn causes(rows: &[ControlRow], is_held: bool, now: i64) -> Vec<AlertCause> {
        let held: BTreeSet<String> = is_held.then(|| "gold.dim".to_owned()).into_iter().collect();
        let limits = Limits { longest_batch: Some(TimeDelta::seconds(900)), ..Limits::default() };
        alerts(rows, &held, &limits, at(now)).into_iter().map(|Alert { cause, .. }| cause).collect()
    }

    #[test]
    fn only_the_latest_batch_counts_and_a_failed_one_is_told() {
        assert_eq!(causes(&[batch("FAILED", 0, 5), batch("SUCCESS", 10, 5)], false, 99), []);
        let failed = causes(&[batch("SUCCESS", 0, 5), batch("FAILED", 10, 5)], false, 99);
        assert_eq!(failed, [AlertCause::Failed]);
    }

    #[test]
    fn a_load_that_failed_while_another_process_loaded_is_past_when_that_one_ends() {
        let others = batch("SUCCESS", 0, 50);
        assert_eq!(causes(&[others.clone(), batch("FAILED", 10, 1)], false, 99), []);
        assert_eq!(causes(&[others, batch("FAILED", 60, 1)], false, 99), [AlertCause::Failed]);
    }

    #[test]
    fn a_batch_without_a_living_process_is_abandoned_and_one_that_runs_long_is_stuck() {
        assert_eq!(causes(&[batch("RUNNING", 0, 0)], false, 1), [AlertCause::Abandoned]);
        assert_eq!(causes(&[batch("RUNNING", 0, 0)], true, 600), []);
        assert_eq!(
            causes(&[batch("RUNNING", 0, 0)], true, 3601),
            [
                AlertCause::Stuck { running_seconds: 3601.0, limit_seconds: 3600.0 },
                AlertCause::Overdue { seconds: 3601.0, limit_seconds: 900.0 },
            ]
        );
    }

    #[test]
    fn a_batch_is_slow_against_its_own_past_if_it_has_one() {
        let past = |count: i64| (0..count).map(|number| batch("SUCCESS", number * 100, 10 + number));
        let with = |count: i64, took: i64| -> Vec<ControlRow> {
            past(count).chain([batch("SUCCESS", 1_000, took)]).collect()
        };
        assert_eq!(
            causes(&with(3, 40), false, 9_999),
            [AlertCause::Slow { seconds: 40.0, usual_seconds: 11.0 }]
        );
        assert_eq!(causes(&with(3, 33), false, 9_999), []);
        assert_eq!(causes(&with(2, 40), false, 9_999), []);
        // Batches without rows say nothing about how long others take.
        let idle = ControlRow { rows_read: Some(0), rows_written: Some(0), ..batch("SUCCESS", 500, 0) };
        let rows = [vec![idle; 20], with(3, 33)].concat();
        assert_eq!(causes(&rows, false, 9_999), []);
        // Three times as long, but within the noise.
        let short: Vec<ControlRow> = (0..3).map(|number| batch("SUCCESS", number * 100, 1)).collect();
        let rows: Vec<ControlRow> = short.into_iter().chain([batch("SUCCESS", 1_000, 8)]).collect();
        assert_eq!(causes(&rows, false, 9_999), []);
    }
}
