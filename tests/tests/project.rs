//! A project in a folder of its own: configs, sources, a warehouse, and what runs leave in it.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use kimball_tests::columns::{batch_from_text, parse_schema};
use kimball_tests::foreign_reader::{Rows, latest_version, read_table};
use kimball_tests::logical::{self, LogicalRow};
use kimball_tests::source_table::{ChangeFeed, SourceTable, TableLayout};
use kimball_tests::text_table::TextTable;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ended, Running, command};

/// The control table of every project here.
pub const CONTROL: &str = "gold.etl_control";

/// A project with the warehouse folder `warehouse` and the ETL schema `gold`.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
}

/// One row of `etl_control`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlRow {
    pub target_table: String,
    pub source_table: String,
    pub last_processed_version: Option<i64>,
    pub batch_id: String,
    pub status: String,
    pub error_message: Option<String>,
}

impl Project {
    /// A copy of the folder `files`, which holds `configs` and the targets file.
    pub fn of(files: &Path) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        copy(files, project.root());
        fs::create_dir_all(project.warehouse()).unwrap();
        project
    }

    /// The project as it is now, in another folder.
    pub fn copy(&self) -> Self {
        Self::of(self.root())
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn warehouse(&self) -> PathBuf {
        self.root().join("warehouse")
    }

    /// Writes a file, relative to the root.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file below the root with its content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.root().to_path_buf()];
        while let Some(folder) = pending.pop() {
            // An empty folder counts, too.
            files.insert(folder.clone(), Vec::new());
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// Runs the command in the folder.
    pub fn call(&self, line: &str) -> Ended {
        Ended::of(&mut command(self.root(), line))
    }

    /// Runs the pipelines, which must succeed, and gives the summary.
    pub fn load(&self, line: &str) -> Value {
        self.call(&format!("run --format json {line}")).with_code(0).summary()
    }

    /// Starts a run.
    pub fn start(&self, line: &str) -> Running {
        Running::start(&mut command(self.root(), line))
    }

    /// A Delta source with a change feed.
    pub fn source(&self, name: &str, columns: &str) -> Source {
        Source { table: SourceTable::at(&self.warehouse(), name).unwrap(), columns: columns.to_owned() }
    }

    /// The rows of a table; there must be one.
    pub fn rows(&self, table: &str) -> Rows {
        let rows = block_on(read_table(&self.warehouse(), table)).unwrap();
        rows.unwrap_or_else(|| panic!("there is no table {table}"))
    }

    /// The rows of a table in the same order always, without what differs between two runs that do the same.
    pub fn logical_rows(&self, table: &str) -> Vec<LogicalRow> {
        let rows = block_on(logical::logical_rows(&self.warehouse(), table)).unwrap();
        rows.unwrap_or_else(|| panic!("there is no table {table}"))
    }

    /// The version that the next commit to a table makes.
    pub fn next_version(&self, table: &str) -> u64 {
        latest_version(&self.warehouse(), table).unwrap().map_or(0, |version| version + 1)
    }

    /// The file of one commit.
    pub fn commit_file(&self, table: &str, version: u64) -> PathBuf {
        let folder = SourceTable::at(&self.warehouse(), table).unwrap().folder().join("_delta_log");
        folder.join(format!("{version:020}.json"))
    }

    /// Every row of the control table, sorted; none before the first run.
    pub fn control(&self) -> Vec<ControlRow> {
        let Some(rows) = block_on(read_table(&self.warehouse(), CONTROL)).unwrap() else { return Vec::new() };
        let columns = [
            "target_table",
            "source_table",
            "last_processed_version",
            "batch_id",
            "batch_status",
            "error_message",
        ];
        let rows = rows.select(&columns.map(str::to_owned)).unwrap();
        let mut control: Vec<ControlRow> = rows
            .values
            .into_iter()
            .map(|row| {
                let [target_table, source_table, version, batch_id, status, error_message] =
                    row.try_into().unwrap();
                ControlRow {
                    target_table: target_table.unwrap(),
                    source_table: source_table.unwrap(),
                    last_processed_version: version.map(|version| version.parse().unwrap()),
                    batch_id: batch_id.unwrap(),
                    status: status.unwrap(),
                    error_message,
                }
            })
            .collect();
        control.sort();
        control
    }

    /// The rows of the control table that say RUNNING for a target.
    pub fn running(&self, target: &str) -> Vec<ControlRow> {
        let rows = self.control().into_iter();
        rows.filter(|row| row.target_table == target && row.status == "RUNNING").collect()
    }

    /// The batches that the log of a table names, a commit each.
    pub fn committed_batches(&self, table: &str) -> Vec<String> {
        logical::committed_batches(&self.warehouse(), table).unwrap()
    }

    /// Demands that the control table tells what the targets' logs tell.
    pub fn require_honest_control(&self) {
        assert_eq!(block_on(logical::dishonesty(&self.warehouse(), CONTROL)).unwrap(), None);
    }
}

/// A Delta source table that is changed from outside, each change a commit with a time of its own.
#[derive(Debug)]
pub struct Source {
    table: SourceTable,
    columns: String,
}

impl Source {
    pub fn create(&self) {
        let layout = TableLayout {
            schema: parse_schema(&self.columns).unwrap(),
            partition_by: Vec::new(),
            change_feed: ChangeFeed::Enabled,
        };
        block_on(self.table.create(&layout, Some(time("2022-12-31T00:00:00Z")))).unwrap();
    }

    /// Inserts the rows of a small table.
    pub fn insert(&self, at: &str, rows: &str) {
        let schema = parse_schema(&self.columns).unwrap();
        let rows = batch_from_text(&schema, &TextTable::parse(rows).unwrap()).unwrap();
        block_on(self.table.insert([rows], Some(time(at)))).unwrap();
    }

    pub fn update(&self, at: &str, predicate: &str, assignments: &[(&str, &str)]) {
        let update = self.table.update(Some(predicate), assignments.iter().copied(), Some(time(at)));
        block_on(update).unwrap();
    }

    pub fn delete(&self, at: &str, predicate: &str) {
        block_on(self.table.delete(Some(predicate), Some(time(at)))).unwrap();
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Copies a folder with the times of its files, which are part of the version of a file source.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            fs::File::options().write(true).open(&copied).unwrap().set_modified(changed).unwrap();
        }
    }
}
