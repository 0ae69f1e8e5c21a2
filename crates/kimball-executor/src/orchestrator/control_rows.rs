//! The rows of `etl_control` around a batch.

use kimball_config::{Pipeline, Source};
use kimball_control::{BatchEnd, BatchStart, RunningBatch, SourceProgress, Transition};
use kimball_retry::{Classify, FaultKind};

use super::steps::Loaded;
use super::{Attempt, Prepared, RunContext, table_id, versions, watermarks};
use crate::clock;
use crate::error::PipelineError;
use crate::outcome::PipelineLoad;

impl RunContext {
    /// Writes the RUNNING rows of a batch.
    pub(super) async fn begin(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        batch_id: &str,
    ) -> Result<RunningBatch, PipelineError> {
        let sources = prepared.sources.iter().map(|pinned| (&pinned.source, pinned.watermark));
        Ok(self.control.begin(start_of(pipeline, batch_id, sources)).await?)
    }

    /// Ends the rows of a batch whose commit is in the log.
    pub(super) async fn succeed(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        running: RunningBatch,
        loaded: Loaded,
    ) -> Result<PipelineLoad, PipelineError> {
        let counts = loaded.change.counts;
        let names = watermarks::control_names(prepared.sources.iter().map(|pinned| &pinned.source));
        let sources = names.into_iter().zip(&prepared.sources).zip(&loaded.rows_read).map(
            |((source_table, source), rows_read)| SourceProgress {
                source_table,
                version: Some(source.version()),
                rows_read: Some(*rows_read),
            },
        );
        let end = BatchEnd {
            event: Transition::Commit,
            completed_at: clock::now(),
            sources: sources.collect(),
            rows_written: Some(counts.written()),
            error_message: None,
        };
        let batch_id = running.batch_id().to_owned();
        let mut warnings = loaded.warnings;
        if let Err(error) = self.control.finish(running, &end).await {
            // The rows are in the table: the batch succeeded, whatever its control row says until it is settled.
            tracing::warn!(table = %pipeline.table, %error, "the control row could not be ended");
            self.mark_open(pipeline);
            warnings
                .push(format!("the rows are loaded, but their control row could not be written: {error}"));
        }
        Ok(PipelineLoad {
            batch_id: Some(batch_id),
            rows_read: loaded.rows_read.iter().sum(),
            rows_written: counts.written(),
            rows_inserted: counts.inserted,
            rows_updated: counts.updated,
            rows_deleted: counts.deleted,
            rows_expired: counts.expired,
            rows_repaired: loaded.change.rekeyed.repaired,
            rows_restated: loaded.change.rekeyed.restated,
            members_inferred: loaded.inferred,
            sources: versions(&prepared.sources),
            up_to_date: false,
            warnings,
        })
    }

    /// Ends the rows of a batch that failed before its commit.
    pub(super) async fn fail(
        &self,
        pipeline: &Pipeline,
        running: RunningBatch,
        error: &PipelineError,
        attempt: &Attempt<'_>,
    ) {
        if let Err(lost) = self.control.finish(running, &failure(pipeline, error, attempt)).await {
            // The first error is the one to tell; the row is settled by the next attempt or run.
            self.mark_open(pipeline);
            tracing::warn!(table = %pipeline.table, error = %lost, "the control row could not be ended");
        }
    }

    /// Writes the FAILED rows of a batch that could not even begin: a source that cannot be read is a failure that who
    /// asks the table for failures has to see.
    ///
    /// Nothing is written of a table that another process loads, which has rows of its own, and of a run that was told to
    /// stop.
    pub(super) async fn refuse(
        &self,
        pipeline: &Pipeline,
        batch_id: &str,
        attempt: &Attempt<'_>,
        error: &PipelineError,
    ) {
        if matches!(error.kind(), FaultKind::Busy | FaultKind::Cancelled) {
            return;
        }
        let watermarks = self.known_watermarks(pipeline).await;
        let start = start_of(pipeline, batch_id, pipeline.sources.iter().zip(watermarks));
        if let Err(lost) = self.control.refuse(start, &failure(pipeline, error, attempt)).await {
            tracing::warn!(table = %pipeline.table, error = %lost, "the failure could not be recorded");
        }
    }

    /// The watermarks of a pipeline's sources as far as its table tells them.
    async fn known_watermarks(&self, pipeline: &Pipeline) -> Vec<Option<i64>> {
        let target = match table_id(&pipeline.table) {
            Ok(id) => self.warehouse.open(&id).await.ok().flatten(),
            Err(_) => None,
        };
        let mut known = Vec::with_capacity(pipeline.sources.len());
        for source in &pipeline.sources {
            known.push(match &target {
                Some(target) => {
                    let id = watermarks::watermark_id(pipeline, &source.alias);
                    target.transaction(&id).await.ok().flatten()
                }
                None => None,
            });
        }
        known
    }
}

fn start_of<'s>(
    pipeline: &Pipeline,
    batch_id: &str,
    sources: impl Iterator<Item = (&'s Source, Option<i64>)>,
) -> BatchStart {
    let (sources, watermarks): (Vec<&Source>, Vec<Option<i64>>) = sources.unzip();
    let names = watermarks::control_names(sources);
    let sources = names.into_iter().zip(watermarks);
    BatchStart {
        batch_id: batch_id.to_owned(),
        target_table: pipeline.table.to_string(),
        sources: sources
            .map(|(source_table, version)| SourceProgress { source_table, version, rows_read: None })
            .collect(),
        started_at: clock::now(),
    }
}

fn failure(pipeline: &Pipeline, error: &PipelineError, attempt: &Attempt<'_>) -> BatchEnd {
    let which = if attempt.number > 1 { format!(" (attempt {})", attempt.number) } else { String::new() };
    let message = error.message_for(&pipeline.table);
    BatchEnd {
        event: Transition::Fail,
        completed_at: clock::now(),
        sources: Vec::new(),
        rows_written: Some(0),
        error_message: Some(format!("{}: {message}{which}", error.kind().class())),
    }
}
