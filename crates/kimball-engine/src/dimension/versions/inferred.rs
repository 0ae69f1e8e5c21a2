//! Members that were inferred from facts, when their real rows come (semantics 8.4).
//!
//! An inferred version is filled in place by the version that is true at its start: it keeps its key, and its start
//! moves back to the real one. Where the real rows begin later, it is an ordinary version that they follow, which
//! says nothing: whatever comes after it is a change.

use kimball_config::KeptChanges;

use super::VersionMerge;
use crate::EngineError;
use crate::columns::{equal_keys, listed};
use crate::quality::number;

impl VersionMerge<'_> {
    /// Gives inferred versions in `chain` that the batch fills the start of the version that fills them.
    pub(super) async fn move_filled(&self) -> Result<(), EngineError> {
        let inferred = "SELECT count(*) FROM chain WHERE __skel AND __present";
        if !self.merge.has_rows || number(self.merge.session, inferred).await? == 0 {
            return Ok(());
        }
        let filled = format!(
            "SELECT {}, max(u.__e) AS __fill FROM ({}) u JOIN (SELECT * FROM chain WHERE __skel AND __present) c ON {} \
             WHERE u.__e <= c.__vf GROUP BY {}",
            listed("u", self.merge.keys()),
            self.candidates(),
            equal_keys("u", "c", self.merge.keys()),
            listed("u", self.merge.keys())
        );
        let moved = format!(
            "SELECT {}, c.__sk, CASE WHEN c.__skel AND c.__present THEN coalesce(f.__fill, c.__vf) ELSE c.__vf END AS __vf, \
             c.__vt, c.__was_current, c.__cur, c.__del, c.__skel, CASE WHEN c.__skel AND c.__present THEN coalesce(f.__fill, c.__e) \
             ELSE c.__e END AS __e, c.__th, c.__uh, c.__ch, c.__f, c.__r, c.__is_deep, c.__present FROM chain c LEFT JOIN ({filled}) f ON {}",
            listed("c", self.merge.keys()),
            equal_keys("c", "f", self.merge.keys())
        );
        self.register("chain", &moved).await?;
        Ok(())
    }

    /// The changes that may fill an inferred version: those of the life that it belongs to.
    fn candidates(&self) -> String {
        let keys = &self.keys;
        let ended = format!("SELECT {keys}, min(__v) AS __gone FROM gone GROUP BY {keys}");
        let present = format!(
            "SELECT {}, u.__e FROM up u LEFT JOIN ({ended}) g ON {} WHERE g.__gone IS NULL OR u.__v < g.__gone",
            listed("u", self.merge.keys()),
            equal_keys("u", "g", self.merge.keys())
        );
        match self.history.kept_changes {
            KeptChanges::All => present,
            KeptChanges::Last => {
                format!("SELECT {keys}, max(__e) AS __e FROM ({present}) GROUP BY {keys}")
            }
        }
    }
}
