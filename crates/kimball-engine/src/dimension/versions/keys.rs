//! The keys of new versions (semantics 2.1, 2.2).

use arrow::datatypes::Field;
use kimball_config::{KeyStrategy, Scd};

use super::VersionMerge;
use crate::EngineError;
use crate::columns::{ACTION, ROW_ID, VALID_FROM, action, equal_keys, listed, qualified};
use crate::dimension::{collisions, start_as};
use crate::keys::{SEED, arguments, durable_version_key, key_hash, row_fingerprint, spark_text_function};
use crate::layout::Role;
use crate::merge::Collector;
use crate::quality::{number, refuse_any};

/// Rehashing a taken key ends long before this, unless the keys were made to collide.
const REHASHES: usize = 64;

impl VersionMerge<'_> {
    /// `keyed`: the key of each new version, by the number of its row in `outcome`.
    pub(super) async fn make_keys(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        let mut names = self.merge.keys().to_vec();
        names.push(self.effective_at.unwrap_or(VALID_FROM).to_owned());
        session.register_udf(key_hash("version_key", &names));
        session.register_udf(durable_version_key());
        session.register_udf(row_fingerprint());
        session.register_udf(spark_text_function());
        if let Some(mark) = self.merge.sequence {
            return self.number_versions(mark, collector).await;
        }
        self.register("keyed", &self.keyed("outcome", &SEED.to_string(), "true")).await?;
        let mut may_be_taken = self.register_holders().await?;
        for _ in 0..REHASHES {
            if !may_be_taken || !self.any_taken().await? {
                break;
            }
            self.register("keyed", &self.keyed(&format!("({})", self.taken()), "o.__new_sk", "o.__taken"))
                .await?;
            may_be_taken = self.register_holders().await?;
        }
        if may_be_taken {
            self.refuse_taken().await?;
        }
        self.refuse_durable_collisions().await
    }

    /// Refuses keys that no rehashing is for: those of other members, and of default members.
    async fn refuse_taken(&self) -> Result<(), EngineError> {
        let surrogate_key = &self.merge.dimension.surrogate_key;
        let all = format!("SELECT __new_sk AS {}, {} FROM keyed", self.merge.surrogate_key(), self.keys);
        collisions::refuse_among_new(self.merge, surrogate_key, &all).await?;
        let others = format!(
            "SELECT {}, __new_sk AS {} FROM holders WHERE NOT __is_own",
            self.keys,
            self.merge.surrogate_key()
        );
        refuse_any(self.merge.session, &others, &collisions::taken_rule(surrogate_key)).await
    }

    /// `holders`: new versions whose key a row of the target has: one of their own member, or another's. Returns whether
    /// there may be any, or keys that are there twice among the new ones; if not, there is no such table.
    async fn register_holders(&self) -> Result<bool, EngineError> {
        let column = &self.merge.dimension.surrogate_key;
        if !collisions::suspect_any(self.merge, column, "SELECT __new_sk FROM keyed").await? {
            return Ok(false);
        }
        let rows = if self.merge.has_rows { collisions::SUSPECTS } else { "versions" };
        let holders = format!(
            "SELECT {}, k.__new_sk, ({}) AS __is_own FROM (SELECT * FROM {rows} WHERE {}) t JOIN keyed k ON t.{} = k.__new_sk",
            listed("k", self.merge.keys()),
            equal_keys("t", "k", self.merge.keys()),
            self.merge.loaded(),
            self.merge.surrogate_key()
        );
        self.register("holders", &holders).await?;
        Ok(true)
    }

    /// Type 7: different members on one durable key (semantics 2.4).
    async fn refuse_durable_collisions(&self) -> Result<(), EngineError> {
        let computed = self.merge.staged.layout.computed.iter();
        let Some(durable) = computed.into_iter().find(|new| new.role == Role::DurableKey) else {
            return Ok(());
        };
        let keys = format!(
            "SELECT DISTINCT member_key({SEED}, {}) AS {}, {} FROM keyed",
            self.keys,
            crate::columns::quoted(&durable.column),
            self.keys
        );
        collisions::refuse(self.merge, &durable.column, &keys).await
    }

    /// New versions of `rows` with a key from `seed` where `condition` holds, and the key they have elsewhere.
    fn keyed(&self, rows: &str, seed: &str, condition: &str) -> String {
        let keys = arguments("o", self.merge.keys());
        let hash = |value: &str| match &self.merge.dimension.scd {
            Scd::Type7 { .. } => {
                format!("durable_version_key({seed}, member_fingerprint({keys}), {value})")
            }
            _ => format!("version_key({seed}, {keys}, {value})"),
        };
        let at_start = hash("o.__p");
        let key = match self.own_effective("o", "s") {
            Some(own) => format!("CASE WHEN o.__p = o.__e THEN {} ELSE {at_start} END", hash(&own)),
            None => at_start,
        };
        let (number, kept) = match rows {
            "outcome" => (format!("o.{ROW_ID} AS __n"), "CAST(NULL AS BIGINT)"),
            _ => ("o.__n".to_owned(), "o.__new_sk"),
        };
        let new_only = match rows {
            "outcome" => format!("WHERE o.{ACTION} = {}", action::INSERT),
            _ => String::new(),
        };
        format!(
            "SELECT {keys}, {number}, o.__life, o.__p, o.__e, o.__id, CASE WHEN {condition} THEN {key} ELSE {kept} END AS __new_sk \
             FROM {rows} o LEFT JOIN staged s ON o.__id = s.{ROW_ID} {new_only}"
        )
    }

    /// The effective value that a version's row holds, in its column's type: the staged row's own, or the start
    /// of a version that a remembered repeat brought back. `None` where the output has no such column.
    pub(super) fn own_effective(&self, point: &str, staged: &str) -> Option<String> {
        let column = self.effective_at?;
        let output = &self.merge.staged.layout.output;
        let kind = output.iter().find(|field| field.name() == column).map(Field::data_type)?;
        let start = start_as(&format!("{point}.__p"), kind);
        Some(format!("CASE WHEN {point}.__id IS NULL THEN {start} ELSE {} END", qualified(staged, column)))
    }

    /// Whether a new version has a key that another version of its member has.
    async fn any_taken(&self) -> Result<bool, EngineError> {
        let session = self.merge.session;
        let twice = format!(
            "SELECT count(*) FROM (SELECT __new_sk FROM keyed GROUP BY {}, __new_sk HAVING count(*) > 1)",
            self.keys
        );
        Ok(number(session, "SELECT count(*) FROM holders WHERE __is_own").await? > 0
            || number(session, &twice).await? > 0)
    }

    /// New versions with whether another version of the same member has their key.
    fn taken(&self) -> String {
        format!(
            "SELECT k.*, (row_number() OVER (PARTITION BY {}, k.__new_sk ORDER BY k.__life, k.__p) > 1 OR coalesce(c.__is_own, false)) \
             AS __taken FROM keyed k LEFT JOIN (SELECT DISTINCT {}, __new_sk, __is_own FROM holders WHERE __is_own) c \
             ON {} AND k.__new_sk = c.__new_sk",
            listed("k", self.merge.keys()),
            self.keys,
            equal_keys("k", "c", self.merge.keys())
        )
    }

    /// `sequence` keys: dense numbers above the high-water mark.
    async fn number_versions(&self, mark: i64, collector: &mut Collector) -> Result<(), EngineError> {
        debug_assert_eq!(self.merge.dimension.key_strategy, KeyStrategy::Sequence);
        let keys = &self.keys;
        let numbered = format!(
            "SELECT {keys}, {ROW_ID} AS __n, CAST({mark} AS BIGINT) + CAST(row_number() OVER (ORDER BY {keys}, __life, __p) AS BIGINT) \
             AS __new_sk FROM outcome WHERE {ACTION} = {}",
            action::INSERT
        );
        let given = self.register("keyed", &numbered).await?;
        collector.change().sequence = Some(mark.saturating_add(i64::try_from(given).unwrap_or(i64::MAX)));
        self.refuse_durable_collisions().await
    }
}
