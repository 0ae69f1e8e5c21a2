//! A worker: takes a pipeline, tries it as often as the policy says, reports.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use kimball_config::{Pipeline, TableName};
use kimball_retry::{Classify, FaultKind, RetryBudget, RetryPolicy};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::LoadPipeline;
use crate::cancel::CancelToken;
use crate::clock::Stopwatch;
use crate::error::PipelineError;
use crate::outcome::{FailedLoad, Failure, PipelineLoad};

/// One pipeline to load.
pub(super) struct Job<'run> {
    pub(super) pipeline: &'run Pipeline,
}

/// What a worker has to say.
pub(super) enum Report {
    /// An attempt failed; the next follows after the delay.
    Retrying { table: TableName, attempt: u32, delay: Duration, kind: FaultKind, message: String },
    /// The worker is done with the pipeline.
    Ended { table: TableName, outcome: Result<PipelineLoad, Failure>, attempts: u32, took: Duration },
}

/// One of the threads that load.
pub(super) struct Worker<'run, L> {
    pub(super) loader: &'run L,
    pub(super) handle: &'run Handle,
    pub(super) retry: &'run RetryPolicy,
    pub(super) cancel: &'run CancelToken,
    /// What retries of all layers of the run draw on.
    pub(super) budget: &'run RetryBudget,
    pub(super) jobs: Receiver<Job<'run>>,
    pub(super) reports: Sender<Report>,
}

impl<L: LoadPipeline> Worker<'_, L> {
    /// Works until there are no more jobs, or nobody to report to.
    pub(super) fn work(&self) {
        for Job { pipeline } in &self.jobs {
            let stopwatch = Stopwatch::start();
            let (outcome, attempts) = self.load(pipeline);
            let table = pipeline.table.clone();
            let report = Report::Ended { table, outcome, attempts, took: stopwatch.elapsed() };
            if self.reports.send(report).is_err() {
                return;
            }
        }
    }

    /// Tries until it succeeds, the policy grants no further attempt, or the run is told to stop.
    fn load(&self, pipeline: &Pipeline) -> (Result<PipelineLoad, Failure>, u32) {
        let retry = self.retry.of_one(&pipeline.table.to_string());
        let mut attempt = 1;
        loop {
            let FailedLoad { error, batch } = match self.attempt(pipeline, attempt) {
                Ok(load) => return (Ok(load), attempt),
                Err(failed) => failed,
            };
            let (kind, message) = (error.kind(), error.message_for(&pipeline.table));
            let delay = retry.retry_after(kind, attempt).filter(|_| self.budget.try_spend());
            let Some(delay) = delay else { return (Err(Failure { kind, message, batch }), attempt) };
            let table = pipeline.table.clone();
            if !self.cancel.is_cancelled() {
                // Without a dispatcher nobody waits for the retry either; the end of `work` notices.
                let _ = self.reports.send(Report::Retrying {
                    table,
                    attempt,
                    delay,
                    kind,
                    message: message.clone(),
                });
            }
            if self.is_cancelled_within(delay) {
                let message = format!("{message}; not tried again, as the run was interrupted");
                return (Err(Failure { kind, message, batch }), attempt);
            }
            attempt += 1;
        }
    }

    /// Waits for `delay`, or until the run is told to stop; says whether it was.
    fn is_cancelled_within(&self, delay: Duration) -> bool {
        self.handle.block_on(async { timeout(delay, self.cancel.cancelled()).await.is_ok() })
    }

    /// One attempt; a panic in it is the failure of this pipeline alone.
    fn attempt(&self, pipeline: &Pipeline, attempt: u32) -> Result<PipelineLoad, FailedLoad> {
        // What a load leaves behind is in tables, whose commits are atomic; the context that loads share keeps
        // no half-done state across an await.
        let load = AssertUnwindSafe(|| self.handle.block_on(self.loader.load(pipeline, attempt)));
        let panicked = |message| PipelineError::Panicked { message };
        catch_unwind(load).unwrap_or_else(|panic| Err(panicked(said(&*panic)).into()))
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no reason was given").to_owned()
}
