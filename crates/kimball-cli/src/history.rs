//! `kimball history`: every batch.

use std::io;

use kimball::ControlRow;
use serde::Serialize;

use crate::args::{Format, History, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::moment::{rfc_3339, seconds_between, shown, shown_time};
use crate::output::{Output, terminal_width};
use crate::status::rows_asked_for;
use crate::text_table::{Align, TextTable};

/// One batch and source, as an object.
#[derive(Debug, Serialize)]
struct Batch<'a> {
    target_table: &'a str,
    source_table: &'a str,
    batch_id: Option<&'a str>,
    batch_status: Option<&'a str>,
    batch_started_at: Option<String>,
    batch_completed_at: Option<String>,
    duration_seconds: Option<f64>,
    rows_read: Option<i64>,
    rows_written: Option<i64>,
    last_processed_version: Option<i64>,
    error_message: Option<&'a str>,
}

/// Shows the batches, the newest first.
pub fn history(asked: &History, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(&asked.configs).build()?;
    let mut rows = rows_asked_for(&executor, options)?;
    rows.sort_by(|left, right| {
        let newest_first = right.batch_started_at.cmp(&left.batch_started_at);
        let names = |row: &ControlRow| (row.target_table.clone(), row.source_table.clone());
        newest_first.then_with(|| names(left).cmp(&names(right)))
    });
    rows.truncate(asked.limit.unwrap_or(usize::MAX));
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        for row in &rows {
            output.write(json_line("batch", Batch::of(row))?);
        }
    } else {
        output.write(text_of(&rows, terminal_width()));
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

impl<'a> Batch<'a> {
    fn of(row: &'a ControlRow) -> Self {
        Self {
            target_table: &row.target_table,
            source_table: &row.source_table,
            batch_id: row.batch_id.as_deref(),
            batch_status: row.batch_status.as_deref(),
            batch_started_at: row.batch_started_at.map(rfc_3339),
            batch_completed_at: row.batch_completed_at.map(rfc_3339),
            duration_seconds: seconds_between(row.batch_started_at, row.batch_completed_at),
            rows_read: row.rows_read,
            rows_written: row.rows_written,
            last_processed_version: row.last_processed_version,
            error_message: row.error_message.as_deref(),
        }
    }
}

/// The batches as a table of at most `width` columns.
fn text_of(rows: &[ControlRow], width: Option<usize>) -> String {
    if rows.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut table = TextTable::new(&[
        ("STARTED (UTC)", Align::Left),
        ("TARGET", Align::Left),
        ("SOURCE", Align::Left),
        ("STATUS", Align::Left),
        ("SECONDS", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("VERSION", Align::Right),
        ("ERROR", Align::Left),
    ]);
    for row in rows {
        let seconds = seconds_between(row.batch_started_at, row.batch_completed_at);
        let error = row.error_message.as_deref().and_then(|message| message.lines().next());
        table.row([
            shown(row.batch_started_at.map(shown_time)),
            row.target_table.clone(),
            row.source_table.clone(),
            shown(row.batch_status.as_deref()),
            shown(seconds.map(|seconds| format!("{seconds:.1}"))),
            shown(row.rows_read),
            shown(row.rows_written),
            shown(row.last_processed_version),
            error.unwrap_or_default().to_owned(),
        ]);
    }
    table.within(width, &["VERSION", "READ", "SECONDS", "WRITTEN"])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::DateTime;
    use kimball::ControlRow;

    use super::text_of;

    #[test]
    fn a_batch_is_a_line_with_the_first_line_of_its_error() {
        let at = |second: i64| DateTime::from_timestamp(1_735_689_600 + second, 0);
        let row = ControlRow {
            target_table: "gold.dim".to_owned(),
            source_table: "silver.dim".to_owned(),
            last_processed_version: None,
            batch_id: Some("b".to_owned()),
            batch_started_at: at(0),
            batch_completed_at: at(3),
            batch_status: Some("FAILED".to_owned()),
            rows_read: Some(7),
            rows_written: None,
            error_message: Some("DataQualityError: two\nlines".to_owned()),
            updated_at: at(3).unwrap(),
        };
        assert_eq!(
            text_of(std::slice::from_ref(&row), None),
            "STARTED (UTC)        TARGET    SOURCE      STATUS  SECONDS  READ  WRITTEN  VERSION  ERROR\n\
             2025-01-01 00:00:00  gold.dim  silver.dim  FAILED      3.0     7        -        -  DataQualityError: two\n"
        );
        assert_eq!(text_of(&[], None), "No runs yet.\n");
        // A long error takes no room from the figures.
        let long = ControlRow { error_message: Some(format!("SqlError: {}", "x".repeat(200))), ..row };
        let told = text_of(&[long], Some(110));
        assert!(
            told.starts_with("STARTED (UTC)        TARGET    SOURCE      STATUS  SECONDS  READ  WRITTEN"),
            "{told}"
        );
        assert!(told.contains("VERSION  ERROR\n") && told.ends_with("x…\n"), "{told}");
    }
}
