//! Changes that repeated what held already (semantics 4.2): `etl_repeats` keeps them, so that A, B, A
//! converges when B comes late.
//!
//! A repeat belongs to the life in which it was said, which a later life of the member must not hear of. Lives are
//! told apart by the number of the member's deleted rows that are real: it stays while a life goes on, and every delete raises
//! it. (What is inferred may be deleted and live again.) A rebuilt table begins a range of numbers of its own.

use arrow::array::RecordBatch;
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::{INSTANT, VersionMerge};
use crate::EngineError;
use crate::columns::{IS_DELETED, IS_SKELETON, equal_keys, listed, literal};
use crate::keys::{SEED, arguments};
use crate::merge::{Collector, addresses};
use crate::session::query;
use crate::stage::Arrival;

/// More lives than a member has between two rebuilds of its table.
const LIVES: i64 = 1 << 32;

impl VersionMerge<'_> {
    /// `remembered`: the repeats of this dimension: `__key`, the hash of the natural key, `__at` and `__lived`.
    /// Returns how many there are.
    pub(super) async fn register_remembered(&self) -> Result<u64, EngineError> {
        let columns =
            format!("key_hash AS __key, arrow_cast(effective_at, {INSTANT}) AS __at, life AS __lived");
        let remembered = match self.merge.repeats.filter(|_| self.remembers()) {
            Some(table) => {
                self.merge.session.register_table("etl_repeats", table.rows().await?)?;
                let target = literal(&self.merge.pipeline.table.to_string());
                format!(
                    "SELECT DISTINCT r.* FROM (SELECT {columns} FROM etl_repeats WHERE target_table = {target}) r \
                     JOIN (SELECT member_key({SEED}, {}) AS __touched FROM touched) t ON r.__key = t.__touched",
                    self.keys
                )
            }
            None => format!(
                "SELECT CAST(0 AS BIGINT) AS __key, arrow_cast(NULL, {INSTANT}) AS __at, CAST(0 AS BIGINT) AS __lived WHERE false"
            ),
        };
        self.register("remembered", &remembered).await
    }

    /// `confirmed`: remembered repeats that lie inside a version of the present life in which they were said, with
    /// that version's content.
    pub(super) async fn register_confirmed(&self, remembered: u64) -> Result<(), EngineError> {
        // Mostly there is none, and no reason to look along the chains.
        let is_needed = remembered > 0;
        let chain = format!(
            "SELECT *, member_key({SEED}, {keys}) AS __key, \
             {first} + sum(CASE WHEN __del AND NOT __skel THEN 1 ELSE 0 END) OVER (PARTITION BY {keys}) AS __lived FROM chain WHERE {is_needed}",
            keys = self.keys,
            first = self.first_life()
        );
        let confirmed = format!(
            "SELECT DISTINCT {}, r.__at, c.__th, c.__uh, c.__f AS __rf, c.__r AS __rr FROM ({chain}) c \
             JOIN remembered r ON c.__key = r.__key AND c.__lived = r.__lived \
             WHERE c.__present AND r.__at > c.__vf AND r.__at < c.__vt",
            listed("c", self.merge.keys())
        );
        self.register("confirmed", &confirmed).await?;
        Ok(())
    }

    /// Hands the batch's own repeats on, to be written before its commit: those of lives that go on.
    pub(super) async fn collect_repeats(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if !self.remembers() {
            return Ok(());
        }
        let mut life_keys = self.merge.keys().to_vec();
        life_keys.push("__life".to_owned());
        let repeated = format!(
            "SELECT DISTINCT {}, n.__p FROM neighbours n LEFT JOIN ({}) y ON {} \
             WHERE n.__sk IS NULL AND n.__id IS NOT NULL AND (n.__before IS NOT DISTINCT FROM n.__th) AND y.__d IS NULL",
            listed("n", self.merge.keys()),
            self.ends(),
            equal_keys("n", "y", &life_keys)
        );
        if self.register("repeated", &repeated).await? == 0 {
            return Ok(());
        }
        self.register_lived().await?;
        let rows = format!(
            "SELECT member_key({SEED}, {}) AS key_hash, r.__p AS effective_at, {} + CAST(coalesce(l.__lived, 0) AS BIGINT) AS life \
             FROM repeated r LEFT JOIN lived l ON {}",
            arguments("r", self.merge.keys()),
            self.first_life(),
            equal_keys("r", "l", self.merge.keys())
        );
        let rows = query(self.merge.session, &rows).await?.collect().await?;
        collector.change().repeats =
            rows.into_iter().filter(|rows: &RecordBatch| rows.num_rows() > 0).collect();
        Ok(())
    }

    /// `lived`: how many deleted real rows each member with a repeat has, the batch's own included.
    async fn register_lived(&self) -> Result<(), EngineError> {
        let keys = &self.keys;
        // What is inferred and stays so has no hash.
        let fresh = format!("SELECT {keys} FROM outcome WHERE __del AND __th IS NOT NULL");
        let lived = match self.merge.has_rows {
            false => fresh,
            true => {
                let rows = format!(
                    "SELECT f.{FILE_COLUMN}, f.{ROW_COLUMN} FROM found f JOIN (SELECT DISTINCT {keys} FROM repeated) r ON {}",
                    equal_keys("f", "r", self.merge.keys())
                );
                let rows = addresses(query(self.merge.session, &rows).await?).await?;
                self.merge.target.register("repeaters", self.merge.target.live.at(rows)).await?;
                format!(
                    "{fresh} UNION ALL SELECT {keys} FROM repeaters WHERE {IS_DELETED} AND NOT coalesce({IS_SKELETON}, false)"
                )
            }
        };
        self.register("lived", &format!("SELECT {keys}, count(*) AS __lived FROM ({lived}) GROUP BY {keys}"))
            .await?;
        Ok(())
    }

    /// The number of a member's first life, as SQL.
    fn first_life(&self) -> String {
        format!("CAST({} AS BIGINT)", self.merge.rebuilds.saturating_mul(LIVES))
    }

    /// Only a feed tells one change after the other; a snapshot speaks of the present.
    fn remembers(&self) -> bool {
        self.history.remember_repeats && self.arrival() == Arrival::Changes
    }
}
