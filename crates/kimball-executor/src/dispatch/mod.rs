//! The heart of a run: one dispatcher that decides, workers that load.
//!
//! Workers know nothing of waves or failures: they take a job, try it as often as the policy says, and
//! report. The dispatcher is the only one that decides what starts, and the only one that emits events, so
//! that what users see is one story.

mod worker;

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::resume_unwind;

use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::thread;
use kimball_config::{Pipeline, TableName};
use kimball_plan::{Plan, Wave};
use kimball_retry::{FaultKind, RetryBudget};
use tokio::runtime::Handle;

use crate::cancel::CancelToken;
use crate::clock::Stopwatch;
use crate::error::ExecutorError;
use crate::events::{Emitter, EventKind};
use crate::outcome::{FailedLoad, Failure, PipelineLoad};
use crate::runtime::STACK_BYTES;
use crate::settings::{FailurePolicy, Schedule, Settings};
use crate::summary::{PipelineResult, PipelineStatus, seconds};
use worker::{Job, Report, Worker};

/// Loads one pipeline; what workers call.
pub(crate) trait LoadPipeline: Sync {
    /// The `attempt`-th attempt (from 1) at `pipeline`.
    fn load(
        &self,
        pipeline: &Pipeline,
        attempt: u32,
    ) -> impl Future<Output = Result<PipelineLoad, FailedLoad>>;
}

/// What a run consists of besides its loader.
pub(crate) struct Run<'run> {
    pub(crate) plan: &'run Plan,
    pub(crate) pipelines: &'run [Pipeline],
    pub(crate) settings: &'run Settings,
    pub(crate) cancel: &'run CancelToken,
    pub(crate) budget: &'run RetryBudget,
    pub(crate) emitter: &'run Emitter,
    pub(crate) handle: &'run Handle,
}

/// Pipelines that are told of together, in the order in which they start when nothing keeps them waiting.
struct Block<'run> {
    number: usize,
    label: &'run str,
    pipelines: Vec<&'run Pipeline>,
}

/// What a run is called that knows one block alone.
const READY: &str = "All pipelines, each when it is ready";

/// Runs all pipelines; one result for each, in the order of the plan.
pub(crate) fn dispatch<L: LoadPipeline>(
    run: &Run<'_>,
    loader: &L,
) -> Result<Vec<PipelineResult>, ExecutorError> {
    let widest = match run.settings.schedule() {
        Schedule::Waves => run.plan.waves().iter().map(|wave| wave.tables().len()).max().unwrap_or(0),
        Schedule::Ready => run.pipelines.len(),
    };
    let workers = run.settings.max_workers().get().min(widest);
    let ended = thread::scope(|scope| {
        let (jobs, for_workers) = unbounded();
        let (to_dispatcher, reports) = unbounded();
        for number in 1..=workers {
            let worker = Worker {
                loader,
                handle: run.handle,
                retry: run.settings.retry(),
                cancel: run.cancel,
                budget: run.budget,
                jobs: for_workers.clone(),
                reports: to_dispatcher.clone(),
            };
            let builder = scope.builder().name(format!("kimball-worker-{number}")).stack_size(STACK_BYTES);
            builder.spawn(move |_| worker.work()).map_err(ExecutorError::Threads)?;
        }
        // Only workers hold these ends now, so that the dispatcher notices when none is left.
        drop((for_workers, to_dispatcher));
        // The dispatcher takes the sender of jobs with it: when it is done, the workers are.
        Ok(Dispatcher::new(run, workers, jobs, reports).run_all())
    });
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Decides what starts and records what became of it.
struct Dispatcher<'run> {
    run: &'run Run<'run>,
    workers: usize,
    jobs: Sender<Job<'run>>,
    reports: Receiver<Report>,
    by_table: BTreeMap<&'run TableName, &'run Pipeline>,
    results: BTreeMap<TableName, PipelineResult>,
    /// Why a pipeline must not start, where something it needs did not load.
    blocked: BTreeMap<TableName, String>,
    /// Why nothing at all may start any more.
    stopped: Option<String>,
}

impl<'run> Dispatcher<'run> {
    fn new(run: &'run Run<'run>, workers: usize, jobs: Sender<Job<'run>>, reports: Receiver<Report>) -> Self {
        let by_table = run.pipelines.iter().map(|pipeline| (&pipeline.table, pipeline)).collect();
        let (results, blocked) = (BTreeMap::new(), BTreeMap::new());
        Self { run, workers, jobs, reports, by_table, results, blocked, stopped: None }
    }

    fn run_all(mut self) -> Vec<PipelineResult> {
        for block in self.blocks() {
            self.run_block(&block);
        }
        let waves = self.run.plan.waves();
        waves.iter().flat_map(Wave::tables).filter_map(|table| self.results.remove(table)).collect()
    }

    fn blocks(&self) -> Vec<Block<'run>> {
        let plan = self.run.plan;
        let pipelines = |tables: &mut dyn Iterator<Item = &'run TableName>| {
            tables.filter_map(|table| self.by_table.get(table).copied()).collect()
        };
        match self.run.settings.schedule() {
            Schedule::Waves => {
                let block = |wave: &'run Wave| Block {
                    number: wave.number(),
                    label: wave.label(),
                    pipelines: pipelines(&mut wave.tables().iter()),
                };
                plan.waves().iter().map(block).collect()
            }
            Schedule::Ready => {
                let pipelines = pipelines(&mut plan.critical_first().into_iter());
                vec![Block { number: 1, label: READY, pipelines }]
            }
        }
    }

    fn run_block(&mut self, block: &Block<'run>) {
        let stopwatch = Stopwatch::start();
        self.run.emitter.emit(EventKind::WaveStarted {
            wave: block.number,
            label: block.label.to_owned(),
            pipelines: block.pipelines.len(),
        });
        let mut waiting = block.pipelines.clone();
        let mut running: BTreeMap<TableName, &'run Pipeline> = BTreeMap::new();
        loop {
            while running.len() < self.workers {
                let Some(ready) = waiting.iter().position(|pipeline| self.is_ready(pipeline)) else { break };
                let pipeline = waiting.remove(ready);
                match self.reason_to_skip(pipeline) {
                    Some(reason) => self.record(PipelineResult::skipped(pipeline, reason)),
                    None => self.start(pipeline, &mut running),
                }
            }
            if running.is_empty() {
                break;
            }
            self.take_report(&mut running);
        }
        self.finish_block(block, &stopwatch);
    }

    /// Whether everything that a pipeline needs has ended, one way or another.
    fn is_ready(&self, pipeline: &Pipeline) -> bool {
        let needed = self.run.plan.dependencies_of(&pipeline.table);
        needed.iter().all(|dependency| self.results.contains_key(&dependency.table))
    }

    fn finish_block(&self, block: &Block<'_>, stopwatch: &Stopwatch) {
        let ended = || block.pipelines.iter().filter_map(|pipeline| self.results.get(&pipeline.table));
        let count = |status| ended().filter(|result| result.status == status).count();
        self.run.emitter.emit(EventKind::WaveFinished {
            wave: block.number,
            label: block.label.to_owned(),
            successful: count(PipelineStatus::Success),
            failed: count(PipelineStatus::Failed),
            skipped: count(PipelineStatus::Skipped),
            duration_seconds: seconds(stopwatch.elapsed()),
        });
    }

    /// Why `pipeline` must not start; the most telling reason first.
    fn reason_to_skip(&self, pipeline: &Pipeline) -> Option<String> {
        if self.run.cancel.is_cancelled() {
            return Some("the run was interrupted".to_owned());
        }
        self.blocked.get(&pipeline.table).or(self.stopped.as_ref()).cloned()
    }

    fn start(&mut self, pipeline: &'run Pipeline, running: &mut BTreeMap<TableName, &'run Pipeline>) {
        self.run.emitter.emit(EventKind::PipelineStarted {
            wave: self.run.plan.pipeline(&pipeline.table).map_or(0, |planned| planned.wave),
            table_name: pipeline.table.clone(),
            table_type: pipeline.table_type(),
            config_path: pipeline.config_path.clone(),
        });
        match self.jobs.send(Job { pipeline }) {
            Ok(()) => {
                running.insert(pipeline.table.clone(), pipeline);
            }
            Err(_) => self.record(lost(pipeline)),
        }
    }

    /// Waits for one report and records it.
    fn take_report(&mut self, running: &mut BTreeMap<TableName, &'run Pipeline>) {
        let Ok(report) = self.reports.recv() else {
            // Workers catch what loads throw, so this is a defect of ours; nobody is left waiting even so.
            for pipeline in std::mem::take(running).into_values() {
                self.record(lost(pipeline));
            }
            return;
        };
        match report {
            Report::Retrying { table, attempt, delay, kind, message } => {
                self.run.emitter.emit(EventKind::PipelineRetrying {
                    table_name: table,
                    attempt,
                    delay_seconds: seconds(delay),
                    error_class: kind,
                    error_message: message,
                });
            }
            Report::Ended { table, outcome, attempts, took } => {
                let Some(pipeline) = running.remove(&table) else { return };
                let result = match outcome {
                    Ok(load) => {
                        self.warn(&table, &load);
                        PipelineResult::loaded(pipeline, load, attempts, took)
                    }
                    Err(failure) => PipelineResult::failed(pipeline, failure, attempts, took),
                };
                self.record(result);
            }
        }
    }

    fn warn(&self, table: &TableName, load: &PipelineLoad) {
        for message in &load.warnings {
            let (table_name, message) = (table.clone(), message.clone());
            self.run.emitter.emit(EventKind::PipelineWarning { table_name, message });
        }
    }

    /// Keeps a result, draws the consequences of a failure, and tells.
    fn record(&mut self, result: PipelineResult) {
        let event = Box::new(result.clone());
        let kind = match result.status {
            PipelineStatus::Success => EventKind::PipelineCompleted(event),
            PipelineStatus::Skipped => EventKind::PipelineSkipped(event),
            PipelineStatus::Failed => {
                self.draw_consequences(&result.table_name);
                EventKind::PipelineFailed(event)
            }
        };
        self.results.insert(result.table_name.clone(), result);
        self.run.emitter.emit(kind);
    }

    fn draw_consequences(&mut self, failed: &TableName) {
        for dependent in self.run.plan.downstream_of(failed) {
            self.blocked.entry(dependent).or_insert_with(|| format!("needs {failed}, which failed"));
        }
        if self.run.settings.on_failure() == FailurePolicy::StopOnFailure && self.stopped.is_none() {
            self.stopped = Some(format!("the run stopped when {failed} failed"));
        }
    }
}

/// The result of a pipeline whose worker is gone.
fn lost(pipeline: &Pipeline) -> PipelineResult {
    let message = "the worker of this pipeline ended unexpectedly".to_owned();
    let failure = Failure { kind: FaultKind::Internal, message, batch: None };
    PipelineResult::failed(pipeline, failure, 0, std::time::Duration::ZERO)
}

#[cfg(test)]
mod tests;
