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
use crate::columns::{self as name, ACTION, BEYOND, OP, OPEN_END, ROW_ID, TIME, VERSION, action, equal_keys, listed};
use crate::columns::{qualified, quoted};
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
            "SELECT {keys}, {VERSION} AS v, {} AS e, min({ROW_ID}) AS id, min({TIME}) AS t, min({}) AS th, \
             min({}) AS uh FROM staged WHERE {OP} = 1 GROUP BY {keys}, {VERSION}, e",
            self.instant(""),
            self.tracked_hash(""),
            self.untracked_hash("")
        );
        self.register("up", &up).await?;
        let mut beaten = self.merge.keys().to_vec();
        beaten.push("v".to_owned());
        let not_null =
            self.merge.keys().iter().map(|key| format!("{} IS NOT NULL", quoted(key))).collect::<Vec<_>>();
        let mut gone = format!(
            "SELECT * FROM (SELECT {keys}, {VERSION} AS v, min({TIME}) AS t FROM staged WHERE {OP} = 0 AND {} \
             GROUP BY {keys}, {VERSION}) d WHERE NOT EXISTS (SELECT 1 FROM up WHERE {})",
            not_null.join(" AND "),
            equal_keys("up", "d", &beaten)
        );
        if self.closes_missing() {
            let time = match self.arrival() {
                Arrival::Snapshot => self.merge.clock.clone(),
                _ => format!("coalesce((SELECT max({TIME}) FROM staged), {})", self.merge.clock),
            };
            gone = format!(
                "{gone} UNION ALL SELECT {}, CAST(0 AS BIGINT) AS v, {time} AS t FROM ({}) t \
                 WHERE NOT EXISTS (SELECT 1 FROM staged s WHERE {})",
                listed("t", self.merge.keys()),
                self.open_rows(),
                equal_keys("t", "s", self.merge.keys())
            );
        }
        self.register("gone", &gone).await?;
        let touched = format!("SELECT DISTINCT {keys} FROM (SELECT {keys} FROM up UNION ALL SELECT {keys} FROM gone)");
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
            "{}, t.{} AS sk, t.{vf} AS vf, t.{vt} AS vt, coalesce(t.{current}, false) AS was_current, \
             (coalesce(t.{current}, false) OR t.{vt} >= {BEYOND}) AS cur, coalesce(t.{deleted}, false) AS del, \
             coalesce({instant}, t.{vf}) AS e, {th} AS th, {uh} AS uh, t.{FILE_COLUMN} AS f, t.{ROW_COLUMN} AS r",
            listed("t", self.merge.keys()),
            self.merge.surrogate_key(),
            vf = name::VALID_FROM,
            vt = name::VALID_TO,
            current = name::IS_CURRENT,
            deleted = name::IS_DELETED,
            instant = self.instant("t"),
            th = self.tracked_hash("t"),
            uh = self.untracked_hash("t"),
        );
        let versions = format!(
            "SELECT {columns} FROM (SELECT * FROM target WHERE {}) t JOIN touched s ON {}",
            self.merge.loaded(),
            equal_keys("t", "s", self.merge.keys())
        );
        // A version begins a life where the one before does not reach it, or where a delete ended.
        let breaks = format!(
            "SELECT *, CASE WHEN del THEN 0 WHEN lag(vt) OVER (PARTITION BY {keys}, del ORDER BY vf) IS DISTINCT FROM vf \
             OR max(CASE WHEN del THEN vt END) OVER (PARTITION BY {keys} ORDER BY vf, vt \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) = vf THEN 1 ELSE 0 END AS starts FROM ({versions})"
        );
        let lives = format!(
            "SELECT *, sum(starts) OVER (PARTITION BY {keys}, del ORDER BY vf \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS nth FROM ({breaks})"
        );
        format!(
            "SELECT *, NOT del AND nth = max(nth) OVER (PARTITION BY {keys}, del) \
             AND max(CASE WHEN cur THEN 1 ELSE 0 END) OVER (PARTITION BY {keys}) = 1 AS present FROM ({lives})"
        )
    }

    /// Changes and versions as points in time, a row a point: the newest change at it, and the version that
    /// starts there already, if there is one.
    fn points(&self) -> String {
        let keys = &self.keys;
        let members = format!(
            "SELECT {keys}, bool_or(present) AS open, min(CASE WHEN present THEN vf END) AS life_start, \
             max(CASE WHEN cur THEN vf END) AS cur_from, bool_or(del) AS had_delete, \
             max(CASE WHEN del THEN vt END) AS last_delete FROM chain GROUP BY {keys}"
        );
        let lives = format!(
            "SELECT *, coalesce(sum(1 - op) OVER (PARTITION BY {keys} ORDER BY v, op \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS life FROM \
             (SELECT {keys}, v, CAST(1 AS BIGINT) AS op, e, id, t, th, uh FROM up UNION ALL \
             SELECT {keys}, v, CAST(0 AS BIGINT), NULL, NULL, t, NULL, NULL FROM gone)"
        );
        // What is known of a life when it begins: its first change, and the deletes before it.
        let begun = format!(
            "SELECT *, first_value(e) OVER first AS e0, first_value(t) OVER first AS t0, \
             min(CASE WHEN op = 1 THEN life END) OVER (PARTITION BY {keys}) AS first_life, \
             max(CASE WHEN op = 0 THEN t END) OVER (PARTITION BY {keys} ORDER BY life \
             RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS deleted_at FROM ({lives}) \
             WINDOW first AS (PARTITION BY {keys}, life, op ORDER BY v, e)"
        );
        let same = equal_keys("c", "m", self.merge.keys());
        let floor = format!(
            "CASE WHEN c.life = 0 AND coalesce(m.open, false) THEN {} \
             WHEN m.had_delete IS NOT NULL OR c.first_life < c.life \
             THEN greatest(c.e0, c.t0, c.deleted_at, m.last_delete) END",
            match self.arrival() {
                Arrival::Changes => "CASE WHEN m.had_delete THEN m.life_start END",
                _ => "m.cur_from",
            }
        );
        let floored = format!(
            "SELECT {}, c.life, c.v, c.e, c.id, c.t, c.th, c.uh, coalesce(m.open, false) AS open, m.cur_from, \
             {floor} AS floor FROM ({begun}) c LEFT JOIN ({members}) m ON {same} WHERE c.op = 1",
            listed("c", self.merge.keys())
        );
        // A recomputed row whose effective time did not advance changed when the commit changed it.
        let (start, rank) = match self.arrival() {
            Arrival::Changes => ("greatest(e, floor)".to_owned(), "e"),
            Arrival::Snapshot => ("greatest(e, floor)".to_owned(), OPEN_END),
            Arrival::Recomputed | Arrival::RecomputedWhole => (
                "CASE WHEN life = 0 AND open AND e <= cur_from THEN greatest(t, cur_from) \
                 ELSE greatest(e, floor) END"
                    .to_owned(),
                OPEN_END,
            ),
        };
        let all = format!(
            "SELECT {keys}, life, {start} AS p, {rank} AS rank_e, v AS rank_v, e, id, th, uh, CAST(NULL AS BIGINT) AS sk, \
             arrow_cast(NULL, 'UInt32') AS f, CAST(NULL AS BIGINT) AS r, arrow_cast(NULL, {INSTANT}) AS old_vt, \
             CAST(NULL AS BOOLEAN) AS old_cur, CAST(NULL AS BIGINT) AS old_th, CAST(NULL AS BIGINT) AS old_uh \
             FROM ({floored}) UNION ALL \
             SELECT {keys}, CAST(0 AS BIGINT), vf, e, CAST(-1 AS BIGINT), e, CAST(NULL AS BIGINT), th, uh, sk, f, r, vt, \
             was_current, th, uh FROM chain WHERE present"
        );
        format!(
            "SELECT * FROM (SELECT {keys}, life, p, e, id, th, uh, \
             row_number() OVER (PARTITION BY {keys}, life, p ORDER BY rank_e DESC, rank_v DESC, id) AS place, \
             max(sk) OVER at AS sk, max(f) OVER at AS f, max(r) OVER at AS r, max(old_vt) OVER at AS old_vt, \
             bool_or(old_cur) OVER at AS old_cur, max(old_th) OVER at AS old_th, max(old_uh) OVER at AS old_uh \
             FROM ({all}) WINDOW at AS (PARTITION BY {keys}, life, p)) WHERE place = 1"
        )
    }

    /// What becomes of each point: the rows to write, with their new ends. Rows that stay are left out.
    fn outcome(&self) -> String {
        let keys = &self.keys;
        let by_time = format!("PARTITION BY {keys}, life ORDER BY p");
        let neighbours = format!(
            "SELECT *, lag(th) OVER ({by_time}) AS before, last_value(id) OVER whole AS last_id, \
             last_value(uh) OVER whole AS last_uh FROM points \
             WINDOW whole AS ({by_time} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        );
        // A change that repeats what holds already is no version; a published row stays.
        let kept = format!(
            "SELECT *, lead(p) OVER ({by_time}) AS next FROM ({neighbours}) \
             WHERE sk IS NOT NULL OR before IS DISTINCT FROM th"
        );
        let ends = format!(
            "SELECT {keys}, life, min(t) AS d FROM (SELECT *, coalesce(sum(1 - op) OVER (PARTITION BY {keys} \
             ORDER BY v, op ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS life FROM \
             (SELECT {keys}, v, CAST(1 AS BIGINT) AS op, t FROM up UNION ALL \
             SELECT {keys}, v, CAST(0 AS BIGINT), t FROM gone)) WHERE op = 0 GROUP BY {keys}, life"
        );
        let mut life_keys = self.merge.keys().to_vec();
        life_keys.push("life".to_owned());
        let ended = format!(
            "SELECT k.*, d.d, coalesce(k.next, {OPEN_END}) AS base_end, \
             CASE WHEN k.next IS NULL THEN k.last_id ELSE k.id END AS uid, \
             CASE WHEN k.next IS NULL THEN k.last_uh ELSE k.uh END AS new_uh \
             FROM ({kept}) k LEFT JOIN ({ends}) d ON {}",
            equal_keys("k", "d", &life_keys)
        );
        let closed = format!(
            "SELECT *, (d IS NOT NULL AND base_end > d) AS del, \
             CASE WHEN d IS NOT NULL AND base_end > d THEN greatest(p, d) ELSE base_end END AS vt, \
             (d IS NULL AND next IS NULL) AS cur FROM ({ended})"
        );
        let content = "(th <> old_th OR new_uh <> old_uh)";
        let interval = format!(
            "(del OR cur <> old_cur OR (vt <> old_vt AND NOT (vt >= {BEYOND} AND old_vt >= {BEYOND})))"
        );
        format!(
            "SELECT {keys}, life, p, e, id, uid, th, sk, f, r, vt, cur, del, CAST(CASE WHEN sk IS NULL THEN {} \
             WHEN del THEN {} WHEN {content} THEN {} ELSE {} END AS BIGINT) AS {ACTION} \
             FROM ({closed}) WHERE sk IS NULL OR {content} OR {interval}",
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
            "SELECT {keys}, o.life, o.p, o.e, o.id, CASE WHEN o.p = o.e THEN version_key({SEED}, {keys}, {}) \
             ELSE version_key({SEED}, {keys}, o.p) END AS new_sk \
             FROM outcome o JOIN staged s ON o.id = s.{ROW_ID} WHERE o.{ACTION} = {}",
            qualified("s", self.effective_at),
            action::INSERT
        );
        self.register("keyed", &fresh).await?;
        for _ in 0..REHASHES {
            if number(session, &format!("SELECT count(*) FROM ({}) WHERE taken", self.taken())).await? == 0 {
                break;
            }
            let again = format!(
                "SELECT {keys}, o.life, o.p, o.e, o.id, CASE WHEN NOT o.taken THEN o.new_sk \
                 WHEN o.p = o.e THEN version_key(o.new_sk, {keys}, {}) \
                 ELSE version_key(o.new_sk, {keys}, o.p) END AS new_sk \
                 FROM ({}) o JOIN staged s ON o.id = s.{ROW_ID}",
                qualified("s", self.effective_at),
                self.taken()
            );
            self.register("keyed", &again).await?;
        }
        let all = format!("SELECT new_sk AS {}, {} FROM keyed", self.merge.surrogate_key(), self.keys);
        collisions::refuse(self.merge, &all).await
    }

    /// New versions with whether another version of the same member has their key.
    fn taken(&self) -> String {
        let keys = &self.keys;
        format!(
            "SELECT k.*, (row_number() OVER (PARTITION BY {}, k.new_sk ORDER BY k.life, k.p) > 1 OR c.sk IS NOT NULL) \
             AS taken FROM keyed k LEFT JOIN (SELECT DISTINCT {keys}, sk FROM chain) c ON {} AND k.new_sk = c.sk",
            listed("k", self.merge.keys()),
            equal_keys("k", "c", self.merge.keys())
        )
    }

    async fn write(&self, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        let changed = format!("SELECT f AS {FILE_COLUMN}, r AS {ROW_COLUMN} FROM outcome WHERE f IS NOT NULL");
        let chosen = addresses(query(session, &changed).await?).await?;
        session.register_table("hit", std::sync::Arc::new(self.merge.live.at(chosen)))?;
        collector.take(query(session, &self.action_rows()).await?).await
    }

    /// The rows to write, with all their columns.
    fn action_rows(&self) -> String {
        let staged_effective = match self.arrival() {
            Arrival::Changes => "o.id IS NOT NULL",
            // A version's effective time is its own (semantics 4.5).
            _ => "o.f IS NULL",
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
                format!("CASE WHEN o.id IS NOT NULL THEN {own} ELSE {old} END")
            } else {
                format!("CASE WHEN o.uid IS NOT NULL THEN {newest} ELSE {old} END")
            };
            columns.push(format!("{value} AS {}", quoted(column)));
        }
        columns.push(format!("coalesce(o.sk, k.new_sk) AS {}", self.merge.surrogate_key()));
        columns.push(format!("coalesce(h.{origin}, 'generated') AS {origin}", origin = name::KEY_ORIGIN));
        columns.extend(self.merge.stamps().into_iter().map(|(column, value)| format!("{value} AS {column}")));
        for (column, value) in [
            (name::VALID_FROM, "o.p"),
            (name::VALID_TO, "o.vt"),
            (name::IS_CURRENT, "o.cur"),
            (name::IS_DELETED, "o.del"),
            (name::HASHDIFF, "o.th"),
            (FILE_COLUMN, "o.f"),
            (ROW_COLUMN, "o.r"),
        ] {
            columns.push(format!("{value} AS {column}"));
        }
        format!(
            "SELECT {}, o.{ACTION} FROM outcome o LEFT JOIN staged s ON o.id = s.{ROW_ID} \
             LEFT JOIN staged u ON o.uid = u.{ROW_ID} LEFT JOIN keyed k ON o.id = k.id AND o.{ACTION} = {} \
             LEFT JOIN hit h ON o.f = h.{FILE_COLUMN} AND o.r = h.{ROW_COLUMN}",
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
