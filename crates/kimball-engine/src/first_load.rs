//! Rows that are looked at once: those of a first load go into the table as they come, those of a snapshot past it, where
//! nothing asks for a second look at them.

use std::collections::BTreeMap;

use kimball_config::{Dimension, Fact, TableKind};

use crate::dimension::{missing_defaults, narrow};
use crate::fact::{Broker, FactRows, Passed, Waiting};
use crate::gates::{Gates, Keys};
use crate::load::collector_of;
use crate::merge::{ChangeSet, Collector};
use crate::passing::Streams;
use crate::stage::{Absent, Arrival, Staged, Unread};
use crate::target::TargetRows;
use crate::{Batch, EngineError, MergeTarget, Refresh, StagedBatch};

/// Bytes of sources from which on a load is worth several streams, each with files of its own.
const WORTH_SEVERAL: u64 = 8 * 1024 * 1024;

impl Batch<'_> {
    /// Reads [unread](StagedBatch::is_unread) rows: those of a first load into new data files of the target, none of them
    /// visible yet; those of a snapshot past the target, to [merge](Batch::merge) what is left of them. `None` when the
    /// rows need a second look: they are to be [staged](Batch::stage) again, and nothing is left behind.
    ///
    /// # Errors
    /// As for [`merge`](Batch::merge).
    pub async fn merge_unread(
        &self,
        staged: &mut StagedBatch,
        target: MergeTarget<'_>,
    ) -> Result<Option<(ChangeSet, Vec<String>)>, EngineError> {
        let done = match staged.staged.arrival {
            Arrival::Snapshot => self.merge_snapshot(staged, target).await,
            _ => self.merge_first(staged, target).await,
        };
        // The query runs only now: its values may be none of their types.
        match done {
            Err(error) => Err(self.explained_run(error, target.table).await),
            done => done,
        }
    }

    async fn merge_first(
        &self,
        staged: &mut StagedBatch,
        target: MergeTarget<'_>,
    ) -> Result<Option<(ChangeSet, Vec<String>)>, EngineError> {
        let mut collectors = Vec::new();
        match self.pass(&staged.staged, target, &mut collectors).await? {
            Some(done) => {
                if let Some(unread) = &staged.staged.unread {
                    staged.staged.rows_read = unread.rows_read();
                }
                Ok(Some(done))
            }
            None => {
                for collector in collectors {
                    target.table.discard(collector.finish().await?.files).await?;
                }
                Ok(None)
            }
        }
    }

    async fn merge_snapshot(
        &self,
        staged: &mut StagedBatch,
        target: MergeTarget<'_>,
    ) -> Result<Option<(ChangeSet, Vec<String>)>, EngineError> {
        let TableKind::Dimension(dimension) = &self.pipeline.kind else { return Ok(None) };
        let snapshot = &staged.staged;
        let Some(unread) = snapshot.unread.as_ref().filter(|_| !snapshot.layout.evolution.rewrites()) else {
            return Ok(None);
        };
        let session = self.runtime.streaming_session(self.clock);
        let stored = target.table.schema()?;
        let rows = TargetRows {
            session: &session,
            pipeline: self.pipeline,
            layout: &snapshot.layout,
            stored: &stored,
            live: target.live,
            added_keys: &[],
        };
        let merge = self.dimension_merge(dimension, snapshot, &target, rows, true);
        let Some(narrowed) = narrow(&merge, unread).await? else { return Ok(None) };
        let rows_read = unread.rows_read();
        let snapshot = &mut staged.staged;
        // Members that are gone stand among the rows now.
        (snapshot.rows, snapshot.unread, snapshot.absent) = (narrowed, None, Absent::Stays);
        snapshot.rows_read = rows_read;
        self.merge(staged, target).await.map(Some)
    }

    async fn pass(
        &self,
        staged: &Staged,
        target: MergeTarget<'_>,
        collectors: &mut Vec<Collector>,
    ) -> Result<Option<(ChangeSet, Vec<String>)>, EngineError> {
        let Some(unread) = &staged.unread else { return Ok(None) };
        let session = self.runtime.streaming_session(self.clock);
        let none = target.live.none();
        let stored = target.table.schema()?;
        let rows = TargetRows {
            session: &session,
            pipeline: self.pipeline,
            layout: &staged.layout,
            stored: &stored,
            live: &none,
            added_keys: &[],
        };
        let gates = Gates {
            session: &session,
            pipeline: self.pipeline,
            layout: &staged.layout,
            target: &rows,
            tables: self.dimensions,
            keys: Keys::Final,
            findings: self.findings,
        };
        let open = || {
            let mut collector = collector_of(staged, &target)?.counted_by(self.progress.written());
            gates.watch(&mut collector)?;
            Ok(collector)
        };
        let load = FirstLoad { staged, target, unread, rows, streams: self.streams().await? };
        let collector = match &self.pipeline.kind {
            TableKind::Fact(fact) => self.pass_fact(fact, &load, collectors, open).await?,
            TableKind::Dimension(dimension) => {
                self.pass_dimension(dimension, &load, collectors, open).await?
            }
        };
        let Some(mut collector) = collector else { return Ok(None) };
        let warnings = gates.judge(&mut collector).await?;
        if self.refresh == Refresh::Rebuild {
            collector.replace_all(target.live);
        }
        Ok(Some((collector.finish().await?, warnings)))
    }

    async fn pass_fact(
        &self,
        fact: &Fact,
        load: &FirstLoad<'_>,
        collectors: &mut Vec<Collector>,
        open: impl Fn() -> Result<Collector, EngineError>,
    ) -> Result<Option<Collector>, EngineError> {
        let FirstLoad { staged, target, unread, rows, streams } = *load;
        if let Some(unresolved) = target.waiting.and_then(|waiting| waiting.unresolved)
            && self.has_open_keys(unresolved).await?
        {
            return Ok(None);
        }
        let nothing_seen = BTreeMap::new();
        let nothing = Waiting { unresolved: None, seen: &nothing_seen };
        let waiting = target.waiting.as_ref().unwrap_or(&nothing);
        let none_yet = FactRows::default();
        let merge = self.fact_merge(fact, (staged, &none_yet), rows, false, waiting);
        let Some(passed) = merge.pass(unread, collectors, open, streams).await? else { return Ok(None) };
        let Some(mut collector) = joined(collectors).await? else { return Ok(None) };
        let Passed { exceptional, sentinels } = passed;
        let session = rows.session;
        exceptional.register(session, "staged").await?;
        let broker = Broker { session, fact, dimensions: self.dimensions };
        broker.refuse_invalid("staged", &sentinels).await?;
        broker.refuse_unresolved("staged", &sentinels, Keys::Final).await?;
        let found = FactRows::with_sentinels(sentinels);
        let merge = self.fact_merge(fact, (staged, &found), rows, false, waiting);
        merge.gather_evidence(&mut collector).await?;
        Ok(Some(collector))
    }

    async fn pass_dimension(
        &self,
        dimension: &Dimension,
        load: &FirstLoad<'_>,
        collectors: &mut Vec<Collector>,
        open: impl Fn() -> Result<Collector, EngineError>,
    ) -> Result<Option<Collector>, EngineError> {
        let FirstLoad { staged, target, unread, rows, streams } = *load;
        if staged.layout.evolution.rewrites() {
            return Ok(None);
        }
        let present = self.default_keys(target.table, &dimension.surrogate_key).await?;
        let absent = missing_defaults(dimension, &staged.layout, &present, self.clock, self.batch_id)?;
        let merge = self.dimension_merge(dimension, staged, &target, rows, false);
        if !merge.pass(unread, collectors, open, streams).await? {
            return Ok(None);
        }
        let Some(mut collector) = joined(collectors).await? else { return Ok(None) };
        if let Some(rows) = absent {
            collector.write_uncounted(rows).await?;
        }
        Ok(Some(collector))
    }

    /// Tests look at all rows at once; few rows are not worth several files.
    async fn streams(&self) -> Result<Streams, EngineError> {
        let mut bytes = 0;
        for source in self.sources {
            bytes += source.bytes().await?;
        }
        Ok(match self.pipeline.tests.is_empty() && bytes >= WORTH_SEVERAL {
            true => Streams::Several,
            false => Streams::One,
        })
    }
}

/// What a first load works with.
#[derive(Clone, Copy)]
struct FirstLoad<'a> {
    staged: &'a Staged,
    target: MergeTarget<'a>,
    unread: &'a Unread,
    rows: TargetRows<'a>,
    streams: Streams,
}

/// One of the collectors with all that the others took in.
async fn joined(collectors: &mut Vec<Collector>) -> Result<Option<Collector>, EngineError> {
    let Some(mut collector) = collectors.pop() else { return Ok(None) };
    for other in collectors.drain(..) {
        collector.join(other).await?;
    }
    Ok(Some(collector))
}
