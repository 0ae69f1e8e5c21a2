//! What happens during a run, as it happens.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use crossbeam::channel::{Receiver, Sender};
use kimball_config::TableName;
use kimball_retry::FaultKind;
use serde::{Serialize, Serializer};

use crate::clock;
use crate::summary::{ExecutionSummary, PipelineResult, RunId, as_path, as_text};

/// The version of the JSON form of an event; it rises when a reader would have to change.
pub const EVENT_SCHEMA: u32 = 1;

/// The events of one run, in order; the channel closes when the run has ended.
pub type EventReceiver = Receiver<Event>;

/// One thing that happened in a run.
///
/// Serialises as one flat object: `{"schema":1,"event":"pipeline_started","run_id":…,"at":…, …}`, `at` in
/// RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The run, the same in all its events.
    pub run_id: RunId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen in a run. The first event is `RunStarted`, the last `RunFinished`; every pipeline ends in
/// exactly one of `PipelineCompleted`, `PipelineFailed` and `PipelineSkipped`, within its wave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EventKind {
    /// The warehouse is open and everything that must exist does.
    RunStarted {
        /// Pipelines of the run.
        pipelines: usize,
        /// Dimensions among them.
        dimensions: usize,
        /// Facts among them.
        facts: usize,
        /// Waves of the plan.
        waves: usize,
        /// Pipelines that run at a time.
        max_workers: usize,
    },
    /// A wave begins.
    WaveStarted {
        /// Its number, from 1.
        wave: usize,
        /// What it holds, in a word: `Dimensions`, `Facts`.
        label: String,
        /// Pipelines in it.
        pipelines: usize,
    },
    /// A worker takes up a pipeline.
    PipelineStarted {
        /// The wave it stands in, from 1.
        wave: usize,
        /// The table it writes.
        #[serde(serialize_with = "as_text")]
        table_name: TableName,
        /// `dimension` or `fact`.
        table_type: &'static str,
        /// Its file.
        #[serde(serialize_with = "as_path")]
        config_path: PathBuf,
    },
    /// An attempt failed and another will be made.
    PipelineRetrying {
        /// The table the pipeline writes.
        #[serde(serialize_with = "as_text")]
        table_name: TableName,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Seconds until the next one.
        delay_seconds: f64,
        /// What kind of failure it was.
        #[serde(serialize_with = "as_text")]
        error_class: FaultKind,
        /// What was wrong.
        error_message: String,
    },
    /// A pipeline succeeded but has something to tell.
    PipelineWarning {
        /// The table the pipeline writes.
        #[serde(serialize_with = "as_text")]
        table_name: TableName,
        /// What the user should know.
        message: String,
    },
    /// A pipeline loaded or had nothing to do.
    PipelineCompleted(Box<PipelineResult>),
    /// A pipeline failed for good.
    PipelineFailed(Box<PipelineResult>),
    /// A pipeline will not be started.
    PipelineSkipped(Box<PipelineResult>),
    /// Every pipeline of a wave has ended.
    WaveFinished {
        /// Its number, from 1.
        wave: usize,
        /// As at its start.
        label: String,
        /// Pipelines that loaded or had nothing to do.
        successful: usize,
        /// Pipelines that failed.
        failed: usize,
        /// Pipelines that were not started.
        skipped: usize,
        /// Seconds since its start.
        duration_seconds: f64,
    },
    /// Every pipeline has ended.
    RunFinished(Box<ExecutionSummary>),
}

impl EventKind {
    /// The name of the event in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::WaveStarted { .. } => "wave_started",
            Self::PipelineStarted { .. } => "pipeline_started",
            Self::PipelineRetrying { .. } => "pipeline_retrying",
            Self::PipelineWarning { .. } => "pipeline_warning",
            Self::PipelineCompleted(_) => "pipeline_completed",
            Self::PipelineFailed(_) => "pipeline_failed",
            Self::PipelineSkipped(_) => "pipeline_skipped",
            Self::WaveFinished { .. } => "wave_finished",
            Self::RunFinished(_) => "run_finished",
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            schema: u32,
            event: &'static str,
            run_id: &'a RunId,
            at: String,
            #[serde(flatten)]
            kind: &'a EventKind,
        }
        Line {
            schema: EVENT_SCHEMA,
            event: self.kind.name(),
            run_id: &self.run_id,
            at: self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            kind: &self.kind,
        }
        .serialize(serializer)
    }
}

/// Who is told of events as they happen.
pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Tells observers and subscribers of one run what happens in it.
pub(crate) struct Emitter {
    run_id: RunId,
    observers: Vec<Observer>,
    subscribers: Vec<Sender<Event>>,
}

impl Emitter {
    /// For one run; the channels of `subscribers` close when the emitter is dropped.
    pub(crate) fn new(run_id: RunId, observers: Vec<Observer>, subscribers: Vec<Sender<Event>>) -> Self {
        Self { run_id, observers, subscribers }
    }

    /// Tells everyone.
    pub(crate) fn emit(&self, kind: EventKind) {
        let event = Event { run_id: self.run_id, at: clock::now(), kind };
        tracing::debug!(run_id = %self.run_id, event = event.kind.name(), "event");
        for observer in &self.observers {
            observer(&event);
        }
        for subscriber in &self.subscribers {
            // A subscriber that went away has seen what it wanted.
            let _ = subscriber.send(event.clone());
        }
    }
}

#[cfg(test)]
mod tests;
