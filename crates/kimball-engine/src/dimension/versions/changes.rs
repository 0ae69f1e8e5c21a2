//! What the batch says: its versions, its deletes, and the lives that they are cut into.

use kimball_config::{DeleteEffective, KeptChanges};

use super::{Changes, VersionMerge};
use crate::EngineError;
use crate::columns::{self as name, OP, ROW_ID, TIME, VERSION, equal_keys, instant_sql, listed, quoted};
use crate::quality::number;
use crate::stage::Absent;
use crate::upsert::guard_close;

impl VersionMerge<'_> {
    /// NULL or unusable effective times, and ties (semantics 4.1, 4.2, 4.7).
    pub(super) async fn refuse_bad_rows(&self) -> Result<(), EngineError> {
        let instant = self.instant("");
        if let Some(column) = self.effective_at {
            self.merge.refuse_bad_times(column).await?;
        }
        let also = self.effective_at.map(|_| instant.as_str());
        self.merge.refuse_ties(&self.merge.output(), also).await
    }

    /// `up` and `gone`: the batch's versions and deletes; `touched`: the members they speak of. In one commit
    /// an insert beats a delete of the same key (semantics 4.1).
    pub(super) async fn register_changes(&self) -> Result<Changes, EngineError> {
        let keys = &self.keys;
        let up = format!(
            "SELECT {keys}, __v, __e, min(__id) AS __id, min(__t) AS __t, min(__th) AS __th, min(__uh) AS __uh FROM \
             (SELECT {keys}, {VERSION} AS __v, {} AS __e, {ROW_ID} AS __id, {TIME} AS __t, {} AS __th, {} AS __uh \
             FROM staged WHERE {OP} = 1) GROUP BY {keys}, __v, __e",
            self.instant(""),
            self.tracked_hash(""),
            self.untracked_hash("")
        );
        let versions = self.register("up", &up).await?;
        let mut beaten = self.merge.keys().to_vec();
        beaten.push("__v".to_owned());
        let not_null =
            self.merge.keys().iter().map(|key| format!("{} IS NOT NULL", quoted(key))).collect::<Vec<_>>();
        let time = match (self.history.delete_effective, self.effective_at) {
            // A delete that no row of the source stands for has no time of its own.
            (DeleteEffective::Row, Some(_)) => format!("coalesce({}, {TIME})", self.instant("")),
            _ => TIME.to_owned(),
        };
        let mut gone = format!(
            "SELECT * FROM (SELECT {keys}, {VERSION} AS __v, min({time}) AS __t FROM staged WHERE {OP} = 0 AND {} \
             GROUP BY {keys}, {VERSION}) __k_gone LEFT ANTI JOIN up __k_up ON {}",
            not_null.join(" AND "),
            equal_keys("__k_up", "__k_gone", &beaten)
        );
        if self.merge.staged.absent.is_gone() {
            let time = instant_sql(self.merge.staged.moment);
            gone = format!(
                "{gone} UNION ALL SELECT {}, CAST(0 AS BIGINT) AS __v, {time} AS __t FROM ({}) __k_open \
                 LEFT ANTI JOIN staged __k_staged ON {}",
                listed("__k_open", self.merge.keys()),
                self.open_rows(),
                equal_keys("__k_open", "__k_staged", self.merge.keys())
            );
        }
        let deletes = self.register("gone", &gone).await?;
        let touched =
            format!("SELECT DISTINCT {keys} FROM (SELECT {keys} FROM up UNION ALL SELECT {keys} FROM gone)");
        self.register("touched", &touched).await?;
        Ok(Changes { versions, deletes })
    }

    /// Current rows of the target, in tables taken over by their end alone (semantics 4.7). A source is not expected
    /// to know inferred members.
    pub(super) fn open_rows(&self) -> String {
        format!(
            "SELECT * FROM target WHERE {} AND ({}) AND NOT coalesce({}, false)",
            self.merge.loaded(),
            self.is_open(""),
            name::IS_SKELETON
        )
    }

    /// Whether a row of the target is open.
    pub(super) fn is_open(&self, prefix: &str) -> String {
        name::is_open(&format!("{prefix}{}", name::IS_CURRENT), &format!("{prefix}{}", name::VALID_TO))
    }

    pub(super) async fn guard(&self) -> Result<(), EngineError> {
        if self.merge.staged.absent != Absent::GoneFromSnapshot || !self.merge.has_rows {
            return Ok(());
        }
        let session = self.merge.session;
        let closing = number(session, "SELECT count(*) FROM gone").await?;
        let open = number(session, &format!("SELECT count(*) FROM ({})", self.open_rows())).await?;
        guard_close(self.merge.pipeline.missing, closing, open, "natural key")
    }

    /// The batch's changes with the life each belongs to, counted from the one that is present: commit order
    /// cuts them, and a delete ends the life that it is counted to (semantics 4.1).
    pub(super) fn lives(&self, changes: Changes) -> String {
        let keys = &self.keys;
        let deletes = match self.unsettled_deletes(changes) {
            Some(deletes) => format!(
                " UNION ALL SELECT {keys}, __v, CAST(0 AS BIGINT), NULL, NULL, __t, NULL, NULL FROM ({deletes})"
            ),
            None => String::new(),
        };
        let all = format!(
            "SELECT *, coalesce(sum(1 - __op) OVER (PARTITION BY {keys} ORDER BY __v, __op \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS __life FROM \
             (SELECT {keys}, __v, CAST(1 AS BIGINT) AS __op, __e, __id, __t, __th, __uh FROM ({unsettled}){deletes})",
            unsettled = self.unsettled(),
        );
        match self.history.kept_changes {
            KeptChanges::All => all,
            KeptChanges::Last => format!(
                "SELECT {keys}, __v, __op, __e, __id, __t, __th, __uh, __life FROM (SELECT *, row_number() OVER \
                 (PARTITION BY {keys}, __op ORDER BY __life DESC, __e DESC, __v DESC) AS __nth FROM ({all})) \
                 WHERE __op = 0 OR __nth = 1"
            ),
        }
    }
}
