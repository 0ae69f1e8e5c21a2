//! Tables whose filters are checked once more after they were read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// A table that reads less for a filter where it can, and leaves it to the query to filter the rows.
///
/// A Delta table takes it on itself to apply filters that look at its partition columns alone. It does so by leaving
/// out files, and leaves out none for which it does not know: where a filter looks at no column at all (what a
/// constant NULL makes of one), it would be lost.
#[derive(Debug)]
pub(crate) struct Rechecked(pub(crate) Arc<dyn TableProvider>);

#[async_trait::async_trait]
impl TableProvider for Rechecked {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> QueryResult<Vec<TableProviderFilterPushDown>> {
        let told = self.0.supports_filters_pushdown(filters)?.into_iter();
        let rechecked = told.map(|support| match support {
            TableProviderFilterPushDown::Exact => TableProviderFilterPushDown::Inexact,
            other => other,
        });
        Ok(rechecked.collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        self.0.scan(session, projection, filters, limit).await
    }
}
