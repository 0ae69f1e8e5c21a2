//! The tables that a dimension writes besides its own, each in a commit of its own.
//!
//! Mini-dimensions come before the dimension and only ever grow: a batch that is made again adds the same. The
//! history table of type 4 comes after it, with the same count of batches in its log once it has followed.

use kimball_config::{FieldHistory, Pipeline, Scd, TableKind};
use kimball_engine::{Batch, ChangeSet, MergeTarget, PinnedRows, PinnedSource, Refresh, StagedBatch};
use kimball_lake::{Alteration, Commit, CommitOutcome, LakeTable, LiveRows};
use kimball_retry::FaultKind;

use super::pins::from_its_start;
use super::properties::new_table;
use super::settle::batch_metadata;
use super::{RunContext, table_id, watermarks};
use crate::error::PipelineError;

/// What a batch does to a companion, in one commit.
pub(super) struct Effect {
    pub(super) change: ChangeSet,
    /// What the companion's columns become: its files are written for these.
    pub(super) alteration: Option<Alteration>,
    /// The count of batches of a history table that has followed.
    pub(super) batches: Option<i64>,
}

/// What brings a history table up to its dimension.
enum Missed {
    /// The changes of its feeds.
    Changes,
    /// The rows that the dimension has.
    Rows,
}

/// How often a companion is merged anew because somebody else committed to it.
const RECOMPUTATIONS: usize = 5;

impl RunContext {
    /// Whether every companion is there and holds what `target` holds.
    pub(super) async fn companions_follow(
        &self,
        pipeline: &Pipeline,
        target: &LakeTable,
    ) -> Result<bool, PipelineError> {
        for table in pipeline.companions() {
            let Some(found) = self.warehouse.open(&table_id(table)?).await? else { return Ok(false) };
            let is_history = field_history(pipeline).is_some_and(|history| history.table == *table);
            if is_history && self.batches(pipeline, &found).await? != self.batches(pipeline, target).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many batches of the pipeline a table holds.
    pub(super) async fn batches(&self, pipeline: &Pipeline, table: &LakeTable) -> Result<i64, PipelineError> {
        Ok(table.transaction(&watermarks::batches_id(pipeline)).await?.unwrap_or_default())
    }

    /// Brings a history table that a crash left behind to where the dimension is: by the very changes that it
    /// missed, where feeds still tell them, else by the dimension's rows.
    pub(super) async fn catch_up(
        &self,
        batch: &Batch<'_>,
        members: &LakeTable,
        epoch: i64,
    ) -> Result<(), PipelineError> {
        let Some(settings) = field_history(batch.pipeline) else { return Ok(()) };
        if batch.refresh == Refresh::Rebuild {
            return Ok(());
        }
        let history = self.warehouse.open(&table_id(&settings.table)?).await?;
        if let Some(history) = &history {
            batch.require_field_history(history)?;
            if self.batches(batch.pipeline, history).await? == self.batches(batch.pipeline, members).await? {
                return Ok(());
            }
        }
        if members.version() == 0 {
            return Ok(());
        }
        let (sources, missed) = self.missed(batch, members, history.as_ref()).await?;
        let replayed = Batch { sources: &sources, refresh: Refresh::Incremental, ..*batch };
        let staged = match missed {
            Missed::Changes => replayed.stage(Some(members)).await?,
            Missed::Rows => replayed.stage_members(members).await?,
        };
        self.write_field_history(&replayed, &staged, (members, members), epoch).await
    }

    /// The sources as the dimension has read them, as far as they can be opened so, and whether their feeds tell
    /// what the history missed.
    async fn missed(
        &self,
        batch: &Batch<'_>,
        members: &LakeTable,
        history: Option<&LakeTable>,
    ) -> Result<(Vec<PinnedSource>, Missed), PipelineError> {
        let mut sources = Vec::with_capacity(batch.sources.len());
        let (mut are_told, mut has_moved) = (true, false);
        // A dimension's only batch can be read again as it was: from the start.
        let is_first = self.batches(batch.pipeline, members).await? == 1;
        for source in batch.sources {
            let id = watermarks::watermark_id(batch.pipeline, &source.source.alias);
            let read = members.transaction(&id).await?;
            let known = match history {
                Some(history)
                    if watermarks::read_the_same(members, history, batch.pipeline, &source.source.alias)
                        .await? =>
                {
                    history.transaction(&id).await?
                }
                _ => None,
            };
            let mut pinned = PinnedSource { watermark: known, ..source.clone() };
            match (&source.rows, read) {
                (PinnedRows::Table(table), Some(read))
                    if source.is_feed() && known.map_or(is_first, |known| known <= read) =>
                {
                    has_moved |= known != Some(read);
                    let rows = table.at_version(read).await.ok().map(PinnedRows::Table);
                    let as_read = match rows {
                        Some(rows) => {
                            let pinned = PinnedSource { rows, ..pinned.clone() };
                            from_its_start(batch.pipeline, pinned).await.ok()
                        }
                        None => None,
                    };
                    match as_read {
                        Some(as_read) => pinned = as_read,
                        None => are_told = false,
                    }
                }
                _ => are_told = false,
            }
            sources.push(pinned);
        }
        // A batch that read nothing new, such as a refresh, changed rows that no feed tells of.
        Ok((sources, if are_told && has_moved { Missed::Changes } else { Missed::Rows }))
    }

    /// Step 8. The batch is in the dimension's log, whatever comes of this: a failure is told, and made up for by
    /// the next run.
    pub(super) async fn follow(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        before: &LakeTable,
        epoch: i64,
    ) -> Option<String> {
        let settings = field_history(batch.pipeline)?;
        let followed = async {
            let after = before.refreshed().await?;
            self.write_field_history(batch, staged, (before, &after), epoch).await
        };
        let error = followed.await.err()?;
        let table = &batch.pipeline.table;
        Some(format!(
            "{table} is loaded, but its history table {} is not yet: {}; the next run makes up for it",
            settings.table,
            error.message_for(table)
        ))
    }

    /// Refuses tables of combinations that do not take those of the batch, before anything is committed.
    pub(super) async fn require_companions(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
    ) -> Result<(), PipelineError> {
        match &batch.pipeline.kind {
            TableKind::Dimension(dimension) => {
                for mini in &dimension.mini_dimensions {
                    let Some(pipeline) = batch.mini_pipeline(mini) else { continue };
                    if let Some(table) = self.warehouse.open(&table_id(&mini.table)?).await? {
                        batch.require_mini(&pipeline, staged, &table)?;
                    }
                }
            }
            TableKind::Fact(fact) => {
                for junk in &fact.junk_dimensions {
                    if let Some(table) = self.warehouse.open(&table_id(&junk.table)?).await? {
                        batch.junk_merge(junk, staged, Some(&table))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the batch's new combinations to the mini-dimensions; a new one gets those of `members`, too.
    pub(super) async fn write_mini_dimensions(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        members: &LakeTable,
        epoch: i64,
    ) -> Result<(), PipelineError> {
        let TableKind::Dimension(dimension) = &batch.pipeline.kind else { return Ok(()) };
        for mini in &dimension.mini_dimensions {
            let Some(pipeline) = batch.mini_pipeline(mini) else { continue };
            // Combinations are never taken back: a refresh of the dimension adds to them like any batch.
            let own = Batch { pipeline: &pipeline, refresh: Refresh::Incremental, ..*batch };
            let mut done = false;
            for _ in 0..RECOMPUTATIONS {
                let table = self.warehouse.open(&table_id(&pipeline.table)?).await?;
                let combinations = batch.stage_mini(&pipeline, staged, table.as_ref(), members).await?;
                let table = match table {
                    Some(table) => table,
                    None => self.create(&pipeline, combinations.table_schema()).await?,
                };
                let live = table.live_rows().await?;
                let target = MergeTarget::new(&table, &live);
                let (change, _) = own.merge(&combinations, target).await?;
                let alteration = table.alteration(combinations.table_schema(), &new_table(&pipeline))?;
                let effect = Effect { change, alteration, batches: None };
                if self.commit_companion(batch, (&table, &live), effect, epoch).await? {
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
            let batches = Some(self.batches(batch.pipeline, members.1).await?);
            let alteration = table.alteration(&schema, &new_table(&pipeline))?;
            let effect = Effect { change, alteration, batches };
            if self.commit_companion(batch, (&table, &live), effect, epoch).await? {
                return Ok(());
            }
        }
        Err(contended(batch.pipeline, &settings.table.to_string()))
    }

    /// Commits a companion's part of the batch; false when somebody else was first.
    pub(super) async fn commit_companion(
        &self,
        batch: &Batch<'_>,
        (table, live): (&LakeTable, &LiveRows),
        Effect { change, alteration, batches }: Effect,
        epoch: i64,
    ) -> Result<bool, PipelineError> {
        let mut transactions = watermarks::transactions(batch.pipeline, batch.sources)?;
        transactions.extend(batches.map(|count| (watermarks::batches_id(batch.pipeline), count)));
        let commit = Commit {
            files: change.files,
            removals: change.removals,
            transactions,
            lease: Some(epoch),
            user_metadata: batch_metadata(batch.batch_id),
            alteration,
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

pub(super) fn contended(pipeline: &Pipeline, table: &str) -> PipelineError {
    let message = format!("others committed to {table} {RECOMPUTATIONS} times while this batch was computed");
    PipelineError::failed(FaultKind::Conflict, &pipeline.table, message)
}
