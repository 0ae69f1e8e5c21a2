//! From config paths and options to an executor.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kimball_config::{LoadRequest, Problem, Project, TableName, Target, load_project, load_target};
use kimball_plan::{Plan, PlanWarning};
use kimball_retry::RetryPolicy;

use crate::cancel::CancelToken;
use crate::error::ExecutorError;
use crate::events::{Event, Observer};
use crate::pipeline_executor::PipelineExecutor;
use crate::selection::{Choice, Selector};
use kimball_engine::Refresh;

use crate::settings::{FailurePolicy, OnBusy, SettingsBuilder};
use crate::summary::PipelineStatus;

/// The configs that are meant when none are named.
const DEFAULT_CONFIGS: &str = "configs";

/// The target in which a dependency that nobody declared is an error.
const STRICT_TARGET: &str = "prod";

/// Something doubtful in a project that can run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectWarning {
    /// In a file, with its line.
    Config(Problem),
    /// Between pipelines.
    Plan(PlanWarning),
}

impl fmt::Display for ProjectWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problem) => problem.fmt(f),
            Self::Plan(warning) => {
                let (file, help) = (warning.config_path().display(), warning.help());
                write!(f, "warning: {warning}\n --> {file}\n  = help: {help}")
            }
        }
    }
}

/// Collects what a [`PipelineExecutor`] needs; [`build`](Self::build) loads, checks and plans it, without
/// touching a table.
///
/// ```no_run
/// use kimball_executor::{FailurePolicy, PipelineExecutor};
///
/// let executor = PipelineExecutor::builder()
///     .config_paths(["configs/dim_customer.yml", "configs/fact_sales.yml"])
///     .max_workers(4)
///     .on_failure(FailurePolicy::StopOnFailure)
///     .build()?;
/// # Ok::<(), kimball_executor::ExecutorError>(())
/// ```
#[derive(Clone, Default)]
pub struct PipelineExecutorBuilder {
    request: LoadRequest,
    environment: Option<BTreeMap<String, String>>,
    project: Option<Project>,
    include: Vec<Selector>,
    exclude: Vec<Selector>,
    results: Option<BTreeMap<TableName, PipelineStatus>>,
    settings: SettingsBuilder,
    observers: Vec<Observer>,
    cancel: CancelToken,
}

impl PipelineExecutorBuilder {
    /// Adds files, folders (searched recursively) or globs; without any the folder `configs` is meant.
    #[must_use]
    pub fn config_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.request.configs.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Takes a project that is loaded already; config paths, target and schemas then have no effect.
    #[must_use]
    pub fn project(mut self, project: Project) -> Self {
        self.project = Some(project);
        self
    }

    /// The name of the target in the targets file.
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.request.target = Some(name.into());
        self
    }

    /// The targets file; by default `kimball.targets.yml` in the working directory, if there is one.
    #[must_use]
    pub fn targets_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.request.targets_file = Some(path.into());
        self
    }

    /// The folder or object-store URL of all tables; goes before the target's own.
    #[must_use]
    pub fn warehouse(mut self, location: impl Into<String>) -> Self {
        self.request.warehouse = Some(location.into());
        self
    }

    /// The schema of `etl_control`; goes before the target's own.
    #[must_use]
    pub fn etl_schema(mut self, schema: impl Into<String>) -> Self {
        self.request.etl_schema = Some(schema.into());
        self
    }

    /// The variables that templates may use, instead of those of the process.
    #[must_use]
    pub fn environment(mut self, variables: BTreeMap<String, String>) -> Self {
        self.environment = Some(variables);
        self
    }

    /// Where relative paths start, instead of the working directory of the process.
    #[must_use]
    pub fn working_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.request.working_dir = folder.into();
        self
    }

    /// Runs only what these selectors mean; without any, everything.
    #[must_use]
    pub fn select(mut self, selectors: impl IntoIterator<Item = Selector>) -> Self {
        self.include.extend(selectors);
        self
    }

    /// Leaves out what these selectors mean, selected or not.
    #[must_use]
    pub fn exclude(mut self, selectors: impl IntoIterator<Item = Selector>) -> Self {
        self.exclude.extend(selectors);
        self
    }

    /// What became of pipelines in an earlier run, for selectors such as `result:failed`.
    #[must_use]
    pub fn earlier_results(mut self, results: impl IntoIterator<Item = (TableName, PipelineStatus)>) -> Self {
        self.results = Some(results.into_iter().collect());
        self
    }

    /// Replaces all options of [`Settings`](crate::Settings) at once.
    #[must_use]
    pub fn settings(mut self, settings: SettingsBuilder) -> Self {
        self.settings = settings;
        self
    }

    /// As [`SettingsBuilder::max_workers`].
    #[must_use]
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.settings = self.settings.max_workers(workers);
        self
    }

    /// As [`SettingsBuilder::on_failure`].
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.settings = self.settings.on_failure(policy);
        self
    }

    /// As [`SettingsBuilder::retry`].
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings = self.settings.retry(policy);
        self
    }

    /// As [`SettingsBuilder::memory_limit`].
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.settings = self.settings.memory_limit(bytes);
        self
    }

    /// As [`SettingsBuilder::run_time`].
    #[must_use]
    pub fn run_time(mut self, at: DateTime<Utc>) -> Self {
        self.settings = self.settings.run_time(at);
        self
    }

    /// As [`SettingsBuilder::refresh`].
    #[must_use]
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.settings = self.settings.refresh(refresh);
        self
    }

    /// As [`SettingsBuilder::on_busy`].
    #[must_use]
    pub fn on_busy(mut self, on_busy: OnBusy) -> Self {
        self.settings = self.settings.on_busy(on_busy);
        self
    }

    /// Tells `observer` of every event, in order, on the thread that decides what runs next: a slow observer
    /// is a slow run. For work of its own speed use [`PipelineExecutor::events`].
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// The token that stops runs of this executor, instead of one of its own.
    #[must_use]
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// The target alone: no pipeline is looked at.
    ///
    /// # Errors
    /// [`ExecutorError::Config`] with the problems of the targets file.
    pub fn load_target(mut self) -> Result<Target, ExecutorError> {
        self.request.environment = self.environment.unwrap_or_else(environment_of_process);
        load_target(&self.request).map_err(ExecutorError::Config)
    }

    /// Loads, checks and plans.
    ///
    /// # Errors
    /// [`ExecutorError::Settings`] for an option out of bounds, [`Config`](ExecutorError::Config) and
    /// [`Plan`](ExecutorError::Plan) with all problems of all files,
    /// [`Undeclared`](ExecutorError::Undeclared) in the target `prod`, and
    /// [`Selection`](ExecutorError::Selection) when the selectors mean nothing.
    pub fn build(self) -> Result<PipelineExecutor, ExecutorError> {
        let settings = self.settings.build()?;
        let (mut project, problems) = match self.project {
            Some(project) => (project, Vec::new()),
            None => load(self.request, self.environment)?,
        };
        let mut plan = Plan::of(&project.pipelines).map_err(ExecutorError::Plan)?;
        if project.target.name == STRICT_TARGET && !plan.warnings().is_empty() {
            return Err(ExecutorError::Undeclared(plan.warnings().to_vec()));
        }
        let warnings = problems.into_iter().map(ProjectWarning::Config);
        let warnings = warnings.chain(plan.warnings().iter().cloned().map(ProjectWarning::Plan)).collect();
        let all = project.pipelines.iter().chain(&project.known);
        let catalogue = all.map(|pipeline| (pipeline.table.clone(), pipeline.clone())).collect();
        if !(self.include.is_empty() && self.exclude.is_empty()) {
            let results = self.results.as_ref();
            let choice = Choice { plan: &plan, pipelines: &project.pipelines, results };
            let chosen = choice.select(&self.include, &self.exclude)?;
            project.pipelines.retain(|pipeline| chosen.contains(&pipeline.table));
            plan = Plan::of(&project.pipelines).map_err(ExecutorError::Plan)?;
        }
        Ok(PipelineExecutor::new(project, catalogue, plan, settings, warnings, self.observers, self.cancel))
    }
}

/// Observers are functions and cannot be shown; everything else is.
impl fmt::Debug for PipelineExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineExecutorBuilder")
            .field("request", &self.request)
            .field("project", &self.project)
            .field("include", &self.include)
            .field("exclude", &self.exclude)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Loads a project, with its warnings.
fn load(
    mut request: LoadRequest,
    environment: Option<BTreeMap<String, String>>,
) -> Result<(Project, Vec<Problem>), ExecutorError> {
    if request.configs.is_empty() {
        request.configs.push(DEFAULT_CONFIGS.to_owned());
    }
    request.environment = environment.unwrap_or_else(environment_of_process);
    let outcome = load_project(&request);
    match outcome.project {
        Some(project) => Ok((project, outcome.problems)),
        None => Err(ExecutorError::Config(outcome.problems)),
    }
}

/// The variables of the process; what is no Unicode cannot be used in a template and is left out.
#[allow(clippy::disallowed_methods, reason = "the environment comes in here and nowhere else")]
fn environment_of_process() -> BTreeMap<String, String> {
    let variables = std::env::vars_os();
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests;
