//! What must hold after a step's run.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Result, TestkitError};
use crate::foreign_reader::{self, Rows};
use crate::project_run::{PipelineOutcome, RunOutcome};
use crate::scenario::format::{ABSENT, LogExpect, PipelineExpect, Step, TableExpect};
use crate::scenario::matching::{self, Symbols};
use crate::text_table::TextTable;

/// The column and value that mark the rows a dimension is seeded with.
const DEFAULT_MEMBER: (&str, &str) = ("__key_origin", "default");

/// The newest version of each table before a run.
pub type Versions = BTreeMap<String, Option<u64>>;

/// A problem found: what it is about, then the details, possibly over several lines.
pub type Problem = String;

/// Compares what a run said with what the step expects.
pub fn check_outcome(step: &Step, outcome: &RunOutcome) -> Vec<Problem> {
    match (outcome, &step.refused) {
        (RunOutcome::Refused(message), Some(texts)) => missing_texts("the refusal", texts.all(), message),
        (RunOutcome::Refused(message), None) => vec![format!("the run was refused:\n{message}")],
        (RunOutcome::Finished(_), Some(_)) => vec!["the run was not refused".to_owned()],
        (RunOutcome::Finished(results), None) => check_results(&step.expect, results),
    }
}

fn check_results(expected: &BTreeMap<String, PipelineExpect>, results: &[PipelineOutcome]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for table in expected.keys().filter(|table| results.iter().all(|result| &result.table_name != *table)) {
        problems.push(format!("no result for {table}"));
    }
    let success = PipelineExpect::default();
    for result in results {
        let expect = expected.get(&result.table_name).unwrap_or(&success);
        problems.extend(check_pipeline(expect, result));
    }
    problems
}

fn check_pipeline(expect: &PipelineExpect, result: &PipelineOutcome) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut differ = |what: &str, expected: String, actual: String| {
        if expected != actual {
            problems.push(format!("{}: {what} is {actual}, expected {expected}", result.table_name));
        }
    };
    let status = expect.status.clone().unwrap_or_else(|| "SUCCESS".to_owned());
    let shown = match &result.message {
        Some(message) if status != result.status => format!("{} ({message})", result.status),
        _ => result.status.clone(),
    };
    differ("the status", status, shown);
    for (what, expected, actual) in [
        ("rows_read", expect.rows_read, result.rows_read),
        ("rows_written", expect.rows_written, result.rows_written),
        ("rows_inserted", expect.rows_inserted, result.rows_inserted),
        ("rows_updated", expect.rows_updated, result.rows_updated),
        ("rows_deleted", expect.rows_deleted, result.rows_deleted),
        ("rows_expired", expect.rows_expired, result.rows_expired),
        ("rows_repaired", expect.rows_repaired, result.rows_repaired),
        ("rows_restated", expect.rows_restated, result.rows_restated),
        ("members_inferred", expect.members_inferred, result.members_inferred),
    ] {
        if let Some(expected) = expected {
            differ(what, expected.to_string(), actual.to_string());
        }
    }
    if let Some(expected) = expect.up_to_date {
        differ("up_to_date", expected.to_string(), result.up_to_date.to_string());
    }
    if let Some(expected) = &expect.error_class {
        differ("the error class", expected.clone(), result.error_class.clone().unwrap_or_default());
    }
    let message = result.message.clone().unwrap_or_default();
    let texts = expect.message.as_ref().map_or(&[][..], |texts| texts.all());
    problems.extend(missing_texts(&format!("{}: the message", result.table_name), texts, &message));
    let texts = expect.warning.as_ref().map_or(&[][..], |texts| texts.all());
    let warnings = result.warnings.join("\n");
    problems.extend(missing_texts(&format!("{}: the warnings", result.table_name), texts, &warnings));
    problems
}

fn missing_texts(what: &str, texts: &[String], message: &str) -> Vec<Problem> {
    let lower = message.to_lowercase();
    let missing = texts.iter().filter(|text| !lower.contains(&text.to_lowercase()));
    missing.map(|text| format!("{what} does not hold `{text}`:\n{message}")).collect()
}

/// Compares tables, feeds, the control table and logs with what the step expects.
///
/// # Errors
/// When an expectation or a table cannot be read.
pub async fn check_tables(
    step: &Step,
    warehouse: &Path,
    before: &Versions,
    symbols: &mut Symbols,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (table, expect) in &step.tables {
        problems.extend(about(table, check_table(table, expect, warehouse, symbols).await));
    }
    for (table, rows) in &step.feed {
        let start = before.get(table).copied().flatten().map_or(0, |version| version + 1);
        let checked = check_feed(table, rows, warehouse, start, symbols).await;
        problems.extend(about(&format!("change feed of {table}"), checked));
    }
    if let Some(rows) = &step.control {
        let expect = TableExpect::Rows(rows.clone());
        problems.extend(about(
            "etl.etl_control",
            check_table("etl.etl_control", &expect, warehouse, symbols).await,
        ));
    }
    for (table, expect) in &step.log {
        let version = before.get(table).copied().flatten();
        problems.extend(about(&format!("log of {table}"), check_log(table, expect, warehouse, version)));
    }
    Ok(problems)
}

fn about(what: &str, checked: Result<Option<Problem>>) -> Option<Problem> {
    match checked {
        Ok(problem) => problem.map(|problem| format!("{what}:\n{problem}")),
        Err(error) => Some(format!("{what}: {error}")),
    }
}

async fn check_table(
    table: &str,
    expect: &TableExpect,
    warehouse: &Path,
    symbols: &mut Symbols,
) -> Result<Option<Problem>> {
    let actual = foreign_reader::read_table(warehouse, table).await?;
    if expect.rows().trim() == ABSENT {
        return Ok(actual.map(|_| "the table exists".to_owned()));
    }
    let Some(actual) = actual else { return Ok(Some("there is no such table".to_owned())) };
    let actual =
        if expect.with_defaults() { actual } else { actual.without(DEFAULT_MEMBER.0, DEFAULT_MEMBER.1) };
    matching::difference(&TextTable::parse(expect.rows())?, &actual, symbols)
}

async fn check_feed(
    table: &str,
    rows: &str,
    warehouse: &Path,
    start: u64,
    symbols: &mut Symbols,
) -> Result<Option<Problem>> {
    let Some(actual) = foreign_reader::read_feed(warehouse, table, start).await? else {
        return Ok(Some("there is no such table".to_owned()));
    };
    let actual: Rows = actual.without(DEFAULT_MEMBER.0, DEFAULT_MEMBER.1);
    matching::difference(&TextTable::parse(rows)?, &actual, symbols)
}

fn check_log(
    table: &str,
    expect: &LogExpect,
    warehouse: &Path,
    version: Option<u64>,
) -> Result<Option<Problem>> {
    let activity = foreign_reader::log_activity(warehouse, table, version)?;
    let commits = if expect.unchanged { Some(0) } else { expect.commits };
    if commits.is_none() && expect.data_files_added.is_none() {
        return Err(TestkitError::Step("a log expectation says nothing".to_owned()));
    }
    let mut problems = Vec::new();
    for (what, expected, actual) in [
        ("commits", commits, activity.commits),
        ("new data files", expect.data_files_added, activity.data_files_added),
    ] {
        if let Some(expected) = expected
            && expected != actual
        {
            problems.push(format!("{actual} {what}, expected {expected}"));
        }
    }
    Ok(if problems.is_empty() { None } else { Some(problems.join("\n")) })
}
