//! Many pipelines: a project, run in waves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Sender, unbounded};
use kimball_config::{Pipeline, Project, TableName};
use kimball_lake::Vacuum;
use kimball_plan::{Plan, PlannedPipeline};
use kimball_retry::RetryBudget;
use tokio::runtime::Handle;

use crate::builder::{PipelineExecutorBuilder, ProjectWarning};
use crate::cancel::CancelToken;
use crate::clock::{self, Stopwatch};
use crate::dispatch::{self, LoadPipeline, Run};
use crate::dry_run::DryRun;
use crate::error::ExecutorError;
use crate::events::{Emitter, Event, EventKind, EventReceiver, Observer};
use crate::optimize::OptimizeSummary;
use crate::orchestrator::{RunContext, Stops};
use crate::outcome::{FailedLoad, PipelineLoad};
use crate::progress::RunProgress;
use crate::runtime::{with_callers_runtime, with_own_runtime};
use crate::settings::Settings;
use crate::summary::{Ending, ExecutionSummary, PipelineResult, RunId};
use crate::upstream::{self, Presence};
use crate::vacuum::VacuumSummary;

/// Runs the pipelines of a project in waves, several at a time; made by [`PipelineExecutorBuilder`].
///
/// Clones share the project, the cancel token and who waits for events.
///
/// ```no_run
/// use kimball_executor::PipelineExecutor;
///
/// let executor = PipelineExecutor::builder().config_paths(["configs"]).max_workers(4).build()?;
/// println!("{}", executor.dry_run()?); // touches nothing
/// let summary = executor.run()?;
/// println!("{summary}");
/// # Ok::<(), kimball_executor::ExecutorError>(())
/// ```
#[derive(Clone)]
pub struct PipelineExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    project: Project,
    /// Every pipeline that is known, whether it was selected or not.
    catalogue: Arc<BTreeMap<TableName, Pipeline>>,
    plan: Plan,
    settings: Settings,
    warnings: Vec<ProjectWarning>,
    observers: Vec<Observer>,
    subscribers: Mutex<Vec<Sender<Event>>>,
    cancel: CancelToken,
    progress: RunProgress,
}

impl PipelineExecutor {
    /// Starts to collect config paths and options.
    pub fn builder() -> PipelineExecutorBuilder {
        PipelineExecutorBuilder::default()
    }

    pub(crate) fn new(
        project: Project,
        catalogue: BTreeMap<TableName, Pipeline>,
        plan: Plan,
        settings: Settings,
        warnings: Vec<ProjectWarning>,
        observers: Vec<Observer>,
        cancel: CancelToken,
    ) -> Self {
        let subscribers = Mutex::new(Vec::new());
        let catalogue = Arc::new(catalogue);
        let progress = RunProgress::default();
        let inner =
            Inner { project, catalogue, plan, settings, warnings, observers, subscribers, cancel, progress };
        Self { inner: Arc::new(inner) }
    }

    /// The project, without what the selection left out.
    pub fn project(&self) -> &Project {
        &self.inner.project
    }

    /// The waves in which it runs.
    pub fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// The options of a run.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What is doubtful in the configuration.
    pub fn warnings(&self) -> &[ProjectWarning] {
        &self.inner.warnings
    }

    /// The token that stops runs of this executor: what is loading stops before its commit or ends it, nothing new
    /// starts.
    pub fn cancel_token(&self) -> CancelToken {
        self.inner.cancel.clone()
    }

    /// How far the pipelines are that are loading now, to be looked at from another thread while a run goes on.
    pub fn progress(&self) -> RunProgress {
        self.inner.progress.clone()
    }

    /// The events of the next run, in order. The channel holds any number of them, and closes when that run
    /// has ended, or when the executor is dropped.
    ///
    /// ```no_run
    /// # let executor = kimball_executor::PipelineExecutor::builder().build()?;
    /// let events = executor.events();
    /// let progress = std::thread::spawn(move || {
    ///     for event in events {
    ///         println!("{}", event.kind.name());
    ///     }
    /// });
    /// let summary = executor.run()?;
    /// # Ok::<(), kimball_executor::ExecutorError>(())
    /// ```
    pub fn events(&self) -> EventReceiver {
        let (sender, receiver) = unbounded();
        self.inner.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// What a run would do now. Reads versions of tables; writes nothing.
    ///
    /// # Errors
    /// [`ExecutorError::Warehouse`] when the warehouse cannot be read, [`ExecutorError::Threads`] when the
    /// system gives no thread.
    pub fn dry_run(&self) -> Result<DryRun, ExecutorError> {
        with_own_runtime(|handle| self.inner.dry_run_on(handle))
    }

    /// As [`dry_run`](Self::dry_run), on the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`dry_run`](Self::dry_run).
    pub async fn dry_run_async(&self) -> Result<DryRun, ExecutorError> {
        let inner = Arc::clone(&self.inner);
        with_callers_runtime(move |handle| inner.dry_run_on(handle)).await
    }

    /// Runs all pipelines and waits for them. A pipeline that fails is no error: it stands in the summary.
    ///
    /// # Errors
    /// [`ExecutorError::Warehouse`] when the warehouse cannot be used and
    /// [`ExecutorError::MissingUpstream`] when a table that a pipeline reads or points at does not exist; nothing was
    /// written then.
    pub fn run(&self) -> Result<ExecutionSummary, ExecutorError> {
        self.run_as(&self.inner.settings)
    }

    /// As [`run`](Self::run), on the tokio runtime of the caller. Dropping the future stops the run as its
    /// cancel token does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_async(&self) -> Result<ExecutionSummary, ExecutorError> {
        self.run_async_as(self.inner.settings.clone()).await
    }

    /// Writes files of the tables of all pipelines anew where small ones, or rows that no longer count, have piled up.
    /// No row changes, and no reader of a change feed hears of it. A table that fails is no error: it stands in the
    /// summary.
    ///
    /// # Errors
    /// [`ExecutorError::Warehouse`] when the warehouse cannot be used, [`ExecutorError::Threads`] when the system gives
    /// no thread.
    pub fn optimize(&self) -> Result<OptimizeSummary, ExecutorError> {
        with_own_runtime(|handle| self.inner.optimize_on(handle))
    }

    /// As [`optimize`](Self::optimize), on the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`optimize`](Self::optimize).
    pub async fn optimize_async(&self) -> Result<OptimizeSummary, ExecutorError> {
        let inner = Arc::clone(&self.inner);
        with_callers_runtime(move |handle| inner.optimize_on(handle)).await
    }

    /// Deletes files that no version of the tables of all pipelines needs any more. A table that fails is no error: it
    /// stands in the summary.
    ///
    /// # Errors
    /// As [`optimize`](Self::optimize).
    pub fn vacuum(&self, how: &Vacuum) -> Result<VacuumSummary, ExecutorError> {
        with_own_runtime(|handle| self.inner.vacuum_on(how, handle))
    }

    /// As [`vacuum`](Self::vacuum), on the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`optimize`](Self::optimize).
    pub async fn vacuum_async(&self, how: Vacuum) -> Result<VacuumSummary, ExecutorError> {
        let inner = Arc::clone(&self.inner);
        with_callers_runtime(move |handle| inner.vacuum_on(&how, handle)).await
    }

    /// As [`run`](Self::run), with other options.
    pub(crate) fn run_as(&self, settings: &Settings) -> Result<ExecutionSummary, ExecutorError> {
        with_own_runtime(|handle| self.inner.run_on(settings, handle))
    }

    /// As [`run_async`](Self::run_async), with other options.
    pub(crate) async fn run_async_as(&self, settings: Settings) -> Result<ExecutionSummary, ExecutorError> {
        let inner = Arc::clone(&self.inner);
        let mut abandoned = CancelOnDrop(Some(self.cancel_token()));
        let result = with_callers_runtime(move |handle| inner.run_on(&settings, handle)).await;
        abandoned.0 = None;
        result
    }
}

/// Stops a run that nobody waits for any more.
struct CancelOnDrop(Option<CancelToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            token.cancel();
        }
    }
}

impl Inner {
    fn run_on(&self, settings: &Settings, handle: &Handle) -> Result<ExecutionSummary, ExecutorError> {
        let stopwatch = Stopwatch::start();
        let emitter = self.emitter();
        let budget = RetryBudget::default();
        let context = handle.block_on(self.open(settings, budget.clone()))?;
        if let Err(error) = handle.block_on(self.check_upstreams(&context)) {
            handle.block_on(context.close());
            return Err(error);
        }
        emitter.emit(self.run_started(settings));
        let run = Run {
            plan: &self.plan,
            pipelines: &self.project.pipelines,
            settings,
            cancel: &self.cancel,
            budget: &budget,
            emitter: &emitter,
            handle,
        };
        let results = dispatch::dispatch(&run, &context);
        handle.block_on(context.close());
        let results = results?;
        let ending = self.ending(&results);
        let summary = ExecutionSummary::of(results, stopwatch.elapsed(), ending);
        emitter.emit(EventKind::RunFinished(Box::new(summary.clone())));
        Ok(summary)
    }

    fn dry_run_on(&self, handle: &Handle) -> Result<DryRun, ExecutorError> {
        handle.block_on(async {
            let context = self.open(&self.settings, RetryBudget::default()).await?;
            let dry_run = DryRun::of(&self.plan, &self.project.pipelines, &self.settings, &context).await;
            context.close().await;
            dry_run.map_err(ExecutorError::Warehouse)
        })
    }

    fn optimize_on(&self, handle: &Handle) -> Result<OptimizeSummary, ExecutorError> {
        let context = handle.block_on(self.open(&self.settings, RetryBudget::default()))?;
        let summary = OptimizeSummary::of(&self.project.pipelines, &self.settings, &context, handle);
        handle.block_on(context.close());
        summary
    }

    fn vacuum_on(&self, how: &Vacuum, handle: &Handle) -> Result<VacuumSummary, ExecutorError> {
        let context = handle.block_on(self.open(&self.settings, RetryBudget::default()))?;
        let summary = VacuumSummary::of(&self.project.pipelines, &self.settings, how, &context, handle);
        handle.block_on(context.close());
        summary
    }

    async fn open(&self, settings: &Settings, budget: RetryBudget) -> Result<RunContext, ExecutorError> {
        let run_time = settings.run_time().unwrap_or_else(clock::now);
        let pipelines = self.project.pipelines.iter();
        let written =
            pipelines.flat_map(|pipeline| [&pipeline.table].into_iter().chain(pipeline.companions()));
        let written = written.cloned().collect();
        let stops = Stops { cancel: self.cancel.clone(), budget };
        let context = RunContext::open(
            &self.project.target,
            settings,
            stops,
            run_time,
            written,
            Arc::clone(&self.catalogue),
        );
        Ok(context.map_err(ExecutorError::Warehouse)?.watched_by(self.progress.clone()))
    }

    async fn check_upstreams(&self, context: &RunContext) -> Result<(), ExecutorError> {
        // What runs keep about themselves is made by the first of them.
        let etl_schema = &self.project.target.etl_schema;
        let is_support =
            |table: &TableName| table.schema() == etl_schema && table.table().starts_with("etl_");
        let missing = upstream::missing(&self.plan, async |table| match is_support(table) {
            true => Ok(Presence::There),
            false => context.look_for(table).await,
        });
        let missing = missing.await;
        match missing.map_err(ExecutorError::Warehouse)? {
            missing if missing.is_empty() => Ok(()),
            missing => Err(ExecutorError::MissingUpstream(missing)),
        }
    }

    /// Tells the observers, and those who subscribed since the last run.
    fn emitter(&self) -> Emitter {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        Emitter::new(RunId::new(), self.observers.clone(), std::mem::take(&mut subscribers))
    }

    fn run_started(&self, settings: &Settings) -> EventKind {
        let is_dimension = |pipeline: &&PlannedPipeline| pipeline.table_type == "dimension";
        let pipelines = self.project.pipelines.len();
        let dimensions = self.plan.pipelines().filter(is_dimension).count();
        EventKind::RunStarted {
            pipelines,
            dimensions,
            facts: pipelines - dimensions,
            waves: self.plan.waves().len(),
            max_workers: settings.max_workers().get(),
        }
    }

    /// A run that was told to stop when everything had loaded is complete.
    fn ending(&self, results: &[PipelineResult]) -> Ending {
        if self.cancel.is_cancelled() && !results.iter().all(PipelineResult::is_success) {
            Ending::Interrupted
        } else {
            Ending::Complete
        }
    }
}

impl LoadPipeline for RunContext {
    async fn load(&self, pipeline: &Pipeline, attempt: u32) -> Result<PipelineLoad, FailedLoad> {
        // The inherent method: one attempt, with all its steps.
        Self::load(self, pipeline, attempt).await
    }
}

/// Who is told of events cannot be shown; everything else is.
impl fmt::Debug for PipelineExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineExecutor")
            .field("project", &self.inner.project)
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}
