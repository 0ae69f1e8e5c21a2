//! Members that were inferred from facts, when their real rows come (semantics 8.4).
//!
//! An inferred version is filled in place by the version that is true at its start: it keeps its key, and its start
//! moves back to the real one. Where the real rows begin later, it is an ordinary version that they follow, which
//! says nothing: whatever comes after it is a change.
//!
//! It says nothing of lives either. It stands in front of the life that goes on, but when a delete from before its start
//! ends that life, it waits for another one that begins by then.

use super::VersionMerge;
use crate::EngineError;
use crate::columns::{equal_keys, least_in, listed};
use crate::quality::number;

impl VersionMerge<'_> {
    /// `living`: the versions of lives that the batch speaks of, each with its life. Inferred ones begin where the version
    /// that fills them does.
    pub(super) async fn register_living(&self) -> Result<(), EngineError> {
        let columns = |start: &str, effective: &str| {
            format!(
                "{}, c.__sk, {start} AS __vf, c.__vt, c.__was_current, c.__skel, {effective} AS __e, c.__th, c.__uh, c.__f, c.__r",
                listed("c", self.merge.keys())
            )
        };
        let told = format!(
            "SELECT {}, CAST(0 AS BIGINT) AS __life FROM stirred c WHERE c.__present AND NOT c.__skel",
            columns("c.__vf", "c.__e")
        );
        let inferred = "SELECT count(*) FROM stirred WHERE __skel";
        if !self.merge.has_rows || number(self.merge.session, inferred).await? == 0 {
            self.register("living", &told).await?;
            return Ok(());
        }
        let living = format!(
            "{told} UNION ALL SELECT {}, coalesce(h.__home, 0) AS __life FROM stirred c LEFT JOIN ({}) h ON c.__sk = h.__sk \
             WHERE c.__skel AND (c.__present OR h.__home IS NOT NULL)",
            // Whatever a change says goes before what was inferred.
            columns("coalesce(h.__fill, c.__vf)", "least(h.__first_e, c.__e)"),
            self.homes()
        );
        self.register("living", &living).await?;
        Ok(())
    }

    /// The life of each inferred version that changes of the batch meet, with the start of the version that fills it, if
    /// one does, and the least effective time in that life.
    ///
    /// That is the life that is true at its start, else the first that begins by then: nothing real begins before what is
    /// inferred. Where all begin later, a version that goes on stays with its life, and one that stands before versions
    /// that were never true is bounded by the first new life.
    fn homes(&self) -> String {
        let mut life_keys = self.merge.keys().to_vec();
        life_keys.push("__life".to_owned());
        let meetings = format!(
            "SELECT c.__sk, c.__vf, c.__present, NOT c.__del AND r.__p < c.__vt AS __bounds, r.__life, r.__p, r.__e, \
             r.__p <= c.__vf AS __fills, r.__p <= c.__vf AND coalesce(y.__d > c.__vf, true) AS __is_true \
             FROM stirred c JOIN floored r ON {} LEFT JOIN ({}) y ON {} \
             WHERE c.__skel AND (c.__present OR NOT c.__del OR c.__vt = c.__vf)",
            equal_keys("c", "r", self.merge.keys()),
            self.ends(),
            equal_keys("r", "y", &life_keys),
        );
        let first = |condition: &str| least_in("__sk", &format!("CASE WHEN {condition} THEN __life END"));
        let homes = format!(
            "SELECT *, coalesce({}, {}, CASE WHEN __present THEN 0 ELSE {} END) AS __home FROM ({meetings})",
            first("__is_true"),
            first("__fills"),
            first("__bounds")
        );
        format!(
            "SELECT __sk, __home, max(CASE WHEN __fills THEN __p END) AS __fill, min(__e) AS __first_e FROM ({homes}) \
             WHERE __life = __home GROUP BY __sk, __home"
        )
    }
}
