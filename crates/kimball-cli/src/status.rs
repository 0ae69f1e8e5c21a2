//! `kimball status`: what etl_control says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use kimball::{Alert, AlertCause, ControlRow, Limits, PipelineExecutor};
use serde::Serialize;

use crate::args::{Format, Options, Status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::moment::{now, rfc_3339, seconds_between, shown, shown_time};
use crate::output::{Output, terminal_width};
use crate::text_table::{Align, TextTable};

/// The state of one target and one of its sources: the latest batch, and what the successful ones left.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct State {
    target_table: String,
    source_table: String,
    batch_status: String,
    batch_id: Option<String>,
    #[serde(serialize_with = "as_rfc_3339")]
    batch_started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "as_rfc_3339")]
    batch_completed_at: Option<DateTime<Utc>>,
    rows_read: Option<i64>,
    rows_written: Option<i64>,
    error_message: Option<String>,
    #[serde(serialize_with = "as_rfc_3339")]
    last_success_at: Option<DateTime<Utc>>,
    last_processed_version: Option<i64>,
    /// What somebody should look at.
    alerts: Vec<AlertCause>,
}

/// Shows what the control table of the target says; refuses when somebody should look at something.
pub fn status(asked: &Status, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(&asked.configs).build()?;
    let rows = rows_asked_for(&executor, options)?;
    let held = kimball::tables_being_loaded(&executor.project().target)?;
    let limits = Limits {
        longest_running: milliseconds(asked.max_running * 60.0),
        slowdown: asked.max_slowdown,
        longest_batch: asked.max_duration.map(milliseconds),
    };
    let mut alerts = kimball::alerts(&rows, &held, &limits, now(options.run_time));
    // What is no longer loaded never gets better.
    alerts.retain(|alert| is_loaded(&executor, alert));
    let states = states(rows, &alerts);
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        for state in &states {
            output.write(json_line("status", state)?);
        }
    } else {
        output.write(text_of(&states, terminal_width()));
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None if alerts.is_empty() => Ok(Exit::Success),
        None => Ok(Exit::Refused),
    }
}

/// Whether the project still loads the table and the source of an alert.
fn is_loaded(executor: &PipelineExecutor, alert: &Alert) -> bool {
    let source = alert.source_table.split('#').next().unwrap_or_default();
    executor.project().pipelines.iter().any(|pipeline| {
        pipeline.table.to_string() == alert.target_table
            && pipeline.sources.iter().any(|known| known.name == source)
    })
}

/// The rows of etl_control, of the selected pipelines alone where some are selected.
pub fn rows_asked_for(executor: &PipelineExecutor, options: &Options) -> Result<Vec<ControlRow>, Failure> {
    let mut rows = kimball::control_rows(&executor.project().target)?;
    if options.is_selective() {
        let tables: BTreeSet<String> =
            executor.project().pipelines.iter().map(|pipeline| pipeline.table.to_string()).collect();
        rows.retain(|row| tables.contains(&row.target_table));
    }
    Ok(rows)
}

fn milliseconds(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds * 1e3) as i64)
}

/// The state of every target and source, sorted, from all batches there are.
fn states(rows: Vec<ControlRow>, alerts: &[Alert]) -> Vec<State> {
    let mut batches: BTreeMap<(String, String), Vec<ControlRow>> = BTreeMap::new();
    for row in rows {
        batches.entry((row.target_table.clone(), row.source_table.clone())).or_default().push(row);
    }
    batches.into_values().filter_map(|batches| state(batches, alerts)).collect()
}

fn state(mut batches: Vec<ControlRow>, alerts: &[Alert]) -> Option<State> {
    batches.sort_by_key(ControlRow::order);
    let success = batches.iter().rfind(|row| row.batch_status.as_deref() == Some("SUCCESS"));
    let last_success_at = success.and_then(|row| row.batch_completed_at);
    let watermark = success.and_then(|row| row.last_processed_version);
    let latest = batches.pop()?;
    let is_about = |alert: &&Alert| {
        alert.target_table == latest.target_table && alert.source_table == latest.source_table
    };
    let alerts = alerts.iter().filter(is_about).map(|alert| alert.cause.clone()).collect();
    Some(State {
        target_table: latest.target_table,
        source_table: latest.source_table,
        batch_status: latest.batch_status.unwrap_or_else(|| "UNKNOWN".to_owned()),
        batch_id: latest.batch_id,
        batch_started_at: latest.batch_started_at,
        batch_completed_at: latest.batch_completed_at,
        rows_read: latest.rows_read,
        rows_written: latest.rows_written,
        error_message: latest.error_message,
        last_success_at,
        last_processed_version: watermark.or(latest.last_processed_version),
        alerts,
    })
}

/// The states as a table of at most `width` columns, the failures with their messages, and the counts.
fn text_of(states: &[State], width: Option<usize>) -> String {
    if states.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut table = TextTable::new(&[
        ("TARGET", Align::Left),
        ("SOURCE", Align::Left),
        ("STATUS", Align::Left),
        ("STARTED (UTC)", Align::Left),
        ("SECONDS", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("LAST SUCCESS (UTC)", Align::Left),
        ("WATERMARK", Align::Right),
    ]);
    for state in states {
        table.row([
            state.target_table.clone(),
            state.source_table.clone(),
            state.batch_status.clone(),
            shown(state.batch_started_at.map(shown_time)),
            shown(state.seconds().map(|seconds| format!("{seconds:.1}"))),
            shown(state.rows_read),
            shown(state.rows_written),
            shown(state.last_success_at.map(shown_time)),
            shown(state.last_processed_version),
        ]);
    }
    let expendable = ["LAST SUCCESS (UTC)", "WATERMARK", "READ", "SECONDS"];
    let mut text = table.within(width, &expendable);
    for failed in states.iter().filter(|state| state.batch_status == "FAILED") {
        let message = failed.error_message.as_deref().unwrap_or("unknown error").replace('\n', "\n    ");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n✗ {} from {}\n    {message}\n", failed.target_table, failed.source_table);
    }
    let told = |cause: &AlertCause| *cause != AlertCause::Failed;
    for state in states {
        for cause in state.alerts.iter().filter(|cause| told(cause)) {
            let _ = write!(text, "\n! {} from {}\n    {cause}\n", state.target_table, state.source_table);
        }
    }
    let count = |status| states.iter().filter(|state| state.batch_status == status).count();
    let (running, failed, succeeded) = (count("RUNNING"), count("FAILED"), count("SUCCESS"));
    let _ = writeln!(text, "\n{running} running, {failed} failed, {succeeded} succeeded");
    text
}

impl State {
    fn seconds(&self) -> Option<f64> {
        seconds_between(self.batch_started_at, self.batch_completed_at)
    }
}

fn as_rfc_3339<S: serde::Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc_3339).serialize(serializer)
}

#[cfg(test)]
mod tests;
