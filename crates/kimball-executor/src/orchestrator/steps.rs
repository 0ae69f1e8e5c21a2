//! The order of writes of one batch, each with its reason.
//!
//! 1. The lease is taken: from here on no other living process writes the table.
//! 2. What a dead process left is settled, so that the control table never shows two open batches.
//! 3. A RUNNING row is written for every source, so that a death from here on can be seen.
//! 4. The table is made, if there is none; empty and without watermarks it means nothing yet.
//! 5. Data files are written; no version refers to them. Every check of the rows has been made now.
//!    A fact's keys are looked up before that; members that its dimensions have to infer are committed there, under
//!    the dimensions' own leases, and looked up again.
//! 6. Mini-dimensions and junk dimensions are committed, so that no row ever holds a key that points nowhere; repeats
//!    and rows that will wait for a member are remembered. All are sets that only grow: a batch that dies here writes
//!    the same again.
//! 7. One commit makes rows, removals, watermarks and lease epoch visible. This is the batch.
//! 8. The history table of type 4 is committed, whose rows hold keys of the dimension. Both logs count the
//!    batches; if this is lost, the counts differ, and the next run first brings the history to where the dimension is.
//!    Rows that wait no more are marked; if this is lost, the next run finds them by the dead batch.
//! 9. The control rows are ended. If this is lost, the next run finds the commit in the log.
//! 10. Files are written anew where small ones or rows that no longer count have piled up. No row changes, and the
//!     batch stands whatever comes of it.
//! 11. The lease is given back.

use std::sync::PoisonError;
use std::time::Duration;

use arrow::datatypes::Schema;
use kimball_config::{Pipeline, TableKind};
use kimball_control::{Lease, LeaseAttempt, RunningBatch};
use kimball_engine::{Batch, ChangeSet, Findings, Phase, Refresh, StagedBatch};
use kimball_lake::{Commit, CommitOutcome, LakeTable, LiveRows, Wear};
use kimball_retry::FaultKind;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::compute::Computed;
use super::properties::new_table;
use super::settle::{Predecessor, batch_metadata};
use super::{Attempt, Prepared, RunContext, Seen, secrets, table_id, up_to_date, versions, watermarks};
use crate::clock;
use crate::error::PipelineError;
use crate::outcome::{FailedBatch, FailedLoad, PipelineLoad};
use crate::settings::OnBusy;

/// How often a batch is computed anew because somebody else committed to its table.
const RECOMPUTATIONS: usize = 5;
/// How often a waiting pipeline asks for the lease.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often the holder of a lease gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A lease in the hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) epoch: i64,
    /// The one before died with it.
    inherited: bool,
}

/// What a batch came to.
pub(super) struct Loaded {
    pub(super) rows_read: Vec<u64>,
    pub(super) change: ChangeSet,
    /// Members that dimensions inferred for the batch.
    pub(super) inferred: u64,
    pub(super) warnings: Vec<String>,
    /// Whether the table was worn before the batch.
    is_worn: bool,
}

impl RunContext {
    /// Steps 1 and 11 around all others.
    pub(super) async fn load_under_lease(
        &self,
        pipeline: &Pipeline,
        attempt: &Attempt<'_>,
        seen: Seen,
    ) -> Result<PipelineLoad, FailedLoad> {
        match self.take_lease(pipeline).await {
            Ok(lease) => {
                self.holding(pipeline, lease, |turn| self.load_leased(pipeline, turn, attempt, seen)).await
            }
            Err(error) => Err(self.refused(pipeline, attempt, Findings::default(), error).await),
        }
    }

    /// Does `work` with the lease of a pipeline's table in the hand, giving signs of life meanwhile.
    pub(super) async fn under_lease<T, F>(
        &self,
        pipeline: &Pipeline,
        work: impl FnOnce(Turn) -> F,
    ) -> Result<T, PipelineError>
    where
        F: Future<Output = Result<T, PipelineError>>,
    {
        let lease = self.take_lease(pipeline).await?;
        self.holding(pipeline, lease, work).await
    }

    /// The same with a lease that is taken already.
    async fn holding<T, F: Future<Output = T>>(
        &self,
        pipeline: &Pipeline,
        lease: Lease,
        work: impl FnOnce(Turn) -> F,
    ) -> T {
        let turn = Turn { epoch: lease.epoch(), inherited: lease.is_inherited() };
        let mut held = Some(lease);
        let result = {
            let mut work = std::pin::pin!(work(turn));
            let mut beat = interval(HEARTBEAT);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat.tick().await;
            loop {
                tokio::select! {
                    result = &mut work => break result,
                    _ = beat.tick() => self.renew(&mut held).await,
                }
            }
        };
        if let Some(lease) = held
            && let Err(error) = self.leases.release(lease, clock::now()).await
        {
            // The next process sees that this one has ended; nothing loaded is lost.
            tracing::warn!(table = %pipeline.table, %error, "the lease could not be given back");
        }
        result
    }

    async fn take_lease(&self, pipeline: &Pipeline) -> Result<Lease, PipelineError> {
        self.take_lease_patiently(pipeline, Duration::ZERO).await
    }

    /// Takes the lease of a pipeline's table; a busy one is waited for, if not by the settings, then for `patience`.
    pub(super) async fn take_lease_patiently(
        &self,
        pipeline: &Pipeline,
        patience: Duration,
    ) -> Result<Lease, PipelineError> {
        let target = pipeline.table.to_string();
        let mut waited = Duration::ZERO;
        loop {
            match (self.leases.take(&target, clock::now()).await?, self.on_busy) {
                (LeaseAttempt::Taken(lease), _) => return Ok(lease),
                (LeaseAttempt::Busy(_), OnBusy::Wait) => self.pause(ASK_EVERY).await?,
                (LeaseAttempt::Busy(_), OnBusy::Fail) if waited < patience => {
                    self.pause(ASK_EVERY).await?;
                    waited += ASK_EVERY;
                }
                (LeaseAttempt::Busy(owner), OnBusy::Fail) => {
                    let message = format!(
                        "process {} on {} is loading this table; wait for it (`--on-busy wait`) or run again later",
                        owner.pid, owner.host
                    );
                    return Err(PipelineError::failed(FaultKind::Busy, &pipeline.table, message));
                }
            }
        }
    }

    /// Waits, unless the run is told to stop.
    async fn pause(&self, delay: Duration) -> Result<(), PipelineError> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(PipelineError::Cancelled),
            () = sleep(delay) => Ok(()),
        }
    }

    /// A lease that cannot be renewed may be lost; the commit is fenced against that, so the work goes on.
    async fn renew(&self, held: &mut Option<Lease>) {
        let Some(lease) = held else { return };
        match self.leases.renew(lease, clock::now()).await {
            Ok(true) => {}
            Ok(false) => *held = None,
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }

    /// Step 2; whether there was something to settle.
    pub(super) async fn settle_before(&self, pipeline: &Pipeline, turn: Turn) -> Result<bool, PipelineError> {
        let predecessor = if turn.inherited { Predecessor::Died } else { Predecessor::Released };
        if turn.inherited {
            // Should settling fail, who takes the lease next inherits nothing, and has to know.
            self.mark_open(pipeline);
        }
        Ok(self.is_marked_open(pipeline).await? && self.settle(pipeline, turn.epoch, predecessor).await?)
    }

    async fn load_leased(
        &self,
        pipeline: &Pipeline,
        turn: Turn,
        attempt: &Attempt<'_>,
        seen: Seen,
    ) -> Result<PipelineLoad, FailedLoad> {
        let batch_id = clock::new_batch_id();
        let findings = Findings::default();
        let looked = async {
            let is_settled = self.settle_before(pipeline, turn).await?;
            let prepared = self.unless_cancelled(self.prepare(pipeline, Some(seen))).await?;
            let batch = self.batch(pipeline, &prepared, &batch_id, &findings, attempt.progress);
            let is_unmarked = is_settled && self.has_open_keys(&batch).await?;
            let is_done = !is_unmarked && self.is_up_to_date(pipeline, &prepared, &batch).await?;
            Ok::<_, PipelineError>((prepared, is_done))
        };
        let prepared = match looked.await {
            Ok((prepared, false)) => prepared,
            Ok((prepared, true)) => return Ok(self.confirmed(pipeline, up_to_date(&prepared)).await),
            Err(error) => return Err(self.refused(pipeline, attempt, findings, error).await),
        };
        let running = match self.begin(pipeline, &prepared, &batch_id).await {
            Ok(running) => running,
            Err(error) => {
                // It may have begun all the same.
                self.mark_open(pipeline);
                return Err(error.into());
            }
        };
        let loaded = self.load_begun(pipeline, &prepared, running, findings, attempt, turn.epoch).await;
        loaded.map_err(|error| FailedLoad {
            error: Box::new(error),
            batch: Some(Box::new(FailedBatch { batch_id, sources: versions(&prepared.sources) })),
        })
    }

    /// Steps 4 to 10 of a batch whose rows say RUNNING.
    async fn load_begun(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        running: RunningBatch,
        findings: Findings,
        attempt: &Attempt<'_>,
        epoch: i64,
    ) -> Result<PipelineLoad, PipelineError> {
        let batch_id = running.batch_id().to_owned();
        let batch = self.batch(pipeline, prepared, &batch_id, &findings, attempt.progress);
        let ended = async {
            let upheld = self.uphold_contracts(&batch).await?;
            let loaded = self.compute_and_commit(&batch, prepared, epoch).await?;
            Ok::<_, PipelineError>((loaded, upheld))
        };
        match ended.await {
            Ok((loaded, upheld)) => {
                let is_worn = loaded.is_worn;
                let mut load = self.succeed(pipeline, prepared, running, loaded).await?;
                load.warnings.extend(self.keep_healthy(pipeline, is_worn, epoch).await);
                let recorded = self.record_findings(pipeline, Some(&batch_id), findings).await;
                load.warnings.extend(self.remember_newest_events(pipeline, &upheld).await?);
                load.warnings.extend(recorded?);
                load.warnings.extend(upheld.warnings);
                Ok(load)
            }
            Err(error) if error.is_unverified() => {
                // Nobody knows how the batch ended: the next attempt settles it like one of a dead process.
                self.mark_open(pipeline);
                Err(error)
            }
            Err(error) => {
                if prepared.target.is_none() && self.was_made(pipeline) {
                    self.take_back(pipeline).await;
                }
                self.fail(pipeline, running, &error, attempt).await;
                Err(self.with_findings(pipeline, Some(&batch_id), findings, error).await)
            }
        }
    }

    /// Steps 4 to 8, again from the staged rows on when somebody else committed to the table.
    async fn compute_and_commit(
        &self,
        batch: &Batch<'_>,
        prepared: &Prepared,
        epoch: i64,
    ) -> Result<Loaded, PipelineError> {
        let pipeline = batch.pipeline;
        let mut target = prepared.target.clone();
        for _ in 0..RECOMPUTATIONS {
            self.stop_if_cancelled()?;
            if let Some(target) = &target {
                // Seldom needed, and then of unknown size.
                let runtime = self.thrifty.as_ref().unwrap_or(batch.runtime);
                self.catch_up(&Batch { runtime, ..*batch }, target, epoch).await?;
            }
            let Computed { runtime, staged, dimensions, inferred, table, live, mut change, warnings } =
                self.compute_within_memory(batch, target.as_ref()).await?;
            let batch = &Batch { runtime, dimensions: &dimensions, ..*batch };
            self.stop_if_cancelled()?;
            self.write_mini_dimensions(batch, &staged, &table, epoch).await?;
            self.write_junk_dimensions(batch, &staged, &table, epoch).await?;
            let (opened, resolved) = std::mem::take(&mut change.evidence).split();
            if let Some(opened) = &opened {
                self.record_evidence(batch, opened).await?;
            }
            self.repeats.remember(&pipeline.table.to_string(), &change.repeats).await?;
            let commit = Commit {
                files: std::mem::take(&mut change.files),
                removals: std::mem::take(&mut change.removals),
                transactions: self.transactions(batch, &staged, (&table, &live), &change).await?,
                lease: Some(epoch),
                user_metadata: batch_metadata(batch.batch_id),
                alteration: table.alteration(staged.table_schema(), &new_table(pipeline))?,
            };
            self.stop_if_cancelled()?;
            batch.progress.enter(Phase::Committing);
            if let CommitOutcome::Committed { .. } = table.commit(&live, commit).await? {
                let behind = self.follow(batch, &staged, &table, epoch).await;
                let unmarked = self.mark_resolved(batch, resolved).await;
                let stale = stale_configuration(prepared, self.refresh);
                let warnings = warnings.into_iter().chain(stale).chain(behind).chain(unmarked).collect();
                let (rows_read, is_worn) = (staged.rows_read().to_vec(), live.is_worn(&Wear::HEAVY));
                return Ok(Loaded { rows_read, change, inferred, warnings, is_worn });
            }
            let refreshed = table.refreshed().await?;
            self.require_same_watermarks(batch, &refreshed).await?;
            target = Some(refreshed);
        }
        let message =
            format!("others committed to the table {RECOMPUTATIONS} times while this batch was computed");
        Err(PipelineError::failed(FaultKind::Conflict, &pipeline.table, message))
    }

    /// A batch is computed anew on what others left only if they did not load what it loads: a process that was thought
    /// dead may have.
    async fn require_same_watermarks(
        &self,
        batch: &Batch<'_>,
        target: &LakeTable,
    ) -> Result<(), PipelineError> {
        for source in batch.sources {
            let id = watermarks::watermark_id(batch.pipeline, &source.source.alias);
            let found = target.transaction(&id).await?;
            if found.is_some() && found != source.watermark {
                let message =
                    format!("another process loaded the changes of {} meanwhile", source.source.name);
                return Err(PipelineError::failed(FaultKind::Conflict, &batch.pipeline.table, message));
            }
        }
        Ok(())
    }

    async fn transactions(
        &self,
        batch: &Batch<'_>,
        staged: &StagedBatch,
        (table, live): (&LakeTable, &LiveRows),
        change: &ChangeSet,
    ) -> Result<Vec<(String, i64)>, PipelineError> {
        let pipeline = batch.pipeline;
        let mut all = watermarks::transactions(pipeline, batch.sources)?;
        if let Some(hashed) = staged.hashdiff_fingerprint() {
            let id = watermarks::hashdiff_id(pipeline);
            if live.is_empty() || staged.rewrites_table() || self.refresh == Refresh::Rebuild {
                all.push((id, hashed));
            } else if table.transaction(&id).await?.is_some_and(|stored| stored != hashed) {
                all.push((id, watermarks::HASHED_IN_SEVERAL_WAYS));
            }
        }
        if !pipeline.companions().is_empty() {
            all.push((watermarks::batches_id(pipeline), self.batches(pipeline, table).await? + 1));
        }
        if let TableKind::Dimension(_) = &pipeline.kind {
            all.push(watermarks::holds_defaults(&pipeline.table, table));
        }
        all.extend(self.seen(batch));
        all.extend(secrets::transactions(pipeline));
        all.extend(change.sequence.map(|mark| (watermarks::sequence_id(pipeline), mark)));
        if self.refresh == Refresh::Rebuild {
            all.push((watermarks::rebuilds_id(pipeline), self.rebuilds(pipeline, table).await?));
        }
        Ok(all)
    }

    pub(super) async fn create(
        &self,
        pipeline: &Pipeline,
        columns: &Schema,
    ) -> Result<LakeTable, PipelineError> {
        let made = self.warehouse.create(&table_id(&pipeline.table)?, columns, &new_table(pipeline)).await?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline.table.to_string());
        Ok(made)
    }

    /// Whether this run made the table of a pipeline: somebody else's must not be taken back.
    fn was_made(&self, pipeline: &Pipeline) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&pipeline.table.to_string())
    }

    /// Removes a table that this batch made and could not fill: a refused first batch leaves nothing.
    async fn take_back(&self, pipeline: &Pipeline) {
        let removed =
            async { Ok::<_, PipelineError>(self.warehouse.discard_new(&table_id(&pipeline.table)?).await?) };
        if let Err(error) = removed.await {
            // An empty table without watermarks does no harm: the next run fills it.
            tracing::warn!(table = %pipeline.table, %error, "the empty table could not be removed");
        }
    }
}

/// What to tell when feeds go on under a configuration that changed meaning (semantics 9).
fn stale_configuration(prepared: &Prepared, refresh: Refresh) -> Option<String> {
    let goes_on = prepared.config_changed
        && refresh == Refresh::Incremental
        && prepared.sources.iter().any(kimball_engine::PinnedSource::is_feed);
    goes_on.then(|| {
        "the configuration changed meaning since the last load: rows loaded before keep their old meaning until a \
         run with --full-refresh"
            .to_owned()
    })
}
