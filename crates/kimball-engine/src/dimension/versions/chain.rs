//! The versions that the touched members have, as far as the batch can change them.

use kimball_lake::{FILE_COLUMN, ROW_COLUMN, RowRemovals};

use super::{INSTANT, VersionMerge};
use crate::EngineError;
use crate::bounds;
use crate::columns::{self as name, VALID_FROM, equal_keys, greatest_in, listed, qualified};
use crate::keys::{SEED, arguments, hash_of};
use crate::layout::Role;
use crate::merge::addresses;
use crate::scanned::Watched;
use crate::session::query;
use crate::stage::{Arrival, Numbering, Spool, SpoolRoom};

/// What is known of a version besides its natural key.
const CHAIN_COLUMNS: &str =
    ", __sk, __vf, __vt, __was_current, __cur, __del, __skel, __e, __th, __uh, __ch, __f, __r, __is_deep";

/// Rows that are kept whole, at most.
const KEPT_WHOLE: u64 = 256 * 1024;
/// One row in so many is few.
const FEW: u64 = 8;

/// How much of the rows that were fetched is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// All columns.
    Whole,
    /// Columns are read from the files when a query asks for them.
    InPart,
}

/// How much is read of the members that the batch touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// All versions of each.
    Whole,
    /// The open version.
    Heads,
    /// The open version, and all versions of those in `deep`.
    Mixed,
}

impl VersionMerge<'_> {
    /// `chain`: versions of the touched members with whether each belongs to the present life (`__present`). Returns
    /// whether `versions` holds them whole, so that nothing of them has to be fetched again.
    ///
    /// Rows are found by their keys alone, and only those found are read further: default members, which may have the
    /// key of an ordinary one, are told apart only then, as surrogate keys are the most expensive column to read. In
    /// the common case, where all changes of a member come after the start of its open version, that version is all
    /// that is read of it; a late change, a return and type 6 need the whole chain.
    pub(super) async fn register_chain(&self, remembered: u64) -> Result<Fetched, EngineError> {
        if !self.merge.has_rows {
            self.merge.target.register("versions", self.merge.target.live.none()).await?;
            self.register_lives(Depth::Whole).await?;
            return Ok(Fetched::InPart);
        }
        self.register_found().await?;
        if self.needs_whole_chains() {
            let all = self.found_at("found").await?;
            let fetched = self.fetch("versions", all).await?;
            self.register_lives(Depth::Whole).await?;
            return Ok(fetched);
        }
        let heads = self.fetch("heads", self.found_at("found WHERE __open").await?).await?;
        if self.register("deep", &self.deep(remembered)).await? == 0 {
            let session = self.merge.session;
            session.register_table("versions", session.table("heads").await?.into_view())?;
            self.register_lives(Depth::Heads).await?;
            return Ok(heads);
        }
        let deeper = format!(
            "(SELECT f.* FROM found f JOIN deep d ON {} WHERE NOT f.__open)",
            equal_keys("f", "d", self.merge.keys())
        );
        let below = self.fetch("below", self.found_at(&deeper).await?).await?;
        let versions = "SELECT * FROM heads UNION ALL SELECT * FROM below";
        let versions = query(self.merge.session, versions).await?.into_view();
        self.merge.session.register_table("versions", versions)?;
        self.register_lives(Depth::Mixed).await?;
        Ok(if heads == Fetched::Whole && below == Fetched::Whole { Fetched::Whole } else { Fetched::InPart })
    }

    /// `found`: the keys and addresses of the touched members' rows, with whether each is open.
    async fn register_found(&self) -> Result<(), EngineError> {
        let session = self.merge.session;
        let within = bounds::within(session, "touched", "x", self.merge.keys()).await?;
        let found = format!(
            "SELECT {}, {} AS __open, x.{FILE_COLUMN}, x.{ROW_COLUMN} \
             FROM (SELECT * FROM target x WHERE {within}) x JOIN touched s ON {}",
            listed("x", self.merge.keys()),
            self.is_open("x."),
            equal_keys("x", "s", self.merge.keys())
        );
        let (watched, stream) = Watched::start(query(session, &found).await?).await?;
        let found = Spool::fill_from(SpoolRoom::of(session), stream, Numbering::Plain).await?;
        let table = &self.merge.pipeline.table;
        tracing::info!(%table, rows = found.rows(), scanned = %watched.scanned(), "matched");
        found.register(session, "found").await?;
        self.merge.keep(found);
        Ok(())
    }

    /// The addresses of rows of `found`.
    async fn found_at(&self, rows: &str) -> Result<RowRemovals, EngineError> {
        let sql = format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM {rows}");
        addresses(query(self.merge.session, &sql).await?).await
    }

    /// Makes rows of the target a table of the session. Few of them are read whole and kept: what is written of them
    /// needs every column, and to come back for that costs as much as all the rest.
    async fn fetch(&self, name: &str, rows: RowRemovals) -> Result<Fetched, EngineError> {
        let target = &self.merge.target;
        let count: u64 = rows.values().map(|rows| rows.len()).sum();
        target.register(name, target.live.at(rows)).await?;
        if count > KEPT_WHOLE || count.saturating_mul(FEW) > target.live.count() {
            return Ok(Fetched::InPart);
        }
        let whole = self.merge.session.table(name).await?;
        let whole = Spool::fill(whole, Numbering::Plain).await?;
        whole.register(self.merge.session, name).await?;
        self.merge.keep(whole);
        Ok(Fetched::Whole)
    }

    /// A member of which only the open version is read has one life, which that version is in; lives of the others
    /// are told apart by looking along their chains.
    async fn register_lives(&self, depth: Depth) -> Result<(), EngineError> {
        let versions = match depth {
            Depth::Whole => format!("SELECT *, true AS __is_deep FROM ({})", self.versions()),
            Depth::Heads => {
                let heads = format!(
                    "SELECT *, false AS __is_deep, NOT __del AND __cur AS __present FROM ({})",
                    self.versions()
                );
                self.register("chain", &heads).await?;
                return Ok(());
            }
            Depth::Mixed => format!(
                "SELECT v.*, coalesce(d.__is_deep, false) AS __is_deep FROM ({}) v \
                 LEFT JOIN (SELECT *, true AS __is_deep FROM deep) d ON {}",
                self.versions(),
                equal_keys("v", "d", self.merge.keys())
            ),
        };
        self.register("read_versions", &versions).await?;
        self.register("deep_chain", &self.deep_chain()).await?;
        let columns = listed("", self.merge.keys()) + CHAIN_COLUMNS;
        let chain = format!(
            "SELECT {columns}, __present FROM deep_chain UNION ALL \
             SELECT {columns}, NOT __del AND __cur AS __present FROM read_versions WHERE NOT __is_deep"
        );
        let chain = query(self.merge.session, &chain).await?.into_view();
        self.merge.session.register_table("chain", chain)?;
        Ok(())
    }

    /// The newest values stand on every row of a member.
    fn needs_whole_chains(&self) -> bool {
        self.merge.staged.layout.computed.iter().any(|new| matches!(new.role, Role::Current(_)))
    }

    /// Members of the target that more than their open version has to be read of.
    fn deep(&self, remembered: u64) -> String {
        let keys = &self.keys;
        let heads = format!(
            "SELECT {keys}, min({VALID_FROM}) AS __from, count(*) AS __heads FROM heads WHERE {} GROUP BY {keys}",
            self.merge.loaded()
        );
        let changed = match self.arrival() {
            Arrival::Changes => format!("SELECT {keys}, __e AS __at FROM up"),
            // What speaks of the present only ever meets the open version.
            _ => format!("SELECT {keys}, arrow_cast(NULL, {INSTANT}) AS __at FROM up"),
        };
        let first = format!(
            "SELECT {keys}, min(__at) AS __at FROM ({changed} UNION ALL SELECT {keys}, __t AS __at FROM gone) GROUP BY {keys}"
        );
        // A change before a remembered repeat has to know in which life that was said.
        let (repeats, is_before) = match remembered {
            0 => (String::new(), ""),
            _ => (
                format!(
                    " LEFT JOIN (SELECT __key, max(__at) AS __latest FROM remembered GROUP BY __key) r ON member_key({SEED}, {}) = r.__key",
                    arguments("c", self.merge.keys())
                ),
                " OR c.__at < r.__latest",
            ),
        };
        format!(
            "SELECT {} FROM (SELECT * FROM ({first}) t LEFT SEMI JOIN found f ON {}) c LEFT JOIN ({heads}) h ON {}{repeats} \
             WHERE h.__heads IS NULL OR h.__heads > 1 OR c.__at <= h.__from{is_before}",
            listed("c", self.merge.keys()),
            equal_keys("t", "f", self.merge.keys()),
            equal_keys("c", "h", self.merge.keys()),
        )
    }

    /// The rows of `versions` as far as a chain needs them.
    fn versions(&self) -> String {
        let current: Vec<String> = self.current_columns().into_iter().map(|(column, _)| column).collect();
        format!(
            "SELECT {}, x.{} AS __sk, x.{vf} AS __vf, x.{vt} AS __vt, coalesce(x.{is_current}, false) AS __was_current, \
             {open} AS __cur, coalesce(x.{deleted}, false) AS __del, {skel} AS __skel, coalesce({instant}, x.{vf}) AS __e, \
             CASE WHEN NOT {skel} THEN {th} END AS __th, CASE WHEN NOT {skel} THEN {uh} END AS __uh, {ch} AS __ch, x.{FILE_COLUMN} AS __f, x.{ROW_COLUMN} AS __r FROM versions x WHERE {}",
            listed("x", self.merge.keys()),
            self.merge.surrogate_key(),
            self.merge.loaded(),
            vf = VALID_FROM,
            vt = name::VALID_TO,
            is_current = name::IS_CURRENT,
            deleted = name::IS_DELETED,
            skel = format_args!("coalesce(x.{}, false)", name::IS_SKELETON),
            open = self.is_open("x."),
            instant = match self.effective_at {
                Some(_) => self.instant("x"),
                None => format!("x.{VALID_FROM}"),
            },
            th = match self.merge.hashdiff_holds {
                true => qualified("x", name::HASHDIFF),
                false => self.tracked_hash("x"),
            },
            uh = self.untracked_hash("x"),
            ch = hash_of("x", &current),
        )
    }

    /// The present life is the contiguous run of versions without a delete that the open row ends.
    fn deep_chain(&self) -> String {
        let keys = &self.keys;
        // A version begins a life where the one before does not reach it, or where a delete ended.
        let breaks = format!(
            "SELECT *, CASE WHEN __del THEN 0 WHEN (lag(__vt) OVER (PARTITION BY {keys}, __del ORDER BY __vf) IS DISTINCT FROM __vf) \
             OR max(CASE WHEN __del AND __vt > __vf THEN __vt END) OVER (PARTITION BY {keys} ORDER BY __vf, __vt \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) = __vf THEN 1 ELSE 0 END AS __starts \
             FROM read_versions WHERE __is_deep"
        );
        let lives = format!(
            "SELECT *, sum(__starts) OVER (PARTITION BY {keys}, __del ORDER BY __vf \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS __nth FROM ({breaks})"
        );
        format!(
            "SELECT *, NOT __del AND __nth = {} AND {} = 1 AS __present FROM ({lives})",
            greatest_in(&format!("{keys}, __del"), "__nth"),
            greatest_in(keys, "CASE WHEN __cur THEN 1 ELSE 0 END")
        )
    }
}
