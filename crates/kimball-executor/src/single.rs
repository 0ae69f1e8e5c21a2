//! One pipeline.

use std::time::Duration;

use kimball_retry::RetryPolicy;

use crate::builder::PipelineExecutorBuilder;
use crate::cancel::CancelToken;
use crate::dry_run::DryRun;
use crate::error::ExecutorError;
use crate::pipeline_executor::PipelineExecutor;
use crate::settings::Settings;
use crate::summary::{ExecutionSummary, PipelineResult};

/// Runs one pipeline. Unlike in a [`PipelineExecutor`], its failure is an error.
///
/// ```no_run
/// use kimball_executor::Orchestrator;
///
/// let result = Orchestrator::new("configs/dim_customer.yml")?.run()?;
/// println!("Completed: {} rows written", result.rows_written);
/// # Ok::<(), kimball_executor::ExecutorError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Orchestrator {
    executor: PipelineExecutor,
}

impl Orchestrator {
    /// The pipeline of one file, with the default options.
    ///
    /// # Errors
    /// As [`PipelineExecutorBuilder::build`], and [`ExecutorError::NotOnePipeline`] when the path holds
    /// several.
    pub fn new(config_path: impl Into<String>) -> Result<Self, ExecutorError> {
        Self::from_builder(PipelineExecutor::builder().config_paths([config_path]))
    }

    /// The one pipeline that a builder finds, with the options of the builder.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_builder(builder: PipelineExecutorBuilder) -> Result<Self, ExecutorError> {
        let executor = builder.build()?;
        match executor.project().pipelines.len() {
            1 => Ok(Self { executor }),
            found => Err(ExecutorError::NotOnePipeline(found)),
        }
    }

    /// The token that keeps the pipeline from starting, and ends its waits between attempts.
    pub fn cancel_token(&self) -> CancelToken {
        self.executor.cancel_token()
    }

    /// What a run would do now; writes nothing.
    ///
    /// # Errors
    /// As [`PipelineExecutor::dry_run`].
    pub fn dry_run(&self) -> Result<DryRun, ExecutorError> {
        self.executor.dry_run()
    }

    /// Runs the pipeline.
    ///
    /// # Errors
    /// As [`PipelineExecutor::run`], and [`ExecutorError::PipelineFailed`] when the pipeline fails.
    pub fn run(&self) -> Result<PipelineResult, ExecutorError> {
        only(self.executor.run()?)
    }

    /// As [`run`](Self::run), on the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_async(&self) -> Result<PipelineResult, ExecutorError> {
        only(self.executor.run_async().await?)
    }

    /// Runs the pipeline, and again after errors that may pass: at most `max_retries` times, the first after
    /// `backoff_seconds`, each wait twice the one before (30, 60, 120 seconds for 3 and 30).
    ///
    /// ```no_run
    /// # use kimball_executor::Orchestrator;
    /// let result = Orchestrator::new("config.yml")?.run_with_retry(3, 30)?;
    /// # Ok::<(), kimball_executor::ExecutorError>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with_retry(
        &self,
        max_retries: u32,
        backoff_seconds: u64,
    ) -> Result<PipelineResult, ExecutorError> {
        only(self.executor.run_as(&self.retrying(max_retries, backoff_seconds))?)
    }

    /// As [`run_with_retry`](Self::run_with_retry), on the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with_retry_async(
        &self,
        max_retries: u32,
        backoff_seconds: u64,
    ) -> Result<PipelineResult, ExecutorError> {
        only(self.executor.run_async_as(self.retrying(max_retries, backoff_seconds)).await?)
    }

    fn retrying(&self, max_retries: u32, backoff_seconds: u64) -> Settings {
        let policy = RetryPolicy::new(max_retries, Duration::from_secs(backoff_seconds));
        self.executor.settings().with_retry(policy)
    }
}

/// The result of the only pipeline, as a result.
fn only(summary: ExecutionSummary) -> Result<PipelineResult, ExecutorError> {
    let found = summary.results.len();
    match summary.results.into_iter().next() {
        Some(result) if result.is_success() => Ok(result),
        Some(result) => Err(ExecutorError::PipelineFailed(Box::new(result))),
        None => Err(ExecutorError::NotOnePipeline(found)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::time::Duration;

    use super::{Orchestrator, only};
    use crate::error::ExecutorError;
    use crate::fixture::{dimension, project, summary_of_three};
    use crate::pipeline_executor::PipelineExecutor;
    use crate::summary::{Ending, ExecutionSummary};

    #[test]
    fn a_project_of_two_pipelines_is_no_single_pipeline() {
        let project = project(vec![dimension("gold.a"), dimension("gold.b")]);
        let refused = Orchestrator::from_builder(PipelineExecutor::builder().project(project));
        assert!(matches!(refused, Err(ExecutorError::NotOnePipeline(2))), "{refused:?}");
    }

    #[test]
    fn a_failed_pipeline_is_an_error_and_a_loaded_one_is_its_result() {
        let [loaded, failed, _] = summary_of_three().results.try_into().unwrap();
        let ended =
            |result| only(ExecutionSummary::of(vec![result], Duration::from_secs(1), Ending::Complete));
        assert_eq!(ended(loaded).unwrap().rows_written, 1_234_567);
        assert!(matches!(ended(failed), Err(ExecutorError::PipelineFailed(_))));
    }

    #[test]
    fn the_retries_of_a_single_pipeline_wait_30_60_and_120_seconds() {
        let builder = PipelineExecutor::builder().project(project(vec![dimension("gold.a")]));
        let settings = Orchestrator::from_builder(builder).unwrap().retrying(3, 30);
        let delays: Vec<_> = (1..=3).map(|attempt| settings.retry().delay(attempt).as_secs()).collect();
        assert_eq!((settings.retry().max_retries, delays), (3, vec![30, 60, 120]));
    }
}
