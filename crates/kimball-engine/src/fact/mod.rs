//! Facts: their foreign keys are found, then their rows are appended, merged by their merge keys, or put in the
//! place of whole partitions; last, rows that were loaded before get the keys they had to wait for.

mod added;
mod broker;
mod early;
mod evidence;
mod junk;
mod matching;
mod one_pass;
mod prepare;
mod rekey;

pub(crate) use added::AddedKeys;
pub(crate) use broker::{Broker, Dimensions};
pub use early::EarlyMembers;
pub(crate) use early::early_members;
pub use evidence::{Evidence, EvidenceChange, unresolved_schema};
pub use junk::JunkMerge;
pub(crate) use one_pass::{Passed, fits_one_pass};
pub(crate) use prepare::{FactRows, Preparation, comes_from_lookups};
pub use rekey::{Rekeyed, Waiting};

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use kimball_config::{Fact, FactLoading, ForeignKey, Lookup, Pipeline};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN, RowRemovals};
use roaring::RoaringTreemap;

use crate::EngineError;
use crate::columns::{
    ACTION, BATCH_ID, DEFAULT_KEYS, IS_DELETED, OP, PROCESSED_AT, action, equal_keys, listed, literal,
    qualified, quoted,
};
use crate::keys::{hash_of, junk_key, row_hash, value_hash};
use crate::layout::Role;
use crate::merge::{Collector, addresses};
use crate::session::query;
use crate::stage::{Absent, Arrival, Staged};
use crate::target::TargetRows;
use crate::upsert::{Derived, Net, Upsert, guard_close};

/// What a fact's merge works with; `session` holds the rows as `staged`, foreign keys included.
pub(crate) struct FactMerge<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) fact: &'a Fact,
    pub(crate) staged: &'a Staged,
    pub(crate) rows: &'a FactRows,
    /// Columns of the query's output.
    pub(crate) output: Vec<String>,
    pub(crate) target: TargetRows<'a>,
    pub(crate) has_rows: bool,
    /// The run's clock reading as an SQL expression.
    pub(crate) clock: String,
    pub(crate) batch_id: &'a str,
    pub(crate) dimensions: &'a Dimensions,
    /// What rows that were loaded before wait for.
    pub(crate) waiting: &'a Waiting<'a>,
}

impl FactMerge<'_> {
    /// Merges the staged rows.
    pub(crate) async fn run(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.session.register_udf(value_hash());
        let _matched = self.match_rows().await?;
        match self.fact.loading {
            FactLoading::Upsert => self.upsert().merge(&self.target, collector).await?,
            FactLoading::Append => {
                self.target.register_all("target").await?;
                collector.take(query(self.session, &self.appended()).await?).await?;
            }
            FactLoading::ReplacePartitions => self.replace_partitions(collector).await?,
        }
        self.gather_evidence(collector).await?;
        self.rekey(collector).await?;
        self.target.rewrite_rest("true", collector).await
    }

    /// Columns that the engine adds to the output, with their values over the prefix `s`.
    fn added(&self) -> Vec<(String, String)> {
        let looked_up = self.staged.layout.looked_up.iter();
        let mut all: Vec<(String, String)> =
            looked_up.map(|column| (column.clone(), self.found(column))).collect();
        for computed in &self.staged.layout.computed {
            let value = match &computed.role {
                Role::JunkKey(columns) => junk_key("s", columns),
                Role::Lag { from, to } => days_between(&qualified("s", from), &qualified("s", to)),
                _ => continue,
            };
            all.push((computed.column.clone(), value));
        }
        all
    }

    /// New rows of the table from staged rows.
    fn new_rows(&self, rows: &str) -> String {
        self.new_rows_with(rows, "")
    }

    /// As [`new_rows`](Self::new_rows), with `noted` before the columns of the table.
    fn new_rows_with(&self, rows: &str, noted: &str) -> String {
        let added: Vec<String> =
            self.added().iter().map(|(column, value)| format!("{value} AS {}", quoted(column))).collect();
        let added = if added.is_empty() { String::new() } else { format!("{}, ", added.join(", ")) };
        format!(
            "SELECT {noted}{}, {added}false AS {IS_DELETED}, {} AS {PROCESSED_AT}, {} AS {BATCH_ID}, \
             arrow_cast(NULL, 'UInt32') AS {FILE_COLUMN}, CAST(NULL AS BIGINT) AS {ROW_COLUMN}, \
             CAST({} AS BIGINT) AS {ACTION} FROM {rows}",
            listed("s", &self.output),
            self.clock,
            literal(self.batch_id),
            action::INSERT
        )
    }

    fn appended(&self) -> String {
        // Sources that are read again bring rows that are here already.
        let new_only = match self.staged.arrival {
            Arrival::Changes => String::new(),
            _ => format!(" LEFT ANTI JOIN target t ON {}", equal_keys("s", "t", &self.fact.merge_keys)),
        };
        self.new_rows(&format!("(SELECT * FROM {} WHERE {OP} = 1) s{new_only}", self.arriving()))
    }

    /// The partitions that the batch speaks of hold its rows and nothing else (semantics 8.1). Those that hold the
    /// same rows already are left alone.
    async fn replace_partitions(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.target.register_all("target").await?;
        self.session.register_udf(row_hash());
        let columns = listed("", &self.fact.partition_by);
        let content = |rows: &str, condition: &str| {
            let hash = hash_of("", &self.output);
            format!(
                "SELECT {columns}, count(*) AS __k_rows, bit_xor({hash}) AS __k_xor, sum({hash} % 1000003) AS __k_sum \
                 FROM {rows} WHERE {condition} GROUP BY {columns}"
            )
        };
        let mut compared = self.fact.partition_by.clone();
        compared.extend(["__k_rows", "__k_xor", "__k_sum"].map(str::to_owned));
        let replaced = format!(
            "SELECT s.* FROM (SELECT DISTINCT {columns} FROM staged) s LEFT ANTI JOIN (SELECT {} FROM ({}) a JOIN ({}) b ON {}) e ON {}",
            listed("a", &self.fact.partition_by),
            content("staged", &format!("{OP} = 1")),
            content("target", "true"),
            equal_keys("a", "b", &compared),
            equal_keys("s", "e", &self.fact.partition_by)
        );
        let replaced = query(self.session, &replaced).await?.collect().await?;
        let schema = replaced.first().map(RecordBatch::schema);
        let replaced = MemTable::try_new(schema.unwrap_or_else(|| self.partition_schema()), vec![replaced])?;
        self.session.register_table("__k_replaced", Arc::new(replaced))?;
        if self.has_rows {
            let same = equal_keys("t", "s", &self.fact.partition_by);
            let replaced =
                format!("SELECT t.{FILE_COLUMN}, t.{ROW_COLUMN} FROM __k_replaced s JOIN target t ON {same}");
            let mut gone = addresses(query(self.session, &replaced).await?).await?;
            if self.staged.absent.is_gone() {
                self.add_missing_partitions(&mut gone).await?;
            }
            collector.remove(gone);
        }
        let rows = self.new_rows(&format!(
            "__k_replaced p RIGHT SEMI JOIN (SELECT * FROM staged WHERE {OP} = 1) s ON {}",
            equal_keys("p", "s", &self.fact.partition_by)
        ));
        collector.take(query(self.session, &rows).await?).await
    }

    /// Adds the rows of partitions that a whole recomputation does not hold.
    async fn add_missing_partitions(&self, gone: &mut RowRemovals) -> Result<(), EngineError> {
        let held = format!(
            "SELECT t.{FILE_COLUMN}, t.{ROW_COLUMN} FROM (SELECT DISTINCT {} FROM staged) s JOIN target t ON {}",
            listed("", &self.fact.partition_by),
            equal_keys("t", "s", &self.fact.partition_by)
        );
        let held = addresses(query(self.session, &held).await?).await?;
        let mut missing = self.target.live.addresses();
        let rows = |addresses: &RowRemovals| addresses.values().map(RoaringTreemap::len).sum::<u64>();
        let open = rows(&missing);
        for (file, held) in &held {
            if let Some(rows) = missing.get_mut(file) {
                *rows -= held;
            }
        }
        if self.staged.absent == Absent::GoneFromSnapshot {
            guard_close(self.pipeline.missing, rows(&missing), open, "merge key")?;
        }
        for (file, rows) in missing {
            *gone.entry(file).or_default() |= rows;
        }
        Ok(())
    }

    /// The columns of a partition.
    fn partition_schema(&self) -> SchemaRef {
        let own = |column: &String| self.staged.layout.schema.field_with_name(column).ok().cloned();
        Arc::new(Schema::new(self.fact.partition_by.iter().filter_map(own).collect::<Vec<_>>()))
    }

    fn upsert(&self) -> Upsert<'_> {
        let milestones = prepare::milestones(self.fact);
        let mut derived: Vec<Derived> = Vec::new();
        for key in &self.fact.foreign_keys {
            let Some(lookup) = &key.lookup else { continue };
            let durable = key.durable.as_ref().map(|durable| durable.column.as_str());
            for column in [key.column.as_str()].into_iter().chain(durable) {
                let value = self.stamped(key, lookup, column);
                derived.push(Derived { column: column.to_owned(), value, compared: true });
            }
        }
        let valued = format!("coalesce(s.{OP}, 0) = 1");
        for computed in &self.staged.layout.computed {
            let fresh = match &computed.role {
                Role::JunkKey(columns) => junk_key("s", columns),
                Role::Lag { from, to } => days_between(&retained(from), &retained(to)),
                _ => continue,
            };
            let value =
                format!("CASE WHEN {valued} THEN {fresh} ELSE {} END", qualified("h", &computed.column));
            derived.push(Derived { column: computed.column.clone(), value, compared: true });
        }
        let plain =
            |column: &str, value: String| Derived { column: column.to_owned(), value, compared: false };
        derived.push(plain(PROCESSED_AT, self.clock.clone()));
        derived.push(plain(BATCH_ID, literal(self.batch_id)));
        Upsert {
            keys: &self.fact.merge_keys,
            key_role: "merge key",
            staged: self.arriving(),
            output: &self.output,
            kept_over_null: milestones,
            net: if self.rows.is_net || self.is_matched() { Net::Settled } else { Net::LastChange },
            derived,
            loaded: "true".to_owned(),
            absent: self.staged.absent,
            delete_strategy: self.pipeline.delete_strategy,
            missing: self.pipeline.missing,
            has_rows: self.has_rows,
            inferred: None,
        }
    }

    /// A foreign key counts as first stamped (semantics 8.2): while its identity and event time stay the same, a
    /// row keeps the key of a real member that it has, unless it is to be restated; a deleted row keeps any. An event
    /// that a milestone told and that is not lost keeps its key, too.
    fn stamped(&self, key: &ForeignKey, lookup: &Lookup, column: &str) -> String {
        let milestones = prepare::milestones(self.fact);
        let inputs: Vec<&str> =
            lookup.source_columns.iter().chain(&lookup.event_time).map(String::as_str).collect();
        let (new, old) = (self.found(column), qualified("h", column));
        let version = self.found(&key.column);
        let retains = |input: &&&str| milestones.contains(input) || milestones.contains(&key.column.as_str());
        let same = inputs
            .iter()
            .map(|input| {
                let told = match milestones.contains(input) {
                    true => retained(input),
                    false => qualified("s", input),
                };
                format!("({told} IS NOT DISTINCT FROM {})", qualified("h", input))
            })
            .collect::<Vec<_>>()
            .join(" AND ");
        let lost = inputs.iter().filter(retains).map(|input| {
            format!("({} IS NULL AND {} IS NOT NULL)", qualified("s", input), qualified("h", input))
        });
        let lost: Vec<String> = lost.collect();
        let is_lost = if lost.is_empty() { "false".to_owned() } else { format!("({})", lost.join(" OR ")) };
        let restated = match key.restate_on_late_dimension {
            true => format!("AND {version} IN {DEFAULT_KEYS} "),
            false => String::new(),
        };
        format!(
            "CASE WHEN coalesce(s.{OP}, 0) = 0 THEN {old} \
             WHEN h.{FILE_COLUMN} IS NOT NULL AND {is_lost} AND {old} IS NOT NULL THEN {old} \
             WHEN h.{FILE_COLUMN} IS NOT NULL AND {old} NOT IN {DEFAULT_KEYS} {restated}\
             AND {version} NOT IN (-4, -2, -1) AND {} AND {same} THEN {old} ELSE {new} END",
            self.may_keep(column)
        )
    }
}

/// A value that is not lost to NULL.
fn retained(column: &str) -> String {
    format!("coalesce({}, {})", qualified("s", column), qualified("h", column))
}

/// Whole days from one instant or date to another; NULL where one is.
pub(crate) fn days_between(from: &str, to: &str) -> String {
    let day = |value: &str| format!("CAST(arrow_cast(CAST({value} AS DATE), 'Int32') AS BIGINT)");
    format!("({} - {})", day(to), day(from))
}
