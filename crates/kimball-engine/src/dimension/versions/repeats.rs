//! Changes that repeated what held already (semantics 4.2): `etl_repeats` keeps them, so that A, B, A
//! converges when B comes late.

use arrow::array::RecordBatch;

use super::{INSTANT, VersionMerge};
use crate::EngineError;
use crate::columns::{equal_keys, listed};
use crate::keys::{SEED, arguments};
use crate::merge::Collector;
use crate::session::query;
use crate::stage::Arrival;

impl VersionMerge<'_> {
    /// `confirmed`: remembered repeats that lie inside a version of a present life, with that version's content.
    pub(super) async fn register_repeats(&self) -> Result<(), EngineError> {
        let columns = format!("{}, r.__at, c.__th, c.__uh, c.__f AS __rf, c.__r AS __rr", listed("c", self.merge.keys()));
        let confirmed = match self.merge.repeats.filter(|_| self.remembers()) {
            Some(remembered) => {
                self.merge.session.register_table("remembered", remembered.rows().await?)?;
                format!(
                    "SELECT DISTINCT {columns} FROM (SELECT *, member_key({SEED}, {}) AS __key FROM chain WHERE __present) c \
                     JOIN (SELECT key_hash AS __key, arrow_cast(effective_at, {INSTANT}) AS __at FROM remembered \
                     WHERE target_table = {}) r ON c.__key = r.__key \
                     WHERE r.__at > c.__vf AND r.__at < c.__vt",
                    arguments("", self.merge.keys()),
                    crate::columns::literal(&self.merge.pipeline.table.to_string())
                )
            }
            None => format!(
                "SELECT {columns} FROM chain c CROSS JOIN (SELECT arrow_cast(NULL, {INSTANT}) AS __at) r WHERE false"
            ),
        };
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
            "SELECT DISTINCT member_key({SEED}, {}) AS key_hash, n.__p AS effective_at FROM neighbours n \
             LEFT JOIN ({}) y ON {} WHERE n.__sk IS NULL AND n.__id IS NOT NULL \
             AND (n.__before IS NOT DISTINCT FROM n.__th) AND y.__d IS NULL",
            arguments("n", self.merge.keys()),
            self.ends(),
            equal_keys("n", "y", &life_keys)
        );
        let rows = query(self.merge.session, &repeated).await?.collect().await?;
        collector.change().repeats = rows.into_iter().filter(|rows: &RecordBatch| rows.num_rows() > 0).collect();
        Ok(())
    }

    /// Only a feed tells one change after the other; a snapshot speaks of the present.
    fn remembers(&self) -> bool {
        self.history.remember_repeats && self.arrival() == Arrival::Changes
    }
}
