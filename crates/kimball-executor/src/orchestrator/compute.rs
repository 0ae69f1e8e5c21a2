//! From the sources of a batch to what its commit is made of.

use std::collections::BTreeMap;

use kimball_config::{Pipeline, TableName};
use kimball_engine::{Batch, ChangeSet, EngineRuntime, MergeTarget, Refresh, StagedBatch};
use kimball_lake::{LakeTable, LiveRows};

use super::facts::Awaited;
use super::{RunContext, table_id, watermarks};
use crate::error::PipelineError;

/// A batch that is ready to be committed.
pub(super) struct Computed<'a> {
    /// What the batch was computed with, and its other tables are to be.
    pub(super) runtime: &'a EngineRuntime,
    pub(super) staged: StagedBatch,
    /// The tables that foreign keys were found in.
    pub(super) dimensions: BTreeMap<TableName, LakeTable>,
    /// How many members were inferred.
    pub(super) inferred: u64,
    /// The table that the batch goes into, and its rows.
    pub(super) table: LakeTable,
    pub(super) live: LiveRows,
    pub(super) change: ChangeSet,
    pub(super) warnings: Vec<String>,
}

/// What the logs say of the table that a batch is merged into.
struct MergeContext {
    repeats: Option<LakeTable>,
    awaited: Awaited,
    hashdiff: Option<i64>,
    sequence: Option<i64>,
    rebuilds: i64,
}

impl MergeContext {
    fn target<'a>(&'a self, table: &'a LakeTable, live: &'a LiveRows) -> MergeTarget<'a> {
        MergeTarget {
            table,
            live,
            waiting: Some(self.awaited.as_waiting()),
            hashdiff: self.hashdiff,
            sequence: self.sequence,
            repeats: self.repeats.as_ref(),
            rebuilds: self.rebuilds,
        }
    }
}

impl RunContext {
    /// Computes a batch; one that does not fit into memory is computed anew in a way that needs less.
    pub(super) async fn compute_within_memory<'a>(
        &'a self,
        batch: &Batch<'a>,
        target: Option<&LakeTable>,
    ) -> Result<Computed<'a>, PipelineError> {
        match (self.compute(batch, target.cloned()).await, &self.thrifty) {
            (Err(PipelineError::Engine(error)), Some(thrifty)) if error.is_out_of_memory() => {
                tracing::info!(table = %batch.pipeline.table, %error, "computed anew with joins that spill");
                // The first attempt may have made the table.
                let target = match target {
                    Some(target) => Some(target.clone()),
                    None => self.warehouse.open(&table_id(&batch.pipeline.table)?).await?,
                };
                self.compute(&Batch { runtime: thrifty, ..*batch }, target).await
            }
            (computed, _) => computed,
        }
    }

    /// Stages the rows of a batch, finds their keys and merges them into `target`, which is made if there is none.
    async fn compute<'a>(
        &'a self,
        batch: &Batch<'a>,
        mut target: Option<LakeTable>,
    ) -> Result<Computed<'a>, PipelineError> {
        let runtime = batch.runtime;
        let mut staged = self.unless_cancelled(batch.stage_unread(target.as_ref())).await?;
        self.require_companions(batch, &staged).await?;
        if staged.is_unread() {
            let (table, live) = self.target_of(batch, target, &staged).await?;
            let context = self.merge_context(batch.pipeline, &table).await?;
            let merge = batch.merge_unread(&mut staged, context.target(&table, &live));
            if let Some((change, warnings)) = self.unless_cancelled(merge).await? {
                let dimensions = batch.dimensions.clone();
                return Ok(Computed {
                    runtime,
                    staged,
                    dimensions,
                    inferred: 0,
                    table,
                    live,
                    change,
                    warnings,
                });
            }
            staged = self.unless_cancelled(batch.stage(Some(&table))).await?;
            target = Some(table);
        }
        let (dimensions, inferred) = self.look_up(batch, &mut staged, &mut target).await?;
        let batch = &Batch { dimensions: &dimensions, ..*batch };
        let (table, live) = self.target_of(batch, target, &staged).await?;
        let (change, warnings) = self.merge(batch, &staged, &table, &live).await?;
        Ok(Computed { runtime, staged, dimensions, inferred, table, live, change, warnings })
    }

    pub(super) async fn target_of(
        &self,
        batch: &Batch<'_>,
        target: Option<LakeTable>,
        staged: &StagedBatch,
    ) -> Result<(LakeTable, LiveRows), PipelineError> {
        let table = match target {
            Some(table) => table,
            None => self.create(batch.pipeline, staged.table_schema()).await?,
        };
        let live = table.live_rows().await?;
        Ok((table, live))
    }

    async fn merge(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        table: &LakeTable,
        live: &LiveRows,
    ) -> Result<(ChangeSet, Vec<String>), PipelineError> {
        let context = self.merge_context(batch.pipeline, table).await?;
        self.unless_cancelled(batch.merge(staged, context.target(table, live))).await
    }

    async fn merge_context(
        &self,
        pipeline: &Pipeline,
        table: &LakeTable,
    ) -> Result<MergeContext, PipelineError> {
        Ok(MergeContext {
            repeats: if pipeline.is_history() { self.repeats.open().await? } else { None },
            awaited: self.awaited(pipeline, table).await?,
            hashdiff: table.transaction(&watermarks::hashdiff_id(pipeline)).await?,
            sequence: table.transaction(&watermarks::sequence_id(pipeline)).await?,
            rebuilds: self.rebuilds(pipeline, table).await?,
        })
    }

    /// How often the table was rebuilt, this batch included.
    pub(super) async fn rebuilds(
        &self,
        pipeline: &Pipeline,
        table: &LakeTable,
    ) -> Result<i64, PipelineError> {
        let before = table.transaction(&watermarks::rebuilds_id(pipeline)).await?.unwrap_or_default();
        Ok(before + i64::from(self.refresh == Refresh::Rebuild))
    }
}
