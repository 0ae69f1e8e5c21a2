//! Why a question has no answer.

use datafusion::error::DataFusionError;
use kimball_engine::{EngineError, explained_at_the_terminal};
use kimball_lake::{LakeError, fault_of};
use kimball_retry::{Classify, FaultKind};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// There is no statement at all.
    #[error("there is no statement, only comments")]
    Empty,
    /// A statement that would do more than read.
    #[error(
        "only questions are answered here, nothing is written: use SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, \
         DESCRIBE, DESCRIBE HISTORY or EXPLAIN"
    )]
    NoQuestion,
    /// A table that the warehouse does not have.
    #[error("there is no table `{table}`{}", hint(.nearest, .tables))]
    UnknownTable {
        /// The table as written.
        table: String,
        /// The table that may have been meant.
        nearest: Option<String>,
        /// How many tables there are.
        tables: usize,
    },
    /// A name without a schema that several schemas have.
    #[error("`{table}` is in several schemas: write one of {}", .candidates.join(", "))]
    AmbiguousTable {
        /// The table as written.
        table: String,
        /// The tables that it may be.
        candidates: Vec<String>,
    },
    /// An `AS OF` that cannot be read.
    #[error("`{clause}`: {reason}")]
    Moment {
        /// The clause as written.
        clause: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The statement does not parse, plan or run.
    #[error("{}", told(.0))]
    Query(Box<DataFusionError>),
    /// The names of the statement do not fit together.
    #[error(transparent)]
    Names(#[from] EngineError),
    /// A table or the warehouse cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

fn hint(nearest: &Option<String>, tables: &usize) -> String {
    match (nearest, tables) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, 0) => "; the warehouse holds no table yet".to_owned(),
        (None, _) => "; SHOW TABLES lists what there is".to_owned(),
    }
}

/// The message of a failed query, in words.
fn told(error: &DataFusionError) -> String {
    explained_at_the_terminal(error)
}

impl From<DataFusionError> for SqlError {
    fn from(source: DataFusionError) -> Self {
        Self::Query(Box::new(source))
    }
}

impl Classify for SqlError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Empty | Self::NoQuestion | Self::Moment { .. } | Self::AmbiguousTable { .. } => {
                FaultKind::Sql
            }
            Self::UnknownTable { .. } => FaultKind::MissingTable,
            Self::Query(source) => fault_of(source),
            Self::Names(source) => source.kind(),
            Self::Lake(source) => source.kind(),
        }
    }
}
