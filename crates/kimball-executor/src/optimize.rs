//! Files of tables written anew where small ones, or rows that no longer count, have piled up.

use kimball_config::{Pipeline, TableName};
use kimball_lake::Compacted;
use kimball_retry::{Classify, FaultKind};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::each::each;
use crate::error::ExecutorError;
use crate::orchestrator::RunContext;
use crate::settings::Settings;
use crate::summary::as_text;

/// What became of the tables of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptimizeSummary {
    /// A table each, in the order of the pipelines that write them.
    pub tables: Vec<OptimizedTable>,
}

/// What became of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OptimizedTable {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table_name: TableName,
    /// How it went.
    #[serde(flatten)]
    pub upkeep: Upkeep,
}

/// How it went with one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Upkeep {
    /// Files were written anew; no row changed.
    Optimized {
        /// Files that were replaced.
        files_before: u64,
        /// Files that replace them.
        files_after: u64,
        /// Bytes of the replaced files.
        bytes_before: u64,
        /// Bytes of the new files.
        bytes_after: u64,
        /// Rows left out, as they no longer counted.
        rows_purged: u64,
    },
    /// There was nothing to do.
    Healthy,
    /// It did not work; the table is as it was.
    Failed {
        /// What kind of error it was.
        #[serde(serialize_with = "as_text")]
        error_class: FaultKind,
        /// What was wrong.
        error_message: String,
    },
}

impl OptimizeSummary {
    /// Looks after the tables of all pipelines, several at a time.
    pub(crate) fn of(
        pipelines: &[Pipeline],
        settings: &Settings,
        context: &RunContext,
        handle: &Handle,
    ) -> Result<Self, ExecutorError> {
        let tables = each(pipelines, settings, handle, async |pipeline| look_after(pipeline, context).await)?;
        Ok(Self { tables: tables.into_iter().flatten().collect() })
    }

    /// Whether no table failed.
    pub fn is_success(&self) -> bool {
        !self.tables.iter().any(|table| matches!(table.upkeep, Upkeep::Failed { .. }))
    }
}

async fn look_after(pipeline: &Pipeline, context: &RunContext) -> Vec<OptimizedTable> {
    match context.optimize(pipeline).await {
        Ok(tables) => tables
            .into_iter()
            .map(|(table_name, compacted)| OptimizedTable {
                table_name,
                upkeep: compacted.map_or(Upkeep::Healthy, Upkeep::from),
            })
            .collect(),
        Err(error) => {
            let error_message = error.message_for(&pipeline.table);
            let upkeep = Upkeep::Failed { error_class: error.kind(), error_message };
            vec![OptimizedTable { table_name: pipeline.table.clone(), upkeep }]
        }
    }
}

impl From<Compacted> for Upkeep {
    fn from(done: Compacted) -> Self {
        Self::Optimized {
            files_before: done.files_before,
            files_after: done.files_after,
            bytes_before: done.bytes_before,
            bytes_after: done.bytes_after,
            rows_purged: done.rows_purged,
        }
    }
}
