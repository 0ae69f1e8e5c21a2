//! One batch of one pipeline, from staged rows to a change set.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use kimball_config::{Pipeline, TableKind, TableName};
use kimball_lake::{LakeTable, LiveRows};

use crate::EngineError;
use crate::dimension::{DimensionMerge, loaded_rows, missing_defaults};
use crate::fact::{Broker, FactMerge, refuse_dangling};
use crate::merge::{ChangeSet, Collector};
use crate::quality::number;
use crate::session::{EngineRuntime, query};
use crate::source::PinnedSource;
use crate::stage::{self, Approach, StageInput, Staged};

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
}

/// Rows that are ready to be merged into a table of a known shape.
#[derive(Debug)]
pub struct StagedBatch {
    staged: Staged,
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
        let has_rows = self.has_rows(target).await?;
        let schema = target.map(LakeTable::schema).transpose()?;
        let staged = stage::stage(self.input(schema.as_deref(), has_rows)).await?;
        Ok(StagedBatch { staged })
    }

    /// How this batch would get its rows.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage), as far as planning goes.
    pub async fn approach(&self, target: Option<&LakeTable>) -> Result<Approach, EngineError> {
        let has_rows = self.has_rows(target).await?;
        let schema = target.map(LakeTable::schema).transpose()?;
        stage::approach(&self.input(schema.as_deref(), has_rows)).await
    }

    /// Merges staged rows with those of `table`'s pinned version: writes new data files, none of them visible
    /// yet, and notes the rows they replace. Also returns warnings.
    ///
    /// `stored_hashdiff` is the [fingerprint](StagedBatch::hashdiff_fingerprint) that all rows of the table were
    /// hashed with, as far as is known: where it is another, hashes are computed from the rows.
    ///
    /// # Errors
    /// See [`EngineError`]; data files written so far stay behind unreferenced.
    pub async fn merge(
        &self,
        staged: &StagedBatch,
        table: &LakeTable,
        live: &LiveRows,
        stored_hashdiff: Option<i64>,
    ) -> Result<(ChangeSet, Vec<String>), EngineError> {
        let staged = &staged.staged;
        let session = self.runtime.session(self.clock);
        staged.rows.register(&session, "staged").await?;
        let mut collector = Collector::new(table)?;
        let has_rows = self.has_rows(Some(table)).await?;
        let clock = crate::columns::instant_sql(self.clock.timestamp_micros());
        let mut warnings = Vec::new();
        match &self.pipeline.kind {
            TableKind::Dimension(dimension) => {
                let present = self.default_keys(table, &dimension.surrogate_key).await?;
                let absent =
                    missing_defaults(dimension, &staged.layout, &present, self.clock, self.batch_id)?;
                let merge = DimensionMerge {
                    session: &session,
                    pipeline: self.pipeline,
                    dimension,
                    staged,
                    live,
                    has_rows,
                    clock,
                    batch_id: self.batch_id,
                    hashdiff_holds: stored_hashdiff.is_some()
                        && stored_hashdiff == staged.layout.hashdiff_fingerprint(),
                    kept: Mutex::default(),
                };
                merge.run(&mut collector).await?;
                if let Some(rows) = absent {
                    collector.write_uncounted(rows).await?;
                }
            }
            TableKind::Fact(fact) => {
                refuse_dangling(&session, fact, self.dimensions).await?;
                let broker = Broker {
                    session: &session,
                    fact,
                    dimensions: self.dimensions,
                    staged_rows: staged.rows.rows(),
                };
                let _resolved = broker.resolve().await?;
                let merge = FactMerge {
                    session: &session,
                    pipeline: self.pipeline,
                    fact,
                    staged,
                    output: staged.layout.output.iter().map(|field| field.name().clone()).collect(),
                    live,
                    has_rows,
                    clock,
                    batch_id: self.batch_id,
                };
                warnings = merge.run(&mut collector).await?;
            }
        }
        Ok((collector.finish().await?, warnings))
    }

    /// Whether a dimension lacks one of its default members.
    ///
    /// # Errors
    /// Read failures.
    pub async fn lacks_default_members(&self, table: &LakeTable) -> Result<bool, EngineError> {
        match &self.pipeline.kind {
            TableKind::Dimension(dimension) => {
                Ok(self.default_keys(table, &dimension.surrogate_key).await?.len() < 4)
            }
            TableKind::Fact(_) => Ok(false),
        }
    }

    fn input<'s>(&'s self, existing: Option<&'s arrow::datatypes::Schema>, has_rows: bool) -> StageInput<'s> {
        StageInput {
            runtime: self.runtime,
            clock: self.clock,
            pipeline: self.pipeline,
            sources: self.sources,
            existing,
            has_rows,
            reprocess: self.reprocess,
        }
    }

    /// Keys of the default members that the table holds.
    async fn default_keys(&self, table: &LakeTable, surrogate_key: &str) -> Result<Vec<i64>, EngineError> {
        use arrow::array::AsArray;
        use arrow::datatypes::Int64Type;
        let session = self.runtime.session(self.clock);
        session.register_table("target", table.rows().await?)?;
        let schema = table.schema()?;
        let key = crate::columns::quoted(surrogate_key);
        let sql = format!(
            "SELECT CAST({key} AS BIGINT) AS k FROM target WHERE {key} IN {} AND NOT ({})",
            crate::columns::DEFAULT_KEYS,
            loaded_rows(&schema, surrogate_key)
        );
        let batches = query(&session, &sql).await?.collect().await?;
        Ok(batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect())
    }

    /// Whether the target holds rows besides default members.
    async fn has_rows(&self, target: Option<&LakeTable>) -> Result<bool, EngineError> {
        let Some(table) = target else { return Ok(false) };
        let live = table.live_rows().await?;
        match &self.pipeline.kind {
            TableKind::Fact(_) => Ok(!live.is_empty()),
            TableKind::Dimension(_) if live.count() > 4 => Ok(true),
            TableKind::Dimension(dimension) => {
                let session = self.runtime.session(self.clock);
                count_loaded(&session, table, &dimension.surrogate_key).await.map(|rows| rows > 0)
            }
        }
    }
}

async fn count_loaded(
    session: &SessionContext,
    table: &LakeTable,
    surrogate_key: &str,
) -> Result<u64, EngineError> {
    session.register_table("target", table.rows().await?)?;
    let schema = table.schema()?;
    number(session, &format!("SELECT count(*) FROM target WHERE {}", loaded_rows(&schema, surrogate_key)))
        .await
}
