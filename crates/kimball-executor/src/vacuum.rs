//! Files that no version of the project's tables needs any more, deleted.

use kimball_config::{Pipeline, TableName};
use kimball_lake::{Vacuum, Vacuumed};
use kimball_retry::{Classify, FaultKind};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::each::each;
use crate::error::ExecutorError;
use crate::orchestrator::RunContext;
use crate::settings::Settings;
use crate::summary::as_text;

/// What became of the files of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VacuumSummary {
    /// A table each, in the order of the pipelines that write them.
    pub tables: Vec<VacuumedTable>,
}

/// What became of the files of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VacuumedTable {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table_name: TableName,
    /// How it went.
    #[serde(flatten)]
    pub outcome: VacuumOutcome,
}

/// How it went with one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VacuumOutcome {
    /// Files were deleted.
    Vacuumed {
        /// How many.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Files would be deleted: it was only looked at.
    Found {
        /// How many.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// There was nothing to delete.
    Clean,
    /// It did not work; all that versions need is there.
    Failed {
        /// What kind of error it was.
        #[serde(serialize_with = "as_text")]
        error_class: FaultKind,
        /// What was wrong.
        error_message: String,
    },
}

impl VacuumSummary {
    /// Looks after the tables of all pipelines, several at a time.
    pub(crate) fn of(
        pipelines: &[Pipeline],
        settings: &Settings,
        how: &Vacuum,
        context: &RunContext,
        handle: &Handle,
    ) -> Result<Self, ExecutorError> {
        let tables =
            each(pipelines, settings, handle, async |pipeline| vacuum(pipeline, how, context).await)?;
        Ok(Self { tables: tables.into_iter().flatten().collect() })
    }

    /// Whether no table failed.
    pub fn is_success(&self) -> bool {
        !self.tables.iter().any(|table| matches!(table.outcome, VacuumOutcome::Failed { .. }))
    }
}

async fn vacuum(pipeline: &Pipeline, how: &Vacuum, context: &RunContext) -> Vec<VacuumedTable> {
    let outcome = |vacuumed: Vacuumed| match vacuumed {
        Vacuumed { files: 0, .. } => VacuumOutcome::Clean,
        Vacuumed { files, bytes } if how.dry_run => VacuumOutcome::Found { files, bytes },
        Vacuumed { files, bytes } => VacuumOutcome::Vacuumed { files, bytes },
    };
    match context.vacuum(pipeline, how).await {
        Ok(tables) => tables
            .into_iter()
            .map(|(table_name, vacuumed)| VacuumedTable { table_name, outcome: outcome(vacuumed) })
            .collect(),
        Err(error) => {
            let error_message = error.message_for(&pipeline.table);
            let outcome = VacuumOutcome::Failed { error_class: error.kind(), error_message };
            vec![VacuumedTable { table_name: pipeline.table.clone(), outcome }]
        }
    }
}
