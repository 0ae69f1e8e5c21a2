//! Query sessions: one DataFusion runtime for all pipelines of a run, a session of its own for each step.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::error::Result as QueryResult;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryLimit, UnboundedMemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use crate::EngineError;
use crate::scarce_joins::ComparableKeys;
use crate::spark::SparkTypes;

/// The smaller side of a join up to which it is not shuffled.
const SHARED_BUILD_BYTES: usize = 128 * 1024 * 1024;
const SHARED_BUILD_ROWS: usize = 4 * 1024 * 1024;

/// What a process holds besides what its queries account for, in bytes: the program, files that are written, batches
/// on their way.
const UNACCOUNTED: u64 = 256 * 1024 * 1024;

/// Bytes of rows that do not fit into memory, on disk at a time.
const SPILLED_BYTES: u64 = 256 * 1024 * 1024 * 1024;

/// Rows of a batch where memory is scarce, one for so many bytes of it: what is merged from many sorted runs is a batch
/// of each.
const BYTES_A_BATCH_ROW: usize = 64 * 1024;
const SCARCE_BATCH_ROWS: RangeInclusive<usize> = 256..=4_096;
/// What a sort sets aside for merging its runs where memory is scarce: many sorts run at a time.
const SCARCE_MERGE_BYTES: usize = 1024 * 1024;
/// The share of the pool that one thread's sort sets aside, at most: several sorts run at a time, each on all threads.
const MERGE_SHARE: usize = 16;

/// What all queries of a run share: one memory pool, one folder for what does not fit into it, and the
/// number of threads one query may use.
#[derive(Debug, Clone)]
pub struct EngineRuntime {
    runtime: Arc<RuntimeEnv>,
    partitions: usize,
    memory: Memory,
}

/// How queries use the memory that they may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// There is no limit.
    Free,
    /// One side of each join is held in memory; sorts and groups spill.
    Limited,
    /// Everything that grows with the rows spills: joins sort both sides.
    Scarce,
}

impl EngineRuntime {
    /// Makes a runtime for a process that is to hold at most `memory_limit` bytes (`None`: no limit), with queries that
    /// use `partitions` threads each. Below half a gibibyte the limit is one for the queries alone, which get half
    /// of it.
    ///
    /// # Errors
    /// [`EngineError::Lake`] when no folder for spilled rows can be made.
    pub fn new(memory_limit: Option<u64>, partitions: usize) -> Result<Self, EngineError> {
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::OsTmpDirectory)
            .with_max_temp_directory_size(SPILLED_BYTES);
        let builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
        let (builder, memory) = match memory_limit {
            Some(bytes) => {
                let pool = bytes.saturating_sub(UNACCOUNTED).max(bytes / 2);
                let pool = FairSpillPool::new(usize::try_from(pool).unwrap_or(usize::MAX));
                (builder.with_memory_pool(Arc::new(pool)), Memory::Limited)
            }
            None => (builder.with_memory_pool(Arc::new(UnboundedMemoryPool::default())), Memory::Free),
        };
        Ok(Self { runtime: Arc::new(builder.build()?), partitions: partitions.max(1), memory })
    }

    /// The same memory for a batch that did not fit: slower, and whatever grows with the rows spills to disk. `None`
    /// when that is so already, or there is no limit.
    pub fn thrifty(&self) -> Option<Self> {
        (self.memory == Memory::Limited).then(|| Self { memory: Memory::Scarce, ..self.clone() })
    }

    /// As [`session`](Self::session); what a join hashes is its left side alone, and its right side streams past that
    /// without being shuffled: for joins of many rows with tables that are known to be the smaller ones.
    pub(crate) fn streaming_session(&self, clock: DateTime<Utc>) -> SessionContext {
        let mut state = self.session(clock).state();
        // A join that sorts holds neither side.
        let options = state.config_mut().options_mut();
        options.optimizer.repartition_joins = self.memory == Memory::Scarce;
        SessionContext::new_with_state(state)
    }

    /// A session without tables. `now()` and its relatives are the run's clock reading.
    pub fn session(&self, clock: DateTime<Utc>) -> SessionContext {
        // A plan for one thread alone would have no joins that spill.
        let partitions = if self.memory == Memory::Scarce { self.partitions.max(2) } else { self.partitions };
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_information_schema(false)
            .with_collect_statistics(false);
        let pool = match self.runtime.memory_pool.memory_limit() {
            MemoryLimit::Finite(pool) => pool,
            _ => usize::MAX,
        };
        if self.memory == Memory::Scarce {
            let rows = pool / BYTES_A_BATCH_ROW;
            config = config.with_batch_size(rows.clamp(*SCARCE_BATCH_ROWS.start(), *SCARCE_BATCH_ROWS.end()));
        }
        let options = config.options_mut();
        options.execution.parquet.schema_force_view_types = false;
        options.execution.parquet.pushdown_filters = false;
        // One table of the smaller side for all threads: the larger side streams past it and is not shuffled.
        options.optimizer.hash_join_single_partition_threshold = SHARED_BUILD_BYTES;
        options.optimizer.hash_join_single_partition_threshold_rows = SHARED_BUILD_ROWS;
        if self.memory == Memory::Scarce {
            options.optimizer.prefer_hash_join = false;
            options.execution.sort_spill_reservation_bytes = SCARCE_MERGE_BYTES;
        }
        let merging = &mut options.execution.sort_spill_reservation_bytes;
        *merging = (*merging).min(pool / (MERGE_SHARE * partitions));
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.enable_ident_normalization = false;
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_physical_optimizer_rules(self.rules())
            .with_type_planner(Arc::new(SparkTypes))
            .build();
        state.execution_props_mut().query_execution_start_time = Some(clock);
        SessionContext::new_with_state(state)
    }

    fn rules(&self) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
        let mut rules = sound_rules();
        if self.memory == Memory::Scarce {
            rules.insert(0, Arc::new(ComparableKeys));
        }
        rules
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
