//! A table that is read where a condition can hold.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// A table without parts of it in which no row fulfils a condition, as far as the table knows that without looking at
/// rows. Of the parts that are read, all rows come: where most fulfil it, to test each would cost more than it spares.
#[derive(Debug)]
pub(super) struct Within {
    table: Arc<dyn TableProvider>,
    /// All of these hold for every row that is wanted.
    conditions: Vec<Expr>,
}

impl Within {
    /// The rows of `table` that may fulfil `conditions`. A table that answers them exactly would test every row, and stays
    /// as it is.
    pub(super) fn of(
        table: Arc<dyn TableProvider>,
        conditions: Vec<Expr>,
    ) -> QueryResult<Arc<dyn TableProvider>> {
        let uses = table.supports_filters_pushdown(&conditions.iter().collect::<Vec<_>>())?;
        let conditions: Vec<Expr> = conditions
            .into_iter()
            .zip(uses)
            .filter(|(_, used)| *used == TableProviderFilterPushDown::Inexact)
            .map(|(condition, _)| condition)
            .collect();
        Ok(if conditions.is_empty() { table } else { Arc::new(Self { table, conditions }) })
    }
}

#[async_trait::async_trait]
impl TableProvider for Within {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> QueryResult<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<Expr> = filters.iter().chain(&self.conditions).cloned().collect();
        unfiltered(self.table.scan(session, projection, &all, limit).await?)
    }
}

/// The plan, whose readers of files use their conditions to leave out parts of files and test no row: that is for the
/// query, for which tables leave no row out that it does not test again.
fn unfiltered(plan: Arc<dyn ExecutionPlan>) -> QueryResult<Arc<dyn ExecutionPlan>> {
    let unfiltered = plan.transform_up(|plan| {
        let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return Ok(Transformed::no(plan)) };
        let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() else {
            return Ok(Transformed::no(plan));
        };
        // Files with deletion vectors are filtered by none, and their readers have to stay the same.
        if !source.table_parquet_options().global.pushdown_filters {
            return Ok(Transformed::no(plan));
        }
        let source = source.clone().with_pushdown_filters(false);
        let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).build();
        Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
    });
    Ok(unfiltered?.data)
}
