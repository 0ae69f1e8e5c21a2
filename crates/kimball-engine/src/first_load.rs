//! First loads of facts: rows go into the table as they come, where nothing asks for a second look at them.

use std::collections::BTreeMap;

use kimball_config::{Fact, TableKind};

use crate::fact::{Broker, FactRows, Passed, Streams, Waiting};
use crate::gates::{Gates, Keys};
use crate::load::collector_of;
use crate::merge::{ChangeSet, Collector};
use crate::stage::Staged;
use crate::target::TargetRows;
use crate::{Batch, EngineError, MergeTarget, Refresh, StagedBatch};

/// Bytes of sources from which on a load is worth several streams, each with files of its own.
const WORTH_SEVERAL: u64 = 64 * 1024 * 1024;

impl Batch<'_> {
    /// Reads [unread](StagedBatch::is_unread) rows into new data files of the target, none of them visible yet. `None`
    /// when the rows need a second look: they are to be [staged](Batch::stage) again, and nothing is left behind.
    ///
    /// # Errors
    /// As for [`merge`](Batch::merge).
    pub async fn merge_unread(
        &self,
        staged: &mut StagedBatch,
        target: MergeTarget<'_>,
    ) -> Result<Option<(ChangeSet, Vec<String>)>, EngineError> {
        let TableKind::Fact(fact) = &self.pipeline.kind else { return Ok(None) };
        if let Some(unresolved) = target.waiting.and_then(|waiting| waiting.unresolved)
            && self.has_open_keys(unresolved).await?
        {
            return Ok(None);
        }
        let mut collectors = Vec::new();
        match self.pass(fact, &staged.staged, target, &mut collectors).await? {
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

    async fn pass(
        &self,
        fact: &Fact,
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
        };
        let nothing_seen = BTreeMap::new();
        let nothing = Waiting { unresolved: None, seen: &nothing_seen };
        let waiting = target.waiting.as_ref().unwrap_or(&nothing);
        let none_yet = FactRows::default();
        let open = || {
            let mut collector = collector_of(staged, &target)?;
            gates.watch(&mut collector)?;
            Ok(collector)
        };
        let streams = self.streams().await?;
        let merge = self.fact_merge(fact, (staged, &none_yet), rows, false, waiting);
        let Some(passed) = merge.pass(unread, collectors, open, streams).await? else { return Ok(None) };
        let Some(mut collector) = collectors.pop() else { return Ok(None) };
        for other in collectors.drain(..) {
            collector.join(other).await?;
        }
        let Passed { exceptional, sentinels } = passed;
        exceptional.register(&session, "staged").await?;
        let broker = Broker { session: &session, fact, dimensions: self.dimensions };
        broker.refuse_invalid("staged", &sentinels).await?;
        broker.refuse_unresolved("staged", &sentinels, Keys::Final).await?;
        let found = FactRows::with_sentinels(sentinels);
        let merge = self.fact_merge(fact, (staged, &found), rows, false, waiting);
        merge.gather_evidence(&mut collector).await?;
        let warnings = gates.judge(&mut collector).await?;
        if self.refresh == Refresh::Rebuild {
            collector.replace_all(target.live);
        }
        Ok(Some((collector.finish().await?, warnings)))
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
