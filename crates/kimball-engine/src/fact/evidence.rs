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
use super::rekey::{old_name, waits};
use crate::columns::{ACTION, DEFAULT_KEYS, OP, action, equal_keys, instant_sql, literal, qualified, quoted};
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

    fn grain(&self, prefix: &str) -> String {
        format!("grain_key({SEED}, {})", arguments(prefix, &self.fact.merge_keys))
    }

    /// Notes the staged rows that end on −3.
    pub(crate) async fn gather_evidence(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.session.register_udf(key_hash("grain_key", &self.fact.merge_keys));
        self.session.register_udf(row_json("grain_json", &self.fact.merge_keys));
        let lookups = self.fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)));
        for ((key, lookup), found) in lookups.zip(&self.rows.sentinels) {
            if found.not_yet == 0 || !waits(lookup) {
                continue;
            }
            let function = format!("identity_json_{}", key.column);
            self.session.register_udf(row_json(&function, &lookup.source_columns));
            let event = match &lookup.event_time {
                Some(event) => format!("arrow_try_cast({}, '{}')", qualified("s", event), timestamp()),
                None => format!("arrow_cast(NULL, '{}')", timestamp()),
            };
            let sql = format!(
                "SELECT {} AS relationship, {} AS fact_grain_hash, grain_json({}) AS fact_grain_json, \
                 {}({}) AS source_identity_json, {event} AS event_time FROM {}",
                literal(&key.column),
                self.grain("s"),
                arguments("s", &self.fact.merge_keys),
                quoted(&function),
                arguments("s", &lookup.source_columns),
                self.ending_without_member(key, lookup)
            );
            let opened = query(self.session, &sql).await?.collect().await?;
            collector.change().evidence.opened.extend(opened);
        }
        Ok(())
    }

    /// The staged rows whose row in the table will hold −3.
    fn ending_without_member(&self, key: &ForeignKey, lookup: &Lookup) -> String {
        let (rows, ending) = self.endings(key, lookup);
        format!("{rows} WHERE s.{OP} = 1 AND {} = -3 AND ({ending}) = -3", qualified("s", &key.column))
    }

    /// The staged rows, and the key that the row in the table will hold.
    fn endings(&self, key: &ForeignKey, lookup: &Lookup) -> (String, String) {
        if self.fact.loading != FactLoading::Upsert || !self.has_rows {
            return ("staged s".to_owned(), qualified("s", &key.column));
        }
        let inputs: Vec<&str> =
            lookup.source_columns.iter().chain(&lookup.event_time).map(String::as_str).collect();
        let same = equal_keys("s", "h", &self.fact.merge_keys);
        let ending = super::stamped(key, &key.column, &inputs, &super::prepare::milestones(self.fact));
        (format!("hit h RIGHT JOIN staged s ON {same}"), ending)
    }

    /// Notes which of the rows that waited wait no more: those that got a key, in this batch or in one whose
    /// process died, and those that are gone.
    pub(super) async fn settle_evidence(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if !self.has_open_keys().await? {
            return Ok(());
        }
        let mut keys = Vec::new();
        let mut still = vec!["SELECT relationship, fact_grain_hash FROM __k_opened".to_owned()];
        let opened = std::mem::take(&mut collector.change().evidence.opened);
        register_batches(self.session, "__k_opened", &opened)?;
        collector.change().evidence.opened = opened;
        let has_found = self.session.table_exist("__k_found")?;
        let lookups = self.fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)));
        for (key, lookup) in lookups.filter(|(_, lookup)| waits(lookup)) {
            let relationship = literal(&key.column);
            let (rows, ending) = self.endings(key, lookup);
            let staged = format!(
                "SELECT {relationship} AS relationship, {} AS fact_grain_hash, {ending} AS assigned_key FROM {rows} WHERE s.{OP} = 1",
                self.grain("s")
            );
            still.push(format!(
                "SELECT relationship, fact_grain_hash FROM ({staged}) WHERE assigned_key = -3"
            ));
            keys.push(staged);
            if has_found {
                let (new, old) = (qualified("f", &key.column), qualified("f", &old_name(&key.column)));
                let grain = self.grain("f");
                keys.push(format!(
                    "SELECT {relationship} AS relationship, {grain} AS fact_grain_hash, {new} AS assigned_key FROM __k_found f \
                     WHERE {old} = -3 AND {new} NOT IN {DEFAULT_KEYS}"
                ));
                still.push(format!(
                    "SELECT {relationship} AS relationship, {grain} AS fact_grain_hash FROM __k_found f \
                     WHERE {old} = -3 AND {new} IN {DEFAULT_KEYS}"
                ));
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
        let lookups = self.fact.foreign_keys.iter().filter(|key| key.lookup.as_ref().is_some_and(waits));
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
