//! The tables that a dimension writes besides its own: each in a commit of its own, with the watermarks of the
//! batch, so that its log tells how far it has come.

use kimball_config::{FieldHistory, Pipeline, Scd, TableKind};
use kimball_engine::{Batch, ChangeSet, MergeTarget, StagedBatch};
use kimball_lake::{Commit, CommitOutcome, LakeTable, LiveRows};
use kimball_retry::FaultKind;

use super::settle::batch_metadata;
use super::{RunContext, table_id, watermarks};
use crate::error::PipelineError;

/// How often a companion is merged anew because somebody else committed to it.
const RECOMPUTATIONS: usize = 5;

impl RunContext {
    /// The companions of a pipeline as they stand; `None` for one that does not exist.
    pub(super) async fn open_companions(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Vec<Option<LakeTable>>, PipelineError> {
        let mut found = Vec::new();
        for table in pipeline.companions() {
            found.push(self.warehouse.open(&table_id(table)?).await?);
        }
        Ok(found)
    }

    /// Adds the batch's new combinations to the mini-dimensions.
    pub(super) async fn write_mini_dimensions(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        epoch: i64,
    ) -> Result<(), PipelineError> {
        let TableKind::Dimension(dimension) = &batch.pipeline.kind else { return Ok(()) };
        for mini in &dimension.mini_dimensions {
            let Some(pipeline) = batch.mini_pipeline(mini) else { continue };
            // Combinations are never taken back: a refresh of the dimension adds to them like any batch.
            let own = Batch { pipeline: &pipeline, refresh: kimball_engine::Refresh::Incremental, ..*batch };
            let mut done = false;
            for _ in 0..RECOMPUTATIONS {
                let table = self.warehouse.open(&table_id(&pipeline.table)?).await?;
                let combinations = own.stage_mini(&pipeline, staged, table.as_ref()).await?;
                let table = match table {
                    Some(table) => table,
                    None => self.create(&pipeline, combinations.table_schema()).await?,
                };
                let live = table.live_rows().await?;
                let target = MergeTarget::new(&table, &live);
                let (change, _) = own.merge(&combinations, target).await?;
                if self.commit_companion(batch, &table, &live, change, epoch).await? {
                    done = true;
                    break;
                }
            }
            if !done {
                return Err(contended(batch.pipeline, &pipeline.table.to_string()));
            }
        }
        Ok(())
    }

    /// Brings the history table of type 4 up to the dimension, which holds the batch already; `members` is it before
    /// and after.
    pub(super) async fn write_field_history(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        members: (&LakeTable, &LakeTable),
        epoch: i64,
    ) -> Result<(), PipelineError> {
        let (Some(settings), Some(schema)) = (field_history(batch.pipeline), batch.field_history_schema())
        else {
            return Ok(());
        };
        let pipeline =
            Pipeline { table: settings.table.clone(), description: None, ..batch.pipeline.clone() };
        for _ in 0..RECOMPUTATIONS {
            let table = match self.warehouse.open(&table_id(&settings.table)?).await? {
                Some(table) => table,
                None => self.create(&pipeline, &schema).await?,
            };
            let live = table.live_rows().await?;
            let change = batch.merge_field_history(settings, staged, members, &table, &live).await?;
            if self.commit_companion(batch, &table, &live, change, epoch).await? {
                return Ok(());
            }
        }
        Err(contended(batch.pipeline, &settings.table.to_string()))
    }

    /// Commits a companion's part of the batch; false when somebody else was first.
    async fn commit_companion(
        &self,
        batch: &Batch<'_>,
        table: &LakeTable,
        live: &LiveRows,
        change: ChangeSet,
        epoch: i64,
    ) -> Result<bool, PipelineError> {
        let commit = Commit {
            files: change.files,
            removals: change.removals,
            transactions: watermarks::transactions(batch.pipeline, batch.sources),
            lease: Some(epoch),
            user_metadata: batch_metadata(batch.batch_id),
            alteration: None,
        };
        Ok(matches!(table.commit(live, commit).await?, CommitOutcome::Committed { .. }))
    }
}

fn field_history(pipeline: &Pipeline) -> Option<&FieldHistory> {
    match &pipeline.kind {
        TableKind::Dimension(dimension) => match &dimension.scd {
            Scd::Type4 { history } => history.as_ref(),
            _ => None,
        },
        TableKind::Fact(_) => None,
    }
}

fn contended(pipeline: &Pipeline, table: &str) -> PipelineError {
    let message = format!("others committed to {table} {RECOMPUTATIONS} times while this batch was computed");
    PipelineError::failed(FaultKind::Conflict, &pipeline.table, message)
}
