//! Types 2, 6 and 7: a row for every version (semantics 4).
//!
//! The members that the batch touches are looked at, and all of them at once: their versions and their
//! changes become *points* in time, ordered within each life; the newest change at a point wins, equal
//! neighbours fall together, and what follows a point ends it. The result says which rows are new, which
//! get another end or other attributes, and which stay as they are and are left alone. What must come of it
//! is stated row by row in [`crate::history`].
//!
//! Most changes need none of that: the first row of a new member, and a row of a snapshot that says what holds
//! already, are settled at once. Of a member whose changes all come after the start of its open version, that
//! version is all that is read.
//!
//! Every step is one query over narrow columns: keys, hashes, instants. Attributes are joined to it at the
//! end, for the rows that are written.

mod chain;
mod changes;
mod inferred;
mod keys;
mod narrow;
mod newest;
mod points;
mod repeats;
mod settled;
mod write;

pub(crate) use narrow::{can_be_narrowed, narrow};

use kimball_config::{History, Scd};

use super::DimensionMerge;
use crate::EngineError;
use crate::columns::{listed, qualified};
use crate::keys::hash_of;
use crate::merge::Collector;
use crate::session::query;
use crate::stage::{Arrival, Numbering, Spool};

const INSTANT: &str = "'Timestamp(Microsecond, Some(\"UTC\"))'";

pub(super) async fn merge(
    merge: &DimensionMerge<'_>,
    history: &History,
    collector: &mut Collector,
) -> Result<(), EngineError> {
    let merge = VersionMerge::of(merge, history);
    merge.refuse_bad_rows().await?;
    let changes = merge.register_changes().await?;
    merge.guard().await?;
    let remembered = merge.register_remembered().await?;
    let fetched = merge.register_chain(remembered).await?;
    if merge.register_settled(changes).await? == changes {
        merge.register_numbered("outcome", &merge.settled_outcome(changes)).await?;
    } else {
        merge.register("lives", &merge.lives(changes)).await?;
        merge.register_confirmed(remembered).await?;
        merge.register("stirred", &merge.stirred()).await?;
        merge.register("members", &merge.members()).await?;
        merge.register("floored", &merge.floored()).await?;
        merge.register_living().await?;
        merge.register("points", &merge.points()).await?;
        merge.register("neighbours", &merge.neighbours()).await?;
        merge.register_numbered("outcome", &merge.outcome(changes)).await?;
        merge.collect_repeats(collector).await?;
    }
    if let Scd::Type6 { .. } = merge.merge.dimension.scd {
        merge.register_newest().await?;
    }
    merge.make_keys(collector).await?;
    merge.write(fetched, collector).await?;
    merge.merge.target.rewrite_rest(&merge.merge.loaded(), collector).await
}

/// One batch of versions. The steps hand tables of the session to each other; each step documents its own.
struct VersionMerge<'a> {
    merge: &'a DimensionMerge<'a>,
    history: &'a History,
    /// `"a", "b"` of the natural key.
    keys: String,
    /// `None`: every change counts from the run's clock reading.
    effective_at: Option<&'a str>,
    tracked: &'a [String],
    untracked: Vec<String>,
}

/// How many changes there are: all of a batch, or those that are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Changes {
    versions: u64,
    deletes: u64,
}

impl<'a> VersionMerge<'a> {
    fn of(merge: &'a DimensionMerge<'a>, history: &'a History) -> Self {
        let layout = &merge.staged.layout;
        Self {
            merge,
            history,
            keys: listed("", merge.keys()),
            effective_at: layout.effective_at.as_deref(),
            tracked: &layout.tracked,
            untracked: layout.untracked(),
        }
    }
}

impl VersionMerge<'_> {
    fn arrival(&self) -> Arrival {
        self.merge.staged.arrival
    }

    /// Keeps the result of a query as a table of the session; returns how many rows it has.
    async fn register(&self, table: &str, sql: &str) -> Result<u64, EngineError> {
        self.keep(table, sql, Numbering::Plain).await
    }

    /// The same, with a number for each row in [`ROW_ID`](crate::columns::ROW_ID).
    async fn register_numbered(&self, table: &str, sql: &str) -> Result<u64, EngineError> {
        self.keep(table, sql, Numbering::Numbered).await
    }

    async fn keep(&self, table: &str, sql: &str, numbering: Numbering) -> Result<u64, EngineError> {
        let rows = query(self.merge.session, sql).await?;
        let spool = Spool::fill(rows, numbering).await?;
        spool.register(self.merge.session, table).await?;
        let rows = spool.rows();
        self.merge.keep(spool);
        Ok(rows)
    }

    /// The effective time of a row as an instant; NULL where the column is none.
    fn instant(&self, prefix: &str) -> String {
        match self.effective_at {
            Some(column) => format!("arrow_try_cast({}, {INSTANT})", qualified(prefix, column)),
            None => self.merge.clock.clone(),
        }
    }

    fn tracked_hash(&self, prefix: &str) -> String {
        hash_of(prefix, self.tracked)
    }

    fn untracked_hash(&self, prefix: &str) -> String {
        hash_of(prefix, &self.untracked)
    }
}
