//! From changes and versions to points in time, and from points to what becomes of each row.

use super::{Changes, VersionMerge};
use crate::columns::{ACTION, BEYOND, OPEN_END, action, equal_keys, least_in, listed};
use crate::stage::Arrival;

impl VersionMerge<'_> {
    /// `stirred`: the part of `chain` that belongs to members with a change that is not settled. Of a snapshot that is
    /// hardly any; the versions of all others stay as they are.
    pub(super) fn stirred(&self) -> String {
        format!(
            "SELECT c.* FROM (SELECT DISTINCT {} FROM lives) l JOIN chain c ON {}",
            self.keys,
            equal_keys("l", "c", self.merge.keys())
        )
    }

    /// `members`: what the batch has to know of each member that has changes and that the table knows. What was
    /// inferred begins no life, and no version that a change could be older than.
    pub(super) fn members(&self) -> String {
        let keys = &self.keys;
        format!(
            "SELECT {keys}, bool_or(__present) AS __open, min(CASE WHEN __present AND NOT __skel THEN __vf END) AS __life_start, \
             max(CASE WHEN __cur AND NOT __skel THEN __vf END) AS __cur_from, bool_or(__del) AS __had_delete, bool_or(__skel AND __cur) AS __inferred, \
             max(CASE WHEN NOT __present AND (__del OR NOT __skel) AND __vt > __vf THEN __vt END) AS __last_delete FROM stirred GROUP BY {keys}"
        )
    }

    /// `floored`: the changes of the batch, each with the point in time that it stands for, `__p`: never before the
    /// earliest instant that it may reach back to.
    pub(super) fn floored(&self) -> String {
        let keys = &self.keys;
        // What is known of a life when it begins: its first change, and the deletes before it.
        let begun = format!(
            "SELECT *, first_value(__e) OVER first AS __e0, first_value(__t) OVER first AS __t0, \
             {first_life} AS __first_life, \
             max(CASE WHEN __op = 0 THEN __t END) OVER (PARTITION BY {keys} ORDER BY __life \
             RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS __deleted_at FROM lives \
             WINDOW first AS (PARTITION BY {keys}, __life, __op ORDER BY __v, __e)",
            first_life = least_in(keys, "CASE WHEN __op = 1 THEN __life END")
        );
        let floor = format!(
            "CASE WHEN c.__life = 0 AND coalesce(m.__open, false) THEN {} \
             WHEN m.__had_delete IS NOT NULL OR c.__first_life < c.__life \
             THEN greatest(c.__e0, c.__t0, c.__deleted_at, m.__last_delete) END",
            match self.arrival() {
                Arrival::Changes => "CASE WHEN m.__had_delete THEN m.__life_start END",
                _ => "m.__cur_from",
            }
        );
        let bounded = format!(
            "SELECT {}, c.__life, c.__v, c.__e, c.__id, c.__t, c.__th, c.__uh, coalesce(m.__open, false) AS __open, m.__cur_from, \
             coalesce(m.__inferred, false) AS __inferred, \
             {floor} AS __floor FROM ({begun}) c LEFT JOIN members m ON {} WHERE c.__op = 1",
            listed("c", self.merge.keys()),
            equal_keys("c", "m", self.merge.keys())
        );
        // A recomputed row whose effective time did not advance changed when the commit changed it.
        let point = match self.arrival() {
            Arrival::Changes | Arrival::Snapshot => "greatest(__e, __floor)",
            Arrival::Recomputed | Arrival::RecomputedWhole => {
                "CASE WHEN __life = 0 AND __open AND NOT __inferred AND __e <= __cur_from THEN greatest(__t, __cur_from) \
                 ELSE greatest(__e, __floor) END"
            }
        };
        format!("SELECT *, {point} AS __p FROM ({bounded})")
    }

    /// Changes, versions and remembered repeats as points in time, a row a point: the newest change at it, the
    /// version that starts there already (`__sk`, `__f`, `__r`, `__old_…`), and the row that holds the point's
    /// attributes where no change does (`__cf`, `__cr`).
    pub(super) fn points(&self) -> String {
        let keys = &self.keys;
        let no_row = "arrow_cast(NULL, 'UInt32') AS __cf, CAST(NULL AS BIGINT) AS __cr";
        let rank = match self.arrival() {
            Arrival::Changes => "__e",
            _ => OPEN_END,
        };
        let changes = format!(
            "SELECT {keys}, __life, __p, {rank} AS __rank_e, __v AS __rank_v, __e, __id, __th, __uh, \
             false AS __is_repeat, {no_row} FROM floored"
        );
        let versions = format!(
            "SELECT {keys}, __life, __vf AS __p, __e AS __rank_e, CAST(-1 AS BIGINT) AS __rank_v, __e, \
             CAST(NULL AS BIGINT) AS __id, __th, __uh, false AS __is_repeat, {no_row} FROM living"
        );
        // Those of members whose changes are settled lie in versions that are not looked at.
        let repeats = format!(
            "SELECT {keys}, CAST(0 AS BIGINT) AS __life, __at AS __p, __at AS __rank_e, CAST(-2 AS BIGINT) AS __rank_v, __at AS __e, \
             CAST(NULL AS BIGINT) AS __id, __th, __uh, true AS __is_repeat, __rf AS __cf, __rr AS __cr \
             FROM confirmed c LEFT SEMI JOIN lives l ON {}",
            equal_keys("c", "l", self.merge.keys())
        );
        let newest = format!(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {keys}, __life, __p ORDER BY __rank_e DESC, __rank_v DESC, __id) \
             AS __place FROM ({changes} UNION ALL {versions} UNION ALL {repeats})) WHERE __place = 1"
        );
        let mut point = self.merge.keys().to_vec();
        point.extend(["__life".to_owned(), "__p".to_owned()]);
        format!(
            "SELECT {}, w.__life, w.__p, w.__e, w.__id, w.__th, w.__uh, w.__is_repeat, v.__sk, v.__f, v.__r, v.__vt AS __old_vt, \
             v.__was_current AS __old_cur, coalesce(v.__skel, false) AS __old_skel, v.__th AS __old_th, v.__uh AS __old_uh, v.__e AS __old_e, \
             coalesce(v.__f, w.__cf) AS __cf, coalesce(v.__r, w.__cr) AS __cr FROM ({newest}) w LEFT JOIN \
             (SELECT *, __vf AS __p FROM living) v ON {}",
            listed("w", self.merge.keys()),
            equal_keys("w", "v", &point)
        )
    }

    /// Each point with what held before it, and with the newest change of its life: `__last_…`.
    pub(super) fn neighbours(&self) -> String {
        let keys = &self.keys;
        // A repeat says nothing new about untracked columns.
        let last = format!("OVER (PARTITION BY {keys}, __life ORDER BY __is_repeat, __p DESC)");
        format!(
            "SELECT *, lag(__th) OVER (PARTITION BY {keys}, __life ORDER BY __p) AS __before, \
             first_value(__p) {last} AS __last_p, first_value(__id) {last} AS __last_id, \
             first_value(__uh) {last} AS __last_uh FROM points"
        )
    }

    /// When each life of the batch that a delete ends, ends.
    pub(super) fn ends(&self) -> String {
        let keys = &self.keys;
        format!("SELECT {keys}, __life, min(__t) AS __d FROM lives WHERE __op = 0 GROUP BY {keys}, __life")
    }

    /// What becomes of each point: the rows to write, with their new ends. Rows that stay are left out.
    pub(super) fn outcome(&self, changes: Changes) -> String {
        let keys = &self.keys;
        // A change that repeats what holds already is no version; a published row stays.
        let kept = format!(
            "SELECT *, lead(__p) OVER (PARTITION BY {keys}, __life ORDER BY __p) AS __next FROM neighbours \
             WHERE __sk IS NOT NULL OR (__before IS DISTINCT FROM __th)"
        );
        let mut life_keys = self.merge.keys().to_vec();
        life_keys.push("__life".to_owned());
        let is_newest = "k.__next IS NULL AND k.__last_p >= k.__p";
        let ended = format!(
            "SELECT k.*, y.__d, coalesce(k.__next, {OPEN_END}) AS __base_end, \
             CASE WHEN {is_newest} THEN k.__last_id ELSE k.__id END AS __uid, \
             CASE WHEN {is_newest} THEN k.__last_uh ELSE k.__uh END AS __new_uh \
             FROM ({kept}) k LEFT JOIN ({}) y ON {}",
            self.ends(),
            equal_keys("k", "y", &life_keys)
        );
        let closed = format!(
            "SELECT *, (__d IS NOT NULL AND __base_end > __d) AS __del, \
             CASE WHEN __d IS NOT NULL AND __base_end > __d THEN greatest(__p, __d) ELSE __base_end END AS __vt, \
             (__d IS NULL AND __next IS NULL) AS __cur FROM ({ended})"
        );
        // Two changes that a delete pushed to one instant are told apart by their own times, which must not be lost.
        let moved = match self.arrival() {
            Arrival::Changes => " OR (__id IS NOT NULL AND __e <> __old_e)",
            _ => "",
        };
        // An inferred version says nothing: any real row is another.
        let content = format!(
            "coalesce(__th <> __old_th OR __new_uh <> __old_uh OR (__old_skel AND __id IS NOT NULL){moved}, false)"
        );
        let interval = format!(
            "(__del OR __cur <> __old_cur OR (__vt <> __old_vt AND NOT (__vt >= {BEYOND} AND __old_vt >= {BEYOND})))"
        );
        format!(
            "SELECT {keys}, __life, __p, __e, __id, __uid, __th, __sk, __f, __r, __cf, __cr, __vt, __cur, __del, \
             CAST(CASE WHEN __sk IS NULL THEN {} WHEN __del THEN {} WHEN {content} OR __cur THEN {} ELSE {} END AS BIGINT) AS {ACTION} \
             FROM ({closed}) WHERE __sk IS NULL OR {content} OR {interval} UNION ALL {settled}",
            action::INSERT,
            action::DELETE,
            action::UPDATE,
            action::EXPIRE,
            settled = self.settled_outcome(changes)
        )
    }
}
