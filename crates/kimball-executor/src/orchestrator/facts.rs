//! What a fact's batch does besides writing its own table, each in a commit of its own: members that its dimensions
//! infer and junk dimensions come before it, so that no row ever holds a key that points nowhere; rows that wait for
//! a member are recorded before it and marked after it, so that none waits unrecorded. All of them are sets to which
//! a batch that is made again adds the same.

use std::collections::BTreeMap;
use std::time::Duration;

use kimball_config::{EarlyArriving, Fact, ForeignKey, Lookup, Pipeline, TableKind, TableName};
use kimball_control::Lease;
use kimball_engine::{
    Batch, EarlyMembers, EvidenceChange, MergeTarget, Refresh, StagedBatch, Waiting, unresolved_schema,
};
use kimball_lake::{Commit, CommitOutcome, LakeTable, NewTable, TableId};
use kimball_retry::FaultKind;

use super::companions::{Effect, contended};
use super::properties::{deletion_vectors, new_table};
use super::settle::effect_metadata;
use super::{Prepared, RunContext, table_id, watermarks};
use crate::clock;
use crate::error::PipelineError;

/// How often a table is merged anew because somebody else committed to it.
const RECOMPUTATIONS: usize = 20;
/// How long a dimension that another process loads is waited for, whatever `--on-busy` says: a member is inferred in
/// far less.
const PATIENCE: Duration = Duration::from_secs(60);

/// What rows of a fact wait for, read before its merge.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    unresolved: Option<LakeTable>,
    seen: BTreeMap<TableName, i64>,
}

impl Awaited {
    pub(super) fn as_waiting(&self) -> Waiting<'_> {
        Waiting { unresolved: self.unresolved.as_ref(), seen: &self.seen }
    }
}

impl RunContext {
    /// Finds the foreign keys of staged rows, in dimensions that know every member they are to infer. Returns these
    /// dimensions, and how many members were inferred. The target may be made on the way.
    pub(super) async fn look_up(
        &self,
        batch: &Batch<'_>,
        staged: &mut StagedBatch,
        target: &mut Option<LakeTable>,
    ) -> Result<(BTreeMap<TableName, LakeTable>, u64), PipelineError> {
        let mut dimensions = batch.dimensions.clone();
        let early = self.unless_cancelled(batch.look_up(staged, target.as_ref())).await?;
        let mut inferred = 0;
        if !early.is_empty() {
            self.rehearse(batch, staged, target).await?;
        }
        for members in &early {
            let (table, added) = self.infer(batch, members).await?;
            inferred += added;
            dimensions.insert(members.table().clone(), table);
        }
        if !early.is_empty() {
            // What cannot be inferred now stays unknown.
            let again = Batch { dimensions: &dimensions, ..*batch };
            self.unless_cancelled(again.look_up(staged, target.as_ref())).await?;
        }
        Ok((dimensions, inferred))
    }

    /// A batch that is refused infers nobody: what can be refused is, before the dimensions change.
    async fn rehearse(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        target: &mut Option<LakeTable>,
    ) -> Result<(), PipelineError> {
        let pipeline = batch.pipeline;
        if pipeline.tests.is_empty() && !pipeline.missing.close {
            return Ok(());
        }
        let (table, live) = self.target_of(batch, target.take(), staged).await?;
        let table = target.insert(table);
        self.unless_cancelled(batch.rehearse(staged, MergeTarget::new(table, &live))).await
    }

    /// Has a dimension infer members, under its own lease; also returns how many are new.
    async fn infer(
        &self,
        batch: &Batch<'_>,
        members: &EarlyMembers,
    ) -> Result<(LakeTable, u64), PipelineError> {
        let Some(dimension) = self.catalogue.get(members.table()) else {
            let message = format!(
                "{} has early facts, and its configuration is not part of this run: name its file, too, or set \
                 `early_arriving: default`",
                members.table()
            );
            return Err(PipelineError::failed(FaultKind::Config, &batch.pipeline.table, message));
        };
        // Facts of one run take turns; only others can hold the lease then.
        let _turn = self.inferring.lock().await;
        let lease = self.take_lease_patiently(dimension, PATIENCE).await?;
        if lease.is_inherited() {
            // Its own load settles what was left.
            self.mark_open(dimension);
        }
        let written = self.write_members(batch, dimension, members, &lease).await;
        if let Err(error) = self.leases.release(lease, clock::now()).await {
            tracing::warn!(table = %dimension.table, %error, "the lease could not be given back");
        }
        written
    }

    /// The members are matched again on the very version that is committed to.
    async fn write_members(
        &self,
        batch: &Batch<'_>,
        dimension: &Pipeline,
        members: &EarlyMembers,
        lease: &Lease,
    ) -> Result<(LakeTable, u64), PipelineError> {
        let none = BTreeMap::new();
        let own = Batch {
            pipeline: dimension,
            sources: &[],
            dimensions: &none,
            refresh: Refresh::Incremental,
            ..*batch
        };
        for _ in 0..RECOMPUTATIONS {
            let table = self.pins.table(&dimension.table).await?;
            let live = table.live_rows().await?;
            let target = MergeTarget {
                sequence: table.transaction(&watermarks::sequence_id(dimension)).await?,
                rebuilds: table.transaction(&watermarks::rebuilds_id(dimension)).await?.unwrap_or_default(),
                ..MergeTarget::new(&table, &live)
            };
            let change = self.unless_cancelled(own.infer_members(members, target)).await?;
            if change.files.is_empty() && change.removals.is_empty() {
                return Ok((table, 0));
            }
            let added = change.counts.inserted;
            let sequence = change.sequence.map(|mark| (watermarks::sequence_id(dimension), mark));
            let defaults = watermarks::still_holds_defaults(&dimension.table, &table).await?;
            let commit = Commit {
                files: change.files,
                removals: change.removals,
                transactions: sequence.into_iter().chain(defaults).collect(),
                lease: Some(lease.epoch()),
                user_metadata: effect_metadata(batch.batch_id),
                alteration: None,
            };
            if let CommitOutcome::Committed { .. } = table.commit(&live, commit).await? {
                return Ok((table.refreshed().await?, added));
            }
        }
        Err(contended(batch.pipeline, &dimension.table.to_string()))
    }

    /// Adds the batch's new combinations to the junk dimensions.
    pub(super) async fn write_junk_dimensions(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        fact: &LakeTable,
        epoch: i64,
    ) -> Result<(), PipelineError> {
        for junk in fact_of(batch.pipeline).into_iter().flat_map(|fact| &fact.junk_dimensions) {
            self.stop_if_cancelled()?;
            let mut done = false;
            for _ in 0..RECOMPUTATIONS {
                let table = self.warehouse.open(&table_id(&junk.table)?).await?;
                let merge = batch.junk_merge(junk, staged, table.as_ref())?;
                let table = match table {
                    Some(table) => table,
                    None => self.create(merge.pipeline(), merge.table_schema()).await?,
                };
                let live = table.live_rows().await?;
                let change = batch.merge_junk(&merge, staged, (&table, &live), fact).await?;
                let alteration = table.alteration(merge.table_schema(), &new_table(merge.pipeline()))?;
                let effect = Effect { change, alteration, batches: None };
                if self.commit_companion(batch, (&table, &live), effect, epoch).await? {
                    done = true;
                    break;
                }
            }
            if !done {
                return Err(contended(batch.pipeline, &junk.table.to_string()));
            }
        }
        Ok(())
    }

    /// What the rows of a fact wait for.
    pub(super) async fn awaited(
        &self,
        pipeline: &Pipeline,
        target: &LakeTable,
    ) -> Result<Awaited, PipelineError> {
        let mut awaited = Awaited::default();
        let Some(fact) = fact_of(pipeline) else { return Ok(awaited) };
        if lookups(fact).any(|(_, lookup)| lookup.early_arriving != EarlyArriving::Error) {
            awaited.unresolved = self.warehouse.open(&self.unresolved_of(pipeline)?).await?;
        }
        for (key, _) in lookups(fact) {
            let Some(table) = &key.references else { continue };
            if let Some(version) = target.transaction(&watermarks::seen_id(pipeline, table)).await? {
                awaited.seen.insert(table.clone(), version);
            }
        }
        Ok(awaited)
    }

    /// Whether a dimension has moved that rows of the fact wait for (semantics 4.9).
    pub(super) async fn has_news_of_dimensions(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        target: &LakeTable,
        batch: &Batch<'_>,
    ) -> Result<bool, PipelineError> {
        let Some(fact) = fact_of(pipeline) else { return Ok(false) };
        let awaited = self.awaited(pipeline, target).await?;
        let mut may_be_repaired = false;
        for (key, lookup) in lookups(fact) {
            let Some(table) = &key.references else { continue };
            let Some(dimension) = prepared.dimensions.get(table) else { continue };
            if awaited.seen.get(table) == Some(&dimension.version()) {
                continue;
            }
            if key.restate_on_late_dimension {
                return Ok(true);
            }
            may_be_repaired |= lookup.early_arriving != EarlyArriving::Error;
        }
        match (&awaited.unresolved, may_be_repaired) {
            (Some(unresolved), true) => Ok(batch.has_open_keys(unresolved).await?),
            _ => Ok(false),
        }
    }

    /// Whether rows of the batch's fact are recorded to wait: a process that died may have given them their keys.
    pub(super) async fn has_open_keys(&self, batch: &Batch<'_>) -> Result<bool, PipelineError> {
        if fact_of(batch.pipeline).is_none() {
            return Ok(false);
        }
        match self.warehouse.open(&self.unresolved_of(batch.pipeline)?).await? {
            Some(unresolved) => Ok(batch.has_open_keys(&unresolved).await?),
            None => Ok(false),
        }
    }

    /// The versions of the dimensions that a batch has looked into, for its commit.
    pub(super) fn seen(&self, batch: &Batch<'_>) -> Vec<(String, i64)> {
        let Some(fact) = fact_of(batch.pipeline) else { return Vec::new() };
        let mut all: Vec<(String, i64)> = Vec::new();
        for table in lookups(fact).filter_map(|(key, _)| key.references.as_ref()) {
            let id = watermarks::seen_id(batch.pipeline, table);
            if let Some(dimension) = batch.dimensions.get(table)
                && all.iter().all(|(known, _)| *known != id)
            {
                all.push((id, dimension.version()));
            }
        }
        all
    }

    /// Brings the record of rows that wait up to date.
    pub(super) async fn record_evidence(
        &self,
        batch: &Batch<'_>,
        change: &EvidenceChange,
    ) -> Result<(), PipelineError> {
        let _turn = self.recording.lock().await;
        for _ in 0..RECOMPUTATIONS {
            let table = self.unresolved_table(batch.pipeline).await?;
            let live = table.live_rows().await?;
            let merged = batch.merge_evidence(change, &table, &live).await?;
            let commit = Commit {
                files: merged.files,
                removals: merged.removals,
                user_metadata: effect_metadata(batch.batch_id),
                ..Commit::default()
            };
            if let CommitOutcome::Committed { .. } = table.commit(&live, commit).await? {
                return Ok(());
            }
        }
        Err(contended(batch.pipeline, &self.unresolved_of(batch.pipeline)?.to_string()))
    }

    /// Marks the rows that wait no more. The batch is in the log, whatever comes of this: the next one makes up for it.
    pub(super) async fn mark_resolved(
        &self,
        batch: &Batch<'_>,
        resolved: Option<EvidenceChange>,
    ) -> Option<String> {
        let error = self.record_evidence(batch, &resolved?).await.err()?;
        let table = &batch.pipeline.table;
        let (schema, name) = self.place_of(&batch.pipeline.observability.unresolved_key_table);
        Some(format!(
            "{table} is loaded, but {schema}.{name} still shows rows as OPEN that have their keys: {}; the next load makes up for it",
            error.message_for(table)
        ))
    }

    async fn unresolved_table(&self, pipeline: &Pipeline) -> Result<LakeTable, PipelineError> {
        let id = self.unresolved_of(pipeline)?;
        if let Some(table) = self.warehouse.open(&id).await? {
            return Ok(table);
        }
        let properties = BTreeMap::from([deletion_vectors(pipeline.merge_strategy)]);
        let new = NewTable { properties, ..NewTable::default() };
        match self.warehouse.create(&id, &unresolved_schema(), &new).await {
            Ok(table) => Ok(table),
            // Another process may have made it just now.
            Err(error) => match self.warehouse.open(&id).await? {
                Some(table) => Ok(table),
                None => Err(error.into()),
            },
        }
    }

    /// The table in which rows of a fact are recorded that wait.
    fn unresolved_of(&self, pipeline: &Pipeline) -> Result<TableId, PipelineError> {
        let (schema, name) = self.place_of(&pipeline.observability.unresolved_key_table);
        Ok(TableId::new(&schema, &name)?)
    }
}

pub(super) fn fact_of(pipeline: &Pipeline) -> Option<&Fact> {
    match &pipeline.kind {
        TableKind::Fact(fact) => Some(fact),
        TableKind::Dimension(_) => None,
    }
}

fn lookups(fact: &Fact) -> impl Iterator<Item = (&ForeignKey, &Lookup)> {
    fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)))
}
