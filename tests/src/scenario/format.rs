//! The YAML of a scenario file; `scenarios/README.md` explains it to those who write one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Result, TestkitError};
use crate::text_table::TextTable;

/// In place of the rows of a table: it must not exist.
pub const ABSENT: &str = "absent";

/// A rule, what exercises it and what it demands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One sentence: what the scenario proves.
    pub name: String,
    /// The rules it stands for, as `semantics 4.2`.
    pub rule: Vec<String>,
    /// File name → text of a pipeline.
    pub configs: BTreeMap<String, String>,
    /// Text of `kimball.targets.yml` in place of the usual one; `@WAREHOUSE@` becomes the warehouse folder.
    pub targets: Option<String>,
    /// Delta source tables, created empty before the first step.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceSpec>,
    /// What happens, in order; all steps share one warehouse.
    pub steps: Vec<Step>,
}

/// A source table: its columns, or those and more.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum SourceSpec {
    /// `id bigint, name string`.
    Columns(String),
    /// With settings.
    Table(SourceSettings),
}

/// A source table with settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// `id bigint, name string`.
    pub columns: String,
    /// Whether it keeps a change feed.
    #[serde(default = "yes")]
    pub change_feed: bool,
    /// Its partition columns.
    #[serde(default)]
    pub partition_by: Vec<String>,
}

/// One step: first what changes, then a run, then what must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A word on what this step is about, shown with a failure.
    pub why: Option<String>,
    /// Pipelines that are added or replaced.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
    /// Tables whose folder is deleted; a source among them is created anew, empty.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Files written below the scenario's folder.
    #[serde(default)]
    pub files: BTreeMap<String, FileSpec>,
    /// Files deleted from it.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Commits to source tables, table by table in the order of their names.
    #[serde(default)]
    pub write: BTreeMap<String, Vec<WriteOp>>,
    /// A run of the project.
    pub run: Option<RunArgs>,
    /// What the run says of a pipeline, by table name; a pipeline that is not named must succeed.
    #[serde(default)]
    pub expect: BTreeMap<String, PipelineExpect>,
    /// The run is refused before anything is written, with messages that hold these texts.
    pub refused: Option<Texts>,
    /// The whole content of tables.
    #[serde(default)]
    pub tables: BTreeMap<String, TableExpect>,
    /// The whole change feed, since before the run, of tables.
    #[serde(default)]
    pub feed: BTreeMap<String, String>,
    /// The whole control table.
    pub control: Option<String>,
    /// What the run did to the logs of tables.
    #[serde(default)]
    pub log: BTreeMap<String, LogExpect>,
}

/// The content of a file to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum FileSpec {
    /// As it stands.
    Text(String),
    /// A Parquet file.
    Parquet(ParquetSpec),
}

/// A Parquet file from a small table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetSpec {
    /// `id bigint, name string`.
    pub columns: String,
    /// The rows.
    pub rows: String,
}

/// One commit on a source table; exactly one of its verbs is given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteOp {
    /// The commit's time; by default a minute after the last commit or run.
    pub at: Option<String>,
    /// Rows to append.
    pub insert: Option<String>,
    /// Rows that replace all others.
    pub replace: Option<String>,
    /// `true`: an empty table takes the place of the table, within its log.
    pub redefine: Option<bool>,
    /// Columns to set in some rows.
    pub update: Option<UpdateOp>,
    /// The SQL predicate of rows to delete; `true` deletes all.
    pub delete: Option<String>,
    /// Rows to update or insert and keys to delete, in one commit.
    pub merge: Option<MergeOp>,
    /// Table properties to set.
    pub properties: Option<BTreeMap<String, String>>,
}

/// An `UPDATE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateOp {
    /// Column → SQL expression.
    pub set: BTreeMap<String, String>,
    /// The SQL predicate of the rows.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
}

/// A `MERGE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeOp {
    /// The columns that rows are matched by.
    pub on: Vec<String>,
    /// Rows to update or insert.
    pub upsert: Option<String>,
    /// Keys to delete.
    pub delete: Option<String>,
}

/// How the project is run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunArgs {
    /// The run's clock reading; by default a minute after the last commit or run.
    pub at: Option<String>,
    /// Only these config files.
    #[serde(default)]
    pub only: Vec<String>,
    /// A failure skips only what depends on it.
    #[serde(default)]
    pub keep_going: bool,
    /// Workers a wave.
    pub workers: Option<usize>,
    /// All sources are read again and the tables reconciled with them.
    #[serde(default)]
    pub full_refresh: bool,
    /// The tables are rebuilt.
    #[serde(default)]
    pub allow_history_loss: bool,
}

/// What the summary must say of a pipeline; what is left out is not looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineExpect {
    /// SUCCESS (the default), FAILED or SKIPPED.
    pub status: Option<String>,
    /// Whether nothing was new.
    pub up_to_date: Option<bool>,
    /// Rows read from all sources.
    pub rows_read: Option<u64>,
    /// Rows the target gained or changed.
    pub rows_written: Option<u64>,
    /// Rows inserted.
    pub rows_inserted: Option<u64>,
    /// Rows updated in place.
    pub rows_updated: Option<u64>,
    /// Rows deleted, softly or hard.
    pub rows_deleted: Option<u64>,
    /// Versions that were superseded or closed.
    pub rows_expired: Option<u64>,
    /// Rows that got the key they waited for.
    pub rows_repaired: Option<u64>,
    /// Rows that got the key of another version.
    pub rows_restated: Option<u64>,
    /// Members that dimensions inferred.
    pub members_inferred: Option<u64>,
    /// The class of the error.
    pub error_class: Option<String>,
    /// Texts that the error message holds, in any case of letters.
    pub message: Option<Texts>,
    /// Texts that the warnings of the run for this pipeline hold, in any case of letters.
    pub warning: Option<Texts>,
}

/// One text or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// All of these.
    Many(Vec<String>),
}

/// The expected content of a table: its rows, or `absent`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum TableExpect {
    /// Its rows without the default members.
    Rows(String),
    /// With settings.
    Table(TableSettings),
}

/// The expected content of a table with settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSettings {
    /// Its rows.
    pub rows: String,
    /// Whether the default members are among them.
    #[serde(default)]
    pub defaults: bool,
}

/// What a run must have done to the log of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogExpect {
    /// No commit at all.
    #[serde(default)]
    pub unchanged: bool,
    /// So many commits.
    pub commits: Option<u64>,
    /// So many new data files.
    pub data_files_added: Option<u64>,
}

impl Texts {
    /// The texts.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when it cannot be read, [`TestkitError::Scenario`] when it is no scenario or
    /// names no rule.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(TestkitError::io(path))?;
        Self::parse(&text, path)
    }

    /// Reads the text of a scenario file; `path` is for messages.
    ///
    /// # Errors
    /// [`TestkitError::Scenario`] when it is no scenario or names no rule.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |message: String| TestkitError::Scenario { path: PathBuf::from(path), message };
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if scenario.rule.is_empty() {
            return Err(wrong("a scenario names its rule".to_owned()));
        }
        for (index, step) in scenario.steps.iter().enumerate() {
            step.check().map_err(|message| wrong(format!("step {}: {message}", index + 1)))?;
        }
        Ok(scenario)
    }
}

impl Step {
    /// What a type cannot say: expectations of a run need one, a write has one verb.
    fn check(&self) -> std::result::Result<(), String> {
        let about_a_run = !self.expect.is_empty()
            || self.refused.is_some()
            || !self.feed.is_empty()
            || !self.log.is_empty();
        if self.run.is_none() && about_a_run {
            return Err("`expect`, `refused`, `feed` and `log` need a `run`".to_owned());
        }
        if self.refused.is_some() && !self.expect.is_empty() {
            return Err("a run that is refused has no pipelines to expect".to_owned());
        }
        for (table, operations) in &self.write {
            for operation in operations {
                if operation.verbs() != 1 {
                    return Err(format!("a commit to {table} needs exactly one verb"));
                }
            }
        }
        let tables = self.tables.iter().map(|(table, expect)| (table.as_str(), expect.rows()));
        let feeds = self.feed.iter().map(|(table, rows)| (table.as_str(), rows.as_str()));
        let control = self.control.iter().map(|rows| ("control", rows.as_str()));
        for (table, rows) in tables.chain(feeds).chain(control) {
            if rows.trim() != ABSENT {
                TextTable::parse(rows).map_err(|error| format!("{table}: {error}"))?;
            }
        }
        Ok(())
    }
}

impl TableExpect {
    /// The rows as written, or [`ABSENT`].
    pub fn rows(&self) -> &str {
        match self {
            Self::Rows(rows) => rows,
            Self::Table(table) => &table.rows,
        }
    }

    /// Whether the default members are among them.
    pub fn with_defaults(&self) -> bool {
        matches!(self, Self::Table(table) if table.defaults)
    }
}

impl WriteOp {
    fn verbs(&self) -> usize {
        [
            self.insert.is_some(),
            self.replace.is_some(),
            self.redefine == Some(true),
            self.update.is_some(),
            self.delete.is_some(),
            self.merge.is_some(),
            self.properties.is_some(),
        ]
        .into_iter()
        .filter(|given| *given)
        .count()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
