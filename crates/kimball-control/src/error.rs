//! Failures of the control tables.

use arrow::error::ArrowError;
use kimball_lake::LakeError;
use kimball_retry::{Classify, FaultKind};
use thiserror::Error;

use crate::IllegalTransition;

/// Why a control or lease row could not be read or written.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The table or its storage.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Rows that do not have the columns of the table.
    #[error("{table} does not have the columns that are expected")]
    Columns {
        /// The table.
        table: String,
        /// Which one.
        #[source]
        source: ArrowError,
    },
    /// Others kept changing the same rows.
    #[error("{table}: gave up after {attempts} attempts to commit, as others kept changing the same rows")]
    Contention {
        /// The table.
        table: String,
        /// Attempts made.
        attempts: usize,
    },
    /// The commit that a change was to be part of failed.
    #[error("{table}: a commit for several batches failed: {told}")]
    Group {
        /// The table.
        table: String,
        /// What was wrong.
        told: String,
        /// What kind of failure it was.
        kind: FaultKind,
    },
    /// A batch was ended that is not running.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The committer ended before it answered.
    #[error("the writer of {table} has stopped")]
    Stopped {
        /// The table.
        table: String,
    },
}

impl Classify for ControlError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Lake(source) => source.kind(),
            Self::Columns { .. } => FaultKind::SchemaMismatch,
            Self::Contention { .. } => FaultKind::Conflict,
            Self::Group { kind, .. } => *kind,
            Self::Illegal(_) | Self::Stopped { .. } => FaultKind::Internal,
        }
    }
}
