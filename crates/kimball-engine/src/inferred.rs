//! Facts and their dimensions meet here: keys are looked up before the merge, so that members that the dimensions do
//! not know can be inferred, by their own pipelines and under their own leases, before any row points at them.

use std::sync::Mutex;

use arrow::datatypes::{Field, Schema};
use datafusion::prelude::SessionContext;
use kimball_config::{Dimension, Fact, Pipeline, TableKind};
use kimball_lake::LakeTable;

use crate::columns::{HASHDIFF, IS_SKELETON, instant_sql};
use crate::dimension::{DimensionMerge, infer};
use crate::fact::{AddedKeys, Broker, EarlyMembers, Preparation, early_members};
use crate::gates::Keys;
use crate::layout::Layout;
use crate::merge::{ChangeSet, Collector};
use crate::stage::{Absent, Arrival, Numbering, Spool, Staged};
use crate::target::TargetRows;
use crate::{Batch, EngineError, MergeTarget, StagedBatch};

impl Batch<'_> {
    /// Finds the foreign keys of staged rows in the batch's dimensions. Returns the members that these have to infer:
    /// once they have, the keys are to be looked up again in their new versions. `target` is the fact's table as it
    /// stands.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for merge keys that are there twice, foreign keys that point nowhere, fan-outs,
    /// identity maps that contradict themselves, and identities that the lookups refuse.
    pub async fn look_up(
        &self,
        staged: &mut StagedBatch,
        target: Option<&LakeTable>,
    ) -> Result<Vec<EarlyMembers>, EngineError> {
        let TableKind::Fact(fact) = &self.pipeline.kind else { return Ok(Vec::new()) };
        let session = self.runtime.streaming_session(self.clock);
        staged.staged.rows.register(&session, "staged").await?;
        let preparation =
            Preparation { session: &session, fact, staged: &staged.staged, dimensions: self.dimensions };
        let rows = match preparation.run().await {
            // A commit that repeats a key may have been taken back by a later one: the outcome is judged.
            Err(EngineError::RepeatedKey(_))
                if staged.staged.arrival == Arrival::Changes && target.is_some() =>
            {
                staged.staged = self.stage_outcome(target).await?;
                staged.staged.rows.register(&session, "staged").await?;
                let outcome = Preparation {
                    session: &session,
                    fact,
                    staged: &staged.staged,
                    dimensions: self.dimensions,
                };
                outcome.run().await?
            }
            rows => rows?,
        };
        let clock = instant_sql(self.clock.timestamp_micros());
        let sentinels = ("staged", rows.sentinels.as_slice());
        let mut early = early_members(&session, fact, self.dimensions, sentinels, &clock).await?;
        if let Some(table) = self.merged_into(target) {
            early.extend(self.early_members_of_loaded(&session, fact, &staged.staged, table).await?);
        }
        if !early.is_empty() {
            let broker = Broker { session: &session, fact, dimensions: self.dimensions };
            broker.refuse_unresolved("staged", &rows.sentinels, Keys::Open).await?;
        }
        staged.fact = Some(rows);
        Ok(early)
    }

    /// The members that rows which are there speak of in keys that their table gets with this batch.
    async fn early_members_of_loaded(
        &self,
        session: &SessionContext,
        fact: &Fact,
        staged: &Staged,
        table: &LakeTable,
    ) -> Result<Vec<EarlyMembers>, EngineError> {
        let stored = table.schema()?;
        let Some(added) = AddedKeys::of(session, fact, self.dimensions, &stored) else {
            return Ok(Vec::new());
        };
        let live = table.live_rows().await?;
        let rows = TargetRows {
            session,
            pipeline: self.pipeline,
            layout: &staged.layout,
            stored: &stored,
            live: &live,
            added_keys: &[],
        };
        added.early_members(&rows, &instant_sql(self.clock.timestamp_micros())).await
    }

    /// Infers members of the batch's dimension: writes their rows, none of them visible yet.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a table that no load has laid out yet, [`EngineError::DataQuality`] for keys that
    /// collide.
    pub async fn infer_members(
        &self,
        members: &EarlyMembers,
        target: MergeTarget<'_>,
    ) -> Result<ChangeSet, EngineError> {
        let TableKind::Dimension(dimension) = &self.pipeline.kind else {
            return Err(EngineError::Config("internal: members are inferred in dimensions".to_owned()));
        };
        let stored = target.table.schema()?;
        if stored.field_with_name(IS_SKELETON).is_err() {
            let message =
                format!("{} has to be loaded once before members can be inferred in it", self.pipeline.table);
            return Err(EngineError::Config(message));
        }
        let layout = stored_layout(self.pipeline, dimension, &stored)?;
        let session = self.runtime.session(self.clock);
        members.rows.register(&session, "staged").await?;
        let mut collector = Collector::new(target.table, &layout.schema, &layout.evolution.foreign)?;
        let staged = Staged {
            rows: Spool::fill(session.table("staged").await?.limit(0, Some(0))?, Numbering::Numbered).await?,
            unread: None,
            arrival: Arrival::Changes,
            absent: Absent::Stays,
            keys_may_be_null: false,
            layout,
            rows_read: Vec::new(),
            moment: self.clock.timestamp_micros(),
        };
        let rows = TargetRows {
            session: &session,
            pipeline: self.pipeline,
            layout: &staged.layout,
            stored: &stored,
            live: target.live,
            added_keys: &[],
        };
        let sequence = self.sequence_of(dimension, &target).await?;
        let merge = DimensionMerge {
            session: &session,
            pipeline: self.pipeline,
            dimension,
            staged: &staged,
            target: rows,
            has_rows: true,
            clock: instant_sql(self.clock.timestamp_micros()),
            batch_id: self.batch_id,
            hashdiff_holds: true,
            sequence,
            repeats: None,
            rebuilds: target.rebuilds,
            kept: Mutex::default(),
        };
        infer(&merge, &mut collector).await?;
        collector.finish().await
    }
}

/// The layout of a dimension by its table alone: whatever the engine does not add is a column of the query's output.
fn stored_layout(pipeline: &Pipeline, dimension: &Dimension, stored: &Schema) -> Result<Layout, EngineError> {
    let durable = match &dimension.scd {
        kimball_config::Scd::Type7 { durable_key, .. } => Some(durable_key),
        _ => None,
    };
    let is_output = |field: &&std::sync::Arc<Field>| {
        let name = field.name();
        !name.starts_with("__")
            && name != HASHDIFF
            && *name != dimension.surrogate_key
            && Some(name) != durable
    };
    let output: Vec<_> = stored.fields().iter().filter(is_output).cloned().collect();
    Layout::of(pipeline, &Schema::new(output), Some(stored))
}
