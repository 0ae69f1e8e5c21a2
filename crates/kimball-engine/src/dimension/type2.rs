//! Type 2: a row for every version (semantics 4).
//!
//! The members that the batch touches are looked at whole, and all of them at once: their versions and their
//! changes become *points* in time, ordered within each life; the newest change at a point wins, equal
//! neighbours fall together, and what follows a point ends it. The result says which rows are new, which
//! get another end or other attributes, and which stay as they are and are left alone.
//!
//! Every step is one query over narrow columns: keys, hashes, instants. Attributes are joined to it at the
//! end, for the rows that are written.

use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::{DimensionMerge, arguments, collisions};
use crate::EngineError;
use crate::columns::{
    self as name, ACTION, BEYOND, OP, OPEN_END, ROW_ID, TIME, VERSION, action, equal_keys, listed,
};
use crate::columns::{instant_sql, qualified, quoted};
use crate::keys::{SEED, key_hash};
use crate::merge::{Collector, addresses};
use crate::quality::{number, refuse_any};
use crate::session::query;
use crate::stage::{Arrival, Numbering, Spool};
use crate::upsert::guard_close;

const INSTANT: &str = "'Timestamp(Microsecond, Some(\"UTC\"))'";
/// Rehashing a taken key ends long before this, unless the keys were made to collide.
const REHASHES: usize = 64;

pub(super) async fn merge(merge: &DimensionMerge<'_>, collector: &mut Collector) -> Result<(), EngineError> {
    let Some(history) = HistoryMerge::of(merge) else {
        return Err(EngineError::Config("a history needs `effective_at`".to_owned()));
    };
    history.refuse_bad_rows().await?;
    history.register_changes().await?;
    history.guard().await?;
    history.register("chain", &history.chain()).await?;
    history.register("lives", &history.lives()).await?;
    history.register("points", &history.points()).await?;
    history.register("outcome", &history.outcome()).await?;
    history.make_keys().await?;
    history.write(collector).await
}

struct HistoryMerge<'a> {
    merge: &'a DimensionMerge<'a>,
    /// `"a", "b"` of the natural key.
    keys: String,
    effective_at: &'a str,
    tracked: &'a [String],
    untracked: Vec<String>,
}

impl<'a> HistoryMerge<'a> {
    fn of(merge: &'a DimensionMerge<'a>) -> Option<Self> {
        let layout = &merge.staged.layout;
        Some(Self {
            merge,
            keys: listed("", merge.keys()),
            effective_at: layout.effective_at.as_deref()?,
            tracked: &layout.tracked,
            untracked: layout.untracked(),
        })
    }

    fn arrival(&self) -> Arrival {
        self.merge.staged.arrival
    }

    /// Keeps the result of a query as a table of the session.
    async fn register(&self, table: &str, sql: &str) -> Result<u64, EngineError> {
        let stream = query(self.merge.session, sql).await?.execute_stream().await?;
        let spool = Spool::fill(stream, Numbering::Plain).await?;
        spool.register(self.merge.session, table).await?;
        let rows = spool.rows();
        self.merge.keep(spool);
        Ok(rows)
    }

    /// The effective time of a row as an instant; NULL where the column is none.
    fn instant(&self, prefix: &str) -> String {
        format!("arrow_try_cast({}, {INSTANT})", qualified(prefix, self.effective_at))
    }

    fn tracked_hash(&self, prefix: &str) -> String {
        hash_of(prefix, self.tracked)
    }

    fn untracked_hash(&self, prefix: &str) -> String {
        hash_of(prefix, &self.untracked)
    }

    /// NULL or unusable effective times, and ties (semantics 4.1, 4.2, 4.7).
    async fn refuse_bad_rows(&self) -> Result<(), EngineError> {
        let instant = self.instant("");
        let shown = format!("{}, {}", self.keys, quoted(self.effective_at));
        let rows = format!("SELECT {shown} FROM staged WHERE {OP} = 1");
        let absent = format!("`effective_at` column `{}` is NULL or no timestamp", self.effective_at);
        refuse_any(self.merge.session, &format!("{rows} AND {instant} IS NULL"), &absent).await?;
        let beyond = format!("`effective_at` column `{}` lies at or after 9999-12-31", self.effective_at);
        refuse_any(self.merge.session, &format!("{rows} AND {instant} >= {BEYOND}"), &beyond).await?;
        self.merge.refuse_ties(&self.merge.output(), Some(&instant)).await
    }

    /// `up` and `gone`: the batch's versions and deletes. In one commit an insert beats a delete of the
    /// same key (semantics 4.1).
    async fn register_changes(&self) -> Result<(), EngineError> {
        let keys = &self.keys;
        let up = format!(
            "SELECT {keys}, {VERSION} AS __v, {} AS __e, min({ROW_ID}) AS __id, min({TIME}) AS __t, min({}) AS __th, \
             min({}) AS __uh FROM staged WHERE {OP} = 1 GROUP BY {keys}, {VERSION}, __e",
            self.instant(""),
            self.tracked_hash(""),
            self.untracked_hash("")
        );
        self.register("up", &up).await?;
        let mut beaten = self.merge.keys().to_vec();
        beaten.push("__v".to_owned());
        let not_null =
            self.merge.keys().iter().map(|key| format!("{} IS NOT NULL", quoted(key))).collect::<Vec<_>>();
        let mut gone = format!(
            "SELECT * FROM (SELECT {keys}, {VERSION} AS __v, min({TIME}) AS __t FROM staged WHERE {OP} = 0 AND {} \
             GROUP BY {keys}, {VERSION}) __k_gone LEFT ANTI JOIN up __k_up ON {}",
            not_null.join(" AND "),
            equal_keys("__k_up", "__k_gone", &beaten)
        );
        if self.closes_missing() {
            let time = instant_sql(self.merge.staged.moment);
            gone = format!(
                "{gone} UNION ALL SELECT {}, CAST(0 AS BIGINT) AS __v, {time} AS __t FROM ({}) __k_open \
                 LEFT ANTI JOIN staged __k_staged ON {}",
                listed("__k_open", self.merge.keys()),
                self.open_rows(),
                equal_keys("__k_open", "__k_staged", self.merge.keys())
            );
        }
        self.register("gone", &gone).await?;
        let touched =
            format!("SELECT DISTINCT {keys} FROM (SELECT {keys} FROM up UNION ALL SELECT {keys} FROM gone)");
        self.register("touched", &touched).await?;
        Ok(())
    }

    fn closes_missing(&self) -> bool {
        match self.arrival() {
            Arrival::Snapshot => self.merge.pipeline.missing.close,
            Arrival::RecomputedWhole => true,
            Arrival::Changes | Arrival::Recomputed => false,
        }
    }

    /// Current rows of the target, in tables taken over by their end alone (semantics 4.7).
    fn open_rows(&self) -> String {
        let open = format!("coalesce({}, false) OR {} >= {BEYOND}", name::IS_CURRENT, name::VALID_TO);
        format!("SELECT * FROM target WHERE {} AND ({open})", self.merge.loaded())
    }

    async fn guard(&self) -> Result<(), EngineError> {
        if self.arrival() != Arrival::Snapshot || !self.closes_missing() || !self.merge.has_rows {
            return Ok(());
        }
        let session = self.merge.session;
        let closing = number(session, "SELECT count(*) FROM gone").await?;
        let open = number(session, &format!("SELECT count(*) FROM ({})", self.open_rows())).await?;
        guard_close(self.merge.pipeline.missing, closing, open, "natural key")
    }

    /// The target's versions of the touched members, each with whether it belongs to the present life: the
    /// contiguous run of versions without a delete that the current row ends.
    fn chain(&self) -> String {
        let keys = &self.keys;
        let columns = format!(
            "{}, x.{} AS __sk, x.{vf} AS __vf, x.{vt} AS __vt, coalesce(x.{current}, false) AS __was_current, \
             (coalesce(x.{current}, false) OR x.{vt} >= {BEYOND}) AS __cur, coalesce(x.{deleted}, false) AS __del, \
             coalesce({instant}, x.{vf}) AS __e, {th} AS __th, {uh} AS __uh, x.{FILE_COLUMN} AS __f, x.{ROW_COLUMN} AS __r",
            listed("x", self.merge.keys()),
            self.merge.surrogate_key(),
            vf = name::VALID_FROM,
            vt = name::VALID_TO,
            current = name::IS_CURRENT,
            deleted = name::IS_DELETED,
            instant = self.instant("x"),
            th = match self.merge.hashdiff_holds {
                true => qualified("x", name::HASHDIFF),
                false => self.tracked_hash("x"),
            },
            uh = self.untracked_hash("x"),
        );
        let versions = format!(
            "SELECT {columns} FROM (SELECT * FROM target WHERE {}) x JOIN touched s ON {}",
            self.merge.loaded(),
            equal_keys("x", "s", self.merge.keys())
        );
        // A version begins a life where the one before does not reach it, or where a delete ended.
        let breaks = format!(
            "SELECT *, CASE WHEN __del THEN 0 WHEN (lag(__vt) OVER (PARTITION BY {keys}, __del ORDER BY __vf) IS DISTINCT FROM __vf) \
             OR max(CASE WHEN __del AND __vt > __vf THEN __vt END) OVER (PARTITION BY {keys} ORDER BY __vf, __vt \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) = __vf THEN 1 ELSE 0 END AS __starts FROM ({versions})"
        );
        let lives = format!(
            "SELECT *, sum(__starts) OVER (PARTITION BY {keys}, __del ORDER BY __vf \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS __nth FROM ({breaks})"
        );
        format!(
            "SELECT *, NOT __del AND __nth = max(__nth) OVER (PARTITION BY {keys}, __del) \
             AND max(CASE WHEN __cur THEN 1 ELSE 0 END) OVER (PARTITION BY {keys}) = 1 AS __present FROM ({lives})"
        )
    }

    /// The batch's changes with the life each belongs to, counted from the one that is present: commit order
    /// cuts them, and a delete ends the life that it is counted to (semantics 4.1).
    fn lives(&self) -> String {
        let keys = &self.keys;
        format!(
            "SELECT *, coalesce(sum(1 - __op) OVER (PARTITION BY {keys} ORDER BY __v, __op \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS __life FROM \
             (SELECT {keys}, __v, CAST(1 AS BIGINT) AS __op, __e, __id, __t, __th, __uh FROM up UNION ALL \
             SELECT {keys}, __v, CAST(0 AS BIGINT), NULL, NULL, __t, NULL, NULL FROM gone)"
        )
    }

    /// Changes and versions as points in time, a row a point: the newest change at it, and the version that
    /// starts there already, if there is one.
    fn points(&self) -> String {
        let keys = &self.keys;
        let members = format!(
            "SELECT {keys}, bool_or(__present) AS __open, min(CASE WHEN __present THEN __vf END) AS __life_start, \
             max(CASE WHEN __cur THEN __vf END) AS __cur_from, bool_or(__del) AS __had_delete, \
             max(CASE WHEN __del AND __vt > __vf THEN __vt END) AS __last_delete FROM chain GROUP BY {keys}"
        );
        // What is known of a life when it begins: its first change, and the deletes before it.
        let begun = format!(
            "SELECT *, first_value(__e) OVER first AS __e0, first_value(__t) OVER first AS __t0, \
             min(CASE WHEN __op = 1 THEN __life END) OVER (PARTITION BY {keys}) AS __first_life, \
             max(CASE WHEN __op = 0 THEN __t END) OVER (PARTITION BY {keys} ORDER BY __life \
             RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS __deleted_at FROM lives \
             WINDOW first AS (PARTITION BY {keys}, __life, __op ORDER BY __v, __e)"
        );
        let same = equal_keys("c", "m", self.merge.keys());
        let floor = format!(
            "CASE WHEN c.__life = 0 AND coalesce(m.__open, false) THEN {} \
             WHEN m.__had_delete IS NOT NULL OR c.__first_life < c.__life \
             THEN greatest(c.__e0, c.__t0, c.__deleted_at, m.__last_delete) END",
            match self.arrival() {
                Arrival::Changes => "CASE WHEN m.__had_delete THEN m.__life_start END",
                _ => "m.__cur_from",
            }
        );
        let floored = format!(
            "SELECT {}, c.__life, c.__v, c.__e, c.__id, c.__t, c.__th, c.__uh, coalesce(m.__open, false) AS __open, m.__cur_from, \
             {floor} AS __floor FROM ({begun}) c LEFT JOIN ({members}) m ON {same} WHERE c.__op = 1",
            listed("c", self.merge.keys())
        );
        // A recomputed row whose effective time did not advance changed when the commit changed it.
        let (start, rank) = match self.arrival() {
            Arrival::Changes => ("greatest(__e, __floor)".to_owned(), "__e"),
            Arrival::Snapshot => ("greatest(__e, __floor)".to_owned(), OPEN_END),
            Arrival::Recomputed | Arrival::RecomputedWhole => (
                "CASE WHEN __life = 0 AND __open AND __e <= __cur_from THEN greatest(__t, __cur_from) \
                 ELSE greatest(__e, __floor) END"
                    .to_owned(),
                OPEN_END,
            ),
        };
        let all = format!(
            "SELECT {keys}, __life, {start} AS __p, {rank} AS __rank_e, __v AS __rank_v, __e, __id, __th, __uh, CAST(NULL AS BIGINT) AS __sk, \
             arrow_cast(NULL, 'UInt32') AS __f, CAST(NULL AS BIGINT) AS __r, arrow_cast(NULL, {INSTANT}) AS __old_vt, \
             CAST(NULL AS BOOLEAN) AS __old_cur, CAST(NULL AS BIGINT) AS __old_th, CAST(NULL AS BIGINT) AS __old_uh \
             FROM ({floored}) UNION ALL \
             SELECT {keys}, CAST(0 AS BIGINT), __vf, __e AS __rank_e, CAST(-1 AS BIGINT), __e, CAST(NULL AS BIGINT), __th, __uh, \
             __sk, __f, __r, __vt, __was_current, __th AS __old_th, __uh AS __old_uh FROM chain WHERE __present"
        );
        format!(
            "SELECT * FROM (SELECT {keys}, __life, __p, __e, __id, __th, __uh, \
             row_number() OVER (PARTITION BY {keys}, __life, __p ORDER BY __rank_e DESC, __rank_v DESC, __id) AS __place, \
             max(__sk) OVER at AS __sk, max(__f) OVER at AS __f, max(__r) OVER at AS __r, max(__old_vt) OVER at AS __old_vt, \
             bool_or(__old_cur) OVER at AS __old_cur, max(__old_th) OVER at AS __old_th, max(__old_uh) OVER at AS __old_uh \
             FROM ({all}) WINDOW at AS (PARTITION BY {keys}, __life, __p)) WHERE __place = 1"
        )
    }

    /// What becomes of each point: the rows to write, with their new ends. Rows that stay are left out.
    fn outcome(&self) -> String {
        let keys = &self.keys;
        let by_time = format!("PARTITION BY {keys}, __life ORDER BY __p");
        let neighbours = format!(
            "SELECT *, lag(__th) OVER ({by_time}) AS __before, last_value(__id) OVER whole AS __last_id, \
             last_value(__uh) OVER whole AS __last_uh FROM points \
             WINDOW whole AS ({by_time} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        );
        // A change that repeats what holds already is no version; a published row stays.
        let kept = format!(
            "SELECT *, lead(__p) OVER ({by_time}) AS __next FROM ({neighbours}) \
             WHERE __sk IS NOT NULL OR (__before IS DISTINCT FROM __th)"
        );
        let ends = format!(
            "SELECT {keys}, __life, min(__t) AS __d FROM lives WHERE __op = 0 GROUP BY {keys}, __life"
        );
        let mut life_keys = self.merge.keys().to_vec();
        life_keys.push("__life".to_owned());
        let ended = format!(
            "SELECT k.*, y.__d, coalesce(k.__next, {OPEN_END}) AS __base_end, \
             CASE WHEN k.__next IS NULL THEN k.__last_id ELSE k.__id END AS __uid, \
             CASE WHEN k.__next IS NULL THEN k.__last_uh ELSE k.__uh END AS __new_uh \
             FROM ({kept}) k LEFT JOIN ({ends}) y ON {}",
            equal_keys("k", "y", &life_keys)
        );
        let closed = format!(
            "SELECT *, (__d IS NOT NULL AND __base_end > __d) AS __del, \
             CASE WHEN __d IS NOT NULL AND __base_end > __d THEN greatest(__p, __d) ELSE __base_end END AS __vt, \
             (__d IS NULL AND __next IS NULL) AS __cur FROM ({ended})"
        );
        let content = "(__th <> __old_th OR __new_uh <> __old_uh)";
        let interval = format!(
            "(__del OR __cur <> __old_cur OR (__vt <> __old_vt AND NOT (__vt >= {BEYOND} AND __old_vt >= {BEYOND})))"
        );
        format!(
            "SELECT {keys}, __life, __p, __e, __id, __uid, __th, __sk, __f, __r, __vt, __cur, __del, CAST(CASE WHEN __sk IS NULL THEN {} \
             WHEN __del THEN {} WHEN {content} THEN {} ELSE {} END AS BIGINT) AS {ACTION} \
             FROM ({closed}) WHERE __sk IS NULL OR {content} OR {interval}",
            action::INSERT,
            action::DELETE,
            action::UPDATE,
            action::EXPIRE
        )
    }

    /// Gives each new version its key (semantics 2.1), as the table `keyed`.
    async fn make_keys(&self) -> Result<(), EngineError> {
        let session = self.merge.session;
        let mut names = self.merge.keys().to_vec();
        names.push(self.effective_at.to_owned());
        session.register_udf(key_hash("version_key", &names));
        let keys = arguments("o", self.merge.keys());
        let fresh = format!(
            "SELECT {keys}, o.__life, o.__p, o.__e, o.__id, CASE WHEN o.__p = o.__e THEN version_key({SEED}, {keys}, {}) \
             ELSE version_key({SEED}, {keys}, o.__p) END AS __new_sk \
             FROM outcome o JOIN staged s ON o.__id = s.{ROW_ID} WHERE o.{ACTION} = {}",
            qualified("s", self.effective_at),
            action::INSERT
        );
        self.register("keyed", &fresh).await?;
        for _ in 0..REHASHES {
            if number(session, &format!("SELECT count(*) FROM ({}) WHERE __taken", self.taken())).await? == 0
            {
                break;
            }
            let again = format!(
                "SELECT {keys}, o.__life, o.__p, o.__e, o.__id, CASE WHEN NOT o.__taken THEN o.__new_sk \
                 WHEN o.__p = o.__e THEN version_key(o.__new_sk, {keys}, {}) \
                 ELSE version_key(o.__new_sk, {keys}, o.__p) END AS __new_sk \
                 FROM ({}) o JOIN staged s ON o.__id = s.{ROW_ID}",
                qualified("s", self.effective_at),
                self.taken()
            );
            self.register("keyed", &again).await?;
        }
        let all = format!("SELECT __new_sk AS {}, {} FROM keyed", self.merge.surrogate_key(), self.keys);
        collisions::refuse(self.merge, &all).await
    }

    /// New versions with whether another version of the same member has their key.
    fn taken(&self) -> String {
        let keys = &self.keys;
        format!(
            "SELECT k.*, (row_number() OVER (PARTITION BY {}, k.__new_sk ORDER BY k.__life, k.__p) > 1 OR c.__sk IS NOT NULL) \
             AS __taken FROM keyed k LEFT JOIN (SELECT DISTINCT {keys}, __sk FROM chain) c ON {} AND k.__new_sk = c.__sk",
            listed("k", self.merge.keys()),
            equal_keys("k", "c", self.merge.keys())
        )
    }

    async fn write(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        let changed =
            format!("SELECT __f AS {FILE_COLUMN}, __r AS {ROW_COLUMN} FROM outcome WHERE __f IS NOT NULL");
        let chosen = addresses(query(session, &changed).await?).await?;
        session.register_table("hit", std::sync::Arc::new(self.merge.live.at(chosen)))?;
        collector.take(query(session, &self.action_rows()).await?).await
    }

    /// The rows to write, with all their columns.
    fn action_rows(&self) -> String {
        let staged_effective = match self.arrival() {
            Arrival::Changes => "o.__id IS NOT NULL",
            // A version's effective time is its own (semantics 4.5).
            _ => "o.__f IS NULL",
        };
        let mut columns: Vec<String> = Vec::new();
        for field in &self.merge.staged.layout.output {
            let column = field.name();
            let (own, newest, old) = (qualified("s", column), qualified("u", column), qualified("h", column));
            let value = if self.merge.keys().contains(column) {
                qualified("o", column)
            } else if column == self.effective_at {
                format!("CASE WHEN {staged_effective} THEN {own} ELSE {old} END")
            } else if self.tracked.contains(column) {
                format!("CASE WHEN o.__id IS NOT NULL THEN {own} ELSE {old} END")
            } else {
                format!("CASE WHEN o.__uid IS NOT NULL THEN {newest} ELSE {old} END")
            };
            columns.push(format!("{value} AS {}", quoted(column)));
        }
        columns.push(format!("coalesce(o.__sk, k.__new_sk) AS {}", self.merge.surrogate_key()));
        columns.push(format!("coalesce(h.{origin}, 'generated') AS {origin}", origin = name::KEY_ORIGIN));
        columns.extend(self.merge.stamps().into_iter().map(|(column, value)| format!("{value} AS {column}")));
        for (column, value) in [
            (name::VALID_FROM, "o.__p"),
            (name::VALID_TO, "o.__vt"),
            (name::IS_CURRENT, "o.__cur"),
            (name::IS_DELETED, "o.__del"),
            (name::HASHDIFF, "o.__th"),
            (FILE_COLUMN, "o.__f"),
            (ROW_COLUMN, "o.__r"),
        ] {
            columns.push(format!("{value} AS {column}"));
        }
        format!(
            "SELECT {}, o.{ACTION} FROM outcome o LEFT JOIN staged s ON o.__id = s.{ROW_ID} \
             LEFT JOIN staged u ON o.__uid = u.{ROW_ID} LEFT JOIN keyed k ON o.__id = k.__id AND o.{ACTION} = {} \
             LEFT JOIN hit h ON o.__f = h.{FILE_COLUMN} AND o.__r = h.{ROW_COLUMN}",
            columns.join(", "),
            action::INSERT
        )
    }
}

fn hash_of(prefix: &str, columns: &[String]) -> String {
    match columns {
        [] => "CAST(0 AS BIGINT)".to_owned(),
        columns => format!("row_hash({})", arguments(prefix, columns)),
    }
}
