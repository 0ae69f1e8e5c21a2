//! `kimball status`: what etl_control says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use kimball::ControlRow;
use serde::Serialize;

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::output::Output;
use crate::text_table::{Align, TextTable};

/// The state of one target and one of its sources: the latest batch, and what the successful ones left.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct State {
    target_table: String,
    source_table: String,
    batch_status: String,
    batch_id: Option<String>,
    #[serde(serialize_with = "rfc_3339")]
    batch_started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "rfc_3339")]
    batch_completed_at: Option<DateTime<Utc>>,
    rows_read: Option<i64>,
    rows_written: Option<i64>,
    error_message: Option<String>,
    #[serde(serialize_with = "rfc_3339")]
    last_success_at: Option<DateTime<Utc>>,
    last_processed_version: Option<i64>,
}

/// Shows what the control table of the target says.
pub fn status(configs: &Configs, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(configs).build()?;
    let states = states(kimball::control_rows(&executor.project().target)?);
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        for state in &states {
            output.write(json_line("status", state)?);
        }
    } else {
        output.write(text_of(&states));
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

/// The state of every target and source, sorted, from all batches there are.
fn states(rows: Vec<ControlRow>) -> Vec<State> {
    let mut batches: BTreeMap<(String, String), Vec<ControlRow>> = BTreeMap::new();
    for row in rows {
        batches.entry((row.target_table.clone(), row.source_table.clone())).or_default().push(row);
    }
    batches.into_values().filter_map(state).collect()
}

fn state(mut batches: Vec<ControlRow>) -> Option<State> {
    batches.sort_by_key(|row| (row.batch_started_at, row.updated_at));
    let success = batches.iter().rfind(|row| row.batch_status.as_deref() == Some("SUCCESS"));
    let last_success_at = success.and_then(|row| row.batch_completed_at);
    let watermark = success.and_then(|row| row.last_processed_version);
    let latest = batches.pop()?;
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
    })
}

/// The states as a table, the failures with their messages, and the counts.
fn text_of(states: &[State]) -> String {
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
            shown(state.batch_started_at.map(short)),
            shown(state.seconds().map(|seconds| format!("{seconds:.1}"))),
            shown(state.rows_read),
            shown(state.rows_written),
            shown(state.last_success_at.map(short)),
            shown(state.last_processed_version),
        ]);
    }
    let mut text = table.to_string();
    for failed in states.iter().filter(|state| state.batch_status == "FAILED") {
        let message = failed.error_message.as_deref().unwrap_or("unknown error").replace('\n', "\n    ");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n✗ {} from {}\n    {message}\n", failed.target_table, failed.source_table);
    }
    let count = |status| states.iter().filter(|state| state.batch_status == status).count();
    let (running, failed, succeeded) = (count("RUNNING"), count("FAILED"), count("SUCCESS"));
    let _ = writeln!(text, "\n{running} running, {failed} failed, {succeeded} succeeded");
    text
}

impl State {
    fn seconds(&self) -> Option<f64> {
        let took = self.batch_completed_at?.signed_duration_since(self.batch_started_at?);
        Some(took.num_milliseconds() as f64 / 1e3)
    }
}

fn short(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn rfc_3339<S: serde::Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
