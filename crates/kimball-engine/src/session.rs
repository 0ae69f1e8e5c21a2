//! Query sessions: one DataFusion runtime for all pipelines of a run, a session of its own for each step.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::error::Result as QueryResult;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use crate::EngineError;
use crate::spark_types::SparkTypes;

/// The smaller side of a join up to which it is not shuffled.
const SHARED_BUILD_BYTES: usize = 128 * 1024 * 1024;
const SHARED_BUILD_ROWS: usize = 4 * 1024 * 1024;

/// What all queries of a run share: one memory pool, one folder for what does not fit into it, and the
/// number of threads one query may use.
#[derive(Debug, Clone)]
pub struct EngineRuntime {
    runtime: Arc<RuntimeEnv>,
    partitions: usize,
}

impl EngineRuntime {
    /// Makes a runtime whose queries together use at most `memory_limit` bytes (`None`: no limit) and
    /// `partitions` threads each.
    ///
    /// # Errors
    /// [`EngineError::Lake`] when no folder for spilled rows can be made.
    pub fn new(memory_limit: Option<u64>, partitions: usize) -> Result<Self, EngineError> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory);
        let builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
        let builder = match memory_limit {
            Some(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                builder.with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
            }
            None => builder.with_memory_pool(Arc::new(UnboundedMemoryPool::default())),
        };
        Ok(Self { runtime: Arc::new(builder.build()?), partitions: partitions.max(1) })
    }

    /// As [`session`](Self::session); what a join hashes is its left side alone, and its right side streams past that
    /// without being shuffled: for joins of many rows with tables that are known to be the smaller ones.
    pub(crate) fn streaming_session(&self, clock: DateTime<Utc>) -> SessionContext {
        let mut state = self.session(clock).state();
        let options = state.config_mut().options_mut();
        options.optimizer.repartition_joins = false;
        SessionContext::new_with_state(state)
    }

    /// A session without tables. `now()` and its relatives are the run's clock reading.
    pub(crate) fn session(&self, clock: DateTime<Utc>) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.partitions)
            .with_information_schema(false)
            .with_collect_statistics(false);
        let options = config.options_mut();
        options.execution.parquet.schema_force_view_types = false;
        options.execution.parquet.pushdown_filters = false;
        // One table of the smaller side for all threads: the larger side streams past it and is not shuffled.
        options.optimizer.hash_join_single_partition_threshold = SHARED_BUILD_BYTES;
        options.optimizer.hash_join_single_partition_threshold_rows = SHARED_BUILD_ROWS;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.enable_ident_normalization = false;
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_physical_optimizer_rules(sound_rules())
            .with_type_planner(Arc::new(SparkTypes))
            .build();
        state.execution_props_mut().query_execution_start_time = Some(clock);
        SessionContext::new_with_state(state)
    }
}

/// The rules that physical plans are made better by, without those that push filters down: they find the columns of a
/// filter by name, and where two sides of a join have a column of one name, rows are filtered by the wrong one
/// (<https://github.com/apache/datafusion/issues/25296>). Filters are pushed down in the logical plan all the same.
fn sound_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = PhysicalOptimizer::new().rules;
    rules.into_iter().filter(|rule| !rule.name().starts_with("FilterPushdown")).collect()
}

/// Runs one of the engine's own queries.
pub(crate) async fn query(session: &SessionContext, sql: &str) -> QueryResult<DataFrame> {
    tracing::trace!(sql, "query");
    session.sql(sql).await
}
