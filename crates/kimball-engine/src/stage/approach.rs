//! How a batch gets its rows, and why.

use std::collections::BTreeSet;
use std::fmt;

use datafusion::logical_expr::LogicalPlan;
use kimball_config::{FactLoading, FactPattern, Pipeline, TableKind};

use super::follow::Followed;
use super::shape::{self, Fickle};
use super::{Images, Query, Refresh, StageInput};
use crate::EngineError;
use crate::fact::comes_from_lookups;
use crate::source::{PinnedSource, Reading};

/// How a batch gets its rows, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    /// No source moved.
    Nothing,
    /// All sources are snapshots.
    Snapshot,
    /// First rows from feeds.
    FirstLoad,
    /// The target has rows but no watermark.
    Reconcile,
    /// All sources are read again, and the table is reconciled with them.
    Refresh,
    /// Every changed row runs through the query.
    RowWise,
    /// What changed rows can affect is recomputed.
    AffectedKeys(Affected),
    /// The query is recomputed and compared.
    WholeDiff(WholeReason),
    /// Inserted rows run through the query.
    Appends,
}

/// What is recomputed when sources change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected {
    /// The keys of rows that a changed row takes part in.
    Keys,
    /// The groups of an aggregate that a changed row belongs or belonged to.
    Groups,
    /// The partitions of a table that is loaded partition by partition.
    Partitions,
}

/// Why a query is recomputed in full and compared with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeReason {
    /// A source that is read as a snapshot moved: nobody says which of its rows changed.
    MovedSnapshot,
    /// The configuration changed meaning.
    Reconfigured,
    /// A feed has no watermark yet.
    NewFeed,
    /// A lookup finds a key, or maps it: the query's output does not hold its value.
    LookedUpKey,
    /// A key is computed by an aggregate or a window function.
    ComputedKey,
    /// Two sides are joined by what an aggregate or a window function computes.
    ComputedJoin,
    /// A function gives another value every time.
    Volatile,
    /// A function of the run's clock.
    Clock,
    /// `LIMIT`, `OFFSET` or `FETCH`.
    Limit,
    /// A subquery that is no join.
    Subquery,
    /// `NOT IN` over a subquery, which a single NULL decides for every row.
    NotIn,
    /// An aggregate without groups.
    GlobalAggregate,
    /// `ROLLUP`, `CUBE` or `GROUPING SETS`.
    GroupingSets,
    /// A window over all rows.
    WholeWindow,
    /// A window whose partition is itself computed by an aggregate or a window function.
    ComputedWindow,
    /// `DISTINCT ON`.
    DistinctOn,
    /// A recursive query.
    Recursive,
    /// Something else that is not followed.
    Other,
}

impl fmt::Display for Approach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing to read: no source moved"),
            Self::Snapshot => f.write_str("in full: every source is a snapshot"),
            Self::FirstLoad => f.write_str("in full: the first load"),
            Self::Reconcile => f.write_str("in full, with a diff: the table has rows but no watermark"),
            Self::Refresh => f.write_str("in full, with a diff: a full refresh"),
            Self::RowWise => f.write_str("row by row: the query looks at one feed, one row at a time"),
            Self::AffectedKeys(affected) => write!(f, "{affected}"),
            Self::WholeDiff(reason) => write!(f, "in full, with a diff: {reason}"),
            Self::Appends => f.write_str("inserted rows only: the table is append-only"),
        }
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "for the affected keys: each change meets the whole other side of the joins",
            Self::Groups => {
                "for the affected groups: those that a changed row belongs to, or belonged to, are computed anew"
            }
            Self::Partitions => {
                "for the affected partitions: those that a changed row belongs to, or belonged to, are replaced"
            }
        })
    }
}

impl fmt::Display for WholeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MovedSnapshot => {
                "a source that is read as a snapshot moved, and does not say what changed in it"
            }
            Self::Reconfigured => "the configuration changed, and a source is read as a snapshot",
            Self::NewFeed => "a feed is read for the first time",
            Self::LookedUpKey => "a key of the table is found or mapped by a lookup, not by the query",
            Self::ComputedKey => "a key of the table is computed by an aggregate or a window function",
            Self::ComputedJoin => "the query joins by what an aggregate or a window function computes",
            Self::Volatile => "the query calls a function that gives another value every time",
            Self::Clock => "the query calls a function of the run's clock",
            Self::Limit => "the query has a LIMIT",
            Self::Subquery => "the query has a subquery that is no join",
            Self::NotIn => "the query has a NOT IN over a subquery, which one NULL decides for every row",
            Self::GlobalAggregate => "the query aggregates over everything, without groups",
            Self::GroupingSets => "the query groups in several ways at once",
            Self::WholeWindow => "the query has a window function without PARTITION BY",
            Self::ComputedWindow => {
                "the query has a window whose partition is computed by an aggregate or a window function"
            }
            Self::DistinctOn => "the query has a DISTINCT ON",
            Self::Recursive => "the query is recursive",
            Self::Other => "the query does something that cannot be followed from a changed row",
        })
    }
}

/// The columns whose values say what a batch recomputes: the keys of a row, or of a partition where the table is
/// loaded partition by partition.
pub(crate) fn followed_keys(pipeline: &Pipeline) -> &[String] {
    match &pipeline.kind {
        TableKind::Dimension(dimension) => &dimension.natural_keys,
        TableKind::Fact(fact) if fact.loading == FactLoading::ReplacePartitions => &fact.partition_by,
        TableKind::Fact(fact) => &fact.merge_keys,
    }
}

/// Whether rows that a whole recomputation does not hold stay all the same: a periodic snapshot that reads the
/// run's clock yields the rows of the present period alone.
pub(super) fn keeps_earlier_periods(pipeline: &Pipeline, query: &Query) -> bool {
    matches!(&pipeline.kind, TableKind::Fact(fact) if fact.pattern == FactPattern::PeriodicSnapshot)
        && shape::fickle(&query.written) == Some(Fickle::Clock)
}

pub(super) fn decide(input: &StageInput<'_>, query: &Query) -> Result<Approach, EngineError> {
    let pipeline = input.pipeline;
    match input.refresh {
        Refresh::Reconcile if input.has_rows => return Ok(Approach::Refresh),
        Refresh::Reconcile | Refresh::Rebuild if !is_append_only(pipeline) => {
            return Ok(if pipeline.is_snapshot() { Approach::Snapshot } else { Approach::FirstLoad });
        }
        _ => {}
    }
    let readings = input.sources.iter().map(PinnedSource::reading).collect::<Result<Vec<_>, _>>()?;
    let is_incremental = input.refresh == Refresh::Incremental && !input.reprocess;
    if is_incremental && input.existing.is_some() && input.sources.iter().all(|source| !source.moved()) {
        return Ok(Approach::Nothing);
    }
    if is_append_only(pipeline) {
        return Ok(Approach::Appends);
    }
    if pipeline.is_snapshot() {
        return Ok(Approach::Snapshot);
    }
    let feeds = || input.sources.iter().zip(&readings).filter(|(source, _)| source.is_feed());
    if feeds().all(|(source, reading)| source.watermark.is_none() && *reading == Reading::Whole) {
        return Ok(if input.has_rows { Approach::Reconcile } else { Approach::FirstLoad });
    }
    let has_snapshot = input.sources.iter().any(|source| !source.is_feed());
    if input.sources.iter().any(|source| !source.is_feed() && source.moved()) {
        return Ok(Approach::WholeDiff(WholeReason::MovedSnapshot));
    }
    if has_snapshot && input.reprocess {
        return Ok(Approach::WholeDiff(WholeReason::Reconfigured));
    }
    if feeds().any(|(_, reading)| *reading == Reading::Whole) {
        return Ok(Approach::WholeDiff(WholeReason::NewFeed));
    }
    Ok(follow(input, query, &changed(input)?)?.unwrap_or_else(Approach::WholeDiff))
}

/// The sources whose changes a batch reads.
pub(super) fn changed(input: &StageInput<'_>) -> Result<BTreeSet<String>, EngineError> {
    let mut changed = BTreeSet::new();
    for source in input.sources {
        if matches!(source.reading()?, Reading::Changes { .. }) {
            changed.insert(source.source.alias.clone());
        }
    }
    Ok(changed)
}

/// How changes are followed through the query, or why they are not.
fn follow(
    input: &StageInput<'_>,
    query: &Query,
    changed: &BTreeSet<String>,
) -> Result<Result<Approach, WholeReason>, EngineError> {
    let is_fact = matches!(input.pipeline.kind, TableKind::Fact(_));
    match shape::fickle(&query.written) {
        Some(Fickle::Volatile) => return Ok(Err(WholeReason::Volatile)),
        // A dimension tells of a member what held when the member changed (semantics 4.11).
        Some(Fickle::Clock) if is_fact => return Ok(Err(WholeReason::Clock)),
        _ => {}
    }
    let fields = query.written.schema().fields();
    let place = |key: &String| fields.iter().position(|field| field.name() == key);
    let keys = followed_keys(input.pipeline);
    if let TableKind::Fact(fact) = &input.pipeline.kind
        && comes_from_lookups(fact, keys)
    {
        return Ok(Err(WholeReason::LookedUpKey));
    }
    let Some(places) = keys.iter().map(place).collect::<Option<Vec<_>>>() else {
        return Ok(Err(WholeReason::LookedUpKey));
    };
    let by_partition = matches!(&input.pipeline.kind,
        TableKind::Fact(fact) if fact.loading == FactLoading::ReplacePartitions);
    if query.is_row_wise() && input.sources.len() == 1 && !by_partition && input.images == Images::Each {
        return Ok(Ok(Approach::RowWise));
    }
    let plan = query.normal()?;
    match (Followed { changed }).known(plan) {
        Err(reason) => return Ok(Err(reason)),
        Ok(Some(known)) if places.iter().any(|place| known.get(*place) != Some(&true)) => {
            return Ok(Err(WholeReason::ComputedKey));
        }
        Ok(_) => {}
    }
    Ok(Ok(Approach::AffectedKeys(match has_groups(plan) {
        _ if by_partition => Affected::Partitions,
        true => Affected::Groups,
        false => Affected::Keys,
    })))
}

fn has_groups(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(_)) || plan.inputs().into_iter().any(has_groups)
}

fn is_append_only(pipeline: &Pipeline) -> bool {
    matches!(&pipeline.kind, TableKind::Fact(fact) if fact.loading == FactLoading::Append)
}
