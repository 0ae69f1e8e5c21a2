//! The history table of type 4: a row for each value that a field of a member had, and when (semantics 5).
//!
//! It is written after the dimension, and from the same staged rows. Changes of a field take effect in commit
//! order and never before the one that came earlier, so that the open value is always the one that the
//! dimension shows, however the changes were batched; and a batch that is merged twice changes nothing.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use kimball_config::{DeleteStrategy, Dimension, FieldHistory, KeyStrategy, Pipeline};
use kimball_lake::{FILE_COLUMN, LakeTable, LiveRows, ROW_COLUMN};

use super::loaded_rows;
use crate::EngineError;
use crate::columns::{
    ACTION, IS_CURRENT, OP, OPEN_END, PROCESSED_AT, TIME, VERSION, action, equal_keys, instant_sql, listed,
    literal, qualified, quoted,
};
use crate::keys::{SEED, arguments, key_hash, spark_text_function};
use crate::layout::timestamp;
use crate::merge::Collector;
use crate::session::query;
use crate::stage::{Numbering, Spool, Staged};
use crate::target::register_in_utc;

/// What a merge of a field history works with; `session` holds the staged rows as `staged`.
pub(crate) struct FieldHistoryMerge<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) dimension: &'a Dimension,
    pub(crate) settings: &'a FieldHistory,
    pub(crate) staged: &'a Staged,
    /// The dimension after its batch.
    pub(crate) members: &'a LakeTable,
    /// The dimension before it: rows that the batch removed had their keys there.
    pub(crate) members_before: &'a LakeTable,
    pub(crate) live: &'a LiveRows,
    /// The run's clock reading as an SQL expression.
    pub(crate) clock: String,
}

/// The columns of a history table: the surrogate key is called as in the dimension.
pub(crate) fn field_history_schema(surrogate_key: &str) -> SchemaRef {
    let column = |name: &str, kind: DataType| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        column(surrogate_key, DataType::Int64),
        column("field", DataType::Utf8),
        column("value", DataType::Utf8),
        column("valid_from", timestamp()),
        column("valid_to", timestamp()),
        column(IS_CURRENT, DataType::Boolean),
        column(PROCESSED_AT, timestamp()),
    ]))
}

impl FieldHistoryMerge<'_> {
    pub(crate) async fn run(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.session.register_udf(spark_text_function());
        self.session.register_udf(key_hash("member_key", &self.dimension.natural_keys));
        self.session.register_table("members", self.members.rows().await?)?;
        self.session.register_table("members_before", self.members_before.rows().await?)?;
        register_in_utc(self.session, "fields", self.live.clone()).await?;
        let mut kept = Vec::new();
        for (name, sql) in [
            ("changes", self.changes()?),
            ("events", self.events()?),
            ("states", self.states()),
            ("moves", self.moves()),
            ("spots", self.spots()),
        ] {
            let rows = query(self.session, &sql).await?;
            let spool = Spool::fill(rows, Numbering::Plain).await?;
            spool.register(self.session, name).await?;
            kept.push(spool);
        }
        collector.take(query(self.session, &self.actions()).await?).await
    }

    fn surrogate_key(&self) -> String {
        quoted(&self.dimension.surrogate_key)
    }

    /// Since when a staged row is true.
    fn instant(&self, prefix: &str) -> String {
        match &self.settings.effective_at {
            Some(column) => {
                let column = qualified(prefix, column);
                format!("arrow_try_cast({column}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
            }
            None => self.clock.clone(),
        }
    }

    /// The batch's rows under their members' surrogate keys, and members that are gone without a row.
    fn changes(&self) -> Result<String, EngineError> {
        let keys = &self.dimension.natural_keys;
        let fields = self.staged.layout.fields_of(&self.settings.tracked)?;
        let sk = self.surrogate_key();
        let deleted_at = match self.settings.effective_at {
            Some(_) => format!("s.{TIME}"),
            None => self.clock.clone(),
        };
        // A new life starts at its commit at the earliest; without effective times all counts from the clock.
        let returned_at = deleted_at.clone();
        let texts: Vec<String> = fields
            .iter()
            .map(|field| format!("spark_text(s.{name}) AS {name}", name = quoted(field)))
            .collect();
        let (keyed, loaded) = (listed("", keys), loaded_rows(&self.dimension.surrogate_key));
        let known = match self.pipeline.delete_strategy {
            DeleteStrategy::Soft => format!("SELECT {keyed}, {sk} FROM members WHERE {loaded}"),
            DeleteStrategy::Hard => format!(
                "SELECT {keyed}, max({sk}) AS {sk} FROM (SELECT {keyed}, {sk} FROM members WHERE {loaded} UNION ALL \
                 SELECT {keyed}, {sk} FROM members_before WHERE {loaded}) GROUP BY {keyed}"
            ),
        };
        // A member that came and went within the batch has no row, and no number; its hash is known all the same.
        let (join, member) = match self.dimension.key_strategy {
            KeyStrategy::Sequence => ("JOIN", format!("m.{sk}")),
            KeyStrategy::Hash => {
                ("LEFT JOIN", format!("coalesce(m.{sk}, member_key({SEED}, {}))", arguments("s", keys)))
            }
        };
        let changes = format!(
            "SELECT {member} AS __sk, s.{OP} AS __op, s.{VERSION} AS __v, CASE WHEN s.{OP} = 1 THEN {} ELSE {deleted_at} END AS __at, \
             {returned_at} AS __t, {} FROM staged s {join} ({known}) m ON {}",
            self.instant("s"),
            texts.join(", "),
            equal_keys("s", "m", keys)
        );
        let nulls: Vec<String> =
            fields.iter().map(|field| format!("CAST(NULL AS VARCHAR) AS {}", quoted(field))).collect();
        let moment = match self.settings.effective_at {
            Some(_) => instant_sql(self.staged.moment),
            None => self.clock.clone(),
        };
        let open = format!("SELECT DISTINCT {sk} FROM fields WHERE {IS_CURRENT}");
        let gone = |condition: &str| {
            format!(
                " UNION ALL SELECT f.{sk}, CAST(0 AS BIGINT), CAST(9223372036854775807 AS BIGINT), {moment}, {moment}, {} FROM ({open}) f \
                 LEFT ANTI JOIN (SELECT * FROM members WHERE {condition}) m ON f.{sk} = m.{sk}",
                nulls.join(", ")
            )
        };
        // A removed row has left no key behind, and a missing one no change.
        Ok(match (self.pipeline.delete_strategy, self.staged.absent.is_gone()) {
            (DeleteStrategy::Hard, _) => changes + &gone("true"),
            (DeleteStrategy::Soft, true) => {
                changes + &gone(&format!("NOT coalesce({}, false)", crate::columns::IS_DELETED))
            }
            (DeleteStrategy::Soft, false) => changes,
        })
    }

    /// One event for each field of a change. In one commit a value beats a delete.
    fn events(&self) -> Result<String, EngineError> {
        let fields = self.staged.layout.fields_of(&self.settings.tracked)?;
        let one = |field: &String| {
            format!(
                "SELECT __sk, {} AS __field, {} AS __value, __op, __v, __at, __t FROM changes",
                literal(field),
                quoted(field)
            )
        };
        let all = fields.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        Ok(format!(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY __sk, __field, __v ORDER BY __op DESC, __at DESC) \
             AS __nth FROM ({all})) WHERE __nth = 1"
        ))
    }

    /// What the table says of each field that the batch speaks of: its open value, or when the last one ended.
    fn states(&self) -> String {
        format!(
            "SELECT f.{sk} AS __sk, f.field AS __field, max(f.valid_to) AS __ended, \
             max(CASE WHEN f.{IS_CURRENT} THEN f.valid_from END) AS __from, \
             max(CASE WHEN f.{IS_CURRENT} THEN f.value END) AS __value, \
             max(CASE WHEN f.{IS_CURRENT} THEN f.{FILE_COLUMN} END) AS __f, \
             max(CASE WHEN f.{IS_CURRENT} THEN f.{ROW_COLUMN} END) AS __r FROM fields f \
             JOIN (SELECT DISTINCT __sk AS __key FROM changes) c ON f.{sk} = c.__key GROUP BY f.{sk}, f.field",
            sk = self.surrogate_key()
        )
    }

    /// Events that really change a field, each at its place in time: not before what came earlier.
    fn moves(&self) -> String {
        let before = |column: &str, first: &str| {
            format!(
                "CASE WHEN row_number() OVER w = 1 THEN {first} ELSE lag({column}) OVER w END AS __before_{column}"
            )
        };
        let known = "SELECT e.*, s.__from, s.__ended, s.__value AS __old, (s.__f IS NOT NULL) AS __was_open FROM events e \
                     LEFT JOIN states s ON e.__sk = s.__sk AND e.__field = s.__field";
        let sequence = format!(
            "SELECT *, row_number() OVER w AS __place_in_batch, {}, {} FROM ({known}) WINDOW w AS (PARTITION BY __sk, __field ORDER BY __v)",
            before("__op", "CASE WHEN __was_open THEN 1 ELSE 0 END"),
            before("__value", "__old")
        );
        // As in a history (semantics 4.1, 4.6): a value that comes back after a delete counts from its commit on.
        let returns = "__op = 1 AND __before___op = 0 AND (__ended IS NOT NULL OR __place_in_batch > 1)";
        let placed = format!(
            "SELECT *, CASE WHEN {returns} THEN greatest(__at, __t) ELSE __at END AS __from_at FROM ({sequence})"
        );
        format!(
            "SELECT *, greatest(max(__from_at) OVER (PARTITION BY __sk, __field ORDER BY __v ROWS BETWEEN UNBOUNDED PRECEDING \
             AND CURRENT ROW), CASE WHEN __was_open THEN __from ELSE __ended END) AS __p FROM ({placed}) \
             WHERE __op <> __before___op OR (__op = 1 AND (__value IS DISTINCT FROM __before___value))"
        )
    }

    /// Moves and open values as places in time: the last move at each, and the row that starts there already.
    fn spots(&self) -> String {
        "SELECT * FROM (SELECT __sk, __field, __value, __op, __p, row_number() OVER (PARTITION BY __sk, __field, __p ORDER BY __v DESC) \
         AS __place, max(__f) OVER at AS __f, max(__r) OVER at AS __r, max(__kept) OVER at AS __kept FROM \
         (SELECT __sk, __field, __value, __op, __p, __v, arrow_cast(NULL, 'UInt32') AS __f, CAST(NULL AS BIGINT) AS __r, \
         CAST(NULL AS VARCHAR) AS __kept FROM moves UNION ALL \
         SELECT s.__sk, s.__field, s.__value, CAST(1 AS BIGINT) AS __op, s.__from AS __p, CAST(-1 AS BIGINT) AS __v, s.__f, s.__r, s.__value AS __kept FROM states s \
         JOIN (SELECT DISTINCT __sk AS __key, __field AS __name FROM moves) m ON s.__sk = m.__key AND s.__field = m.__name \
         WHERE s.__f IS NOT NULL) WINDOW at AS (PARTITION BY __sk, __field, __p)) WHERE __place = 1"
            .to_owned()
    }

    fn actions(&self) -> String {
        // A value that a delete at its very start takes back leaves an empty interval.
        format!(
            "SELECT __sk AS {}, __field AS field, CASE WHEN __op = 1 THEN __value ELSE __kept END AS value, __p AS valid_from, \
             CASE WHEN __op = 0 THEN __p ELSE coalesce(__next, {OPEN_END}) END AS valid_to, \
             (__op = 1 AND __next IS NULL) AS {IS_CURRENT}, {} AS {PROCESSED_AT}, __f AS {FILE_COLUMN}, __r AS {ROW_COLUMN}, \
             CAST(CASE WHEN __f IS NULL THEN {} ELSE {} END AS BIGINT) AS {ACTION} FROM \
             (SELECT *, lead(__p) OVER (PARTITION BY __sk, __field ORDER BY __p) AS __next FROM \
             (SELECT *, lag(__value) OVER w AS __last_value, lag(__op) OVER w AS __last_op FROM spots \
             WINDOW w AS (PARTITION BY __sk, __field ORDER BY __p)) \
             WHERE __f IS NOT NULL OR NOT (coalesce(__last_op, 0) = 1 AND __op = 1 AND (__value IS NOT DISTINCT FROM __last_value))) \
             WHERE (__f IS NULL AND __op = 1) OR (__f IS NOT NULL AND (__op = 0 OR __next IS NOT NULL \
             OR (__value IS DISTINCT FROM __kept)))",
            self.surrogate_key(),
            self.clock,
            action::INSERT,
            action::UPDATE
        )
    }
}
