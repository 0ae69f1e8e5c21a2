//! What a run came to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kimball_config::{Pipeline, TableName};
use kimball_retry::FaultKind;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::outcome::{Failure, PipelineLoad, SourceVersions};
use crate::text::RULE;

/// The identity of one run, new for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// A new identity.
    #[allow(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    #[allow(
        clippy::disallowed_methods,
        reason = "the identity of a run begins here, and shows in events only"
    )]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What became of one pipeline of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PipelineStatus {
    /// It loaded, or had nothing to do.
    Success,
    /// It failed; its target is as it was.
    Failed,
    /// It never started.
    Skipped,
}

/// As in `etl_control` and JSON: `SUCCESS`, `FAILED`, `SKIPPED`.
impl fmt::Display for PipelineStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
        })
    }
}

/// What became of one pipeline. Serialises as an element of `results` in the JSON of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineResult {
    /// The table it writes.
    #[serde(serialize_with = "as_text")]
    pub table_name: TableName,
    /// `dimension` or `fact`.
    pub table_type: &'static str,
    /// Its file.
    #[serde(serialize_with = "as_path")]
    pub config_path: PathBuf,
    /// What became of it.
    pub status: PipelineStatus,
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
    /// Of the corrected rows those that waited for a member that has arrived.
    pub rows_repaired: u64,
    /// Of the corrected rows those whose event belongs to another version since a late one arrived.
    pub rows_restated: u64,
    /// Members that dimensions inferred for rows that came before them.
    pub members_inferred: u64,
    /// Whether there was nothing new.
    pub up_to_date: bool,
    /// How often it was tried; 0 when it was skipped.
    pub attempts: u32,
    /// Seconds from its start to its end, waits for retries included; 0 when it was skipped.
    pub duration_seconds: f64,
    /// The batch, as in `etl_control`, when it has rows there.
    pub batch_id: Option<String>,
    /// What kind of failure it was, when it failed.
    #[serde(serialize_with = "as_optional_text")]
    pub error_class: Option<FaultKind>,
    /// What was wrong, when it failed.
    pub error_message: Option<String>,
    /// Why it was not started, when it was skipped.
    pub skip_reason: Option<String>,
    /// The versions that were read, or were to be, a source each.
    pub sources: Vec<SourceVersions>,
}

impl PipelineResult {
    /// A result of `pipeline` in which nothing was counted yet.
    fn blank(pipeline: &Pipeline, status: PipelineStatus) -> Self {
        Self {
            table_name: pipeline.table.clone(),
            table_type: pipeline.table_type(),
            config_path: pipeline.config_path.clone(),
            status,
            rows_read: 0,
            rows_written: 0,
            rows_inserted: 0,
            rows_updated: 0,
            rows_deleted: 0,
            rows_expired: 0,
            rows_repaired: 0,
            rows_restated: 0,
            members_inferred: 0,
            up_to_date: false,
            attempts: 0,
            duration_seconds: 0.0,
            batch_id: None,
            error_class: None,
            error_message: None,
            skip_reason: None,
            sources: Vec::new(),
        }
    }

    /// Whether it loaded, or had nothing to do.
    pub fn is_success(&self) -> bool {
        self.status == PipelineStatus::Success
    }

    /// `pipeline` loaded in its `attempts`-th attempt.
    pub(crate) fn loaded(pipeline: &Pipeline, load: PipelineLoad, attempts: u32, took: Duration) -> Self {
        Self {
            rows_read: load.rows_read,
            rows_written: load.rows_written,
            rows_inserted: load.rows_inserted,
            rows_updated: load.rows_updated,
            rows_deleted: load.rows_deleted,
            rows_expired: load.rows_expired,
            rows_repaired: load.rows_repaired,
            rows_restated: load.rows_restated,
            members_inferred: load.members_inferred,
            up_to_date: load.up_to_date,
            attempts,
            duration_seconds: seconds(took),
            batch_id: load.batch_id,
            sources: load.sources,
            ..Self::blank(pipeline, PipelineStatus::Success)
        }
    }

    /// `pipeline` failed for good in its `attempts`-th attempt.
    pub(crate) fn failed(pipeline: &Pipeline, failure: Failure, attempts: u32, took: Duration) -> Self {
        let (batch_id, sources) = match failure.batch {
            Some(batch) => (Some(batch.batch_id), batch.sources),
            None => (None, Vec::new()),
        };
        Self {
            attempts,
            duration_seconds: seconds(took),
            batch_id,
            error_class: Some(failure.kind),
            error_message: Some(failure.message),
            sources,
            ..Self::blank(pipeline, PipelineStatus::Failed)
        }
    }

    /// `pipeline` was never started.
    pub(crate) fn skipped(pipeline: &Pipeline, reason: String) -> Self {
        Self { skip_reason: Some(reason), ..Self::blank(pipeline, PipelineStatus::Skipped) }
    }
}

/// What a run came to. `Display` is the guide's block "Execution Summary"; serialises as the last line of
/// the JSON of a run.
///
/// ```no_run
/// # fn main() -> Result<(), kimball_executor::ExecutorError> {
/// # let executor = kimball_executor::PipelineExecutor::builder().config_paths(["configs"]).build()?;
/// let summary = executor.run()?;
/// println!("{summary}");
/// for failed in summary.failures() {
///     println!("{}: {}", failed.table_name, failed.error_message.as_deref().unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExecutionSummary {
    /// Pipelines of the run, whatever became of them.
    pub total_pipelines: usize,
    /// Pipelines that loaded or had nothing to do.
    pub successful: usize,
    /// Pipelines that failed.
    pub failed: usize,
    /// Pipelines that never started.
    pub skipped: usize,
    /// Rows read from all sources of all pipelines.
    pub total_rows_read: u64,
    /// Rows that the targets gained or changed.
    pub total_rows_written: u64,
    /// Seconds from the start of the run to its end.
    pub total_duration_seconds: f64,
    /// Whether the run was told to stop before its end.
    pub interrupted: bool,
    /// What became of each pipeline, in the order of the plan.
    pub results: Vec<PipelineResult>,
}

impl ExecutionSummary {
    /// Counts the results of a run.
    pub(crate) fn of(results: Vec<PipelineResult>, took: Duration, ending: Ending) -> Self {
        let count = |status| results.iter().filter(|result| result.status == status).count();
        Self {
            total_pipelines: results.len(),
            successful: count(PipelineStatus::Success),
            failed: count(PipelineStatus::Failed),
            skipped: count(PipelineStatus::Skipped),
            total_rows_read: results.iter().map(|result| result.rows_read).sum(),
            total_rows_written: results.iter().map(|result| result.rows_written).sum(),
            total_duration_seconds: seconds(took),
            interrupted: ending == Ending::Interrupted,
            results,
        }
    }

    /// Whether every pipeline loaded or had nothing to do.
    pub fn is_success(&self) -> bool {
        self.successful == self.total_pipelines
    }

    /// The pipelines that failed.
    pub fn failures(&self) -> impl Iterator<Item = &PipelineResult> {
        self.results.iter().filter(|result| result.status == PipelineStatus::Failed)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Complete,
    /// It was told to stop.
    Interrupted,
}

impl fmt::Display for ExecutionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{RULE}")?;
        writeln!(f, "Execution Summary:")?;
        writeln!(f, "  Total Pipelines: {}", self.total_pipelines)?;
        writeln!(f, "  Successful: {}", self.successful)?;
        writeln!(f, "  Failed: {}", self.failed)?;
        writeln!(f, "  Skipped: {}", self.skipped)?;
        writeln!(f, "  Total Rows Read: {}", thousands(self.total_rows_read))?;
        writeln!(f, "  Total Rows Written: {}", thousands(self.total_rows_written))?;
        writeln!(f, "  Total Duration: {:.1}s", self.total_duration_seconds)?;
        f.write_str(RULE)
    }
}

/// A count with a comma between each three digits.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds to the millisecond, so that no noise reaches a file that is compared.
pub(crate) fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e3).round() / 1e3
}

/// Serialises what prints as a name as that text.
pub(crate) fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Serialises a path as text; what is no Unicode is replaced, as a path must never end a run.
pub(crate) fn as_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// As [`as_text`], `None` as null.
pub(crate) fn as_optional_text<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
