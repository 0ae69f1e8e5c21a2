//! What one pipeline did, or would do.

use std::fmt;

use kimball_retry::FaultKind;
use serde::Serialize;

use crate::error::PipelineError;

/// What one successful attempt at one pipeline did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineLoad {
    /// The batch, as in `etl_control`; `None` when there was nothing to do, not even there.
    pub batch_id: Option<String>,
    /// Rows read from all sources.
    pub rows_read: u64,
    /// Rows that the target gained or changed.
    pub rows_written: u64,
    /// Rows that are new.
    pub rows_inserted: u64,
    /// Rows that were corrected in place.
    pub rows_updated: u64,
    /// Rows that were marked as deleted or removed.
    pub rows_deleted: u64,
    /// Versions of a history that were closed.
    pub rows_expired: u64,
    /// Of the corrected rows those that waited for a member that has arrived (semantics 8.4).
    pub rows_repaired: u64,
    /// Of the corrected rows those whose event belongs to another version since a late one arrived.
    pub rows_restated: u64,
    /// Members that dimensions inferred for rows that came before them.
    pub members_inferred: u64,
    /// The versions that were read, a source each, in config order.
    pub sources: Vec<SourceVersions>,
    /// Whether there was nothing new, so that nothing was read, and nothing written to the target.
    pub up_to_date: bool,
    /// What the user should know although the load succeeded.
    pub warnings: Vec<String>,
}

/// Why one attempt at one pipeline failed, and what `etl_control` tells of it.
#[derive(Debug)]
pub(crate) struct FailedLoad {
    pub(crate) error: Box<PipelineError>,
    /// `None` when it has no row there.
    pub(crate) batch: Option<Box<FailedBatch>>,
}

/// A batch that failed, as `etl_control` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedBatch {
    pub(crate) batch_id: String,
    pub(crate) sources: Vec<SourceVersions>,
}

/// Why a pipeline failed for good.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
    /// The batch of its last attempt; `None` when that has no row in `etl_control`.
    pub(crate) batch: Option<Box<FailedBatch>>,
}

impl From<PipelineError> for FailedLoad {
    fn from(error: PipelineError) -> Self {
        Self { error: Box::new(error), batch: None }
    }
}

/// The versions of one source that a batch covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceVersions {
    /// The source as the configuration names it.
    pub name: String,
    /// Its alias, under which the watermark is kept.
    pub alias: String,
    /// The watermark before the batch; `None` on the first load.
    pub from_version: Option<i64>,
    /// The watermark after the batch, or the version that a batch which failed was to read up to; `None` when the source
    /// does not exist yet, or was not looked at.
    pub to_version: Option<i64>,
}

/// What a pipeline would do if it ran now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PipelinePreview {
    /// Whether it would load, and from where.
    pub mode: PreviewMode,
    /// How the query is made incremental, in words: `row-wise over one feed`, `recomputed for affected
    /// keys`, `in full, with a diff`.
    pub query: String,
    /// The versions it would read, a source each, in config order.
    pub sources: Vec<SourceVersions>,
    /// About how many rows it would read, by the statistics of its sources; `None` where they do not tell.
    pub expected_rows: Option<u64>,
    /// Columns that the table would get, each with its type.
    pub added_columns: Vec<String>,
    /// What becomes of rows that the sources no longer hold, in words, where something does.
    pub closes: Option<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// Whether a pipeline would load, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewMode {
    /// The target holds nothing of ours yet.
    FirstLoad,
    /// From the watermark on.
    Incremental,
    /// Nothing is new: it would be skipped over.
    UpToDate,
    /// The configuration changed meaning since the last batch.
    ConfigChanged,
    /// All sources would be read again.
    FullRefresh,
}

/// In words, for a plan.
impl fmt::Display for PreviewMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstLoad => "first load",
            Self::Incremental => "incremental",
            Self::UpToDate => "up to date",
            Self::ConfigChanged => "configuration changed",
            Self::FullRefresh => "full refresh",
        })
    }
}
