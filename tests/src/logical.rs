//! What two runs that do the same agree on: the rows of tables, and a control table that tells what the logs tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{Result, TestkitError};
use crate::foreign_reader::{commit_files, read_table};

/// Columns that differ between two runs that do the same.
const UNREPEATABLE: &[&str] =
    &["__etl_batch_id", "__etl_processed_at", "batch_id", "first_batch_id", "last_batch_id"];

/// The columns of a row by name.
pub type LogicalRow = Vec<(String, Option<String>)>;

/// The rows of `schema.table` in the same order always, without what differs between two runs that do the same; `None`
/// when there is no such table.
///
/// # Errors
/// When the table cannot be read.
pub async fn logical_rows(warehouse: &Path, table: &str) -> Result<Option<Vec<LogicalRow>>> {
    let Some(rows) = read_table(warehouse, table).await? else { return Ok(None) };
    let named = |row: Vec<Option<String>>| rows.columns.iter().cloned().zip(row);
    let kept = rows.values.iter().map(|row| {
        named(row.clone()).filter(|(column, _)| !UNREPEATABLE.contains(&column.as_str())).collect()
    });
    let mut kept: Vec<LogicalRow> = kept.collect();
    kept.sort();
    Ok(Some(kept))
}

/// The batches that the log of a table names, a commit each.
///
/// # Errors
/// When a commit cannot be read.
pub fn committed_batches(warehouse: &Path, table: &str) -> Result<Vec<String>> {
    let mut batches = Vec::new();
    for (_, path) in commit_files(warehouse, table)? {
        let commit = fs::read_to_string(&path).map_err(TestkitError::io(&path))?;
        batches.extend(commit.lines().find_map(batch_of));
    }
    Ok(batches)
}

/// The batch that one action of a commit names, if it is a commit's own description and names one.
fn batch_of(action: &str) -> Option<String> {
    let action: Value = serde_json::from_str(action).ok()?;
    let metadata: Value = serde_json::from_str(action["commitInfo"]["userMetadata"].as_str()?).ok()?;
    Some(metadata["batch_id"].as_str()?.to_owned())
}

/// Where a control table tells something else than the logs of the targets, in words: a batch that is open, one that
/// says SUCCESS without its commit or the other way round, one that is in the log twice, or a row that is. A batch of no
/// rows may be without a commit: it says that nothing was new, after one that failed.
///
/// # Errors
/// When a table cannot be read.
pub async fn dishonesty(warehouse: &Path, control: &str) -> Result<Option<String>> {
    let Some(rows) = read_table(warehouse, control).await? else { return Ok(None) };
    let columns = ["target_table", "source_table", "batch_id", "batch_status", "rows_read", "rows_written"];
    let columns = columns.map(str::to_owned);
    let mut targets: BTreeMap<String, Vec<[String; 5]>> = BTreeMap::new();
    for row in rows.select(&columns)?.values {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let target = values.next().unwrap_or_default();
        targets.entry(target).or_default().push(std::array::from_fn(|_| values.next().unwrap_or_default()));
    }
    for (target, rows) in targets {
        let with = |wanted: &str| {
            let having = rows.iter().filter(|[_, _, status, ..]| status == wanted);
            having.map(|[_, batch, ..]| batch.clone()).collect::<BTreeSet<_>>()
        };
        let of_rows: BTreeSet<&String> = rows
            .iter()
            .filter(|[.., read, written]| read != "0" || written != "0")
            .map(|[_, batch, ..]| batch)
            .collect();
        let committed = committed_batches(warehouse, &target)?;
        let distinct_committed: BTreeSet<String> = committed.iter().cloned().collect();
        let (succeeded, failed) = (with("SUCCESS"), with("FAILED"));
        let mut uncommitted = succeeded.difference(&distinct_committed);
        let distinct: BTreeSet<_> = rows.iter().map(|[source, batch, ..]| (source, batch)).collect();
        let wrong = if rows.iter().any(|[_, _, status, ..]| status != "SUCCESS" && status != "FAILED") {
            "a batch is open"
        } else if !distinct_committed.is_subset(&succeeded)
            || uncommitted.any(|batch| of_rows.contains(batch))
        {
            "the batches that say SUCCESS are not those of the log"
        } else if committed.len() != distinct_committed.len() {
            "a batch was committed twice"
        } else if !failed.is_disjoint(&succeeded) {
            "a batch says both SUCCESS and FAILED"
        } else if distinct.len() != rows.len() {
            "a row stands there twice"
        } else {
            continue;
        };
        return Ok(Some(format!("{target}: {wrong}: the log has {committed:?}, {control} {rows:#?}")));
    }
    Ok(None)
}
