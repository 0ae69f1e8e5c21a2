//! The tables of a round as another reader sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDateTime;
use kimball_engine::history::OPEN_END;

use super::model::{Found, MemberRow};
use super::round::{Dimension, Fact};
use crate::error::{Result, TestkitError};
use crate::foreign_reader::read_table;

const UNRESOLVED: &str = "etl.etl_unresolved_dimension_keys";

/// A row of a fact without what came from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadedRow {
    pub(super) is_deleted: bool,
    pub(super) keys: Vec<Found>,
}

/// The rows of `table` in `columns`, NULL as the empty text; `None` when there is no such table.
async fn read(warehouse: &Path, table: &str, columns: &[&str]) -> Result<Option<Vec<Vec<String>>>> {
    let Some(rows) = read_table(warehouse, table).await? else { return Ok(None) };
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let rows = rows.without("__key_origin", "default").select(&columns)?;
    let texts = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect();
    Ok(Some(rows.values.into_iter().map(texts).collect()))
}

async fn read_loaded(warehouse: &Path, table: &str, columns: &[&str]) -> Result<Vec<Vec<String>>> {
    let rows = read(warehouse, table, columns).await?;
    rows.ok_or_else(|| TestkitError::Step(format!("there is no table {table}")))
}

/// The members of a dimension, without the default members.
pub(super) async fn members(warehouse: &Path, dimension: Dimension) -> Result<Vec<MemberRow>> {
    let mut columns = vec!["sk", "__is_deleted", "__is_skeleton", "__member_status", "v"];
    columns.extend(dimension.natural_key());
    let keyed = columns.len();
    if dimension.is_history() {
        columns.extend(["__valid_from", "__valid_to", "__is_current"]);
    }
    if dimension == Dimension::Durable {
        columns.push("dk");
    }
    let mut members = Vec::new();
    for row in read_loaded(warehouse, &dimension.table(), &columns).await? {
        let cell = |place: usize| row.get(place).map(String::as_str).unwrap_or_default();
        let is_skeleton = cell(2) == "true";
        if cell(3) != if is_skeleton { "INFERRED" } else { "REAL" } {
            return Err(TestkitError::Step(format!("{}: the status of {row:?}", dimension.table())));
        }
        let (from, to) = match dimension.is_history() {
            true => (micros(cell(keyed))?, micros(cell(keyed + 1))?),
            false => (i64::MIN, OPEN_END),
        };
        let key = integer(cell(0))?;
        members.push(MemberRow {
            key,
            durable: if dimension == Dimension::Durable { integer(cell(keyed + 3))? } else { key },
            identity: row.get(5..keyed).unwrap_or_default().to_vec(),
            from,
            to,
            is_current: !dimension.is_history() || cell(keyed + 2) == "true",
            is_deleted: cell(1) == "true",
            is_skeleton,
            tracked: cell(4).to_owned(),
        });
    }
    Ok(members)
}

/// The rows of a fact.
pub(super) async fn fact_rows(warehouse: &Path, fact: &Fact) -> Result<BTreeMap<i64, LoadedRow>> {
    let mut columns = vec!["event_id".to_owned(), "__is_deleted".to_owned()];
    for key in &fact.keys {
        columns.push(key.column());
        columns.push(if key.durable { key.durable_column() } else { key.column() });
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut rows = BTreeMap::new();
    for row in read_loaded(warehouse, &fact.table(), &columns).await? {
        let numbers = row.iter().skip(2).map(|cell| integer(cell)).collect::<Result<Vec<_>>>()?;
        let keys = numbers.chunks_exact(2).map(|pair| Found { key: pair[0], durable: pair[1] }).collect();
        let is_deleted = row.get(1).is_some_and(|cell| cell == "true");
        let event = integer(row.first().map(String::as_str).unwrap_or_default())?;
        if rows.insert(event, LoadedRow { is_deleted, keys }).is_some() {
            return Err(TestkitError::Step(format!("{}: the row {event} is there twice", fact.table())));
        }
    }
    Ok(rows)
}

/// The keys that are recorded to wait for their member: table, foreign key and row of each.
pub(super) async fn open_keys(warehouse: &Path) -> Result<BTreeSet<(String, String, String)>> {
    let columns = ["fact_table", "relationship", "fact_grain_json", "status"];
    let rows = read(warehouse, UNRESOLVED, &columns).await?.unwrap_or_default();
    let open = rows.into_iter().filter_map(|row| match row.as_slice() {
        [fact, relationship, grain, status] if status == "OPEN" => {
            Some((fact.clone(), relationship.clone(), grain.clone()))
        }
        _ => None,
    });
    Ok(open.collect())
}

fn integer(text: &str) -> Result<i64> {
    text.parse().map_err(|_| TestkitError::Step(format!("`{text}` is no key")))
}

fn micros(text: &str) -> Result<i64> {
    let read = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    let read = read.map_err(|_| TestkitError::Step(format!("`{text}` is no instant")))?;
    Ok(read.and_utc().timestamp_micros())
}
