//! One run of a project inside this process, through the library's own entry points.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kimball::{EventKind, FailurePolicy, PipelineExecutor, PipelineResult, Refresh, RetryPolicy};

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
    /// Whether sources are read again from the start.
    pub refresh: Refresh,
    /// How often a pipeline is tried again, at once.
    pub retries: u32,
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
    /// Rows that got the key they waited for.
    pub rows_repaired: u64,
    /// Rows that got the key of another version.
    pub rows_restated: u64,
    /// Members that dimensions inferred.
    pub members_inferred: u64,
    /// The class of the error.
    pub error_class: Option<String>,
    /// The error, or why the pipeline was skipped.
    pub message: Option<String>,
    /// What the run warned of.
    pub warnings: Vec<String>,
}

/// Loads the project and runs it.
///
/// Blocks, and owns the runtime it needs: call it from no async code.
///
/// # Errors
/// [`TestkitError::Step`] when a path is no UTF-8; a refused configuration and a failed pipeline are outcomes.
pub fn run_project(request: &RunRequest) -> Result<RunOutcome> {
    let warnings: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let heard = Arc::clone(&warnings);
    let executor = PipelineExecutor::builder()
        .config_paths(request.configs.iter().map(|path| text(path)).collect::<Result<Vec<_>>>()?)
        .targets_file(&request.targets)
        .environment(BTreeMap::new())
        .run_time(request.run_time)
        .max_workers(request.workers)
        .refresh(request.refresh)
        .retry(RetryPolicy::new(request.retries, Duration::ZERO))
        .on_failure(match request.on_failure {
            OnFailure::Stop => FailurePolicy::StopOnFailure,
            OnFailure::KeepGoing => FailurePolicy::KeepGoing,
        })
        .observer(move |event| {
            if let (EventKind::PipelineWarning { table_name, message }, Ok(mut heard)) =
                (&event.kind, heard.lock())
            {
                heard.push((table_name.to_string(), message.clone()));
            }
        })
        .build();
    let summary = match executor.and_then(|executor| executor.run()) {
        Ok(summary) => summary,
        Err(error) => return Ok(RunOutcome::Refused(error.message())),
    };
    let warnings = warnings.lock().map(|warnings| warnings.clone()).unwrap_or_default();
    Ok(RunOutcome::Finished(summary.results.iter().map(|result| outcome(result, &warnings)).collect()))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| TestkitError::Step(format!("{} is no UTF-8", path.display())))
}

fn outcome(result: &PipelineResult, warnings: &[(String, String)]) -> PipelineOutcome {
    let table_name = result.table_name.to_string();
    let own_warnings = warnings.iter().filter(|(table, _)| *table == table_name);
    PipelineOutcome {
        warnings: own_warnings.map(|(_, message)| message.clone()).collect(),
        table_name,
        status: result.status.to_string(),
        up_to_date: result.up_to_date,
        rows_read: result.rows_read,
        rows_written: result.rows_written,
        rows_inserted: result.rows_inserted,
        rows_updated: result.rows_updated,
        rows_deleted: result.rows_deleted,
        rows_expired: result.rows_expired,
        rows_repaired: result.rows_repaired,
        rows_restated: result.rows_restated,
        members_inferred: result.members_inferred,
        error_class: result.error_class.map(|kind| kind.class().to_owned()),
        message: result.error_message.clone().or_else(|| result.skip_reason.clone()),
    }
}
