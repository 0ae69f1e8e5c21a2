//! What a query read of the files below it, and what it left out.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;

use crate::EngineError;

/// A query under way.
pub(crate) struct Watched {
    plan: Arc<dyn ExecutionPlan>,
}

/// Counts over all files of a query's scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scanned {
    row_groups: usize,
    row_groups_pruned: usize,
    pages_pruned: usize,
    bytes: usize,
}

impl Watched {
    /// Starts a query.
    pub(crate) async fn start(frame: DataFrame) -> Result<(Self, SendableRecordBatchStream), EngineError> {
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let stream = execute_stream(Arc::clone(&plan), task)?;
        Ok((Self { plan }, stream))
    }

    /// What it has read so far.
    pub(crate) fn scanned(&self) -> Scanned {
        let mut found = Scanned::default();
        found.add(self.plan.as_ref());
        found
    }
}

impl Scanned {
    fn add(&mut self, plan: &dyn ExecutionPlan) {
        for metric in plan.metrics().unwrap_or_default().iter() {
            match metric.value() {
                MetricValue::PruningMetrics { name, pruning_metrics } => match name.as_ref() {
                    "row_groups_pruned_statistics" => {
                        self.row_groups += pruning_metrics.matched() + pruning_metrics.pruned();
                        self.row_groups_pruned += pruning_metrics.pruned();
                    }
                    "page_index_pages_pruned" => self.pages_pruned += pruning_metrics.pruned(),
                    _ => {}
                },
                MetricValue::Count { name, count } if name == "bytes_scanned" => self.bytes += count.value(),
                _ => {}
            }
        }
        plan.children().into_iter().for_each(|child| self.add(child.as_ref()));
    }
}

/// For a log.
impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row_groups, row_groups_pruned, pages_pruned, bytes } = self;
        let read = row_groups - row_groups_pruned;
        write!(
            f,
            "{bytes} bytes of {read} row groups, {row_groups_pruned} row groups and {pages_pruned} pages left out"
        )
    }
}
