//! Rows that were loaded before and get another key: −3 where the member has arrived, and, where it is asked for,
//! keys of versions that a late one has split (semantics 8.4).

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use kimball_config::{EarlyArriving, ForeignKey, Lookup, TableName};
use kimball_lake::{FILE_COLUMN, LakeTable, ROW_COLUMN, RowRemovals};

use super::FactMerge;
use super::broker::Broker;
use crate::EngineError;
use crate::columns::{
    ACTION, BATCH_ID, DEFAULT_KEYS, IS_DELETED, OP, PROCESSED_AT, action, listed, literal, qualified, quoted,
};
use crate::merge::{Collector, addresses};
use crate::quality::number;
use crate::session::query;
use crate::stage::{Numbering, Spool};

/// Rows that were loaded before, with the keys that they will have.
pub(super) const REKEYED: &str = "__k_rekeyed";
/// Rows in hand: the hash of the merge key that their row of the table has.
pub(super) const GRAIN: &str = "__k_grain";

/// What loaded rows wait for.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// `etl_unresolved_dimension_keys`, where it exists.
    pub unresolved: Option<&'a LakeTable>,
    /// For each dimension the version that the last batch looked into, where it is known.
    pub seen: &'a BTreeMap<TableName, i64>,
}

/// How many loaded rows got another key.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rekeyed {
    /// Rows that had −3.
    pub repaired: u64,
    /// Rows that had the key of another version.
    pub restated: u64,
}

/// Whether −3 is a key that waits for its member.
pub(super) fn waits(lookup: &Lookup) -> bool {
    lookup.early_arriving != EarlyArriving::Error
}

impl FactMerge<'_> {
    fn lookups(&self) -> impl Iterator<Item = (&ForeignKey, &Lookup)> {
        self.fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)))
    }

    /// Gives rows that the batch does not touch the keys that they wait for.
    pub(super) async fn rekey(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if !self.has_rows {
            return self.settle_evidence(collector).await;
        }
        let mut found = RowRemovals::new();
        if self.has_open_keys().await? {
            unite(&mut found, self.rows_without_member().await?);
        }
        for (key, lookup) in self.lookups().filter(|(key, _)| key.restate_on_late_dimension) {
            unite(&mut found, self.rows_of_changed_members(key, lookup).await?);
        }
        let untouched = collector.untouched(self.target.live);
        for (file, rows) in &mut found {
            match untouched.get(file) {
                Some(left) => *rows &= left,
                None => rows.clear(),
            }
        }
        if found.values().all(roaring::RoaringTreemap::is_empty) {
            return self.settle_evidence(collector).await;
        }
        self.target.register("__k_loaded", self.target.live.at(found)).await?;
        let waiting = self.register_waiting().await?;
        let broker = Broker { session: self.session, fact: self.fact, dimensions: self.dimensions };
        if let Some(looked_up) = broker.resolve("__k_waiting", waiting.rows()).await? {
            looked_up.rows.register(self.session, "__k_found").await?;
            self.register_rekeyed().await?;
            self.write_rekeyed(collector).await?;
            self.gather_evidence_of_rekeyed(collector).await?;
            self.settle_evidence(collector).await?;
        }
        Ok(())
    }

    /// Rows with −3 that a member may have arrived for.
    async fn rows_without_member(&self) -> Result<RowRemovals, EngineError> {
        let waiting: Vec<String> = self
            .lookups()
            .filter(|(_, lookup)| waits(lookup))
            .map(|(key, _)| format!("{} = -3", quoted(&key.column)))
            .collect();
        if waiting.is_empty() {
            return Ok(RowRemovals::new());
        }
        let sql = format!(
            "SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM target WHERE ({}) AND NOT coalesce({IS_DELETED}, false)",
            waiting.join(" OR ")
        );
        self.target.register_all("target").await?;
        addresses(query(self.session, &sql).await?).await
    }

    /// Rows of members whose versions have changed since the last batch.
    async fn rows_of_changed_members(
        &self,
        key: &ForeignKey,
        lookup: &Lookup,
    ) -> Result<RowRemovals, EngineError> {
        let Some(table) = &key.references else { return Ok(RowRemovals::new()) };
        let Some(dimension) = self.dimensions.get(table) else { return Ok(RowRemovals::new()) };
        let seen = self.waiting.seen.get(table).copied();
        if seen == Some(dimension.version()) {
            return Ok(RowRemovals::new());
        }
        let changes = match seen {
            Some(seen) => dimension.changes(seen + 1).await.ok(),
            None => None,
        };
        self.target.register_all("target").await?;
        let alive = format!("(SELECT * FROM target WHERE NOT coalesce({IS_DELETED}, false)) t");
        let address = format!("t.{FILE_COLUMN}, t.{ROW_COLUMN}");
        let sql = match changes {
            // Without a feed that tells, every member may have changed.
            None => format!("SELECT {address} FROM {alive}"),
            Some(changes) => {
                self.session.deregister_table("__k_changed")?;
                self.session.register_table("__k_changed", changes)?;
                let schema = dimension.schema()?;
                let is_text = |schema: &Schema, column: &str| {
                    schema.field_with_name(column).is_ok_and(|field| *field.data_type() == DataType::Utf8)
                };
                let own = &self.staged.layout.schema;
                let same =
                    lookup.source_columns.iter().zip(&lookup.dimension_columns).map(|(source, column)| {
                        let (left, right) = (qualified("t", source), qualified("c", column));
                        match is_text(own, source) == is_text(&schema, column) {
                            true => format!("{left} = {right}"),
                            false => format!("arrow_cast({left}, 'Utf8') = arrow_cast({right}, 'Utf8')"),
                        }
                    });
                format!(
                    "SELECT {address} FROM (SELECT DISTINCT {} FROM __k_changed) c JOIN {alive} ON {}",
                    listed("", &lookup.dimension_columns),
                    same.collect::<Vec<_>>().join(" AND ")
                )
            }
        };
        addresses(query(self.session, &sql).await?).await
    }

    /// `__k_waiting`: the rows in hand with their present keys as `__k_old_…`, and the hash of their present merge key.
    async fn register_waiting(&self) -> Result<Spool, EngineError> {
        let old = self.staged.layout.looked_up.iter();
        let old = old.map(|column| format!("{} AS {}", quoted(column), quoted(&old_name(column))));
        let sql = format!(
            "SELECT {}, {}, {} AS {GRAIN}, {FILE_COLUMN}, {ROW_COLUMN}, CAST(1 AS BIGINT) AS {OP} FROM __k_loaded",
            listed("", &self.output),
            old.collect::<Vec<_>>().join(", "),
            self.grain("")
        );
        let rows = query(self.session, &sql).await?;
        let spool = Spool::fill(rows, Numbering::Numbered).await?;
        spool.register(self.session, "__k_waiting").await?;
        Ok(spool)
    }

    /// Whether a row takes the key that was found now.
    fn takes(&self, key: &ForeignKey, lookup: &Lookup) -> String {
        let (new, old) = (qualified("f", &key.column), qualified("f", &old_name(&key.column)));
        let mut reasons = Vec::new();
        if waits(lookup) {
            reasons.push(format!("{old} = -3"));
        }
        if key.restate_on_late_dimension {
            // What is no event of a member is none of another version.
            reasons.push(format!("({new} <> {old} AND {old} NOT IN (-4, -2, -1))"));
        }
        let reasons = if reasons.is_empty() { "false".to_owned() } else { reasons.join(" OR ") };
        format!("({new} NOT IN {DEFAULT_KEYS} AND ({reasons}))")
    }

    /// `__k_rekeyed`: the rows in hand as they will be, what their keys were as `__k_old_…`.
    async fn register_rekeyed(&self) -> Result<(), EngineError> {
        let mut columns: Vec<String> = self.output.iter().map(|column| qualified("f", column)).collect();
        for (key, lookup) in self.lookups() {
            let takes = self.takes(key, lookup);
            let durable = key.durable.as_ref().map(|durable| &durable.column);
            for column in [&key.column].into_iter().chain(durable) {
                let (new, old) = (qualified("f", column), qualified("f", &old_name(column)));
                columns.push(format!("CASE WHEN {takes} THEN {new} ELSE {old} END AS {}", quoted(column)));
                columns.push(old);
            }
        }
        let sql = format!(
            "SELECT {}, f.{GRAIN}, f.{FILE_COLUMN}, f.{ROW_COLUMN} FROM __k_found f",
            columns.join(", ")
        );
        self.session.deregister_table(REKEYED)?;
        self.session.register_table(REKEYED, query(self.session, &sql).await?.into_view())?;
        Ok(())
    }

    async fn write_rekeyed(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let looked_up = &self.staged.layout.looked_up;
        let columns = self.staged.layout.schema.fields().iter().map(|field| {
            let column = field.name();
            let value = match column.as_str() {
                PROCESSED_AT => self.clock.clone(),
                BATCH_ID => literal(self.batch_id),
                _ if looked_up.contains(column) => qualified("r", column),
                _ => qualified("h", column),
            };
            format!("{value} AS {}", quoted(column))
        });
        let changed = looked_up.iter().map(|column| {
            format!("({} IS DISTINCT FROM {})", qualified("r", column), qualified("r", &old_name(column)))
        });
        let rows = format!(
            "SELECT {}, h.{FILE_COLUMN}, h.{ROW_COLUMN}, CAST({} AS BIGINT) AS {ACTION} FROM {REKEYED} r JOIN __k_loaded h \
             ON r.{FILE_COLUMN} = h.{FILE_COLUMN} AND r.{ROW_COLUMN} = h.{ROW_COLUMN} WHERE {}",
            columns.collect::<Vec<_>>().join(", "),
            action::UPDATE,
            changed.collect::<Vec<_>>().join(" OR ")
        );
        let before = collector.change().counts.updated;
        collector.take(query(self.session, &rows).await?).await?;
        let all = collector.change().counts.updated - before;
        let repaired = self.lookups().map(|(key, _)| {
            let (new, old) = (qualified("r", &key.column), qualified("r", &old_name(&key.column)));
            format!("({old} = -3 AND {new} <> -3)")
        });
        let repaired = repaired.collect::<Vec<_>>().join(" OR ");
        let repaired =
            number(self.session, &format!("SELECT count(*) FROM {REKEYED} r WHERE {repaired}")).await?;
        collector.change().rekeyed = Rekeyed { repaired, restated: all.saturating_sub(repaired) };
        Ok(())
    }
}

/// The present key of a row beside the one that is found for it.
pub(super) fn old_name(column: &str) -> String {
    format!("__k_old_{column}")
}

fn unite(all: &mut RowRemovals, more: RowRemovals) {
    for (file, rows) in more {
        *all.entry(file).or_default() |= rows;
    }
}
