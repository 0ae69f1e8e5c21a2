//! One batch of one pipeline, from staged rows to a change set.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use kimball_config::{Dimension, Fact, Pipeline, TableKind, TableName};
use kimball_lake::{LakeTable, LiveRows};

use crate::EngineError;
use crate::dimension::{self, DimensionMerge, keep_inferred, missing_defaults};
use crate::fact::{self, AddedKeys, Broker, FactMerge, FactRows, Waiting};
use crate::finding::Findings;
use crate::gates::{Gates, Keys};
use crate::layout::Layout;
use crate::merge::{ChangeSet, Collector};
use crate::progress::{Phase, Progress};
use crate::session::EngineRuntime;
use crate::source::{PinnedRows, PinnedSource};
use crate::stage::{self, Approach, Images, Looks, Refresh, Spool, StageInput, Staged};
use crate::target::TargetRows;

/// Sources are like a table when they have one byte for so many of its own.
const LIKE: u64 = 8;
/// Bytes of a small table.
const SMALL: u64 = 4 * 1024 * 1024;

/// Everything that a batch is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Memory, threads and spill folder.
    pub runtime: &'a EngineRuntime,
    /// The run's one clock reading.
    pub clock: DateTime<Utc>,
    /// Written to every row of the batch.
    pub batch_id: &'a str,
    /// What to load.
    pub pipeline: &'a Pipeline,
    /// Its sources, pinned.
    pub sources: &'a [PinnedSource],
    /// The tables that its foreign keys reference, pinned.
    pub dimensions: &'a BTreeMap<TableName, LakeTable>,
    /// Whether the configuration changed meaning since the last batch (semantics 9).
    pub reprocess: bool,
    /// Whether the sources are read again from the start.
    pub refresh: Refresh,
    /// Where checks of data leave what they came to.
    pub findings: &'a Findings,
    /// Where whoever watches sees how far it is.
    pub progress: &'a Progress,
}

/// Rows that are ready to be merged into a table of a known shape.
#[derive(Debug)]
pub struct StagedBatch {
    pub(crate) staged: Staged,
    /// A fact's rows with their foreign keys, once they are looked up.
    pub(crate) fact: Option<FactRows>,
}

/// The table that a batch is merged into, at the version that it is committed to, and what its log says.
#[derive(Debug, Clone, Copy)]
pub struct MergeTarget<'a> {
    /// The table.
    pub table: &'a LakeTable,
    /// Its rows.
    pub live: &'a LiveRows,
    /// The [fingerprint](StagedBatch::hashdiff_fingerprint) that all rows were hashed with, as far as is known:
    /// where it is another than the batch's, hashes are computed from the rows.
    pub hashdiff: Option<i64>,
    /// The high-water mark of `sequence` keys; `None` where the log holds none.
    pub sequence: Option<i64>,
    /// `etl_repeats` (semantics 4.2), where it exists.
    pub repeats: Option<&'a LakeTable>,
    /// How often the table was rebuilt: repeats that were remembered before the last time count no more.
    pub rebuilds: i64,
    /// What rows of a fact wait for; `None` where nothing does.
    pub waiting: Option<Waiting<'a>>,
}

impl<'a> MergeTarget<'a> {
    /// A table whose log says nothing of hashes, numbers and repeats.
    pub fn new(table: &'a LakeTable, live: &'a LiveRows) -> Self {
        Self { table, live, hashdiff: None, sequence: None, repeats: None, rebuilds: 0, waiting: None }
    }
}

impl StagedBatch {
    /// The columns of the table that takes these rows.
    pub fn table_schema(&self) -> &SchemaRef {
        &self.staged.layout.schema
    }

    /// What the `hashdiff` column of these rows is computed from, as a 63-bit fingerprint of the tracked
    /// columns and their types; `None` for tables without one.
    pub fn hashdiff_fingerprint(&self) -> Option<i64> {
        self.staged.layout.hashdiff_fingerprint()
    }

    /// Whether the merge writes every row of the table anew, as the table gets columns or types for which
    /// old rows need values.
    pub fn rewrites_table(&self) -> bool {
        self.staged.layout.evolution.rewrites()
    }

    /// Whether the rows are still to be read: by [`Batch::merge_unread`].
    pub fn is_unread(&self) -> bool {
        self.staged.unread.is_some()
    }

    /// Rows read of each source, in the order of the pipeline's sources.
    pub fn rows_read(&self) -> &[u64] {
        &self.staged.rows_read
    }
}

impl Batch<'_> {
    /// Runs the pipeline's query over what its sources have to say.
    ///
    /// `target` is the table as it stands, `None` before it exists.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing has been written then.
    pub async fn stage(&self, target: Option<&LakeTable>) -> Result<StagedBatch, EngineError> {
        let target = self.merged_into(target);
        let has_rows = self.has_rows(target).await?;
        let schema = target.map(LakeTable::schema).transpose()?;
        let staged = self.staged(self.input(schema.as_deref(), has_rows)).await?;
        Ok(StagedBatch { staged, fact: None })
    }

    /// As [`stage`](Self::stage); the rows of a snapshot or a first load are left
    /// [unread](StagedBatch::is_unread) where one look at them may do.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage).
    pub async fn stage_unread(&self, target: Option<&LakeTable>) -> Result<StagedBatch, EngineError> {
        let merged_into = self.merged_into(target);
        let has_rows = self.has_rows(merged_into).await?;
        let looks_once = match (&self.pipeline.kind, merged_into) {
            (TableKind::Fact(fact), _) => fact::fits_one_pass(fact) && !has_rows,
            // What a rebuilt table takes over from the old one is found by a second look.
            _ if self.refresh != Refresh::Incremental => false,
            (TableKind::Dimension(dimension), Some(table)) if has_rows => {
                dimension::can_be_narrowed(dimension) && self.is_like(table).await?
            }
            (TableKind::Dimension(dimension), _) => dimension::fits_one_pass(dimension),
        };
        if !looks_once {
            return self.stage(target).await;
        }
        let target = merged_into;
        let schema = target.map(LakeTable::schema).transpose()?;
        let input = StageInput { looks: Looks::Once, ..self.input(schema.as_deref(), has_rows) };
        Ok(StagedBatch { staged: self.staged(input).await?, fact: None })
    }

    /// Whether the sources hold about as much as the table, so that most of what they say is there already; of a small
    /// table it does not matter.
    async fn is_like(&self, table: &LakeTable) -> Result<bool, EngineError> {
        let mut bytes: u64 = 0;
        for source in self.sources {
            bytes = bytes.saturating_add(source.bytes().await?);
        }
        let held = table.bytes().await?;
        Ok(held <= SMALL || bytes.saturating_mul(LIKE) >= held)
    }

    /// As [`stage`](Self::stage), for changes that contradict each other on the way: what has become of their keys.
    pub(crate) async fn stage_outcome(&self, target: Option<&LakeTable>) -> Result<Staged, EngineError> {
        let target = self.merged_into(target);
        let has_rows = self.has_rows(target).await?;
        let schema = target.map(LakeTable::schema).transpose()?;
        let input = StageInput { images: Images::Outcome, ..self.input(schema.as_deref(), has_rows) };
        self.staged(input).await
    }

    /// How this batch would get its rows.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage), as far as planning goes.
    pub async fn approach(&self, target: Option<&LakeTable>) -> Result<Approach, EngineError> {
        let target = self.merged_into(target);
        let has_rows = self.has_rows(target).await?;
        let schema = target.map(LakeTable::schema).transpose()?;
        let input = self.input(schema.as_deref(), has_rows);
        self.explained(&input, stage::approach(&input).await).await
    }

    /// The layout of the batch's rows in `target`, without reading any.
    pub(crate) async fn layout(&self, target: &LakeTable) -> Result<Layout, EngineError> {
        let schema = target.schema()?;
        stage::layout(&self.input(Some(&schema), true)).await
    }

    /// The columns of a source.
    pub(crate) async fn schema_of(&self, source: &PinnedSource) -> Result<SchemaRef, EngineError> {
        match &source.rows {
            PinnedRows::Table(table) => Ok(table.schema()?),
            PinnedRows::Files(files) => {
                let rows = files.rows(&self.runtime.session(self.clock)).await?;
                Ok(std::sync::Arc::new(rows.schema().as_arrow().clone()))
            }
        }
    }

    /// Makes what the batch reads of a source a table of `session`; see [`stage::register_read`].
    pub(crate) async fn register_read(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        name: &str,
    ) -> Result<(Vec<String>, Option<Spool>), EngineError> {
        stage::register_read(&self.input(None, false), session, source, name).await
    }

    /// A rebuilt table is loaded as if it were new.
    pub(crate) fn merged_into<'t>(&self, target: Option<&'t LakeTable>) -> Option<&'t LakeTable> {
        target.filter(|_| self.refresh != Refresh::Rebuild)
    }

    /// Merges staged rows with those of the target's pinned version: writes new data files, none of them visible
    /// yet, and notes the rows they replace. Also returns warnings.
    ///
    /// # Errors
    /// See [`EngineError`]; data files written so far stay behind unreferenced.
    pub async fn merge(
        &self,
        staged: &StagedBatch,
        target: MergeTarget<'_>,
    ) -> Result<(ChangeSet, Vec<String>), EngineError> {
        self.merge_with(staged, target, Keys::Final).await
    }

    /// Makes the checks of a [merge](Self::merge) while members are still to be inferred, as far as they look at no
    /// foreign key, and leaves nothing behind.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    pub async fn rehearse(&self, staged: &StagedBatch, target: MergeTarget<'_>) -> Result<(), EngineError> {
        let (change, _) = self.merge_with(staged, target, Keys::Open).await?;
        Ok(target.table.discard(change.files).await?)
    }

    async fn merge_with(
        &self,
        staged: &StagedBatch,
        target: MergeTarget<'_>,
        keys: Keys,
    ) -> Result<(ChangeSet, Vec<String>), EngineError> {
        let (staged, fact_rows) = (&staged.staged, staged.fact.as_ref());
        let session = match &self.pipeline.kind {
            TableKind::Dimension(_) => self.runtime.session(self.clock),
            TableKind::Fact(_) => self.runtime.streaming_session(self.clock),
        };
        match fact_rows {
            Some(rows) => rows.register(&session, staged).await?,
            None => staged.rows.register(&session, "staged").await?,
        }
        let layout = &staged.layout;
        self.progress.enter(Phase::Merging);
        let mut collector = collector_of(staged, &target)?.counted_by(self.progress.written());
        let is_rebuilt = self.refresh == Refresh::Rebuild;
        let has_rows = !is_rebuilt && self.has_rows(Some(target.table)).await?;
        let none = target.live.none();
        let stored = target.table.schema()?;
        let rows = TargetRows {
            session: &session,
            pipeline: self.pipeline,
            layout,
            stored: &stored,
            live: if is_rebuilt { &none } else { target.live },
            added_keys: &[],
        };
        let (_keys, added_keys) = self.add_keys(&rows, has_rows, keys).await?;
        let rows = TargetRows { added_keys: &added_keys, ..rows };
        let gates = Gates {
            session: &session,
            pipeline: self.pipeline,
            layout,
            target: &rows,
            tables: self.dimensions,
            keys,
            findings: self.findings,
        };
        gates.watch(&mut collector)?;
        let mut warnings = Vec::new();
        match &self.pipeline.kind {
            TableKind::Dimension(dimension) => {
                self.merge_dimension(dimension, staged, target, rows, has_rows, &mut collector).await?;
            }
            TableKind::Fact(fact) => {
                let Some(looked_up) = fact_rows else {
                    let message = "internal: a fact's keys are looked up before its merge";
                    return Err(EngineError::Config(message.to_owned()));
                };
                let broker = Broker { session: &session, fact, dimensions: self.dimensions };
                broker.refuse_unresolved("staged", &looked_up.sentinels, keys).await?;
                warnings.clone_from(&looked_up.warnings);
                self.merge_fact(fact, (staged, looked_up), target, rows, has_rows, &mut collector).await?;
            }
        }
        warnings.extend(gates.judge(&mut collector).await?);
        if is_rebuilt {
            if let TableKind::Dimension(dimension) = &self.pipeline.kind {
                keep_inferred(dimension, &rows, target.live, &mut collector).await?;
            }
            collector.replace_all(target.live);
        }
        Ok((collector.finish().await?, warnings))
    }

    /// Finds the keys of loaded rows in columns that their table gets with this batch, which are returned, too.
    async fn add_keys(
        &self,
        rows: &TargetRows<'_>,
        has_rows: bool,
        keys: Keys,
    ) -> Result<(Option<Spool>, Vec<String>), EngineError> {
        let TableKind::Fact(fact) = &self.pipeline.kind else { return Ok((None, Vec::new())) };
        match AddedKeys::of(rows.session, fact, self.dimensions, rows.stored).filter(|_| has_rows) {
            Some(added) => Ok((Some(added.register(rows, keys).await?), added.into_columns())),
            None => Ok((None, Vec::new())),
        }
    }

    async fn merge_dimension(
        &self,
        dimension: &Dimension,
        staged: &Staged,
        target: MergeTarget<'_>,
        rows: TargetRows<'_>,
        has_rows: bool,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        // A table whose rows are all written anew gets new default members, too.
        let present = match self.refresh == Refresh::Rebuild || staged.layout.evolution.rewrites() {
            true => Vec::new(),
            false => self.default_keys(target.table, &dimension.surrogate_key).await?,
        };
        let absent = missing_defaults(dimension, &staged.layout, &present, self.clock, self.batch_id)?;
        let sequence = self.sequence_of(dimension, &target).await?;
        let merge = self.dimension_merge(dimension, staged, &target, rows, has_rows);
        DimensionMerge { sequence, ..merge }.run(collector).await?;
        match absent {
            Some(rows) => collector.write_uncounted(rows).await,
            None => Ok(()),
        }
    }

    /// The merge of a dimension whose keys are hashed.
    pub(crate) fn dimension_merge<'m>(
        &'m self,
        dimension: &'m Dimension,
        staged: &'m Staged,
        target: &MergeTarget<'m>,
        rows: TargetRows<'m>,
        has_rows: bool,
    ) -> DimensionMerge<'m> {
        DimensionMerge {
            session: rows.session,
            pipeline: self.pipeline,
            dimension,
            staged,
            target: rows,
            has_rows,
            clock: self.clock_sql(),
            batch_id: self.batch_id,
            hashdiff_holds: target.hashdiff.is_some()
                && target.hashdiff == staged.layout.hashdiff_fingerprint(),
            sequence: None,
            repeats: target.repeats,
            rebuilds: target.rebuilds,
            kept: Mutex::default(),
        }
    }

    async fn merge_fact(
        &self,
        fact: &Fact,
        (staged, rows): (&Staged, &FactRows),
        target: MergeTarget<'_>,
        target_rows: TargetRows<'_>,
        has_rows: bool,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        let nothing_seen = BTreeMap::new();
        let nothing = Waiting { unresolved: None, seen: &nothing_seen };
        let waiting = target.waiting.as_ref().unwrap_or(&nothing);
        self.fact_merge(fact, (staged, rows), target_rows, has_rows, waiting).run(collector).await
    }

    pub(crate) fn fact_merge<'m>(
        &'m self,
        fact: &'m Fact,
        (staged, rows): (&'m Staged, &'m FactRows),
        target: TargetRows<'m>,
        has_rows: bool,
        waiting: &'m Waiting<'m>,
    ) -> FactMerge<'m> {
        FactMerge {
            session: target.session,
            pipeline: self.pipeline,
            fact,
            staged,
            rows,
            output: staged.layout.output.iter().map(|field| field.name().clone()).collect(),
            target,
            has_rows,
            clock: self.clock_sql(),
            batch_id: self.batch_id,
            dimensions: self.dimensions,
            waiting,
        }
    }

    fn clock_sql(&self) -> String {
        crate::columns::instant_sql(self.clock.timestamp_micros())
    }

    pub(crate) fn input<'s>(
        &'s self,
        existing: Option<&'s arrow::datatypes::Schema>,
        has_rows: bool,
    ) -> StageInput<'s> {
        StageInput {
            runtime: self.runtime,
            clock: self.clock,
            pipeline: self.pipeline,
            sources: self.sources,
            existing,
            has_rows,
            reprocess: self.reprocess,
            refresh: self.refresh,
            images: Images::Each,
            looks: Looks::Many,
            progress: self.progress,
        }
    }
}

/// Collects what the merge of staged rows does to their table.
pub(crate) fn collector_of(staged: &Staged, target: &MergeTarget<'_>) -> Result<Collector, EngineError> {
    Collector::new(target.table, &staged.layout.schema, &staged.layout.evolution.foreign)
}
