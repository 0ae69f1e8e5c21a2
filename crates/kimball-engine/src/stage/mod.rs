//! Staging: from pinned sources through the pipeline's query to rows that are ready to be merged.
//!
//! A staged row is a row of the query's output, with stored types and the null policy applied, and with the
//! change columns of `columns.rs`: what it does to its key, and which commit said so.

mod affected;
mod approach;
mod bind;
mod blame;
mod counted;
mod deletes;
mod follow;
mod meeting;
mod nameless;
mod narrow;
mod personal;
mod row_plans;
mod rowwise;
mod shape;
mod spool;
mod spooled;
mod sql;
mod touch;
mod unread;
mod within;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use kimball_config::{CdcStrategy, Pipeline};

pub(crate) use self::approach::followed_keys;
pub use self::approach::{Affected, Approach, WholeReason};
pub(crate) use self::blame::blamed;
pub(crate) use self::spool::{Numbering, Spool, SpoolRoom, SpoolWriter};
pub(crate) use self::sql::Transformation;
pub use self::sql::{Relation, tie_names};
pub(crate) use self::unread::{Spread, Unread};

use crate::EngineError;
use crate::columns::{OP, TIME, VERSION};
use crate::layout::Layout;
use crate::progress::Progress;
use crate::session::EngineRuntime;
use crate::source::PinnedSource;
use approach::{decide, keeps_earlier_periods};
use bind::Binder;

/// What staged rows say about the keys that are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Every change in commit order; other keys did not change.
    Changes,
    /// The truth about the present; other keys are missing from the sources.
    Snapshot,
    /// One row or delete for each key whose result may differ; other keys did not change.
    Recomputed,
    /// One row for every key of a full recomputation from feeds; other keys are gone.
    RecomputedWhole,
}

/// What becomes of keys that staged rows do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nothing is said of them.
    Stays,
    /// They are gone: feeds would have told of them.
    Gone,
    /// They are gone, as far as a snapshot may close so many (semantics 4.8).
    GoneFromSnapshot,
}

impl Absent {
    pub(crate) fn is_gone(self) -> bool {
        self != Self::Stays
    }
}

/// Rows ready to be merged.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) rows: Spool,
    /// The rows of a snapshot or a first load that looks at them once; none is in `rows` then.
    pub(crate) unread: Option<Unread>,
    pub(crate) arrival: Arrival,
    /// What becomes of keys that the rows do not hold.
    pub(crate) absent: Absent,
    /// Whether NULL is a key like any other: the attributes that a mini-dimension is keyed by may be NULL.
    pub(crate) keys_may_be_null: bool,
    pub(crate) layout: Layout,
    /// Rows read of each source, in the order of the pipeline's sources.
    pub(crate) rows_read: Vec<u64>,
    /// The instant, in microseconds since 1970, at which keys ended that the rows do not hold: when a source last changed
    /// for a recomputation from feeds, the clock reading for snapshots.
    pub(crate) moment: i64,
}

/// Whether a batch reads its sources again from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// It goes on from the watermarks.
    #[default]
    Incremental,
    /// It reads the sources whole and reconciles the table with them: published rows and keys stay.
    Reconcile,
    /// It reads the sources whole and replaces the table: the history that only the table knew is lost.
    Rebuild,
}

/// What a batch stages from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageInput<'a> {
    pub(crate) runtime: &'a EngineRuntime,
    pub(crate) clock: DateTime<Utc>,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) sources: &'a [PinnedSource],
    /// The columns of the target; `None` before it exists.
    pub(crate) existing: Option<&'a Schema>,
    /// Whether the target holds loaded rows.
    pub(crate) has_rows: bool,
    /// Whether the configuration changed meaning, so that snapshots are processed again (semantics 9).
    pub(crate) reprocess: bool,
    /// Whether everything is read again.
    pub(crate) refresh: Refresh,
    /// How changes of a row-wise query are taken.
    pub(crate) images: Images,
    /// How often the rows of a snapshot or a first load are looked at.
    pub(crate) looks: Looks,
    /// Where whoever watches sees how far the batch is.
    pub(crate) progress: &'a Progress,
}

/// How often a batch looks at rows that it reads whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// Once, on their way into the table or past it: nothing is kept of those that change nothing.
    Once,
    /// As often as it takes.
    Many,
}

/// How changes of a row-wise query are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// Each by itself.
    Each,
    /// As what has become of the keys that they touch: for changes that contradict each other on the way.
    Outcome,
}

/// The query of a pipeline over its whole sources.
pub(crate) struct Query {
    session: SessionContext,
    /// As it is written.
    written: LogicalPlan,
    normal: OnceLock<LogicalPlan>,
}

/// How a batch of this pipeline would get its rows.
///
/// # Errors
/// [`EngineError::Sql`] when the query does not plan, [`EngineError::Recreated`] for a source that went back.
pub(crate) async fn approach(input: &StageInput<'_>) -> Result<Approach, EngineError> {
    let binder = Binder::new(input).await?;
    decide(input, &binder.query().await?)
}

/// The layout of the rows that a batch would stage.
///
/// # Errors
/// As for [`stage`], as far as planning goes.
pub(crate) async fn layout(input: &StageInput<'_>) -> Result<Layout, EngineError> {
    let binder = Binder::new(input).await?;
    Layout::of(input.pipeline, binder.query().await?.schema(), input.existing)
}

/// Makes what a batch reads of a source a table of `session`: its columns, which are returned, [`OP`], [`VERSION`] and
/// [`TIME`]. Of a feed the spool that holds its changes is returned, to be kept alive.
///
/// # Errors
/// As for [`stage`].
pub(crate) async fn register_read(
    input: &StageInput<'_>,
    session: &SessionContext,
    source: &PinnedSource,
    name: &str,
) -> Result<(Vec<String>, Option<Spool>), EngineError> {
    let binder = Binder::new(input).await?;
    let feed = binder.bind_changes(session, source, name, &Arc::default()).await?;
    Ok((binder.columns_of(source)?, feed))
}

/// Runs the query of a pipeline over what its sources have to say.
///
/// # Errors
/// Whatever reading, planning and evaluating can bring; see [`EngineError`].
pub(crate) async fn stage(input: StageInput<'_>) -> Result<Staged, EngineError> {
    let binder = Binder::new(&input).await?;
    let query = binder.query().await?;
    let approach = decide(&input, &query)?;
    let layout = Layout::of(input.pipeline, query.schema(), input.existing)?;
    tracing::debug!(table = %input.pipeline.table, %approach, "staging");
    let counts: Vec<Arc<AtomicU64>> = input.sources.iter().map(|_| Arc::default()).collect();
    input.progress.read_by(&counts);
    let keys = followed_keys(input.pipeline);
    let step = Step { input, binder: &binder, layout: &layout, keys, query: &query, counts: &counts };
    let mut unread = None;
    let (rows, arrival) = match approach {
        Approach::Snapshot | Approach::FirstLoad if step.input.looks == Looks::Once => {
            let moment = if approach == Approach::Snapshot { Moment::Clock } else { Moment::LastCommit };
            let frame = step.whole_frame(moment).await?;
            let rows = Spool::empty(&Arc::new(frame.schema().as_arrow().clone()), Numbering::Plain);
            unread = Some(Unread::of(frame, &counts).await?);
            // The first rows of a table are changes of nothing.
            (rows, if input.has_rows { Arrival::Snapshot } else { Arrival::Changes })
        }
        Approach::Snapshot | Approach::Reconcile | Approach::Refresh => {
            (step.whole(Moment::Clock).await?, Arrival::Snapshot)
        }
        Approach::Nothing => (step.nothing()?, Arrival::Changes),
        Approach::FirstLoad => (step.first_load().await?, Arrival::Changes),
        Approach::RowWise => (step.row_wise_with_deletes_confirmed().await?, Arrival::Changes),
        Approach::WholeDiff(_) => (step.whole(Moment::LastMove).await?, Arrival::RecomputedWhole),
        Approach::AffectedKeys(_) => (step.affected().await?, Arrival::Recomputed),
        Approach::Appends => (step.appends().await?, Arrival::Changes),
    };
    let rows_read = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let absent = match (arrival, approach) {
        _ if keeps_earlier_periods(input.pipeline, &query) => Absent::Stays,
        (Arrival::Snapshot, Approach::Refresh) if !input.pipeline.is_snapshot() => Absent::GoneFromSnapshot,
        (Arrival::Snapshot, _) if input.pipeline.missing.close => Absent::GoneFromSnapshot,
        // A snapshot beside feeds may be as damaged as one alone.
        (Arrival::RecomputedWhole, Approach::WholeDiff(WholeReason::MovedSnapshot)) => {
            Absent::GoneFromSnapshot
        }
        (Arrival::RecomputedWhole, _) => Absent::Gone,
        (Arrival::Snapshot | Arrival::Changes | Arrival::Recomputed, _) => Absent::Stays,
    };
    let moment = match arrival {
        Arrival::RecomputedWhole => step.last_move().await?,
        _ => input.clock.timestamp_micros(),
    };
    Ok(Staged { rows, unread, arrival, absent, keys_may_be_null: false, layout, rows_read, moment })
}

/// Which instant stands for the commit of rows that no single commit brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The run's clock reading: a snapshot speaks of the present.
    Clock,
    /// The newest commit of a feed.
    LastCommit,
    /// When a source last changed that the batch reads anew.
    LastMove,
}

struct Step<'a> {
    input: StageInput<'a>,
    binder: &'a Binder<'a>,
    layout: &'a Layout,
    /// The columns whose values say what is recomputed.
    keys: &'a [String],
    query: &'a Query,
    counts: &'a [Arc<AtomicU64>],
}

impl Query {
    fn schema(&self) -> &Schema {
        self.written.schema().as_arrow()
    }

    fn is_row_wise(&self) -> bool {
        shape::is_row_wise(&self.written)
    }

    /// In the form in which changes are followed.
    fn normal(&self) -> Result<&LogicalPlan, EngineError> {
        if let Some(normal) = self.normal.get() {
            return Ok(normal);
        }
        let normal = shape::normal(&self.session, self.written.clone())?;
        Ok(self.normal.get_or_init(|| normal))
    }
}

impl Step<'_> {
    fn conform(&self, frame: DataFrame) -> Result<DataFrame, EngineError> {
        crate::nulls::conform(frame, self.input.pipeline, self.layout)
    }

    /// The query over all rows of all sources.
    async fn whole(&self, moment: Moment) -> Result<Spool, EngineError> {
        numbered(self.whole_frame(moment).await?).await
    }

    async fn whole_frame(&self, moment: Moment) -> Result<DataFrame, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        self.binder.bind_all(&session, self.counts).await?;
        let plan = self.binder.plan(&session).await?;
        let time = match moment {
            Moment::Clock => self.input.clock.timestamp_micros(),
            Moment::LastCommit => self.last_commit().await?,
            Moment::LastMove => self.last_move().await?,
        };
        let frame = self.conform(DataFrame::new(session.state(), plan))?;
        with_change(frame, 0, time)
    }

    /// The first rows of feeds: inserts at the pinned version (semantics 4.10).
    async fn first_load(&self) -> Result<Spool, EngineError> {
        match (self.query.is_row_wise(), self.input.sources) {
            (true, [_]) => self.row_wise().await,
            _ => self.whole(Moment::LastCommit).await,
        }
    }

    /// Every image of every changed row through the query (semantics 4.11).
    async fn row_wise(&self) -> Result<Spool, EngineError> {
        let [source] = self.input.sources else {
            return Err(EngineError::Config("a row-wise query reads one source".to_owned()));
        };
        let session = self.input.runtime.session(self.input.clock);
        let count = self.counts.first().cloned().unwrap_or_default();
        let _feed = self.binder.bind_changes(&session, source, "__k_feed", &count).await?;
        let plan = self.carried(&session, source, "__k_feed").await?;
        numbered(self.conform(DataFrame::new(session.state(), plan))?).await
    }

    /// The query's plan with the scan of `source` replaced by the change table `feed` of the session.
    async fn carried(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        feed: &str,
    ) -> Result<LogicalPlan, EngineError> {
        self.binder.bind_whole(session, source, None).await?;
        let plan = self.binder.plan(session).await?;
        let feed = datafusion::datasource::provider_as_source(session.table_provider(feed).await?);
        Ok(rowwise::carry(&plan, &source.source.alias, &feed)?)
    }

    /// Inserted rows of one feed against the whole other sources (semantics 8.1).
    async fn appends(&self) -> Result<Spool, EngineError> {
        let feeds: Vec<_> =
            self.input.sources.iter().zip(self.counts).filter(|(source, _)| source.is_feed()).collect();
        let [(feed, count)] = feeds.as_slice() else {
            let rule = "an append-only fact reads one feed; its other sources are `cdc_strategy: full`";
            return Err(EngineError::Config(rule.to_owned()));
        };
        let session = self.input.runtime.session(self.input.clock);
        self.binder.bind_all(&session, self.counts).await?;
        let _changes = self.binder.bind_changes(&session, feed, "__k_feed", count).await?;
        let inserts = self.binder.inserts_of(&session, feed, "__k_feed").await?;
        session.deregister_table(bind::table_name(&feed.source.alias))?;
        session.register_table(bind::table_name(&feed.source.alias), inserts.into_view())?;
        let plan = self.binder.plan(&session).await?;
        let frame = self.conform(DataFrame::new(session.state(), plan))?;
        numbered(with_change(frame, feed.version(), self.last_commit().await?)?).await
    }

    /// When a source last changed of those that earlier batches have not read as they are, in microseconds: the commit
    /// of a table, and the clock's reading for files, which have no commits.
    async fn last_move(&self) -> Result<i64, EngineError> {
        let mut newest = None;
        for source in self.input.sources.iter().filter(|source| source.moved()) {
            newest = newest.max(Some(match source.table() {
                Some(_) => bind::commit_micros(source).await?,
                None => self.input.clock.timestamp_micros(),
            }));
        }
        match newest {
            Some(newest) => Ok(newest),
            None => self.last_commit().await,
        }
    }

    /// The newest commit time of the feeds, in microseconds; the clock's without any.
    async fn last_commit(&self) -> Result<i64, EngineError> {
        let mut newest = None;
        for source in self.input.sources.iter().filter(|source| source.source.strategy != CdcStrategy::Full) {
            newest = newest.max(Some(bind::commit_micros(source).await?));
        }
        Ok(newest.unwrap_or_else(|| self.input.clock.timestamp_micros()))
    }
}

/// The frame with change columns that say: these rows hold, as of that version and instant (microseconds).
fn with_change(frame: DataFrame, version: i64, time: i64) -> Result<DataFrame, EngineError> {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::lit;
    let time = ScalarValue::TimestampMicrosecond(Some(time), Some("UTC".into()));
    Ok(frame.with_column(OP, lit(1i64))?.with_column(VERSION, lit(version))?.with_column(TIME, lit(time))?)
}

async fn numbered(frame: DataFrame) -> Result<Spool, EngineError> {
    Spool::fill(frame, Numbering::Numbered).await
}
