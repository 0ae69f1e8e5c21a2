//! Rows that nobody has read yet: a first load looks at them once, on their way from the sources into the table.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as QueryResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::prelude::{DataFrame, SessionContext};

use super::counted::{Counted, Look, WatchedScan};
use crate::EngineError;

/// A query that is planned and not yet run.
#[derive(Debug)]
pub(crate) struct Unread {
    plan: Arc<dyn ExecutionPlan>,
    /// For each source, what has been read of it.
    counts: Vec<Arc<AtomicU64>>,
}

/// How unread rows are given to the threads that take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// To each as many, however unequal the parts are that the sources are read in.
    Evenly,
    /// As they are read, where there is a part for each thread: rows that lie together in a source stay together.
    AsRead,
}

impl Unread {
    pub(crate) async fn of(frame: DataFrame, counts: &[Arc<AtomicU64>]) -> Result<Self, EngineError> {
        Ok(Self { plan: frame.create_physical_plan().await?, counts: counts.to_vec() })
    }

    /// Makes the rows a table of `session` that can be read once; what is read is added to the count that is returned.
    pub(crate) fn register(
        &self,
        session: &SessionContext,
        name: &str,
        spread: Spread,
    ) -> Result<Arc<AtomicU64>, EngineError> {
        let count = Arc::new(AtomicU64::new(0));
        let plan = Arc::new(Finished { plan: self.spread(session, spread)? });
        let rows = Arc::new(Planned { plan });
        session.deregister_table(name)?;
        session.register_table(name, Counted::over(rows, Arc::clone(&count)))?;
        Ok(count)
    }

    /// Makes the rows a table of `session` that can be read once; `look` sees all columns of every row that is read.
    pub(crate) fn register_watched(
        &self,
        session: &SessionContext,
        name: &str,
        look: Look,
    ) -> Result<(), EngineError> {
        let plan = Arc::new(WatchedScan { input: Arc::clone(&self.plan), look });
        session.deregister_table(name)?;
        session.register_table(name, Arc::new(Planned { plan: Arc::new(Finished { plan }) }))?;
        Ok(())
    }

    /// The columns of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// The rows in as many streams as there are threads.
    fn spread(
        &self,
        session: &SessionContext,
        spread: Spread,
    ) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
        let plan = Arc::clone(&self.plan);
        let threads = session.state().config().target_partitions();
        let parts = plan.properties().partitioning.partition_count();
        if threads == 1 || (spread == Spread::AsRead && parts == threads) {
            return Ok(plan);
        }
        Ok(Arc::new(RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(threads))?))
    }

    /// Rows read of each source so far.
    pub(crate) fn rows_read(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// A plan as a table.
#[derive(Debug)]
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
}

#[async_trait::async_trait]
impl TableProvider for Planned {
    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let Some(wanted) = projection else { return Ok(Arc::clone(&self.plan)) };
        let schema = self.plan.schema();
        let columns = wanted.iter().map(|&place| {
            let name = schema.field(place).name();
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, place));
            (column, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::clone(&self.plan))?))
    }
}

/// A plan that no rule looks into any more: it keeps the choices that were made for it in its own session.
#[derive(Debug)]
struct Finished {
    plan: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Finished {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finished")
    }
}

impl ExecutionPlan for Finished {
    fn name(&self) -> &'static str {
        "Finished"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> QueryResult<TreeNodeRecursion>,
    ) -> QueryResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        self.plan.execute(partition, context)
    }
}
