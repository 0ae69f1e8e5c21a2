//! Changes whose outcome is plain without a look at their neighbours.

use super::{INSTANT, VersionMerge};
use crate::EngineError;
use crate::columns::{ACTION, OPEN_END, action, equal_keys, listed};
use crate::stage::Arrival;

impl VersionMerge<'_> {
    /// `fresh`: the only change of a member of which the table knows nothing; it becomes an open version at its own
    /// effective time. `settled`: the numbers of these and of rows that say again what holds already.
    pub(super) async fn register_settled(&self) -> Result<(), EngineError> {
        let keys = &self.keys;
        let alone = format!(
            "SELECT {keys} FROM (SELECT {keys} FROM up UNION ALL SELECT {keys} FROM gone) GROUP BY {keys} HAVING count(*) = 1"
        );
        let single = format!(
            "SELECT {} FROM up u JOIN ({alone}) a ON {}",
            listed("u", self.merge.keys()) + ", u.__e, u.__id, u.__th, u.__uh",
            equal_keys("u", "a", self.merge.keys())
        );
        let fresh = match self.merge.has_rows {
            true => format!(
                "SELECT n.* FROM ({single}) n LEFT ANTI JOIN found f ON {}",
                equal_keys("n", "f", self.merge.keys())
            ),
            false => single,
        };
        self.register("fresh", &fresh).await?;
        // A feed's row that says the same is a repeat and may have to be remembered; a snapshot's is nothing.
        let same = match self.arrival() {
            Arrival::Changes => String::new(),
            _ => format!(
                " UNION ALL SELECT u.__id FROM up u JOIN chain c ON {} WHERE c.__present AND c.__was_current \
                 AND c.__cur AND u.__th = c.__th AND u.__uh = c.__uh",
                equal_keys("u", "c", self.merge.keys())
            ),
        };
        self.register("settled", &format!("SELECT __id FROM fresh{same}")).await?;
        Ok(())
    }

    /// The changes that are not settled.
    pub(super) fn unsettled(&self) -> String {
        "SELECT u.* FROM up u LEFT ANTI JOIN settled s ON u.__id = s.__id".to_owned()
    }

    /// What becomes of fresh changes, in the columns of `outcome`.
    pub(super) fn fresh_outcome(&self) -> String {
        format!(
            "SELECT {keys}, CAST(0 AS BIGINT) AS __life, __e AS __p, __e, __id, __id AS __uid, __th, CAST(NULL AS BIGINT) AS __sk, \
             arrow_cast(NULL, 'UInt32') AS __f, CAST(NULL AS BIGINT) AS __r, arrow_cast(NULL, 'UInt32') AS __cf, \
             CAST(NULL AS BIGINT) AS __cr, arrow_cast({OPEN_END}, {INSTANT}) AS __vt, true AS __cur, false AS __del, \
             CAST({} AS BIGINT) AS {ACTION} FROM fresh",
            action::INSERT,
            keys = self.keys
        )
    }
}
