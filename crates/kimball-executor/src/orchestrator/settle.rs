//! Settling what dead processes left behind, before anything else is done to their table.
//!
//! The order matters: the lease is taken first, so that nobody else settles; then the target's log gets the
//! new epoch, so that the dead batch cannot commit any more even if its process was only thought dead; only
//! then does the log have the last word on whether it did.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use kimball_config::Pipeline;
use kimball_control::{BatchEnd, ControlRow, SourceProgress, Transition, Unsuccessful};
use kimball_lake::{Commit, CommitOutcome, LakeTable};
use kimball_retry::FaultKind;

use super::{RunContext, table_id, watermarks};
use crate::clock;
use crate::error::PipelineError;

/// Attempts to write the epoch into a log that others keep writing.
const FENCING_ATTEMPTS: usize = 20;

/// How the one that held the lease before gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// It gave it back.
    Released,
    /// It died with it, or seems to have.
    Died,
}

/// What `userMetadata` of a batch's commit says.
pub(super) fn batch_metadata(batch_id: &str) -> String {
    serde_json::json!({ "batch_id": batch_id }).to_string()
}

/// What `userMetadata` of a commit says that adds what another table's batch needs: it is no batch of its own table.
pub(super) fn effect_metadata(batch_id: &str) -> String {
    serde_json::json!({ "effect_of_batch_id": batch_id }).to_string()
}

impl RunContext {
    /// Whether a dead process may have left a batch of this pipeline open.
    pub(super) async fn is_unsettled(&self, pipeline: &Pipeline) -> Result<bool, PipelineError> {
        let target = pipeline.table.to_string();
        Ok(self.is_marked_open(pipeline).await? && !self.leases.is_held(&target, clock::now()).await?)
    }

    /// Whether the control table showed an open batch of the table when this run first looked, or this run left one.
    pub(super) async fn is_marked_open(&self, pipeline: &Pipeline) -> Result<bool, PipelineError> {
        let target = pipeline.table.to_string();
        let is_running = self.unsuccessful().await?.is_running(&target);
        let left_open = self.left_open.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(is_running || left_open.contains(&target))
    }

    /// What the control table told of batches that did not succeed when this run first looked.
    pub(super) async fn unsuccessful(&self) -> Result<&Unsuccessful, PipelineError> {
        Ok(self.unsuccessful.get_or_try_init(|| self.control.unsuccessful()).await?)
    }

    /// Notes that a batch of the table may be open that nobody works on any more.
    pub(super) fn mark_open(&self, pipeline: &Pipeline) {
        self.left_open.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline.table.to_string());
    }

    /// Ends the open batches of this pipeline's table, whose lease is held with `epoch`; false when none was left open.
    pub(super) async fn settle(
        &self,
        pipeline: &Pipeline,
        epoch: i64,
        predecessor: Predecessor,
    ) -> Result<bool, PipelineError> {
        let target_name = pipeline.table.to_string();
        let mut open: BTreeMap<String, Vec<ControlRow>> = BTreeMap::new();
        for row in self.control.running().await?.into_iter().filter(|row| row.target_table == target_name) {
            open.entry(row.batch_id.clone().unwrap_or_default()).or_default().push(row);
        }
        // Its owner has ended it meanwhile: a commit that only fences would be a new version to those who wait for one.
        if open.is_empty() && predecessor == Predecessor::Released {
            return Ok(false);
        }
        let target = self.fence(pipeline, epoch).await?;
        for (batch_id, rows) in open {
            let committed = match &target {
                // The log is asked from its end on: times of commits say nothing, as clocks differ and go back.
                Some(target) => target.commit_after(-1, &batch_metadata(&batch_id)).await?,
                None => None,
            };
            let end = self.verdict(pipeline, target.as_ref(), &rows, committed).await?;
            tracing::info!(target = %target_name, batch_id, ?committed, "settled a batch of a dead process");
            self.control.settle(&rows, &end).await?;
            if end.event == Transition::SettleUncommitted {
                self.mark_failed(pipeline);
            }
        }
        self.left_open.lock().unwrap_or_else(PoisonError::into_inner).remove(&target_name);
        Ok(true)
    }

    /// Raises the epoch in the target's log.
    async fn fence(&self, pipeline: &Pipeline, epoch: i64) -> Result<Option<LakeTable>, PipelineError> {
        for _ in 0..FENCING_ATTEMPTS {
            let Some(target) = self.warehouse.open(&table_id(&pipeline.table)?).await? else {
                return Ok(None);
            };
            let defaults = watermarks::still_holds_defaults(&pipeline.table, &target).await?;
            let transactions = defaults.into_iter().collect();
            let commit = Commit { lease: Some(epoch), transactions, ..Commit::default() };
            let live = target.live_rows().await?;
            if let CommitOutcome::Committed { .. } = target.commit(&live, commit).await? {
                return Ok(Some(target));
            }
        }
        let message = "others keep writing the table's log, so that a dead batch could not be fenced off";
        Err(PipelineError::failed(FaultKind::Conflict, &pipeline.table, message))
    }

    async fn verdict(
        &self,
        pipeline: &Pipeline,
        target: Option<&LakeTable>,
        rows: &[ControlRow],
        committed: Option<i64>,
    ) -> Result<BatchEnd, PipelineError> {
        let completed_at = clock::now();
        let (Some(target), Some(version)) = (target, committed) else {
            let message =
                "CancelledError: the process of this batch ended before its commit; nothing was loaded";
            return Ok(BatchEnd {
                event: Transition::SettleUncommitted,
                completed_at,
                sources: Vec::new(),
                rows_written: Some(0),
                error_message: Some(message.to_owned()),
            });
        };
        let target = target.at_version(version).await?;
        let mut sources = Vec::with_capacity(rows.len());
        for row in rows {
            let alias = pipeline
                .sources
                .iter()
                .find(|source| {
                    source.name == row.source_table
                        || row.source_table == format!("{}#{}", source.name, source.alias)
                })
                .map_or(row.source_table.as_str(), |source| source.alias.as_str());
            let id = watermarks::watermark_id(pipeline, alias);
            let version = target.transaction(&id).await?.or(row.last_processed_version);
            sources.push(SourceProgress { source_table: row.source_table.clone(), version, rows_read: None });
        }
        Ok(BatchEnd {
            event: Transition::SettleCommitted,
            completed_at,
            sources,
            rows_written: None,
            error_message: None,
        })
    }
}
