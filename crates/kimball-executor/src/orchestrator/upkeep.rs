//! Tables kept healthy: few files, and few rows in them that no longer count.

use kimball_config::{Pipeline, TableKind, TableName};
use kimball_lake::{CommitOutcome, Compacted, LakeTable, LiveRows, Vacuum, Vacuumed, Wear};

use super::{RunContext, table_id, watermarks};
use crate::error::PipelineError;

impl RunContext {
    /// Step 10 of a load: with `optimize_after_merge` always, else when the table was worn before the batch. Returns
    /// what went wrong.
    pub(super) async fn keep_healthy(
        &self,
        pipeline: &Pipeline,
        is_worn: bool,
        epoch: i64,
    ) -> Option<String> {
        let wear = match (pipeline.optimize_after_merge, is_worn) {
            (true, _) => Wear::ANY,
            (false, true) => Wear::HEAVY,
            (false, false) => return None,
        };
        let table = &pipeline.table;
        match self.compact(pipeline, table, &wear, epoch).await {
            Ok(None) => None,
            Ok(Some(compacted)) => {
                tracing::info!(%table, ?compacted, "files were written anew");
                None
            }
            Err(error) => Some(format!(
                "{table} is loaded, but its files could not be written anew: {}",
                error.message_for(table)
            )),
        }
    }

    /// Writes worn files of a pipeline's tables anew, the pipeline's own first; `None` stands for a table that has
    /// none, and for one that does not exist. Where no table is worn, nothing is taken or written.
    pub(crate) async fn optimize(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Vec<(TableName, Option<Compacted>)>, PipelineError> {
        let tables: Vec<TableName> =
            [&pipeline.table].into_iter().chain(pipeline.companions()).cloned().collect();
        let mut is_worn = false;
        for table in &tables {
            is_worn |= self.worn(table, &Wear::ANY).await?.is_some();
        }
        if !is_worn {
            return Ok(tables.into_iter().map(|table| (table, None)).collect());
        }
        self.under_lease(pipeline, async |turn| {
            self.settle_before(pipeline, turn).await?;
            let mut done = Vec::with_capacity(tables.len());
            for table in tables {
                self.stop_if_cancelled()?;
                let compacted = self.compact(pipeline, &table, &Wear::ANY, turn.epoch).await?;
                done.push((table, compacted));
            }
            Ok(done)
        })
        .await
    }

    /// Deletes what no version of a pipeline's tables needs any more, the pipeline's own table first. Where there is
    /// nothing to delete, no lease is taken.
    pub(crate) async fn vacuum(
        &self,
        pipeline: &Pipeline,
        how: &Vacuum,
    ) -> Result<Vec<(TableName, Vacuumed)>, PipelineError> {
        let found = self.vacuum_tables(pipeline, &Vacuum { dry_run: true, ..*how }).await?;
        let is_clean = found.iter().all(|(_, vacuumed)| vacuumed.files == 0);
        if how.dry_run || is_clean {
            return Ok(found);
        }
        // Rows that wait for their commit lie in files, too.
        self.under_lease(pipeline, async |turn| {
            self.settle_before(pipeline, turn).await?;
            self.vacuum_tables(pipeline, how).await
        })
        .await
    }

    async fn vacuum_tables(
        &self,
        pipeline: &Pipeline,
        how: &Vacuum,
    ) -> Result<Vec<(TableName, Vacuumed)>, PipelineError> {
        let mut done = Vec::new();
        for table in [&pipeline.table].into_iter().chain(pipeline.companions()) {
            self.stop_if_cancelled()?;
            let vacuumed = match self.warehouse.open(&table_id(table)?).await? {
                Some(found) => found.vacuum(how).await?,
                None => Vacuumed::default(),
            };
            done.push((table.clone(), vacuumed));
        }
        Ok(done)
    }

    /// A table with its rows, if it is worn.
    async fn worn(
        &self,
        table: &TableName,
        wear: &Wear,
    ) -> Result<Option<(LakeTable, LiveRows)>, PipelineError> {
        let Some(found) = self.warehouse.open(&table_id(table)?).await? else { return Ok(None) };
        let live = found.live_rows().await?;
        Ok(live.is_worn(wear).then_some((found, live)))
    }

    /// Writes the worn files of one table of a pipeline anew. Others who change it meanwhile go first.
    async fn compact(
        &self,
        pipeline: &Pipeline,
        table: &TableName,
        wear: &Wear,
        epoch: i64,
    ) -> Result<Option<Compacted>, PipelineError> {
        let Some((found, live)) = self.worn(table, wear).await? else { return Ok(None) };
        let session = self.runtime.session(self.clock);
        let order = match table == &pipeline.table {
            true => order_of(pipeline),
            false => Vec::new(),
        };
        let defaults = watermarks::still_holds_defaults(table, &found).await?.into_iter().collect();
        let compacted = found.compact(&session, &live, wear, &order, (epoch, defaults)).await?;
        Ok(compacted.filter(|(outcome, _)| *outcome != CommitOutcome::Conflict).map(|(_, done)| done))
    }
}

/// The columns by which rows lie together: those that the user names, then those that loads look rows up by.
fn order_of(pipeline: &Pipeline) -> Vec<String> {
    let keys = match &pipeline.kind {
        TableKind::Dimension(dimension) => &dimension.natural_keys,
        TableKind::Fact(fact) => &fact.merge_keys,
    };
    pipeline.cluster_by.iter().chain(keys).cloned().collect()
}
