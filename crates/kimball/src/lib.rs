//! Loads Kimball dimensional models into Delta Lake tables from a folder of YAML files.
//!
//! One file describes one table: where its rows come from, what identifies them, how their history is kept.
//! The pipelines of a project run in waves, dimensions before the facts that reference them, several at a
//! time; each batch of rows and its watermarks are one commit, so that a run that was killed goes on where it
//! stopped.
//!
//! # Many pipelines
//!
//! ```no_run
//! use kimball::prelude::*;
//!
//! # fn main() -> Result<(), ExecutorError> {
//! let executor = PipelineExecutor::builder()
//!     .config_paths([
//!         "configs/dim_customer.yml",
//!         "configs/dim_product.yml",
//!         "configs/dim_date.yml",
//!         "configs/fact_sales.yml",
//!         "configs/fact_inventory.yml",
//!     ])
//!     .etl_schema("gold")
//!     .max_workers(4) // pipelines at a time
//!     .on_failure(FailurePolicy::StopOnFailure)
//!     .build()?;
//!
//! // What would run, without running it.
//! println!("{}", executor.dry_run()?);
//!
//! let summary = executor.run()?;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! # Results
//!
//! A pipeline that fails is no error of the run; it stands in the summary, as every pipeline does.
//!
//! ```no_run
//! # use kimball::prelude::*;
//! # fn main() -> Result<(), ExecutorError> {
//! # let summary = PipelineExecutor::builder().config_paths(["configs"]).build()?.run()?;
//! for result in &summary.results {
//!     println!("{}: {} ({} rows)", result.table_name, result.status, result.rows_written);
//! }
//! for failed in summary.results.iter().filter(|result| result.status == PipelineStatus::Failed) {
//!     println!("FAILED: {} - {}", failed.table_name, failed.error_message.as_deref().unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # One pipeline
//!
//! ```no_run
//! use kimball::Orchestrator;
//!
//! # fn main() -> Result<(), kimball::ExecutorError> {
//! let result = Orchestrator::new("configs/dim_customer.yml")?.run()?;
//! println!("Completed: {} rows written", result.rows_written);
//!
//! // Again after errors that may pass: after 30, 60 and 120 seconds.
//! let result = Orchestrator::new("configs/dim_customer.yml")?.run_with_retry(3, 30)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Progress and stopping
//!
//! Everything the command line shows is made from [`Event`]s, which an application receives as well: through
//! [`PipelineExecutorBuilder::observer`] as they happen, or through [`PipelineExecutor::events`] at its own
//! pace. A [`CancelToken`] stops a run from any thread.
//!
//! ```no_run
//! use kimball::prelude::*;
//!
//! # fn main() -> Result<(), ExecutorError> {
//! let executor = PipelineExecutor::builder()
//!     .config_paths(["configs"])
//!     .observer(|event| {
//!         if let EventKind::PipelineCompleted(result) = &event.kind {
//!             println!("{} took {:.1} s", result.table_name, result.duration_seconds);
//!         }
//!     })
//!     .build()?;
//! let stop = executor.cancel_token();
//! std::thread::spawn(move || {
//!     std::thread::sleep(std::time::Duration::from_secs(3600));
//!     stop.cancel();
//! });
//! let summary = executor.run()?;
//! assert!(summary.is_success() || summary.interrupted);
//! # Ok(())
//! # }
//! ```
//!
//! Applications with a tokio runtime of their own use the methods that end in `_async`.

pub use kimball_config::{
    LoadOutcome, LoadRequest, Location, Pipeline, Problem, ProblemSeverity, Project, TableName, Target,
    load_project, load_target, nearest, pipeline_schema, targets_schema,
};
pub use kimball_control::{Alert, AlertCause, ControlRow, Limits, alerts};
pub use kimball_executor::{
    Banner, CancelToken, DryRun, EVENT_SCHEMA, Event, EventKind, EventReceiver, ExecutionSummary,
    ExecutorError, FailurePolicy, Foresight, Heading, OnBusy, OptimizeSummary, OptimizedTable, Orchestrator,
    Phase, PipelineError, PipelineExecutor, PipelineExecutorBuilder, PipelinePreview, PipelineResult,
    PipelineStatus, PreviewMode, ProjectWarning, Refresh, RunId, RunProgress, RunningPipeline, Schedule,
    SelectionError, Selector, Settings, SettingsBuilder, SettingsError, SourceVersions, Upkeep, Vacuum,
    VacuumOutcome, VacuumSummary, VacuumedTable, control_rows, control_rows_async, counted,
    tables_being_loaded, tables_being_loaded_async,
};
pub use kimball_plan::{
    AspectChange, ChangeKind, Dependency, ExternalTable, MANIFEST_VERSION, Manifest, ManifestPipeline,
    PipelineChange, Place, Plan, PlanChanges, PlanProblem, PlanWarning, PlannedPipeline, Reason, Wave,
};
pub use kimball_retry::{Action, Classify, FaultKind, Jitter, RetryPolicy};
pub use kimball_sql::{
    BlockingSqlConsole, BlockingSqlRows, Next, SqlConsole, SqlError, SqlRows, Unfinished, split_statements,
};

/// What a [`Pipeline`] consists of.
pub mod model {
    pub use kimball_config::{
        Additivity, Aggregation, CdcStrategy, ColumnTest, DeleteStrategy, Dimension, Fact, FactLoading,
        FactPattern, FileFormat, ForeignKey, History, JunkDimension, KeyStrategy, Lookup, Measure,
        MergeStrategy, Milestone, MiniDimension, NullPolicy, PiiColumn, Scd, Severity, Source,
        SourceLocation, TableKind, Test, TrackedColumns, Transformation,
    };
}

/// What most programs need.
pub mod prelude {
    pub use crate::{
        CancelToken, Event, EventKind, ExecutionSummary, ExecutorError, FailurePolicy, Orchestrator,
        PipelineExecutor, PipelineResult, PipelineStatus, RetryPolicy,
    };
}
