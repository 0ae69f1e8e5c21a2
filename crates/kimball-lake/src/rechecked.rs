//! Tables whose filters are checked once more after they were read.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result as QueryResult;
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use deltalake::kernel::Add;

/// A table that reads less for a filter where it can, and leaves it to the query to filter the rows.
///
/// A Delta table takes it on itself to apply filters that look at its partition columns alone. It does so by leaving
/// out files, and leaves out none for which it does not know: where a filter looks at no column at all (what a
/// constant NULL makes of one), it would be lost.
#[derive(Debug)]
pub(crate) struct Rechecked {
    pub(crate) inner: Arc<dyn TableProvider>,
    /// Text columns in which empty text is NULL, as they are partition columns: what a filter says of them, the table
    /// would not know.
    pub(crate) empty: BTreeSet<String>,
}

/// Those of the partition columns `texts` in which a file has empty text, as some writers store it; it is NULL (Delta
/// protocol, "Partition Value Serialization").
pub(crate) fn with_empty_text(texts: &[String], file: &Add) -> Vec<String> {
    let is_empty =
        |name: &&String| file.partition_values.get(*name).is_some_and(|it| it.as_deref() == Some(""));
    texts.iter().filter(is_empty).cloned().collect()
}

#[async_trait::async_trait]
impl TableProvider for Rechecked {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> QueryResult<Vec<TableProviderFilterPushDown>> {
        let told = self.inner.supports_filters_pushdown(filters)?.into_iter();
        let rechecked = told.zip(filters).map(|(support, filter)| match support {
            _ if filter.column_refs().iter().any(|column| self.empty.contains(column.name())) => {
                TableProviderFilterPushDown::Unsupported
            }
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
        let rows = self.inner.scan(session, projection, filters, limit).await?;
        if self.empty.is_empty() {
            return Ok(rows);
        }
        let schema = rows.schema();
        let columns = DFSchema::try_from(Arc::clone(&schema))?;
        let values = schema.fields().iter().map(|field| {
            let column = Expr::Column(Column::from_name(field.name()));
            let value = match self.empty.contains(field.name()) {
                true => nullif(column, lit("")),
                false => column,
            };
            Ok((session.create_physical_expr(value, &columns)?, field.name().clone()))
        });
        let values = values.collect::<QueryResult<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(values, rows)?))
    }
}
