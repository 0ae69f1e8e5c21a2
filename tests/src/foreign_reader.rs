//! Tables as somebody else's reader sees them: through `deltalake`, DataFusion and the log's own JSON.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::DeltaCdfTableProvider;

use crate::columns::{plain, texts};
use crate::error::{Result, TestkitError};
use crate::source_table::SourceTable;

/// The rows of a table with their values as canonical text.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Column names, as stored.
    pub columns: Vec<String>,
    /// Column types, encodings resolved.
    pub types: Vec<DataType>,
    /// One vector a row, one value a column, NULL as `None`.
    pub values: Vec<Vec<Option<String>>>,
}

/// What the commits of a range did to the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogActivity {
    /// Commits in the range.
    pub commits: u64,
    /// Data files that were added and did not merely get another deletion vector.
    pub data_files_added: u64,
}

impl Rows {
    /// These columns only, in this order.
    ///
    /// # Errors
    /// [`TestkitError::UnknownColumn`] for a column that the table does not have.
    pub fn select(&self, columns: &[String]) -> Result<Self> {
        let mut positions = Vec::new();
        for column in columns {
            let position = self.columns.iter().position(|name| name == column).ok_or_else(|| {
                TestkitError::UnknownColumn { column: column.clone(), known: self.columns.clone() }
            })?;
            positions.push(position);
        }
        Ok(Self {
            columns: columns.to_vec(),
            types: positions.iter().map(|&position| self.types[position].clone()).collect(),
            values: self
                .values
                .iter()
                .map(|row| positions.iter().map(|&position| row[position].clone()).collect())
                .collect(),
        })
    }

    /// Only the rows whose `column` does not hold `value`; all of them when there is no such column.
    pub fn without(mut self, column: &str, value: &str) -> Self {
        if let Some(position) = self.columns.iter().position(|name| name == column) {
            self.values.retain(|row| row[position].as_deref() != Some(value));
        }
        self
    }

    fn from_batch(batch: &RecordBatch) -> Result<Self> {
        let columns = batch.columns().iter().map(plain).collect::<Result<Vec<_>>>()?;
        let cells = columns.iter().map(texts).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            columns: batch.schema().fields().iter().map(|field| field.name().clone()).collect(),
            types: columns.iter().map(|column| column.data_type().clone()).collect(),
            values: (0..batch.num_rows())
                .map(|row| cells.iter().map(|column| column[row].clone()).collect())
                .collect(),
        })
    }
}

/// A session whose answers can be trusted: without the rules that push filters down in physical plans, which mix up
/// columns of one name (<https://github.com/apache/datafusion/issues/25296>).
pub fn sound_session() -> SessionContext {
    let rules = PhysicalOptimizer::new().rules;
    let sound = rules.into_iter().filter(|rule| !rule.name().starts_with("FilterPushdown"));
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_physical_optimizer_rules(sound.collect())
        .build();
    SessionContext::new_with_state(state)
}

/// Every row of the newest version of `schema.table`; `None` when there is no such table.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_table(warehouse: &Path, name: &str) -> Result<Option<Rows>> {
    let Some(table) = open(warehouse, name).await? else { return Ok(None) };
    let context = SessionContext::new();
    let frame = context.read_table(table.table_provider().await?)?;
    collect(frame).await.map(Some)
}

/// Every row of one version of `schema.table`.
///
/// # Errors
/// When the table cannot be read at that version.
pub async fn read_table_at(warehouse: &Path, name: &str, version: u64) -> Result<Rows> {
    let url = SourceTable::at(warehouse, name)?.url().clone();
    let table = deltalake::open_table_with_version(url, version).await?;
    let context = SessionContext::new();
    collect(context.read_table(table.table_provider().await?)?).await
}

/// The change feed of `schema.table` from version `start` on, with `_change_type` and `_commit_version`.
///
/// # Errors
/// When the table cannot be read or keeps no change feed.
pub async fn read_feed(warehouse: &Path, name: &str, start: u64) -> Result<Option<Rows>> {
    let Some(table) = open(warehouse, name).await? else { return Ok(None) };
    let feed = table.scan_cdf().with_starting_version(start).with_allow_out_of_range();
    let context = SessionContext::new();
    let frame = context.read_table(Arc::new(DeltaCdfTableProvider::try_new(feed)?))?;
    collect(frame).await.map(Some)
}

async fn open(warehouse: &Path, name: &str) -> Result<Option<DeltaTable>> {
    let table = SourceTable::at(warehouse, name)?;
    if !table.exists() {
        return Ok(None);
    }
    Ok(Some(deltalake::open_table(table.url().clone()).await?))
}

pub(crate) async fn collect(frame: DataFrame) -> Result<Rows> {
    let schema = Arc::clone(frame.schema().inner());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Rows::from_batch(&concat_batches(&schema, &batches)?)
}

/// The newest version of the log of `schema.table`; `None` when there is no such table.
///
/// # Errors
/// When the folder of the log cannot be listed.
pub fn latest_version(warehouse: &Path, name: &str) -> Result<Option<u64>> {
    Ok(commit_files(warehouse, name)?.last().map(|(version, _)| *version))
}

/// What the commits after `version` (or all, for `None`) did.
///
/// # Errors
/// When a commit cannot be read.
pub fn log_activity(warehouse: &Path, name: &str, version: Option<u64>) -> Result<LogActivity> {
    let mut activity = LogActivity { commits: 0, data_files_added: 0 };
    for (_, path) in commit_files(warehouse, name)?.into_iter().filter(|(commit, _)| Some(*commit) > version)
    {
        activity.commits += 1;
        activity.data_files_added += new_data_files(&path)?;
    }
    Ok(activity)
}

fn new_data_files(commit: &Path) -> Result<u64> {
    let text = fs::read_to_string(commit).map_err(TestkitError::io(commit))?;
    let (mut added, mut removed) = (HashSet::new(), HashSet::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let action: serde_json::Value = serde_json::from_str(line)
            .map_err(|source| TestkitError::CommitJson { path: commit.to_path_buf(), source })?;
        let path_of = |kind: &str| action[kind]["path"].as_str().map(str::to_owned);
        added.extend(path_of("add"));
        removed.extend(path_of("remove"));
    }
    Ok(added.difference(&removed).count() as u64)
}

pub(crate) fn commit_files(warehouse: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>> {
    let log = SourceTable::at(warehouse, name)?.folder().join("_delta_log");
    if !log.is_dir() {
        return Ok(Vec::new());
    }
    let mut commits = Vec::new();
    for entry in fs::read_dir(&log).map_err(TestkitError::io(&log))? {
        let path = entry.map_err(TestkitError::io(&log))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "json") && stem.len() == 20 {
            commits.extend(stem.parse().ok().map(|version| (version, path.clone())));
        }
    }
    commits.sort();
    Ok(commits)
}
