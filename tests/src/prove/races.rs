//! Processes that race: many on different pipelines of one warehouse, and several on the same pipeline. Every batch is
//! made once, no row of the control table is lost, and the only error that anybody sees is "busy".

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::clock::minute;
use super::write_project;
use crate::columns::{batch_from_text, parse_schema};
use crate::error::{Result, TestkitError};
use crate::foreign_reader::read_table;
use crate::logical::{committed_batches, dishonesty};
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};
use crate::text_table::TextTable;

const CONTROL: &str = "etl.etl_control";
const COLUMNS: &str = "id bigint, city string, eff timestamp";
/// Processes on different pipelines.
const PIPELINES: usize = 8;
/// Processes on one pipeline.
const RIVALS: usize = 4;
/// Default members of a dimension.
const DEFAULTS: usize = 4;

/// What came of the races.
#[derive(Debug, Default)]
pub struct Raced {
    /// Processes that were started.
    pub processes: usize,
    /// Of these, those that found their table busy.
    pub busy: usize,
}

/// Has `rounds` rounds of each race, by processes of the command `kimball`.
///
/// # Errors
/// [`TestkitError::Step`] when something is lost, doubled or not as it should be.
pub fn prove(kimball: &Path, rounds: usize) -> Result<Raced> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let folder = tempfile::tempdir().map_err(TestkitError::io("temp dir"))?;
    let race = Race { kimball, root: folder.path().to_path_buf(), runtime };
    race.prepare()?;
    let mut raced = Raced::default();
    for round in 0..rounds {
        for number in 0..PIPELINES {
            race.insert(number, round)?;
        }
        let busy = race.run(&(0..PIPELINES).collect::<Vec<_>>(), round)?;
        if busy > 0 {
            return Err(TestkitError::Step("a pipeline that nobody else loads was busy".to_owned()));
        }
        raced.processes += PIPELINES;
    }
    for number in 0..PIPELINES {
        race.require(number, rounds)?;
    }
    for round in rounds..2 * rounds {
        race.insert(0, round)?;
        raced.busy += race.run(&[0; RIVALS], round)?;
        raced.processes += RIVALS;
        race.require(0, round + 1)?;
    }
    Ok(raced)
}

struct Race<'a> {
    kimball: &'a Path,
    root: PathBuf,
    runtime: Runtime,
}

impl Race<'_> {
    fn warehouse(&self) -> PathBuf {
        self.root.join("warehouse")
    }

    fn prepare(&self) -> Result<()> {
        write_project(&self.root, &self.warehouse())?;
        let layout = TableLayout {
            schema: parse_schema(COLUMNS)?,
            partition_by: Vec::new(),
            change_feed: ChangeFeed::Enabled,
        };
        for number in 0..PIPELINES {
            let kind = match number % 2 {
                0 => "scd_type: 2\neffective_at: eff\ntrack_history_columns: [city]",
                _ => "scd_type: 1",
            };
            let config = format!(
                "table_name: gold.d{number}\ntable_type: dimension\n{kind}\n\
                 keys: {{surrogate_key: sk, natural_keys: [id]}}\nsources: [{{name: silver.s{number}}}]\n"
            );
            let path = self.config(number);
            fs::write(&path, config).map_err(TestkitError::io(&path))?;
            let source = SourceTable::at(&self.warehouse(), &format!("silver.s{number}"))?;
            self.runtime.block_on(source.create(&layout, Some(minute(0))))?;
        }
        Ok(())
    }

    fn config(&self, number: usize) -> PathBuf {
        self.root.join("configs").join(format!("d{number}.yml"))
    }

    /// Adds one row to a source.
    fn insert(&self, number: usize, round: usize) -> Result<()> {
        let schema = parse_schema(COLUMNS)?;
        let rows = TextTable::parse(&format!("id | city | eff\n{round} | Rome | 2024-01-01 00:00:00\n"))?;
        let source = SourceTable::at(&self.warehouse(), &format!("silver.s{number}"))?;
        let rows = batch_from_text(&schema, &rows)?;
        self.runtime.block_on(source.insert([rows], Some(minute(round + 1))))?;
        Ok(())
    }

    /// Starts a process for each of `numbers` at once; returns how many found their table busy.
    fn run(&self, numbers: &[usize], round: usize) -> Result<usize> {
        let start = |number: &usize| {
            let mut command = Command::new(self.kimball);
            command.current_dir(&self.root).arg("run").arg(self.config(*number));
            command.args(["--format", "json", "--run-time", &minute(round + 1).to_rfc3339()]);
            command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().map_err(TestkitError::io(self.kimball))
        };
        let started = numbers.iter().map(start).collect::<Result<Vec<_>>>()?;
        let mut busy = 0;
        for process in started {
            let ended = process.wait_with_output().map_err(TestkitError::io(self.kimball))?;
            let told = String::from_utf8_lossy(&ended.stdout);
            let said = String::from_utf8_lossy(&ended.stderr);
            let summary: Value =
                told.lines().last().and_then(|last| serde_json::from_str(last).ok()).unwrap_or_default();
            match (ended.status.code(), summary["results"][0]["error_class"].as_str()) {
                (Some(0), None) if said.is_empty() => {}
                (Some(1), Some("TableBusyError")) if numbers.len() < PIPELINES => busy += 1,
                _ => return Err(TestkitError::Step(format!("round {round}: {told}{said}"))),
            }
        }
        match busy < numbers.len() {
            true => Ok(busy),
            false => Err(TestkitError::Step(format!("round {round}: everybody found the table busy"))),
        }
    }

    /// Demands that a target holds `rounds` rows, loaded in as many batches, and that the control table says so.
    fn require(&self, number: usize, rounds: usize) -> Result<()> {
        let target = format!("gold.d{number}");
        let rows = self.runtime.block_on(read_table(&self.warehouse(), &target))?;
        let rows = rows.map_or(0, |rows| rows.values.len());
        let batches = committed_batches(&self.warehouse(), &target)?.len();
        if (rows, batches) != (rounds + DEFAULTS, rounds) {
            let what = format!("{target} has {rows} rows of {batches} batches after {rounds} rounds");
            return Err(TestkitError::Step(what));
        }
        match self.runtime.block_on(dishonesty(&self.warehouse(), CONTROL))? {
            Some(lie) => Err(TestkitError::Step(lie)),
            None => Ok(()),
        }
    }
}
