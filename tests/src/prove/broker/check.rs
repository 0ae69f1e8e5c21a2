//! A round carried out: run after run, tables against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::laws::breach;
use super::model::{Dimensions, FactRow, FactRows, Found, MemberRow, NOT_YET_AVAILABLE, load};
use super::project::{EVENT_COLUMNS, EVENTS, MEMBER_COLUMNS, MEMBERS, pipelines};
use super::round::{BATCHES, DIMENSIONS, Dimension, Fact, Round, text, time};
use super::sources::{Merge, event_merge, member_merge};
use super::tables::{LoadedRow, fact_rows, members, open_keys};
use crate::columns::{batch_from_text, parse_schema};
use crate::error::{Result, TestkitError};
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};
use crate::targets::targets_file;

/// Where tables and model part, and what is concerned.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) batch: usize,
    pub(super) told: String,
    /// The member, where it is one of a dimension that differs.
    pub(super) member: Option<(Dimension, Vec<String>)>,
    /// The row, where it is one of a fact.
    pub(super) row: Option<RowPlace>,
}

/// A row of a fact, and the foreign key in it that differs.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPlace {
    pub(super) fact: u64,
    pub(super) key: Option<u64>,
    pub(super) event: i64,
}

/// What the tables should hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) dimensions: Dimensions,
    pub(super) facts: BTreeMap<u64, FactRows>,
}

/// A round that differs: how, and what should be there.
pub(super) type Refutation = (Difference, Expected);

/// Carries out a round; the first difference ends it.
pub(super) fn check(runtime: &Runtime, round: &Round) -> Result<Option<Refutation>> {
    let folder = tempfile::tempdir().map_err(TestkitError::io("temporary folder"))?;
    let checked = Checked { runtime, round, root: folder.path(), warehouse: folder.path().join("warehouse") };
    checked.write_project()?;
    let mut expected = Expected::default();
    for batch in 0..BATCHES {
        checked.write_batch(batch)?;
        if let Some(told) = checked.run(batch)? {
            let difference = Difference { batch, told, member: None, row: None };
            return Ok(Some((difference, expected)));
        }
        if let Some(difference) = runtime.block_on(checked.compare(batch, &mut expected))? {
            return Ok(Some((difference, expected)));
        }
    }
    Ok(None)
}

struct Checked<'a> {
    runtime: &'a Runtime,
    round: &'a Round,
    root: &'a Path,
    warehouse: PathBuf,
}

impl Checked<'_> {
    fn write_project(&self) -> Result<()> {
        let configs = self.root.join("configs");
        std::fs::create_dir_all(&configs).map_err(TestkitError::io(&configs))?;
        let targets = targets_file(&self.warehouse.display().to_string());
        let path = self.root.join("kimball.targets.yml");
        std::fs::write(&path, targets).map_err(TestkitError::io(&path))?;
        for (name, text) in pipelines(self.round) {
            let path = configs.join(name);
            std::fs::write(&path, text).map_err(TestkitError::io(&path))?;
        }
        for (table, columns) in [(MEMBERS, MEMBER_COLUMNS), (EVENTS, EVENT_COLUMNS)] {
            let schema = parse_schema(columns)?;
            let layout = TableLayout { schema, partition_by: Vec::new(), change_feed: ChangeFeed::Enabled };
            let table = SourceTable::at(&self.warehouse, table)?;
            self.runtime.block_on(table.create(&layout, Some(time(0))))?;
        }
        self.merge(MEMBERS, "id", member_merge(self.round, 0), 0)
    }

    fn write_batch(&self, batch: usize) -> Result<()> {
        for (version, at) in Round::commits(batch) {
            self.merge(MEMBERS, "id", member_merge(self.round, version), at)?;
        }
        self.merge(EVENTS, "event_id", event_merge(self.round, batch), self.round.clock(batch))
    }

    fn merge(&self, table: &str, key: &str, merge: Option<Merge>, at: i64) -> Result<()> {
        let Some(merge) = merge else { return Ok(()) };
        let schema = parse_schema(if table == MEMBERS { MEMBER_COLUMNS } else { EVENT_COLUMNS })?;
        let upserts = merge.upserts.map(|rows| batch_from_text(&schema, &rows)).transpose()?;
        let deletes = merge.deletes.map(|rows| batch_from_text(&schema, &rows)).transpose()?;
        let table = SourceTable::at(&self.warehouse, table)?;
        self.runtime.block_on(table.merge(&[key.to_owned()], upserts, deletes, Some(time(at))))?;
        Ok(())
    }

    /// Runs the whole project; the message of a pipeline that failed.
    fn run(&self, batch: usize) -> Result<Option<String>> {
        let request = RunRequest {
            configs: vec![self.root.join("configs")],
            targets: self.root.join("kimball.targets.yml"),
            run_time: time(self.round.clock(batch)),
            on_failure: OnFailure::KeepGoing,
            workers: 2,
            refresh: kimball::Refresh::Incremental,
            retries: 0,
        };
        Ok(match run_project(&request)? {
            RunOutcome::Refused(message) => Some(message),
            RunOutcome::Finished(results) => results.into_iter().find_map(|result| {
                (result.status != "SUCCESS").then(|| format!("{}: {:?}", result.table_name, result.message))
            }),
        })
    }

    /// Brings `expected` from the state before the batch to the one after it, and compares.
    async fn compare(&self, batch: usize, expected: &mut Expected) -> Result<Option<Difference>> {
        let mut found = Dimensions::new();
        for dimension in DIMENSIONS {
            let is_read = |fact: &Fact| fact.keys.iter().any(|key| key.dimension == dimension);
            if !self.round.facts.iter().any(is_read) {
                continue;
            }
            let rows = members(&self.warehouse, dimension).await?;
            let before = expected.dimensions.insert(dimension, Vec::new()).unwrap_or_default();
            if let Some((identity, told)) = breach(dimension, &before, &rows, &self.round.members, batch) {
                let told =
                    format!("{} {identity:?}: {told}\n{}", dimension.table(), listed(&rows, &identity));
                return Ok(Some(Difference { batch, told, member: Some((dimension, identity)), row: None }));
            }
            expected.dimensions.insert(dimension, without_inferred(&before, &rows));
            found.insert(dimension, rows);
        }
        let clock = self.round.clock(batch);
        let said: Vec<_> = self.round.said(batch).collect();
        for fact in &self.round.facts {
            let rows = expected.facts.entry(fact.number).or_default();
            load(fact, rows, &said, &mut expected.dimensions, clock);
        }
        let mut keys = BTreeMap::new();
        for (dimension, rows) in &mut expected.dimensions {
            let found = found.get(dimension).map(Vec::as_slice).unwrap_or_default();
            if let Some(identity) = adopt_keys(*dimension, rows, found, &mut keys) {
                let told = format!(
                    "{} {identity:?}\n  expected\n{}  found\n{}",
                    dimension.table(),
                    listed(rows, &identity),
                    listed(found, &identity)
                );
                return Ok(Some(Difference { batch, told, member: Some((*dimension, identity)), row: None }));
            }
        }
        for fact in &self.round.facts {
            let rows = expected.facts.entry(fact.number).or_default();
            for row in rows.values_mut() {
                for (key, found) in fact.keys.iter().zip(&mut row.keys) {
                    *found = keys.get(&(key.dimension, found.key)).copied().unwrap_or(*found);
                }
            }
            let loaded = fact_rows(&self.warehouse, fact).await?;
            if let Some((row, told)) = different_row(fact, rows, &loaded) {
                return Ok(Some(Difference { batch, told, member: None, row: Some(row) }));
            }
        }
        let open = open_keys(&self.warehouse).await?;
        let different = different_evidence(&self.round.facts, &expected.facts, &open);
        Ok(different.map(|(row, told)| Difference { batch, told, member: None, row: Some(row) }))
    }
}

/// The rows as they were before any fact of the run inferred members: new ones are not there, those that an earlier
/// event moved begin where they began.
fn without_inferred(before: &[MemberRow], rows: &[MemberRow]) -> Vec<MemberRow> {
    let starts: BTreeMap<i64, i64> = before.iter().map(|row| (row.key, row.from)).collect();
    let known = |row: &MemberRow| match (row.is_skeleton, starts.get(&row.key)) {
        (true, Some(start)) => Some(MemberRow { from: *start, ..row.clone() }),
        (true, None) => None,
        (false, _) => Some(row.clone()),
    };
    rows.iter().filter_map(known).collect()
}

/// Gives the members that the model inferred the keys of the table; a member whose rows differ.
fn adopt_keys(
    dimension: Dimension,
    rows: &mut [MemberRow],
    found: &[MemberRow],
    keys: &mut BTreeMap<(Dimension, i64), Found>,
) -> Option<Vec<String>> {
    // Versions that were never true may lie at one instant: those that are not inferred are told apart by their keys.
    let place =
        |row: &MemberRow| (row.identity.clone(), row.from, row.to, (!row.is_skeleton).then_some(row.key));
    let mut left: BTreeMap<_, &MemberRow> = found.iter().map(|row| (place(row), row)).collect();
    for row in rows {
        let Some(found) = left.remove(&place(row)) else { return Some(row.identity.clone()) };
        if row.key != found.key && row.is_skeleton {
            keys.insert((dimension, row.key), Found { key: found.key, durable: found.durable });
            (row.key, row.durable) = (found.key, found.durable);
        }
        if row != found {
            return Some(row.identity.clone());
        }
    }
    left.into_keys().next().map(|(identity, ..)| identity)
}

fn different_row(
    fact: &Fact,
    rows: &FactRows,
    loaded: &BTreeMap<i64, LoadedRow>,
) -> Option<(RowPlace, String)> {
    let events: BTreeSet<i64> = rows.keys().chain(loaded.keys()).copied().collect();
    events.into_iter().find_map(|event| {
        let expected = rows.get(&event).map(|row| loaded_row(fact, row));
        let found = loaded.get(&event).cloned();
        if expected == found {
            return None;
        }
        let key = match (&expected, &found) {
            (Some(expected), Some(found)) => {
                let mut keys = fact.keys.iter().zip(expected.keys.iter().zip(&found.keys));
                keys.find(|(_, (expected, found))| expected != found).map(|(key, _)| key.number)
            }
            _ => None,
        };
        let told = format!("{}, row {event}\n  expected {expected:?}\n  found    {found:?}", fact.table());
        Some((RowPlace { fact: fact.number, key, event }, told))
    })
}

/// The row as the table holds it: without a durable key beside those that have none.
fn loaded_row(fact: &Fact, row: &FactRow) -> LoadedRow {
    let keys = fact.keys.iter().zip(&row.keys);
    let keys = keys.map(|(key, found)| match key.durable {
        true => *found,
        false => Found { durable: found.key, ..*found },
    });
    LoadedRow { is_deleted: row.is_deleted, keys: keys.collect() }
}

/// A row that waits for its member without being recorded, or is recorded without waiting.
fn different_evidence(
    facts: &[Fact],
    rows: &BTreeMap<u64, FactRows>,
    open: &BTreeSet<(String, String, String)>,
) -> Option<(RowPlace, String)> {
    for fact in facts {
        for (event, row) in rows.get(&fact.number).into_iter().flatten() {
            for (key, found) in fact.keys.iter().zip(&row.keys) {
                let record = (fact.table(), key.column(), format!("{{\"event_id\":{event}}}"));
                let waits = !row.is_deleted && found.key == NOT_YET_AVAILABLE;
                if open.contains(&record) != waits {
                    let told = format!("{record:?}: recorded to wait is {}", !waits);
                    let place = RowPlace { fact: fact.number, key: Some(key.number), event: *event };
                    return Some((place, told));
                }
            }
        }
    }
    None
}

pub(super) fn listed(rows: &[MemberRow], identity: &[String]) -> String {
    let mut own: Vec<&MemberRow> = rows.iter().filter(|row| row.identity == identity).collect();
    own.sort_by_key(|row| (row.from, row.to));
    let line = |row: &&MemberRow| {
        let from = if row.from == i64::MIN { "always".to_owned() } else { text(row.from) };
        let mut words = vec![row.key.to_string(), from, text(row.to), row.tracked.clone()];
        for (holds, word) in
            [(row.is_current, "current"), (row.is_deleted, "deleted"), (row.is_skeleton, "inferred")]
        {
            words.extend(holds.then(|| word.to_owned()));
        }
        format!("    {}\n", words.join(" | "))
    };
    own.iter().map(line).collect()
}
