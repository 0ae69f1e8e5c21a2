//! Runs pipelines in waves on a bounded number of workers and says what became of each.
//!
//! [`PipelineExecutor`] runs a project, [`Orchestrator`] one pipeline. Nothing is printed: who wants to show
//! a run reads its [`Event`]s and its [`ExecutionSummary`], and every front end tells the same story.
//!
//! A run holds no global state. The entry points without `async` own their runtime; those that end in
//! `_async` use the caller's.

mod builder;
mod cancel;
mod clock;
mod control_rows;
mod dispatch;
mod dry_run;
mod each;
mod error;
mod events;
#[cfg(test)]
mod fixture;
mod optimize;
mod orchestrator;
mod outcome;
mod pipeline_executor;
mod progress;
mod runtime;
mod selection;
mod settings;
mod single;
mod summary;
mod text;
mod upstream;
mod vacuum;
mod webhook;

pub use builder::{PipelineExecutorBuilder, ProjectWarning};
pub use cancel::CancelToken;
pub use control_rows::{control_rows, control_rows_async, tables_being_loaded, tables_being_loaded_async};
pub use dry_run::{DryRun, Foresight};
pub use error::{ExecutorError, PipelineError};
pub use events::{EVENT_SCHEMA, Event, EventKind, EventReceiver};
pub use kimball_engine::{Phase, Refresh};
pub use kimball_lake::Vacuum;
pub use optimize::{OptimizeSummary, OptimizedTable, Upkeep};
pub use outcome::{PipelinePreview, PreviewMode, SourceVersions};
pub use pipeline_executor::PipelineExecutor;
pub use progress::{RunProgress, RunningPipeline};
pub use selection::{SelectionError, Selector};
pub use settings::{FailurePolicy, OnBusy, Schedule, Settings, SettingsBuilder, SettingsError};
pub use single::Orchestrator;
pub use summary::{ExecutionSummary, PipelineResult, PipelineStatus, RunId};
pub use text::{Banner, Heading, counted};
pub use vacuum::{VacuumOutcome, VacuumSummary, VacuumedTable};
