//! One run of a project inside this process, through the library's own entry points.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::error::{Result, TestkitError};

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Config files and folders.
    pub configs: Vec<PathBuf>,
    /// The targets file.
    pub targets: PathBuf,
    /// The run's clock reading.
    pub run_time: DateTime<Utc>,
    /// What becomes of the run when a pipeline fails.
    pub on_failure: OnFailure,
    /// Pipelines that run at a time.
    pub workers: usize,
}

/// What becomes of a run when a pipeline fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing new starts.
    Stop,
    /// Only what depends on the failure is skipped.
    KeepGoing,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum RunOutcome {
    /// Refused before a pipeline started: the messages.
    Refused(String),
    /// Every pipeline's result.
    Finished(Vec<PipelineOutcome>),
}

/// What became of one pipeline.
#[derive(Debug, Clone, Default)]
pub struct PipelineOutcome {
    /// The table it writes.
    pub table_name: String,
    /// SUCCESS, FAILED or SKIPPED.
    pub status: String,
    /// Whether nothing was new.
    pub up_to_date: bool,
    /// Rows read from all sources.
    pub rows_read: u64,
    /// Rows the target gained or changed.
    pub rows_written: u64,
    /// Rows inserted.
    pub rows_inserted: u64,
    /// Rows updated in place.
    pub rows_updated: u64,
    /// Rows deleted, softly or hard.
    pub rows_deleted: u64,
    /// Versions that were superseded or closed.
    pub rows_expired: u64,
    /// The class of the error.
    pub error_class: Option<String>,
    /// The error, or why the pipeline was skipped.
    pub message: Option<String>,
    /// What the run warned of.
    pub warnings: Vec<String>,
}

/// Loads the project and runs it.
///
/// # Errors
/// When the run cannot be made at all; a refused configuration and a failed pipeline are outcomes.
pub fn run_project(request: &RunRequest) -> Result<RunOutcome> {
    Err(TestkitError::Step(format!("no engine to run {:?} with yet", request.configs)))
}
