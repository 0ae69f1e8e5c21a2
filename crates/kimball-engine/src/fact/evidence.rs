//! `etl_unresolved_dimension_keys`: which rows of which fact wait for a member (semantics 8.4).
//!
//! The rows of a batch that end on −3 are recorded before its commit, so that none is ever unrecorded; those that
//! have got their key are marked after it. A row is known by the hash of its merge key.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use kimball_config::{FactLoading, ForeignKey, Lookup};
use kimball_lake::{FILE_COLUMN, LakeTable, LiveRows, ROW_COLUMN};

use super::FactMerge;
use super::broker::Sentinels;
use super::matching::found_name;
use super::rekey::{GRAIN, REKEYED, old_name, waits};
use crate::columns::{ACTION, IS_DELETED, OP, action, equal_keys, instant_sql, literal, qualified, quoted};
use crate::keys::{SEED, arguments, key_hash, row_json};
use crate::layout::timestamp;
use crate::merge::{ChangeSet, Collector};
use crate::quality::number;
use crate::session::query;
use crate::{Batch, EngineError};

/// What a batch knows about keys that wait.
#[derive(Debug, Default)]
pub struct Evidence {
    /// relationship, fact_grain_hash, fact_grain_json, source_identity_json, event_time: rows that end on −3.
    pub(crate) opened: Vec<RecordBatch>,
    /// relationship, fact_grain_hash, assigned_key (NULL where it is not known): rows that wait no more.
    pub(crate) resolved: Vec<RecordBatch>,
}

impl Evidence {
    /// What is to be recorded before the commit, and what after it; `None` where there is nothing.
    pub fn split(self) -> (Option<EvidenceChange>, Option<EvidenceChange>) {
        let any = |batches: &Vec<RecordBatch>| batches.iter().any(|batch| batch.num_rows() > 0);
        let opened = any(&self.opened).then_some(EvidenceChange::Opened(self.opened));
        let resolved = any(&self.resolved).then_some(EvidenceChange::Resolved(self.resolved));
        (opened, resolved)
    }
}

/// A change of the evidence of one fact.
#[derive(Debug)]
pub enum EvidenceChange {
    /// Rows that wait.
    Opened(Vec<RecordBatch>),
    /// Rows that wait no more.
    Resolved(Vec<RecordBatch>),
}

/// The columns of `etl_unresolved_dimension_keys`.
pub fn unresolved_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let time = |name| Field::new(name, timestamp(), true);
    Arc::new(Schema::new(vec![
        text("fact_table"),
        text("relationship"),
        Field::new("fact_grain_hash", DataType::Int64, true),
        text("fact_grain_json"),
        text("source_identity_json"),
        time("event_time"),
        Field::new("assigned_key", DataType::Int64, true),
        text("status"),
        text("first_batch_id"),
        text("last_batch_id"),
        time("observed_at"),
        time("resolved_at"),
    ]))
}

impl FactMerge<'_> {
    /// Whether rows of the fact are recorded to wait. Leaves them in the session as `__k_open`.
    pub(super) async fn has_open_keys(&self) -> Result<bool, EngineError> {
        let Some(table) = self.waiting.unresolved else { return Ok(false) };
        self.session.deregister_table("__k_unresolved")?;
        self.session.register_table("__k_unresolved", table.rows().await?)?;
        let open = format!(
            "SELECT relationship, fact_grain_hash FROM __k_unresolved WHERE fact_table = {} AND status = 'OPEN'",
            literal(&self.pipeline.table.to_string())
        );
        self.session.deregister_table("__k_open")?;
        self.session.register_table("__k_open", query(self.session, &open).await?.into_view())?;
        Ok(number(self.session, "SELECT count(*) FROM __k_open").await? > 0)
    }

    pub(super) fn grain(&self, prefix: &str) -> String {
        format!("grain_key({SEED}, {})", arguments(prefix, &self.fact.merge_keys))
    }

    fn lookups_found(&self) -> impl Iterator<Item = (&ForeignKey, &Lookup, Sentinels)> {
        let lookups = self.fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)));
        lookups.zip(&self.rows.sentinels).map(|((key, lookup), found)| (key, lookup, *found))
    }

    /// Notes the staged rows that end on −3.
    pub(crate) async fn gather_evidence(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.session.register_udf(key_hash("grain_key", &self.fact.merge_keys));
        self.session.register_udf(row_json("grain_json", &self.fact.merge_keys));
        for (key, lookup, found) in self.lookups_found() {
            if found.not_yet == 0 || !waits(lookup) {
                continue;
            }
            let found = qualified("e", &found_name(&key.column));
            let rows = format!(
                "{} e WHERE e.{OP} = 1 AND {found} = -3 AND {} = -3",
                self.endings(),
                qualified("e", &key.column)
            );
            self.open(key, lookup, &rows, collector).await?;
        }
        self.gather_evidence_of_added(collector).await
    }

    /// Notes the rows that were loaded before and wait in a key that they get with this batch.
    async fn gather_evidence_of_added(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if self.target.added_keys.is_empty() {
            return Ok(());
        }
        let untouched = self.target.live.at(collector.untouched(self.target.live));
        self.target.register("__k_untouched", untouched).await?;
        for (key, lookup, _) in self.lookups_found().filter(|(_, lookup, _)| waits(lookup)) {
            if self.target.added_keys.contains(&key.column) {
                let rows = format!(
                    "__k_untouched e WHERE {} = -3 AND NOT coalesce(e.{IS_DELETED}, false)",
                    qualified("e", &key.column)
                );
                self.open(key, lookup, &rows, collector).await?;
            }
        }
        Ok(())
    }

    /// Notes the rows that were loaded before and wait from now on, or under another merge key.
    pub(super) async fn gather_evidence_of_rekeyed(
        &self,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        for (key, lookup, _) in self.lookups_found().filter(|(_, lookup, _)| waits(lookup)) {
            let rows = format!(
                "{REKEYED} e WHERE {} = -3 AND ({} IS NULL OR e.{GRAIN} <> {})",
                qualified("e", &key.column),
                qualified("e", &old_name(&key.column)),
                self.grain("e")
            );
            self.open(key, lookup, &rows, collector).await?;
        }
        Ok(())
    }

    /// Notes that rows, as a relation `e` with its condition, wait.
    async fn open(
        &self,
        key: &ForeignKey,
        lookup: &Lookup,
        rows: &str,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        let function = format!("identity_json_{}", key.column);
        self.session.register_udf(row_json(&function, &lookup.source_columns));
        let event = match &lookup.event_time {
            Some(event) => format!("arrow_try_cast({}, '{}')", qualified("e", event), timestamp()),
            None => format!("arrow_cast(NULL, '{}')", timestamp()),
        };
        let sql = format!(
            "SELECT {} AS relationship, {} AS fact_grain_hash, grain_json({}) AS fact_grain_json, \
             {}({}) AS source_identity_json, {event} AS event_time FROM {rows}",
            literal(&key.column),
            self.grain("e"),
            arguments("e", &self.fact.merge_keys),
            quoted(&function),
            arguments("e", &lookup.source_columns),
        );
        let opened = query(self.session, &sql).await?.collect().await?;
        collector.change().evidence.opened.extend(opened);
        Ok(())
    }

    /// The staged rows with the keys that their rows in the table will hold, the ones that were found for them, and as
    /// [`GRAIN`] the hash of the merge key that the row had so far.
    fn endings(&self) -> String {
        let meets_rows = self.fact.loading == FactLoading::Upsert && self.has_rows;
        let mut columns: Vec<String> = self.output.iter().map(|column| qualified("s", column)).collect();
        for key in &self.fact.foreign_keys {
            let Some(lookup) = &key.lookup else { continue };
            let durable = key.durable.as_ref().map(|durable| &durable.column);
            for column in [&key.column].into_iter().chain(durable) {
                let ending = if meets_rows { self.stamped(key, lookup, column) } else { self.found(column) };
                columns.push(format!("{ending} AS {}", quoted(column)));
                columns.push(format!("{} AS {}", self.found(column), quoted(&found_name(column))));
            }
        }
        let staged = format!("{} s", self.arriving());
        let rows = match meets_rows {
            true => format!("hit h RIGHT JOIN {staged} ON {}", equal_keys("s", "h", &self.fact.merge_keys)),
            false => staged,
        };
        format!("(SELECT {}, {} AS {GRAIN}, s.{OP} FROM {rows})", columns.join(", "), self.grain("s"))
    }

    /// Notes which of the rows that waited wait no more: those that got a key, in this batch or in one whose
    /// process died, and those that are gone.
    pub(super) async fn settle_evidence(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if !self.has_open_keys().await? {
            return Ok(());
        }
        let opened = std::mem::take(&mut collector.change().evidence.opened);
        register_batches(self.session, "__k_opened", &opened)?;
        collector.change().evidence.opened = opened;
        let untouched = self.target.live.at(collector.untouched(self.target.live));
        self.target.register("__k_untouched", untouched).await?;
        let mut keys = Vec::new();
        let mut still = vec!["SELECT relationship, fact_grain_hash FROM __k_opened".to_owned()];
        let has_rekeyed = self.session.table_exist(REKEYED)?;
        let endings = self.endings();
        for (key, lookup, _) in self.lookups_found() {
            let relationship = literal(&key.column);
            let known = |grain: &str, rest: &str| {
                format!("SELECT {relationship} AS relationship, {grain} AS fact_grain_hash{rest}")
            };
            let ending = qualified("e", &key.column);
            let assigned = format!(", {ending} AS assigned_key");
            keys.push(format!(
                "{} FROM {endings} e WHERE e.{OP} = 1",
                known(&format!("e.{GRAIN}"), &assigned)
            ));
            let grain = self.grain("e");
            let waiting = known(&grain, "");
            still.push(format!("{waiting} FROM {endings} e WHERE e.{OP} = 1 AND {ending} = -3"));
            if !waits(lookup) {
                // Nobody looks for the members of these.
                still.push(format!(
                    "{waiting} FROM __k_untouched e WHERE {ending} = -3 AND NOT coalesce(e.{IS_DELETED}, false)"
                ));
            }
            if has_rekeyed {
                let waited = format!("{} = -3", qualified("e", &old_name(&key.column)));
                keys.push(format!(
                    "{} FROM {REKEYED} e WHERE {waited} AND {ending} <> -3",
                    known(&format!("e.{GRAIN}"), &assigned)
                ));
                still.push(format!("{waiting} FROM {REKEYED} e WHERE {ending} = -3"));
            }
        }
        let sql = format!(
            "SELECT o.relationship, o.fact_grain_hash, max(k.assigned_key) AS assigned_key FROM __k_open o \
             LEFT ANTI JOIN ({}) w ON o.relationship = w.relationship AND o.fact_grain_hash = w.fact_grain_hash \
             LEFT JOIN ({}) k ON o.relationship = k.relationship AND o.fact_grain_hash = k.fact_grain_hash \
             GROUP BY o.relationship, o.fact_grain_hash",
            still.join(" UNION ALL "),
            keys.join(" UNION ALL ")
        );
        let resolved = query(self.session, &sql).await?.collect().await?;
        let resolved = self.with_stored_keys(resolved).await?;
        collector.change().evidence.resolved.extend(resolved);
        Ok(())
    }

    /// Rows that wait no more, with the keys that their rows in the table have where this batch does not know them: a
    /// process that gave them has died before it could say so.
    async fn with_stored_keys(&self, resolved: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, EngineError> {
        register_batches(self.session, "__k_resolved", &resolved)?;
        let unknown = "SELECT count(*) FROM __k_resolved WHERE assigned_key IS NULL";
        if !self.has_rows || resolved.is_empty() || number(self.session, unknown).await? == 0 {
            return Ok(resolved);
        }
        self.target.register_all("target").await?;
        let lookups = self.fact.foreign_keys.iter().filter(|key| key.lookup.is_some());
        let stored: Vec<String> = lookups
            .map(|key| {
                format!(
                    "SELECT {} AS relationship, {} AS fact_grain_hash, {} AS stored_key FROM target t",
                    literal(&key.column),
                    self.grain("t"),
                    qualified("t", &key.column)
                )
            })
            .collect();
        let sql = format!(
            "SELECT r.relationship, r.fact_grain_hash, coalesce(r.assigned_key, t.stored_key) AS assigned_key \
             FROM __k_resolved r LEFT JOIN ({}) t ON r.relationship = t.relationship AND r.fact_grain_hash = t.fact_grain_hash",
            stored.join(" UNION ALL ")
        );
        Ok(query(self.session, &sql).await?.collect().await?)
    }
}

fn register_batches(
    session: &SessionContext,
    table: &str,
    batches: &[RecordBatch],
) -> Result<(), EngineError> {
    session.deregister_table(table)?;
    let schema = match batches.first() {
        Some(batch) => batch.schema(),
        None => Arc::new(Schema::new(vec![
            Field::new("relationship", DataType::Utf8, true),
            Field::new("fact_grain_hash", DataType::Int64, true),
        ])),
    };
    let parts = MemTable::try_new(schema, vec![batches.to_vec()])?;
    session.register_table(table, Arc::new(parts))?;
    Ok(())
}

impl Batch<'_> {
    /// Whether rows of the batch's fact are recorded to wait in `unresolved`.
    ///
    /// # Errors
    /// Read failures.
    pub async fn has_open_keys(&self, unresolved: &LakeTable) -> Result<bool, EngineError> {
        let session = self.runtime.session(self.clock);
        session.register_table("unresolved", unresolved.rows().await?)?;
        let open = format!(
            "SELECT count(*) FROM unresolved WHERE fact_table = {} AND status = 'OPEN'",
            literal(&self.pipeline.table.to_string())
        );
        Ok(number(&session, &open).await? > 0)
    }

    /// Brings the evidence of this batch's fact up to date: `table` at the version of `live`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn merge_evidence(
        &self,
        change: &EvidenceChange,
        table: &LakeTable,
        live: &LiveRows,
    ) -> Result<ChangeSet, EngineError> {
        let session = self.runtime.session(self.clock);
        session.register_table("known", Arc::new(live.clone()))?;
        let fact = literal(&self.pipeline.table.to_string());
        let clock = instant_sql(self.clock.timestamp_micros());
        let batch = literal(self.batch_id);
        let same = "u.relationship = n.relationship AND u.fact_grain_hash = n.fact_grain_hash";
        let known = format!("(SELECT * FROM known WHERE fact_table = {fact}) u");
        let (batches, rows) = match change {
            EvidenceChange::Opened(batches) => (
                batches,
                format!(
                    "SELECT {fact} AS fact_table, n.relationship, n.fact_grain_hash, n.fact_grain_json, n.source_identity_json, \
                     n.event_time, CAST(-3 AS BIGINT) AS assigned_key, 'OPEN' AS status, \
                     coalesce(u.first_batch_id, {batch}) AS first_batch_id, {batch} AS last_batch_id, \
                     coalesce(u.observed_at, {clock}) AS observed_at, arrow_cast(NULL, '{}') AS resolved_at, \
                     u.{FILE_COLUMN}, u.{ROW_COLUMN}, \
                     CAST(CASE WHEN u.{FILE_COLUMN} IS NULL THEN {} ELSE {} END AS BIGINT) AS {ACTION} \
                     FROM {known} RIGHT JOIN (SELECT relationship, fact_grain_hash, max(fact_grain_json) AS fact_grain_json, \
                     max(source_identity_json) AS source_identity_json, max(event_time) AS event_time FROM news \
                     GROUP BY relationship, fact_grain_hash) n ON {same}",
                    timestamp(),
                    action::INSERT,
                    action::UPDATE
                ),
            ),
            EvidenceChange::Resolved(batches) => (
                batches,
                format!(
                    "SELECT u.fact_table, u.relationship, u.fact_grain_hash, u.fact_grain_json, u.source_identity_json, u.event_time, \
                     coalesce(n.assigned_key, u.assigned_key) AS assigned_key, 'RESOLVED' AS status, u.first_batch_id, \
                     {batch} AS last_batch_id, u.observed_at, {clock} AS resolved_at, u.{FILE_COLUMN}, u.{ROW_COLUMN}, \
                     CAST({} AS BIGINT) AS {ACTION} FROM {known} JOIN news n ON {same} WHERE u.status = 'OPEN'",
                    action::UPDATE
                ),
            ),
        };
        register_batches(&session, "news", batches)?;
        let mut collector = Collector::new(table, &unresolved_schema(), &[])?;
        collector.take(query(&session, &rows).await?).await?;
        collector.finish().await
    }
}
