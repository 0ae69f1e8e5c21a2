//! Changes whose outcome is plain without a look at their neighbours.

use super::{Changes, INSTANT, VersionMerge};
use crate::EngineError;
use crate::columns::{ACTION, OPEN_END, action, equal_keys, listed};
use crate::stage::Arrival;

impl VersionMerge<'_> {
    /// `fresh`: the only change of a member of which the table knows nothing; it becomes an open version at its own
    /// effective time. `superseding`: the only change of a member whose open version began before it and says something
    /// else; it ends that version. `ending`: the only change of a member whose open version it deletes. `settled`: the numbers of
    /// changes that are settled so, and of rows that say again what holds already. Returns how many changes are settled.
    pub(super) async fn register_settled(&self, changes: Changes) -> Result<Changes, EngineError> {
        let keys = &self.keys;
        let alone = format!(
            "SELECT {keys} FROM (SELECT {keys} FROM up UNION ALL SELECT {keys} FROM gone) GROUP BY {keys} HAVING count(*) = 1"
        );
        self.register("alone", &alone).await?;
        let single = format!(
            "SELECT {} FROM up u JOIN alone a ON {}",
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
        self.register("superseding", &self.superseding()).await?;
        let deletes = match changes.deletes {
            0 => 0,
            _ => self.register("ending", &self.ending()).await?,
        };
        // A feed's row that says the same is a repeat and may have to be remembered; a snapshot's is nothing.
        let same = match self.arrival() {
            Arrival::Changes => String::new(),
            _ => format!(
                " UNION ALL SELECT DISTINCT u.__id FROM up u JOIN chain c ON {} WHERE c.__present AND c.__was_current \
                 AND c.__cur AND u.__th = c.__th AND u.__uh = c.__uh",
                equal_keys("u", "c", self.merge.keys())
            ),
        };
        let settled = format!("SELECT __id FROM fresh UNION ALL SELECT __id FROM superseding{same}");
        let versions = self.register("settled", &settled).await?;
        Ok(Changes { versions, deletes })
    }

    /// The only changes of members of which nothing but the open version had to be read, with that version.
    fn superseding(&self) -> String {
        format!(
            "SELECT u.__e, u.__id, u.__th, {} WHERE u.__e > c.__vf AND u.__th <> c.__th",
            self.meeting_open_versions("up", "u")
        )
    }

    /// The deletes that are the only changes of their members.
    fn ending(&self) -> String {
        format!("SELECT g.__t, {}", self.meeting_open_versions("gone", "g"))
    }

    /// The rest of a query for changes of members of which nothing but the open version had to be read.
    fn meeting_open_versions(&self, changes: &str, alias: &str) -> String {
        format!(
            "{}, c.__sk, c.__vf, c.__e AS __old_e, c.__th AS __old_th, c.__f, c.__r \
             FROM {changes} {alias} JOIN alone a ON {} JOIN \
             (SELECT * FROM chain WHERE __present AND __was_current AND __cur AND NOT __skel AND NOT __is_deep) c ON {}",
            listed(alias, self.merge.keys()),
            equal_keys(alias, "a", self.merge.keys()),
            equal_keys(alias, "c", self.merge.keys())
        )
    }

    /// The versions that are not settled.
    pub(super) fn unsettled(&self) -> String {
        "SELECT u.* FROM up u LEFT ANTI JOIN settled s ON u.__id = s.__id".to_owned()
    }

    /// The deletes that are not settled, where there are any deletes.
    pub(super) fn unsettled_deletes(&self, changes: Changes) -> Option<String> {
        (changes.deletes > 0).then(|| {
            format!(
                "SELECT g.* FROM gone g LEFT ANTI JOIN ending e ON {}",
                equal_keys("g", "e", self.merge.keys())
            )
        })
    }

    /// What becomes of changes that are settled, and of the versions that they end, in the columns of `outcome`.
    pub(super) fn settled_outcome(&self, changes: Changes) -> String {
        let opened = |rows: &str| {
            format!(
                "SELECT {keys}, CAST(0 AS BIGINT) AS __life, __e AS __p, __e, __id, __id AS __uid, __th, CAST(NULL AS BIGINT) AS __sk, \
                 arrow_cast(NULL, 'UInt32') AS __f, CAST(NULL AS BIGINT) AS __r, arrow_cast(NULL, 'UInt32') AS __cf, \
                 CAST(NULL AS BIGINT) AS __cr, arrow_cast({OPEN_END}, {INSTANT}) AS __vt, true AS __cur, false AS __del, \
                 CAST({} AS BIGINT) AS {ACTION} FROM {rows}",
                action::INSERT,
                keys = self.keys
            )
        };
        let ended = |rows: &str, end: &str, is_deleted: bool, action: i64| {
            format!(
                "SELECT {keys}, CAST(0 AS BIGINT) AS __life, __vf AS __p, __old_e AS __e, \
                 CAST(NULL AS BIGINT) AS __id, CAST(NULL AS BIGINT) AS __uid, __old_th AS __th, __sk, __f, __r, __f AS __cf, __r AS __cr, \
                 {end} AS __vt, false AS __cur, {is_deleted} AS __del, CAST({action} AS BIGINT) AS {ACTION} FROM {rows}",
                keys = self.keys
            )
        };
        let mut rows =
            vec![opened("fresh"), opened("superseding"), ended("superseding", "__e", false, action::EXPIRE)];
        if changes.deletes > 0 {
            rows.push(ended("ending", "greatest(__vf, __t)", true, action::DELETE));
        }
        rows.join(" UNION ALL ")
    }
}
