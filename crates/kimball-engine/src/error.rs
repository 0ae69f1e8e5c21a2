//! What can go wrong while rows are staged and merged.

use datafusion::error::DataFusionError;
use kimball_config::nearest;
use kimball_lake::LakeError;
use kimball_retry::{Classify, FaultKind};
use thiserror::Error;

use crate::columns::is_system;
use crate::explanation::QueryProblem;

/// What a column of a query is a column of, in messages.
pub(crate) const QUERY_OUTPUT: &str = "the query's output";

/// Failures of the engine. Messages name columns and up to five offending keys.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The query of a pipeline, or an expression of its configuration, cannot be planned or evaluated.
    #[error("{problem}")]
    Sql {
        /// Why, where, and what to do.
        problem: Box<QueryProblem>,
        /// What the library says. It is no source: the problem tells it in other words.
        cause: Box<DataFusionError>,
    },
    /// The query names a relation that is no source of the pipeline.
    #[error("transformation_sql reads `{relation}`, which is not among the sources: {sources}")]
    UnknownRelation {
        /// The relation as written.
        relation: String,
        /// What the query may read.
        sources: String,
    },
    /// The query's output lacks a column that the configuration names.
    #[error("{role} `{column}` is not a column of {of}{}", instead(.column, .found))]
    MissingColumn {
        /// What the column is for.
        role: &'static str,
        /// Its name.
        column: String,
        /// What lacks it: the query's output, or a table.
        of: String,
        /// The columns that exist.
        found: Vec<String>,
    },
    /// The query's output has a column that the engine itself writes.
    #[error("the query's output must not hold `{column}`: {reason}")]
    ReservedColumn {
        /// Its name.
        column: String,
        /// Whose it is.
        reason: &'static str,
    },
    /// A table that holds no versions, or other ones, is to become what it cannot become where it lies.
    #[error(
        "{table} was loaded as {stored} and cannot become {wanted} in place. Run with `--full-refresh --allow-history-loss` to \
         rebuild it, or write another table"
    )]
    OtherKind {
        /// The table.
        table: String,
        /// What it is.
        stored: &'static str,
        /// What the configuration makes of it.
        wanted: String,
    },
    /// The query's output does not fit the table.
    #[error("the query's output does not fit {table}: {difference}\n  table: {stored}\n  query: {staged}")]
    SchemaMismatch {
        /// The table.
        table: String,
        /// What does not fit, in words.
        difference: String,
        /// The table's columns and types.
        stored: String,
        /// The query's columns and types.
        staged: String,
    },
    /// Rows break a rule of the model.
    #[error("{rule}{}", offenders(.keys))]
    DataQuality {
        /// The rule, and what to do.
        rule: String,
        /// Up to five offending keys, and how many more there are; empty where keys do not help.
        keys: Vec<String>,
    },
    /// Rows of a fact have one merge key.
    #[error(transparent)]
    RepeatedKey(Box<EngineError>),
    /// A combination of settings that the engine cannot run.
    #[error("{0}")]
    Config(String),
    /// A Delta source went back behind the watermark.
    #[error(
        "{source_name} is at version {version}, below its watermark {watermark}: the table was recreated. \
         Restore it, or run with --full-refresh, which reads it whole and reconciles"
    )]
    Recreated {
        /// The source.
        source_name: String,
        /// Its version now.
        version: i64,
        /// The version processed before.
        watermark: i64,
    },
    /// Tables, storage or a query over them.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

fn offenders(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!(": {}", keys.join("; ")) }
}

/// What may have been meant by a column that is not there, and what is.
fn instead(column: &str, found: &[String]) -> String {
    let own: Vec<&str> = found.iter().map(String::as_str).filter(|name| !is_system(name)).collect();
    let meant = nearest(column, own.iter().copied());
    let listed = own.join(", ");
    match (meant, own.as_slice()) {
        (Some(meant), _) => format!("; did you mean `{meant}`? It has {listed}"),
        // The whole header of a CSV file, in one.
        (None, [only]) if only.contains([';', '\t', '|']) => {
            format!(
                "; it has one column, `{only}`: is its separator another, such as `options: {{sep: \";\"}}`?"
            )
        }
        (None, []) => "; it has no columns".to_owned(),
        (None, _) => format!("; it has {listed}"),
    }
}

impl EngineError {
    /// Whether the memory that queries may have did not suffice.
    pub fn is_out_of_memory(&self) -> bool {
        let query = match self {
            Self::Sql { cause, .. } => Some(cause.as_ref()),
            Self::Lake(LakeError::Query(source)) => Some(source),
            _ => None,
        };
        query.is_some_and(|query| matches!(query.find_root(), DataFusionError::ResourcesExhausted(_)))
    }

    /// The same error; where it is one of an expression, it says of which.
    pub(crate) fn about(self, subject: impl FnOnce() -> String) -> Self {
        match self {
            Self::Sql { problem, cause } => Self::Sql { problem: Box::new(problem.about(subject())), cause },
            other => other,
        }
    }

    /// Rows break `rule`; `keys` are examples.
    pub(crate) fn quality(rule: impl Into<String>, keys: Vec<String>) -> Self {
        Self::DataQuality { rule: rule.into(), keys }
    }
}

impl From<DataFusionError> for EngineError {
    fn from(source: DataFusionError) -> Self {
        Self::Lake(LakeError::Query(source))
    }
}

impl From<arrow::error::ArrowError> for EngineError {
    fn from(source: arrow::error::ArrowError) -> Self {
        DataFusionError::from(source).into()
    }
}

impl Classify for EngineError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Sql { cause, .. } => kimball_lake::fault_of(cause),
            Self::UnknownRelation { .. } => FaultKind::Sql,
            Self::MissingColumn { .. } | Self::SchemaMismatch { .. } | Self::OtherKind { .. } => {
                FaultKind::SchemaMismatch
            }
            Self::ReservedColumn { .. } | Self::Config(_) => FaultKind::Config,
            Self::DataQuality { .. } | Self::RepeatedKey(_) => FaultKind::DataQuality,
            Self::Recreated { .. } => FaultKind::Config,
            Self::Lake(source) => source.kind(),
        }
    }
}
