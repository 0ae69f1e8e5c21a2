//! The sources of a round: tables that look alike, their rows, and the commits that change them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use datafusion::arrow::array::RecordBatch;

use crate::columns::{batch_from_text, parse_schema};
use crate::error::Result;
use crate::prove::dice::Dice;
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};
use crate::text_table::{TextTable, write_value};

/// The columns of every source: the world of the row, its number there, two columns to join by, two measures and
/// a text.
pub(super) const COLUMNS: &str =
    "w bigint, id bigint, r bigint, p bigint, m bigint, d decimal(10,2), s string";
const NAMES: &str = "w | id | r | p | m | d | s";
/// Rows of one world have numbers below this.
const IDS: i64 = 6;

/// What a row holds behind its world and number, as text.
type Values = [Option<String>; 5];
/// Rows by world and number.
pub(super) type Rows = BTreeMap<(i64, i64), Values>;

/// One commit of one source.
#[derive(Debug, Clone)]
pub(super) enum Commit {
    Insert(Rows),
    Merge {
        upserts: Rows,
        deletes: BTreeSet<(i64, i64)>,
    },
    /// In these worlds the row with the first number gets the second.
    Move {
        worlds: BTreeSet<i64>,
        from: i64,
        to: i64,
    },
}

/// The commits of all sources, batch by batch; the number of the source beside each.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) batches: Vec<Vec<(usize, Commit)>>,
}

/// The name of a source in SQL.
pub(super) fn alias(source: usize) -> String {
    format!("t{source}")
}

/// The table of a source.
pub(super) fn table(source: usize) -> String {
    format!("silver.{}", alias(source))
}

impl Commit {
    pub(super) fn apply(&self, rows: &mut Rows) {
        match self {
            Self::Insert(new) => rows.extend(new.clone()),
            Self::Merge { upserts, deletes } => {
                rows.retain(|key, _| !deletes.contains(key));
                rows.extend(upserts.clone());
            }
            Self::Move { worlds, from, to } => {
                for world in worlds {
                    if let Some(values) = rows.remove(&(*world, *from)) {
                        rows.insert((*world, *to), values);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Insert(rows) => rows.is_empty(),
            Self::Merge { upserts, deletes } => upserts.is_empty() && deletes.is_empty(),
            Self::Move { worlds, .. } => worlds.is_empty(),
        }
    }

    fn of_world(&self, world: i64) -> Self {
        let only = |rows: &Rows| {
            rows.iter().filter(|(key, _)| key.0 == world).map(|(key, row)| (*key, row.clone())).collect()
        };
        match self {
            Self::Insert(rows) => Self::Insert(only(rows)),
            Self::Merge { upserts, deletes } => Self::Merge {
                upserts: only(upserts),
                deletes: deletes.iter().filter(|key| key.0 == world).copied().collect(),
            },
            Self::Move { worlds, from, to } => Self::Move {
                worlds: worlds.iter().filter(|it| **it == world).copied().collect(),
                from: *from,
                to: *to,
            },
        }
    }

    /// Writes the commit to its source.
    pub(super) async fn write(&self, warehouse: &Path, source: usize) -> Result<()> {
        let target = SourceTable::at(warehouse, &table(source))?;
        match self {
            Self::Insert(rows) => target.insert([batch(rows)?], None).await?,
            Self::Merge { upserts, deletes } => {
                let none: Values = Default::default();
                let deleted: Rows = deletes.iter().map(|key| (*key, none.clone())).collect();
                let some = |rows: &Rows| if rows.is_empty() { Ok(None) } else { batch(rows).map(Some) };
                let keys = ["w".to_owned(), "id".to_owned()];
                target.merge(&keys, some(upserts)?, some(&deleted)?, None).await?
            }
            Self::Move { worlds, from, to } => {
                let to = to.to_string();
                target.update(Some(&moved(worlds, *from)), [("id", to.as_str())], None).await?
            }
        };
        Ok(())
    }

    /// The commit as an item of a scenario's `write`.
    pub(super) fn scenario(&self, yaml: &mut String) {
        let listed = |rows: &Rows, indent: &str, yaml: &mut String| {
            for line in text(rows).lines() {
                let _ = writeln!(yaml, "{indent}{line}");
            }
        };
        match self {
            Self::Insert(rows) => {
                yaml.push_str("        - insert: |\n");
                listed(rows, "            ", yaml);
            }
            Self::Merge { upserts, deletes } => {
                yaml.push_str("        - merge:\n            on: [w, id]\n");
                if !upserts.is_empty() {
                    yaml.push_str("            upsert: |\n");
                    listed(upserts, "              ", yaml);
                }
                if !deletes.is_empty() {
                    yaml.push_str("            delete: |\n              w | id\n");
                    for (world, id) in deletes {
                        let _ = writeln!(yaml, "              {world} | {id}");
                    }
                }
            }
            Self::Move { worlds, from, to } => {
                let _ = writeln!(
                    yaml,
                    "        - update: {{set: {{id: \"{to}\"}}, where: \"{}\"}}",
                    moved(worlds, *from)
                );
            }
        }
    }
}

fn moved(worlds: &BTreeSet<i64>, from: i64) -> String {
    let worlds = worlds.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    format!("id = {from} and w in ({worlds})")
}

fn text(rows: &Rows) -> String {
    let mut text = NAMES.to_owned();
    for ((world, id), values) in rows {
        let cells = values.iter().map(|cell| write_value(cell.as_deref())).collect::<Vec<_>>();
        let _ = write!(text, "\n{world} | {id} | {}", cells.join(" | "));
    }
    text
}

/// Rows as a batch of the sources' columns.
pub(super) fn batch(rows: &Rows) -> Result<RecordBatch> {
    batch_from_text(&parse_schema(COLUMNS)?, &TextTable::parse(&text(rows))?)
}

/// Creates the empty tables.
pub(super) async fn create(warehouse: &Path, sources: &BTreeSet<usize>) -> Result<()> {
    let schema = parse_schema(COLUMNS)?;
    let layout = TableLayout { schema, partition_by: Vec::new(), change_feed: ChangeFeed::Enabled };
    for source in sources {
        SourceTable::at(warehouse, &table(*source))?.create(&layout, None).await?;
    }
    Ok(())
}

impl History {
    /// A first batch of rows and `batches` batches of changes; in each some sources stay as they are.
    pub(super) fn draw(dice: &mut Dice, sources: usize, worlds: i64, batches: usize) -> Self {
        let mut tables = vec![Rows::new(); sources];
        let mut history = Self::default();
        for number in 0..=batches {
            let mut batch = Vec::new();
            for (source, rows) in tables.iter_mut().enumerate() {
                let commits = match number {
                    0 => 1,
                    // In the last batch, whose ways are counted, something moves.
                    _ if number == batches && source == 0 => 1,
                    _ if dice.chance(40) => 0,
                    _ => 1 + dice.below(2),
                };
                for _ in 0..commits {
                    let commit = if number == 0 { first(dice, worlds) } else { change(dice, rows, worlds) };
                    if !commit.is_empty() {
                        commit.apply(rows);
                        batch.push((source, commit));
                    }
                }
            }
            history.batches.push(batch);
        }
        history
    }

    /// The sources after each batch.
    pub(super) fn states(&self) -> Vec<BTreeMap<usize, Rows>> {
        let mut tables: BTreeMap<usize, Rows> = BTreeMap::new();
        let states = self.batches.iter().map(|batch| {
            for (source, commit) in batch {
                commit.apply(tables.entry(*source).or_default());
            }
            tables.clone()
        });
        states.collect()
    }

    /// The part that some sources, one world and the first batches have in it.
    pub(super) fn part(&self, sources: &BTreeSet<usize>, world: Option<i64>, batches: usize) -> Self {
        let part = self.batches.iter().take(batches).map(|batch| {
            let commits = batch.iter().filter(|(source, _)| sources.contains(source));
            let commits = commits.map(|(source, commit)| {
                (*source, world.map_or_else(|| commit.clone(), |world| commit.of_world(world)))
            });
            commits.filter(|(_, commit)| !commit.is_empty()).collect()
        });
        Self { batches: part.collect() }
    }
}

fn row(dice: &mut Dice) -> Values {
    let mut number = |from, to| {
        if dice.chance(15) { None } else { Some(dice.between(from, to).to_string()) }
    };
    let (r, p, m, cents) = (number(0, IDS), number(0, 4), number(-3, 6), number(0, 500));
    let price = cents.map(|cents| format!("{cents}.50"));
    let label = if dice.chance(20) { None } else { Some(dice.word(&["a", "b", "c"])) };
    [r, p, m, price, label]
}

fn first(dice: &mut Dice, worlds: i64) -> Commit {
    let mut rows = Rows::new();
    for world in 0..worlds {
        for id in 0..IDS {
            if dice.chance(60) {
                rows.insert((world, id), row(dice));
            }
        }
    }
    Commit::Insert(rows)
}

fn change(dice: &mut Dice, rows: &Rows, worlds: i64) -> Commit {
    if dice.chance(20) {
        let (from, to) = (dice.between(0, IDS), dice.between(0, IDS));
        let can_move = |world: &i64| rows.contains_key(&(*world, from)) && !rows.contains_key(&(*world, to));
        return Commit::Move { worlds: (0..worlds).filter(can_move).collect(), from, to };
    }
    let (mut upserts, mut deletes) = (Rows::new(), BTreeSet::new());
    for world in 0..worlds {
        for _ in 0..dice.below(3) {
            let key = (world, dice.between(0, IDS));
            if upserts.contains_key(&key) || deletes.contains(&key) {
                continue;
            }
            match rows.get(&key) {
                Some(_) if dice.chance(35) => {
                    deletes.insert(key);
                }
                // Often one column alone changes.
                Some(old) if dice.chance(60) => {
                    let (mut new, place) = (old.clone(), dice.below(5));
                    if let (Some(cell), Some(drawn)) = (new.get_mut(place), row(dice).get(place)) {
                        cell.clone_from(drawn);
                    }
                    upserts.insert(key, new);
                }
                _ => {
                    upserts.insert(key, row(dice));
                }
            }
        }
    }
    Commit::Merge { upserts, deletes }
}
