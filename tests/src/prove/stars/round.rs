//! One round: sources that change, facts over them, and the truth that each fact has to tell after every batch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::datasource::MemTable;
use kimball::{Foresight, PipelineExecutor};
use tokio::runtime::Runtime;

use super::grammar::Query;
use super::source::{self, History, Rows};
use crate::error::{Result, TestkitError};
use crate::foreign_reader::{self, read_table};
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::prove::write_project;

/// A row as text, NULL as `None`.
pub(super) type Row = Vec<Option<String>>;

/// Queries and the history of their sources.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) queries: Vec<Query>,
    pub(super) history: History,
}

/// A fact that does not tell the truth.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) query: usize,
    /// The batch after which it showed.
    pub(super) batch: usize,
    /// The world of a row that differs, where one is known.
    pub(super) world: Option<i64>,
    pub(super) difference: String,
}

/// What a fact has to hold: the query's rows, and those that were there once and are not any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    pub(super) columns: Vec<String>,
    pub(super) live: Vec<Row>,
    /// By key, the row as it was last.
    pub(super) gone: BTreeMap<Row, Row>,
}

fn table_of(query: usize) -> String {
    format!("gold.fact_{query}")
}

impl Query {
    pub(super) fn config(&self, number: usize) -> String {
        let sources = self
            .sources
            .iter()
            .map(|it| format!("{{name: {}, alias: {}}}", source::table(*it), source::alias(*it)));
        format!(
            "table_name: {}\ntable_type: fact\nmerge_keys: [{}]\ndelete_strategy: {}\nsources: [{}]\ntransformation_sql: |\n  {}\n",
            table_of(number),
            self.keys.join(", "),
            if self.deletes_hard { "hard" } else { "soft" },
            sources.collect::<Vec<_>>().join(", "),
            self.sql
        )
    }

    /// What the fact has to hold after each batch of a history.
    pub(super) async fn truths(&self, history: &History) -> Result<Vec<Truth>> {
        let mut truths: Vec<Truth> = Vec::new();
        for state in history.states() {
            let (columns, live) = self.evaluate(&state).await?;
            let keys: BTreeSet<Row> = live.iter().map(|row| self.key_of(&columns, row)).collect();
            if keys.len() < live.len() {
                return Err(TestkitError::Step("the query was drawn without a grain".to_owned()));
            }
            let mut gone: BTreeMap<Row, Row> = BTreeMap::new();
            if let Some(last) = truths.last() {
                gone.clone_from(&last.gone);
                gone.extend(last.live.iter().map(|row| (self.key_of(&columns, row), row.clone())));
            }
            for row in &live {
                gone.remove(&self.key_of(&columns, row));
            }
            truths.push(Truth { columns, live, gone });
        }
        Ok(truths)
    }

    fn key_of(&self, columns: &[String], row: &Row) -> Row {
        let place = |key: &String| columns.iter().position(|column| column == key);
        self.keys.iter().map(|key| place(key).and_then(|place| row.get(place).cloned().flatten())).collect()
    }

    async fn evaluate(&self, state: &BTreeMap<usize, Rows>) -> Result<(Vec<String>, Vec<Row>)> {
        let session = foreign_reader::sound_session();
        for source in &self.sources {
            let rows = source::batch(state.get(source).unwrap_or(&Rows::new()))?;
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
            session.register_table(source::alias(*source).as_str(), Arc::new(table))?;
        }
        let rows = foreign_reader::collect(session.sql(&self.sql).await?).await?;
        let mut values = rows.values;
        values.sort();
        Ok((rows.columns, values))
    }
}

impl Round {
    /// How many cases the round holds: a query over one history.
    pub(super) fn cases(&self, worlds: i64) -> usize {
        let worlds = usize::try_from(worlds).unwrap_or(1);
        self.queries.iter().map(|query| if query.by_world { worlds } else { 1 }).sum()
    }

    /// Leaves out the queries that DataFusion itself cannot plan.
    pub(super) async fn leave_out_unplannable(&mut self) {
        let mut plannable = Vec::new();
        for query in self.queries.drain(..) {
            if query.evaluate(&BTreeMap::new()).await.is_ok() {
                plannable.push(query);
            }
        }
        self.queries = plannable;
    }

    pub(super) fn sources(&self) -> BTreeSet<usize> {
        self.queries.iter().flat_map(|query| query.sources.clone()).collect()
    }

    /// Loads all facts after every batch; the first that does not tell the truth. Counts in `ways` how the last
    /// batch was computed.
    pub(super) fn check(
        &self,
        runtime: &Runtime,
        ways: &mut BTreeMap<String, usize>,
    ) -> Result<Option<Wrong>> {
        let folder = tempfile::tempdir().map_err(TestkitError::io("temporary folder"))?;
        let root = folder.path();
        let warehouse = root.join("warehouse");
        write_project(root, &warehouse)?;
        for (number, query) in self.queries.iter().enumerate() {
            let file = root.join("configs").join(format!("{number}.yml"));
            std::fs::write(&file, query.config(number)).map_err(TestkitError::io(&file))?;
        }
        runtime.block_on(source::create(&warehouse, &self.sources()))?;
        let mut truths = Vec::new();
        for query in &self.queries {
            let drawn = runtime.block_on(query.truths(&self.history));
            truths.push(drawn.map_err(|error| TestkitError::Step(format!("{error}: {}", query.sql)))?);
        }
        for (number, batch) in self.history.batches.iter().enumerate() {
            for (source, commit) in batch.iter().filter(|(source, _)| self.sources().contains(source)) {
                runtime.block_on(commit.write(&warehouse, *source))?;
            }
            let time = run_time(number);
            if number + 1 == self.history.batches.len() {
                count_ways(root, time, ways)?;
            }
            let outcomes = match run_project(&request(root, time))? {
                RunOutcome::Refused(message) => return Err(TestkitError::Step(message)),
                RunOutcome::Finished(outcomes) => outcomes,
            };
            for (place, query) in self.queries.iter().enumerate() {
                let wrong = |world, difference| Wrong { query: place, batch: number, world, difference };
                let outcome = outcomes.iter().find(|outcome| outcome.table_name == table_of(place));
                if let Some(outcome) = outcome.filter(|outcome| outcome.status != "SUCCESS") {
                    return Ok(Some(wrong(None, format!("it fails: {:?}", outcome.message))));
                }
                let Some(truth) = truths.get(place).and_then(|truths| truths.get(number)) else { continue };
                if let Some((world, difference)) =
                    runtime.block_on(query.difference(truth, &warehouse, &table_of(place)))?
                {
                    return Ok(Some(wrong(world, difference)));
                }
            }
        }
        Ok(None)
    }
}

impl Query {
    /// How a fact's rows differ from the truth, and the world of one that does.
    async fn difference(
        &self,
        truth: &Truth,
        warehouse: &Path,
        table: &str,
    ) -> Result<Option<(Option<i64>, String)>> {
        let Some(rows) = read_table(warehouse, table).await? else {
            return Ok(Some((None, "there is no table".to_owned())));
        };
        let mut columns = truth.columns.clone();
        columns.push("__is_deleted".to_owned());
        let (mut live, mut gone) = (Vec::new(), Vec::new());
        for mut row in rows.select(&columns)?.values {
            match row.pop().flatten().as_deref() {
                Some("true") => gone.push(self.key_of(&truth.columns, &row)),
                _ => live.push(row),
            }
        }
        live.sort();
        gone.sort();
        let expected_gone: Vec<Row> = match self.deletes_hard {
            true => Vec::new(),
            false => truth.gone.keys().cloned().collect(),
        };
        let told = differing("rows", &truth.live, &live)
            .or_else(|| differing("deleted keys", &expected_gone, &gone));
        Ok(told.map(|(row, text)| {
            let world = row.first().cloned().flatten().and_then(|world| world.parse().ok());
            (world, text)
        }))
    }
}

/// The first row that one list has and the other has not, and all such rows as text; both lists are sorted.
fn differing(what: &str, expected: &[Row], found: &[Row]) -> Option<(Row, String)> {
    if expected == found {
        return None;
    }
    let only = |rows: &[Row], others: &[Row]| {
        let mut count: BTreeMap<Row, usize> = BTreeMap::new();
        others.iter().for_each(|row| *count.entry(row.clone()).or_default() += 1);
        let is_extra = |row: &&Row| match count.get_mut(*row) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        };
        rows.iter().filter(is_extra).cloned().collect::<Vec<Row>>()
    };
    let (missing, extra) = (only(expected, found), only(found, expected));
    let first = missing.first().or(extra.first())?.clone();
    let text =
        |rows: &[Row]| rows.iter().map(|row| format!("    {}", shown(row))).collect::<Vec<_>>().join("\n");
    Some((first, format!("{what} expected only\n{}\n  found only\n{}", text(&missing), text(&extra))))
}

pub(super) fn shown(row: &Row) -> String {
    row.iter().map(|cell| crate::text_table::write_value(cell.as_deref())).collect::<Vec<_>>().join(" | ")
}

fn run_time(batch: usize) -> DateTime<Utc> {
    let hours = i64::try_from(batch).unwrap_or_default();
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default() + TimeDelta::hours(hours)
}

fn request(root: &Path, run_time: DateTime<Utc>) -> RunRequest {
    RunRequest {
        configs: vec![root.join("configs")],
        targets: root.join("kimball.targets.yml"),
        run_time,
        on_failure: OnFailure::KeepGoing,
        workers: 2,
        refresh: kimball::Refresh::Incremental,
        retries: 0,
    }
}

/// Counts how the next run would compute each fact.
fn count_ways(root: &Path, time: DateTime<Utc>, ways: &mut BTreeMap<String, usize>) -> Result<()> {
    let configs: PathBuf = root.join("configs");
    let failed = |error: kimball::ExecutorError| TestkitError::Step(error.message());
    let executor = PipelineExecutor::builder()
        .config_paths([configs.display().to_string()])
        .targets_file(root.join("kimball.targets.yml"))
        .environment(BTreeMap::new())
        .run_time(time)
        .build()
        .map_err(failed)?;
    for foresight in executor.dry_run().map_err(failed)?.previews.values() {
        let way = match foresight {
            Foresight::Preview(preview) => preview.query.clone(),
            Foresight::Unknown { message, .. } => message.clone(),
        };
        *ways.entry(way).or_default() += 1;
    }
    Ok(())
}
