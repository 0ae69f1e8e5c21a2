//! One dimension over the source of a round: its configuration, its batches, and its rows against the algebra.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::SchemaRef;
use kimball_engine::history::{Chain, Restated, Version, What, as_of};

use super::cases::{Case, CaseChange, commit, text};
use crate::columns::parse_schema;
use crate::error::{Result, TestkitError};
use crate::foreign_reader::read_table;
use crate::source_table::{ChangeFeed, TableLayout};

/// What a dimension makes of the source's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    /// All of them.
    Plain,
    /// Those whose tracked attribute is not `c`, through a SELECT that forgets the change columns: a row that
    /// leaves the filter is a delete (semantics 4.11).
    Filtered,
    /// All of them, joined with a table that never changes: recomputed for the affected members.
    Joined,
    /// All of them, but as a snapshot whenever the table moved.
    Snapshot,
}

impl Query {
    fn seen(self, changes: Vec<CaseChange>) -> Vec<CaseChange> {
        let seen = |change: CaseChange| match (self, &change.what) {
            (Self::Filtered, What::Is { tracked: 'c', .. }) => CaseChange { what: What::Gone, ..change },
            _ => change,
        };
        changes.into_iter().map(seen).collect()
    }
}

impl Query {
    /// A member's chain after the batch of the commits `from` to `to`.
    fn after(
        self,
        chain: &Chain<char, char>,
        case: &Case,
        (from, to): (u64, u64),
        commits: u64,
    ) -> Chain<char, char> {
        let batch = self.seen(case.between(from, to, commits));
        let is_first = from == 1;
        let (time, by) = match self {
            Self::Plain | Self::Filtered => return chain.after(&batch),
            // The first batch recomputes everybody as of its newest commit.
            Self::Joined if is_first => (commit(to).time, Restated::ByQuery),
            Self::Joined => match batch.last() {
                Some(last) => (last.commit.time, Restated::ByQuery),
                None => return chain.clone(),
            },
            Self::Snapshot => (commit(to).time, Restated::BySnapshot),
        };
        let row = match case.between(1, to, commits).last().map(|change| change.what.clone()) {
            Some(What::Is { effective, tracked, untracked }) => Some((effective, tracked, untracked)),
            Some(What::Gone) | None => None,
        };
        chain.restated(row, time, by)
    }

    /// Whether the rows tell the truth of the set of changes, not only of the ends of batches.
    fn is_followed_change_by_change(self) -> bool {
        matches!(self, Self::Plain | Self::Filtered)
    }
}

/// A dimension with batches of its own.
#[derive(Debug, Clone)]
pub(super) struct Dimension {
    name: String,
    scd_type: u8,
    query: Query,
    /// Commits after which it runs, in order.
    batches: Vec<u64>,
    /// The last commit it has seen.
    seen: u64,
    /// The members as the algebra has them.
    chains: Vec<Chain<char, char>>,
    /// Surrogate key → member and start.
    published: BTreeMap<String, (usize, String)>,
}

/// The dimensions of a round: a batch a commit, one batch for all, and batches as the seed has it.
pub(super) fn dimensions(seed: u64, commits: u64, members: usize) -> Vec<Dimension> {
    let drawn = |shift: u32| {
        let bits = seed.wrapping_add(u64::from(shift)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        (1..=commits).filter(|version| *version == commits || (bits >> version) & 1 == 1).collect::<Vec<_>>()
    };
    let made = |name: &str, scd_type, query, mut batches: Vec<u64>| {
        batches.push(commits + 1);
        let chains = vec![Chain::default(); members];
        Dimension {
            name: name.to_owned(),
            scd_type,
            query,
            batches,
            seen: 0,
            chains,
            published: BTreeMap::new(),
        }
    };
    vec![
        made("each", 2, Query::Plain, (1..=commits).collect()),
        made("once", 7, Query::Plain, vec![commits]),
        made("some", 6, Query::Plain, drawn(1)),
        made("others", 2, Query::Plain, drawn(2)),
        made("filtered", 2, Query::Filtered, drawn(3)),
        made("joined", 2, Query::Joined, drawn(4)),
        made("snapshot", 2, Query::Snapshot, drawn(5)),
    ]
}

/// The columns of a source.
pub(super) fn source_layout() -> Result<TableLayout> {
    Ok(TableLayout { schema: source_schema()?, partition_by: Vec::new(), change_feed: ChangeFeed::Enabled })
}

fn source_schema() -> Result<SchemaRef> {
    parse_schema("id bigint, eff timestamp, v string, u string")
}

/// The rows that commit `version` writes, and the keys it deletes.
pub(super) fn source_batch(
    cases: &[Case],
    version: u64,
    commits: u64,
) -> Result<(Option<RecordBatch>, Option<RecordBatch>)> {
    let (mut upserts, mut deletes) = (SourceRows::default(), SourceRows::default());
    for (member, case) in cases.iter().enumerate() {
        let rows = match case.said(version, commits).map(|change| change.what) {
            Some(What::Is { effective, tracked, untracked }) => {
                upserts.effective.push(Some(effective));
                upserts.tracked.push(Some(tracked.to_string()));
                upserts.untracked.push(Some(untracked.to_string()));
                &mut upserts
            }
            Some(What::Gone) => {
                deletes.effective.push(None);
                deletes.tracked.push(None);
                deletes.untracked.push(None);
                &mut deletes
            }
            None => continue,
        };
        rows.ids.push(i64::try_from(member).unwrap_or(i64::MAX));
    }
    Ok((upserts.batch()?, deletes.batch()?))
}

/// Rows of a source, column by column.
#[derive(Default)]
struct SourceRows {
    ids: Vec<i64>,
    effective: Vec<Option<i64>>,
    tracked: Vec<Option<String>>,
    untracked: Vec<Option<String>>,
}

impl SourceRows {
    fn batch(self) -> Result<Option<RecordBatch>> {
        if self.ids.is_empty() {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.ids)),
            Arc::new(TimestampMicrosecondArray::from(self.effective).with_timezone("UTC")),
            Arc::new(StringArray::from(self.tracked)),
            Arc::new(StringArray::from(self.untracked)),
        ];
        Ok(Some(RecordBatch::try_new(source_schema()?, columns)?))
    }
}

impl Dimension {
    /// Whether the dimension runs when the source is at `version`.
    pub(super) fn runs_after(&self, version: u64) -> bool {
        self.batches.contains(&version)
    }

    /// Its file below the folder of a project.
    pub(super) fn config_file(&self, root: &Path) -> PathBuf {
        root.join("configs").join(format!("{}.yml", self.name))
    }

    pub(super) fn table(&self) -> String {
        format!("gold.dim_{}", self.name)
    }

    /// The commits after which it ran.
    pub(super) fn batches(&self) -> &[u64] {
        &self.batches
    }

    /// The same dimension before its first batch, with one member.
    pub(super) fn clone_for_report(&self) -> Self {
        Self { seen: 0, chains: vec![Chain::default()], published: BTreeMap::new(), ..self.clone() }
    }

    pub(super) fn config(&self) -> String {
        let (keys, more) = match self.scd_type {
            7 => ("{surrogate_key: sk, natural_keys: [id], durable_key: dk}", ""),
            6 => ("{surrogate_key: sk, natural_keys: [id]}", "current_value_columns: [v]\n"),
            _ => ("{surrogate_key: sk, natural_keys: [id]}", ""),
        };
        let query = match self.query {
            Query::Plain | Query::Snapshot => "",
            Query::Joined => {
                "transformation_sql: SELECT c.id, c.eff, c.v, c.u FROM changes c JOIN letters l ON c.v = l.letter\n"
            }
            Query::Filtered => "transformation_sql: SELECT id, eff, v, u FROM changes WHERE v <> 'c'\n",
        };
        let sources = match self.query {
            Query::Plain | Query::Filtered => "[{name: silver.changes, alias: changes, starting_version: 1}]",
            Query::Joined => {
                "[{name: silver.changes, alias: changes}, {name: silver.letters, alias: letters, cdc_strategy: full}]"
            }
            Query::Snapshot => "[{name: silver.changes, alias: changes, cdc_strategy: full}]",
        };
        format!(
            "table_name: {}\ntable_type: dimension\nscd_type: {}\nkeys: {keys}\neffective_at: eff\n\
             track_history_columns: [v]\n{more}{query}sources: {sources}\n",
            self.table(),
            self.scd_type
        )
    }

    /// A member's chain after the batch of the commits `from` to `to`.
    pub(super) fn chain_after(
        &self,
        chain: &Chain<char, char>,
        case: &Case,
        (from, to): (u64, u64),
        commits: u64,
    ) -> Chain<char, char> {
        self.query.after(chain, case, (from, to), commits)
    }

    /// Compares all rows with the algebra's after the batch that ended with commit `version`; the first member
    /// that differs, and how.
    pub(super) async fn compare(
        &mut self,
        warehouse: &Path,
        cases: &[Case],
        version: u64,
        commits: u64,
    ) -> Result<Option<(usize, String)>> {
        for (chain, case) in self.chains.iter_mut().zip(cases) {
            *chain = self.query.after(chain, case, (self.seen + 1, version), commits);
        }
        self.seen = version;
        let (mut rows, keys) = self.read(warehouse, cases.len()).await?;
        for (member, (chain, case)) in self.chains.iter().zip(cases).enumerate() {
            let expected = expected_rows(chain, self.scd_type);
            let found = rows.get_mut(member).map(std::mem::take).unwrap_or_default();
            if expected != found {
                return Ok(Some((member, difference(&self.name, version, &expected, &found))));
            }
            if let Some(wrong) = self.untrue(chain, case, version, commits) {
                return Ok(Some((member, wrong)));
            }
        }
        let lost = self.published.iter().find(|(key, place)| keys.get(*key) != Some(place));
        if let Some((key, (member, from))) = lost {
            let message = format!("{}: key {key} of the version from {from} is gone or elsewhere", self.name);
            return Ok(Some((*member, message)));
        }
        self.published = keys;
        Ok(None)
    }

    /// Where the rows tell something else than the set of changes.
    fn untrue(&self, chain: &Chain<char, char>, case: &Case, version: u64, commits: u64) -> Option<String> {
        if !self.query.is_followed_change_by_change() {
            return None;
        }
        let all = self.query.seen(case.between(1, version, commits));
        let places = all.iter().map(|change| match change.what {
            What::Is { effective, .. } => effective,
            What::Gone => change.commit.time,
        });
        places.flat_map(|place| [place - 1, place]).find_map(|at| {
            let row = chain.versions().find(|row| row.from <= at && at < row.to).map(|row| row.tracked);
            let truth = as_of(&all, at).copied();
            (row != truth)
                .then(|| format!("{}: as of {} it is {row:?}, but {truth:?} is true", self.name, text(at)))
        })
    }

    /// The rows of each member, and what each key stands for.
    async fn read(
        &self,
        warehouse: &Path,
        members: usize,
    ) -> Result<(Vec<Vec<String>>, BTreeMap<String, (usize, String)>)> {
        let name = self.table();
        let rows = read_table(warehouse, &name).await?;
        let rows = rows.ok_or_else(|| TestkitError::Step(format!("there is no table {name}")))?;
        let rows = rows.without("__key_origin", "default");
        let mut columns: Vec<String> =
            ["sk", "id", "__valid_from", "__valid_to", "eff", "__is_current", "__is_deleted", "v", "u"]
                .map(str::to_owned)
                .to_vec();
        if self.scd_type == 6 {
            columns.push("current_v".to_owned());
        }
        let rows = rows.select(&columns)?;
        let mut by_member = vec![Vec::new(); members];
        let mut keys = BTreeMap::new();
        for row in rows.values {
            let cells: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            let member = cells[1].parse::<usize>().unwrap_or(usize::MAX);
            if let Some(rows) = by_member.get_mut(member) {
                rows.push(cells[2..].join(" | "));
            }
            if keys.insert(cells[0].clone(), (member, cells[2].clone())).is_some() {
                return Err(TestkitError::Step(format!("{name}: the key {} is there twice", cells[0])));
            }
        }
        by_member.iter_mut().for_each(|rows| rows.sort());
        Ok((by_member, keys))
    }
}

/// The rows of a member, in the columns that are compared, sorted.
pub(super) fn expected_rows(chain: &Chain<char, char>, scd_type: u8) -> Vec<String> {
    let newest = chain.versions().last().map(|row| row.tracked);
    let mut rows: Vec<String> = chain.versions().map(|row| expected_row(row, newest, scd_type)).collect();
    rows.sort();
    rows
}

fn expected_row(row: &Version<char, char>, newest: Option<char>, scd_type: u8) -> String {
    let mut cells = vec![
        text(row.from),
        text(row.to),
        text(row.effective),
        row.is_current.to_string(),
        row.is_deleted.to_string(),
        row.tracked.to_string(),
        row.untracked.to_string(),
    ];
    if scd_type == 6 {
        cells.extend(newest.map(String::from));
    }
    cells.join(" | ")
}

fn difference(name: &str, version: u64, expected: &[String], found: &[String]) -> String {
    format!(
        "{name}, after commit {version}:\n  expected\n    {}\n  found\n    {}",
        expected.join("\n    "),
        found.join("\n    ")
    )
}
