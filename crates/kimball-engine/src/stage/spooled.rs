//! Scans of rows that a spool keeps on disk: a stream a file, and their number known to the plan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SpillManager};
use futures::StreamExt;

/// A file of a spool.
pub(super) struct SpooledFile {
    pub(super) file: Arc<dyn SpillFile>,
    pub(super) rows: u64,
}

impl fmt::Debug for SpooledFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledFile").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Rows on disk, as a table.
#[derive(Debug)]
pub(super) struct SpooledRows {
    spills: SpillManager,
    files: Arc<Vec<SpooledFile>>,
    /// What all rows would take in memory.
    bytes: usize,
}

impl SpooledRows {
    pub(super) fn new(spills: SpillManager, files: Vec<SpooledFile>, bytes: usize) -> Self {
        Self { spills, files: Arc::new(files), bytes }
    }
}

#[async_trait::async_trait]
impl TableProvider for SpooledRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.spills.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.spills.schema().project(columns)?),
            None => self.schema(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(self.files.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let all = self.spills.schema().fields().len().max(1);
        Ok(Arc::new(SpoolScan {
            spills: self.spills.clone(),
            files: Arc::clone(&self.files),
            bytes: self.bytes / all * schema.fields().len(),
            projection: projection.map(|columns| columns.as_slice().into()),
            schema,
            properties: Arc::new(properties),
        }))
    }
}

#[derive(Debug)]
struct SpoolScan {
    spills: SpillManager,
    files: Arc<Vec<SpooledFile>>,
    bytes: usize,
    projection: Option<Arc<[usize]>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for SpoolScan {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpoolScan: files={}", self.files.len())
    }
}

impl ExecutionPlan for SpoolScan {
    fn name(&self) -> &'static str {
        "SpoolScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> QueryResult<TreeNodeRecursion>,
    ) -> QueryResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _task: Arc<TaskContext>) -> QueryResult<SendableRecordBatchStream> {
        let Some(found) = self.files.get(partition) else {
            return Err(DataFusionError::Internal(format!("a spool has no part {partition}")));
        };
        let rows = self.spills.read_spill_as_stream(Arc::clone(&found.file), None)?;
        let Some(projection) = self.projection.clone() else { return Ok(rows) };
        let narrow = rows.map(move |batch| batch.and_then(|batch| Ok(batch.project(&projection)?)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), narrow)))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> QueryResult<Arc<Statistics>> {
        let all: u64 = self.files.iter().map(|file| file.rows).sum();
        let rows = match args.partition() {
            Some(part) => self.files.get(part).map_or(0, |file| file.rows),
            None => all,
        };
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let bytes = count(self.bytes as u64 * rows / all.max(1));
        Ok(Arc::new(Statistics {
            num_rows: Precision::Exact(count(rows)),
            total_byte_size: Precision::Inexact(bytes),
            column_statistics: vec![ColumnStatistics::new_unknown(); self.schema.fields().len()],
        }))
    }
}
