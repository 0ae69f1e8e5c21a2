//! The rows of `etl_control` around a batch.

use std::sync::PoisonError;

use chrono::TimeDelta;
use kimball_config::{Pipeline, Source};
use kimball_control::{BatchEnd, BatchStart, RunningBatch, SourceProgress, Transition};
use kimball_engine::Findings;
use kimball_lake::LakeTable;
use kimball_retry::{Classify, FaultKind};

use super::steps::Loaded;
use super::{Attempt, Prepared, RunContext, table_id, versions, watermarks};
use crate::clock;
use crate::error::PipelineError;
use crate::outcome::{FailedBatch, FailedLoad, PipelineLoad, SourceVersions};

impl RunContext {
    /// Writes the RUNNING rows of a batch.
    pub(super) async fn begin(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        batch_id: &str,
    ) -> Result<RunningBatch, PipelineError> {
        // A refresh goes on from nowhere; its failure leaves the watermark that the log has.
        let logged = logged_watermarks(pipeline, prepared.target.as_ref()).await;
        let sources = prepared.sources.iter().zip(logged);
        let sources = sources.map(|(pinned, logged)| (&pinned.source, pinned.watermark.or(logged)));
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
        match self.control.finish(running, &failure(pipeline, error, attempt)).await {
            Ok(()) => self.mark_failed(pipeline),
            Err(lost) => {
                // The first error is the one to tell; the row is settled by the next attempt or run.
                self.mark_open(pipeline);
                tracing::warn!(table = %pipeline.table, error = %lost, "the control row could not be ended");
            }
        }
    }

    /// The failure of a load that could not even begin a batch, once that and what checks found are recorded.
    pub(super) async fn refused(
        &self,
        pipeline: &Pipeline,
        attempt: &Attempt<'_>,
        findings: Findings,
        error: PipelineError,
    ) -> FailedLoad {
        let batch_id = clock::new_batch_id();
        let batch = self.refuse(pipeline, &batch_id, attempt, &error).await;
        let error = self.with_findings(pipeline, Some(&batch_id), findings, error).await;
        FailedLoad { error: Box::new(error), batch: batch.map(Box::new) }
    }

    /// Writes the FAILED rows of a batch that could not even begin: a source that cannot be read is a failure that who
    /// asks the table for failures has to see.
    ///
    /// Nothing is written of a table that another process loads, which has rows of its own, and of a run that was told to
    /// stop.
    async fn refuse(
        &self,
        pipeline: &Pipeline,
        batch_id: &str,
        attempt: &Attempt<'_>,
        error: &PipelineError,
    ) -> Option<FailedBatch> {
        if matches!(error.kind(), FaultKind::Busy | FaultKind::Cancelled) {
            return None;
        }
        let known = self.known_watermarks(pipeline).await;
        let start = start_of(pipeline, batch_id, pipeline.sources.iter().zip(known.iter().copied()));
        if let Err(lost) = self.control.record(start, &failure(pipeline, error, attempt)).await {
            tracing::warn!(table = %pipeline.table, error = %lost, "the failure could not be recorded");
            return None;
        }
        self.mark_failed(pipeline);
        let sources = pipeline.sources.iter().zip(known).map(|(source, from_version)| SourceVersions {
            name: source.name.clone(),
            alias: source.alias.clone(),
            from_version,
            to_version: None,
        });
        Some(FailedBatch { batch_id: batch_id.to_owned(), sources: sources.collect() })
    }

    /// The watermarks of a pipeline's sources as far as its table tells them, or else its control rows: a log may be
    /// what cannot be read, and does not know a source under another alias.
    async fn known_watermarks(&self, pipeline: &Pipeline) -> Vec<Option<i64>> {
        let target = match table_id(&pipeline.table) {
            Ok(id) => self.warehouse.open(&id).await.ok().flatten(),
            Err(_) => None,
        };
        let mut known = logged_watermarks(pipeline, target.as_ref()).await;
        let target = pipeline.table.to_string();
        for (watermark, name) in known.iter_mut().zip(watermarks::control_names(&pipeline.sources)) {
            if watermark.is_none() {
                *watermark = self.control.last_success(&target, &name).await.ok().flatten();
            }
        }
        known
    }

    /// Notes that this run left a FAILED row of the table.
    pub(super) fn mark_failed(&self, pipeline: &Pipeline) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline.table.to_string());
    }

    /// The end of a pipeline that has nothing to do. Where its last batch failed, a batch without rows is recorded that
    /// did not: who asks the table for failures must not find one that is past.
    pub(super) async fn confirmed(&self, pipeline: &Pipeline, mut done: PipelineLoad) -> PipelineLoad {
        match self.confirm(pipeline, &done.sources).await {
            Ok(batch_id) => done.batch_id = batch_id,
            Err(error) => done.warnings.push(format!(
                "nothing is new, but the control table could not be told that an earlier failure is past: {}",
                error.message_for(&pipeline.table)
            )),
        }
        done
    }

    /// The batch that was recorded; `None` where the last one did not fail.
    async fn confirm(
        &self,
        pipeline: &Pipeline,
        sources: &[SourceVersions],
    ) -> Result<Option<String>, PipelineError> {
        let target_table = pipeline.table.to_string();
        let names = watermarks::control_names(&pipeline.sources);
        if !self.may_have_failed(&target_table, &names, sources).await? {
            return Ok(None);
        }
        let Some(failed_at) = self.control.failed_last(&target_table, &names).await? else { return Ok(None) };
        let batch_id = clock::new_batch_id();
        // Clocks differ, and the newest row says how things stand.
        let at = clock::now().max(failed_at + TimeDelta::microseconds(1));
        let read = names.into_iter().zip(sources).map(|(source_table, source)| SourceProgress {
            source_table,
            version: source.to_version,
            rows_read: Some(0),
        });
        let sources: Vec<SourceProgress> = read.collect();
        let start =
            BatchStart { batch_id: batch_id.clone(), target_table, sources: sources.clone(), started_at: at };
        let end = BatchEnd {
            event: Transition::Commit,
            completed_at: at,
            sources,
            rows_written: Some(0),
            error_message: None,
        };
        self.control.record(start, &end).await?;
        Ok(Some(batch_id))
    }

    /// Whether the last batch of a pipeline that is up to date may have failed, by what the run knows already. One that
    /// failed at other watermarks has been followed by one that moved them.
    async fn may_have_failed(
        &self,
        target_table: &str,
        source_tables: &[String],
        sources: &[SourceVersions],
    ) -> Result<bool, PipelineError> {
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).contains(target_table) {
            return Ok(true);
        }
        let told = self.unsuccessful().await?;
        let failures = source_tables.iter().zip(sources).filter_map(|(source_table, source)| {
            let failure = told.failure(target_table, source_table)?;
            Some(failure.last_processed_version == source.from_version)
        });
        let is_at_watermark: Vec<bool> = failures.collect();
        Ok(!is_at_watermark.is_empty() && is_at_watermark.into_iter().all(|is_there| is_there))
    }
}

/// The watermarks of a pipeline's sources in the log of its table, as far as that can be read.
async fn logged_watermarks(pipeline: &Pipeline, target: Option<&LakeTable>) -> Vec<Option<i64>> {
    let mut logged = Vec::with_capacity(pipeline.sources.len());
    for source in &pipeline.sources {
        logged.push(match target {
            Some(target) => {
                let id = watermarks::watermark_id(pipeline, &source.alias);
                target.transaction(&id).await.ok().flatten()
            }
            None => None,
        });
    }
    logged
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
