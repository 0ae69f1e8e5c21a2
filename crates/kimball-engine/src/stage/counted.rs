//! Looking at the rows that a query takes out of a source, in the pass that reads them: to count them, mostly.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as QueryResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics};
use futures::StreamExt;

/// What looks at rows on their way.
pub(crate) type Look = Arc<dyn Fn(&RecordBatch) -> QueryResult<()> + Send + Sync>;

/// A table that counts what is read from it.
#[derive(Debug)]
pub(crate) struct Counted {
    table: Arc<dyn TableProvider>,
    rows: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn over(table: Arc<dyn TableProvider>, rows: Arc<AtomicU64>) -> Arc<dyn TableProvider> {
        Arc::new(Self { table, rows })
    }
}

#[async_trait::async_trait]
impl TableProvider for Counted {
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
        let input = self.table.scan(session, projection, filters, limit).await?;
        let rows = Arc::clone(&self.rows);
        let count = move |batch: &RecordBatch| {
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            Ok(())
        };
        Ok(Arc::new(WatchedScan { input, look: Arc::new(count) }))
    }
}

/// A plan whose rows are looked at.
pub(crate) struct WatchedScan {
    pub(crate) input: Arc<dyn ExecutionPlan>,
    pub(crate) look: Look,
}

impl fmt::Debug for WatchedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedScan").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for WatchedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchedScan")
    }
}

impl ExecutionPlan for WatchedScan {
    fn name(&self) -> &'static str {
        "WatchedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self { input, look: Arc::clone(&self.look) })),
            None => Ok(self),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> QueryResult<TreeNodeRecursion>,
    ) -> QueryResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// What joins choose their sides by. Never exact: nothing may be answered without reading, or it is not counted.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> QueryResult<Arc<Statistics>> {
        Ok(Arc::new(match inputs.first() {
            Some(known) => Statistics::clone(known).to_inexact(),
            None => Statistics::new_unknown(&self.schema()),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        let stream = self.input.execute(partition, context)?;
        let schema = stream.schema();
        let look = Arc::clone(&self.look);
        let watched = stream.map(move |batch| {
            let batch = batch?;
            look(&batch)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, watched)))
    }
}
