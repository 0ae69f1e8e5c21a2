//! Members inferred from facts that came before them (semantics 8.4).
//!
//! A member that the dimension does not know begins with its earliest event and is open; one whose first version
//! begins later than the event is inferred up to that version. An inferred version that is the member's first moves
//! its start back instead, so that a member is inferred once.

use arrow::datatypes::Field;
use kimball_config::{KeyStrategy, Scd};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::{DimensionMerge, collisions, start_as};
use crate::EngineError;
use crate::columns::{
    self as name, ACTION, BEYOND, OPEN_END, action, equal_keys, listed, literal, qualified, quoted,
};
use crate::keys::{
    SEED, arguments, durable_version_key, hash_of, key_hash, row_fingerprint, spark_text_function,
};
use crate::layout::{Layout, Role};
use crate::merge::{Collector, addresses};
use crate::nulls::filler;
use crate::quality::number;
use crate::session::query;
use crate::stage::{Numbering, Spool};

/// The column of an early member with its earliest event.
pub(crate) const EVENT: &str = "__k_event";
/// What `__member_status` of an inferred member says.
const INFERRED: &str = "INFERRED";
/// Rehashing a taken key ends long before this, unless the keys were made to collide.
const REHASHES: usize = 64;

/// Infers members. The session of `merge` holds as `staged` the natural keys, each once, and [`EVENT`]; the target
/// is matched as it stands.
pub(crate) async fn infer(merge: &DimensionMerge<'_>, collector: &mut Collector) -> Result<(), EngineError> {
    merge.register_functions();
    let session = merge.session;
    let mut names = merge.keys().to_vec();
    let layout = &merge.staged.layout;
    names.push(layout.effective_at.clone().unwrap_or_else(|| name::VALID_FROM.to_owned()));
    session.register_udf(key_hash("version_key", &names));
    session.register_udf(durable_version_key());
    session.register_udf(row_fingerprint());
    session.register_udf(spark_text_function());
    merge.target.register_all("target").await?;
    let skeletons = Skeletons { merge, layout };
    skeletons.register("first", &skeletons.first_rows()).await?;
    skeletons.register("inferred", &skeletons.new_members()).await?;
    skeletons.make_keys(collector).await?;
    collector.take(query(session, &skeletons.new_rows()?).await?).await?;
    if layout.is_history {
        skeletons.move_starts(collector).await?;
    }
    Ok(())
}

struct Skeletons<'a> {
    merge: &'a DimensionMerge<'a>,
    layout: &'a Layout,
}

impl Skeletons<'_> {
    async fn register(&self, table: &str, sql: &str) -> Result<(), EngineError> {
        let rows = query(self.merge.session, sql).await?;
        let spool = Spool::fill(rows, Numbering::Plain).await?;
        spool.register(self.merge.session, table).await?;
        self.merge.keep(spool);
        Ok(())
    }

    /// `first`: the earliest row of each early member that the dimension knows. In a history with where the row after it
    /// begins, and whether a delete emptied it.
    fn first_rows(&self) -> String {
        let keys = listed("t", self.merge.keys());
        let (order, columns) = match self.layout.is_history {
            true => (
                format!("t.{}, t.{}", name::VALID_FROM, name::VALID_TO),
                format!(
                    "t.{from} AS __first, lead(t.{from}) OVER rows AS __next, coalesce(t.{}, false) AND t.{from} = t.{} AS __is_empty",
                    name::IS_DELETED,
                    name::VALID_TO,
                    from = name::VALID_FROM
                ),
            ),
            false => (format!("s.{EVENT}"), format!("s.{EVENT} AS __first")),
        };
        format!(
            "SELECT * FROM (SELECT {keys}, {columns}, coalesce(t.{}, false) AS __skel, s.{EVENT}, t.{FILE_COLUMN}, \
             t.{ROW_COLUMN}, row_number() OVER rows AS __nth FROM (SELECT * FROM target WHERE {}) t JOIN staged s ON {} \
             WINDOW rows AS (PARTITION BY {keys} ORDER BY {order})) WHERE __nth = 1",
            name::IS_SKELETON,
            self.merge.loaded(),
            equal_keys("t", "s", self.merge.keys())
        )
    }

    /// `inferred`: the natural keys of new rows with `__from`, `__to` and `__cur`.
    fn new_members(&self) -> String {
        let same = equal_keys("s", "f", self.merge.keys());
        let unknown = format!(
            "SELECT {}, s.{EVENT} AS __from, {OPEN_END} AS __to, true AS __cur FROM staged s LEFT ANTI JOIN first f ON {same} \
             WHERE s.{EVENT} < {BEYOND}",
            listed("s", self.merge.keys())
        );
        match self.layout.is_history {
            false => unknown,
            true => format!(
                "{unknown} UNION ALL SELECT {}, f.{EVENT} AS __from, f.__first AS __to, false AS __cur FROM first f \
                 WHERE NOT f.__skel AND f.{EVENT} < f.__first",
                listed("f", self.merge.keys())
            ),
        }
    }

    /// `keyed`: the new rows with `__sk`.
    async fn make_keys(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        let keys = listed("", self.merge.keys());
        if let (KeyStrategy::Sequence, Some(mark)) = (self.merge.dimension.key_strategy, self.merge.sequence)
        {
            let numbered = format!(
                "SELECT *, CAST({mark} AS BIGINT) + CAST(row_number() OVER (ORDER BY {keys}) AS BIGINT) AS __sk FROM inferred"
            );
            self.register("keyed", &numbered).await?;
            let given = number(session, "SELECT count(*) FROM keyed").await?;
            collector.change().sequence = Some(mark.saturating_add(i64::try_from(given).unwrap_or(i64::MAX)));
            return Ok(());
        }
        let first = format!("SELECT *, {} AS __sk FROM inferred", self.key(&SEED.to_string()));
        self.register("keyed", &first).await?;
        for _ in 0..REHASHES {
            let own = format!(
                "SELECT DISTINCT {} FROM (SELECT * FROM target WHERE {}) t JOIN keyed k ON t.{} = k.__sk WHERE {}",
                listed("k", self.merge.keys()),
                self.merge.loaded(),
                self.merge.surrogate_key(),
                equal_keys("t", "k", self.merge.keys())
            );
            self.register("taken", &own).await?;
            if number(session, "SELECT count(*) FROM taken").await? == 0 {
                break;
            }
            let again = format!(
                "SELECT {}, k.__from, k.__to, k.__cur, CASE WHEN o.__is_taken THEN {} ELSE k.__sk END AS __sk \
                 FROM keyed k LEFT JOIN (SELECT *, true AS __is_taken FROM taken) o ON {}",
                listed("k", self.merge.keys()),
                self.prefixed_key("k", "k.__sk"),
                equal_keys("k", "o", self.merge.keys())
            );
            self.register("keyed", &again).await?;
        }
        let all = format!("SELECT __sk AS {}, {keys} FROM keyed", self.merge.surrogate_key());
        collisions::refuse(self.merge, &self.merge.dimension.surrogate_key, &all).await
    }

    fn key(&self, seed: &str) -> String {
        self.prefixed_key("", seed)
    }

    fn prefixed_key(&self, prefix: &str, seed: &str) -> String {
        let keys = arguments(prefix, self.merge.keys());
        let from = if prefix.is_empty() { "__from".to_owned() } else { format!("{prefix}.__from") };
        match &self.merge.dimension.scd {
            Scd::Type2(_) | Scd::Type6 { .. } => format!("version_key({seed}, {keys}, {from})"),
            Scd::Type7 { .. } => format!("durable_version_key({seed}, member_fingerprint({keys}), {from})"),
            _ => format!("member_key({seed}, {keys})"),
        }
    }

    /// The new rows with all columns of the table.
    fn new_rows(&self) -> Result<String, EngineError> {
        let merge = self.merge;
        let mut columns = Vec::new();
        for field in &self.layout.output {
            columns.push(format!("{} AS {}", self.content(field)?, quoted(field.name())));
        }
        columns.push(format!("__sk AS {}", merge.surrogate_key()));
        let keys = arguments("", merge.keys());
        for computed in &self.layout.computed {
            let value = match &computed.role {
                Role::DurableKey => format!("member_key({SEED}, {keys})"),
                Role::MemberFingerprint => format!("member_fingerprint({keys})"),
                Role::RowFingerprint => format!("row_fingerprint(member_fingerprint({keys}), __from)"),
                // Of types that get no inferred members.
                Role::Previous(_)
                | Role::Current(_)
                | Role::MiniKey(_)
                | Role::Lag { .. }
                | Role::JunkKey(_) => {
                    format!("arrow_cast(NULL, '{}')", computed.kind)
                }
            };
            columns.push(format!("{value} AS {}", quoted(&computed.column)));
        }
        if self.layout.is_history {
            columns.push(format!("__from AS {}", name::VALID_FROM));
            columns.push(format!("__to AS {}", name::VALID_TO));
            columns.push(format!("__cur AS {}", name::IS_CURRENT));
        }
        columns.push(format!("false AS {}", name::IS_DELETED));
        columns.push(format!("true AS {}", name::IS_SKELETON));
        columns.push(format!("{} AS {}", literal(INFERRED), name::MEMBER_STATUS));
        columns.push(format!("'skeleton' AS {}", name::KEY_ORIGIN));
        columns.push(format!("{} AS {}", merge.clock, name::PROCESSED_AT));
        columns.push(format!("{} AS {}", literal(merge.batch_id), name::BATCH_ID));
        columns.push(format!("arrow_cast(NULL, 'UInt32') AS {FILE_COLUMN}"));
        columns.push(format!("CAST(NULL AS BIGINT) AS {ROW_COLUMN}"));
        let rows = format!("SELECT {} FROM keyed", columns.join(", "));
        let hashed = match self.layout.is_history {
            true => format!(", {} AS {}", hash_of("", &self.layout.tracked), name::HASHDIFF),
            false => String::new(),
        };
        Ok(format!("SELECT *{hashed}, CAST({} AS BIGINT) AS {ACTION} FROM ({rows})", action::INSERT))
    }

    /// What an inferred member has in a column of the query's output.
    fn content(&self, field: &Field) -> Result<String, EngineError> {
        let merge = self.merge;
        if merge.keys().iter().any(|key| key == field.name()) {
            return Ok(quoted(field.name()));
        }
        if self.layout.is_history && self.layout.effective_at.as_deref() == Some(field.name()) {
            return Ok(start_as("__from", field.data_type()));
        }
        filler(merge.pipeline, self.layout, field)
    }

    /// Inferred versions whose member has an earlier event begin with it. One that a delete from before its start emptied
    /// reaches up to the first real version again, or is open where there is none.
    async fn move_starts(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        let moved = format!(
            "SELECT {FILE_COLUMN}, {ROW_COLUMN}, {EVENT}, CASE WHEN __is_empty THEN coalesce(__next, {OPEN_END}) END AS __to, \
             __is_empty AND __next IS NULL AS __opens FROM first WHERE __skel AND {EVENT} < __first"
        );
        self.register("moved", &moved).await?;
        let found =
            addresses(query(session, &format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM moved")).await?)
                .await?;
        if found.is_empty() {
            return Ok(());
        }
        self.merge.target.register("hit", self.merge.target.live.at(found)).await?;
        let event = format!("m.{EVENT}");
        let columns = self.layout.schema.fields().iter().map(|field| {
            let column = field.name().as_str();
            let value = match column {
                name::VALID_FROM => event.clone(),
                name::VALID_TO => format!("coalesce(m.__to, {})", qualified("h", column)),
                name::IS_CURRENT => format!("m.__opens OR {}", qualified("h", column)),
                name::IS_DELETED => format!("m.__to IS NULL AND {}", qualified("h", column)),
                name::PROCESSED_AT => self.merge.clock.clone(),
                name::BATCH_ID => literal(self.merge.batch_id),
                column if self.layout.effective_at.as_deref() == Some(column) => {
                    start_as(&event, field.data_type())
                }
                column => qualified("h", column),
            };
            format!("{value} AS {}", quoted(column))
        });
        let rows = format!(
            "SELECT {}, h.{FILE_COLUMN}, h.{ROW_COLUMN}, CAST({} AS BIGINT) AS {ACTION} FROM hit h JOIN moved m \
             ON h.{FILE_COLUMN} = m.{FILE_COLUMN} AND h.{ROW_COLUMN} = m.{ROW_COLUMN}",
            columns.collect::<Vec<_>>().join(", "),
            action::UPDATE
        );
        collector.take(query(session, &rows).await?).await
    }
}
