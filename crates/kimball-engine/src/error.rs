//! What can go wrong while rows are staged and merged.

use datafusion::error::DataFusionError;
use kimball_lake::LakeError;
use kimball_retry::{Classify, FaultKind};
use thiserror::Error;

/// Failures of the engine. Messages name columns and up to five offending keys.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The query of a pipeline cannot be planned or evaluated.
    #[error("transformation_sql: {source}")]
    Sql {
        /// Why.
        #[source]
        source: Box<DataFusionError>,
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
    #[error("{role} `{column}` is not a column of the query's output; it has: {found}")]
    MissingColumn {
        /// What the column is for.
        role: &'static str,
        /// Its name.
        column: String,
        /// The columns that exist.
        found: String,
    },
    /// The query's output has a column that the engine itself writes.
    #[error("the query's output must not hold `{column}`: {reason}")]
    ReservedColumn {
        /// Its name.
        column: String,
        /// Whose it is.
        reason: &'static str,
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
        /// Up to five offending keys; empty where keys do not help.
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

impl EngineError {
    /// Whether the memory that queries may have did not suffice.
    pub fn is_out_of_memory(&self) -> bool {
        let query = match self {
            Self::Sql { source } => Some(source.as_ref()),
            Self::Lake(LakeError::Query(source)) => Some(source),
            _ => None,
        };
        query.is_some_and(|query| matches!(query.find_root(), DataFusionError::ResourcesExhausted(_)))
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
            Self::Sql { source } => kimball_lake::fault_of(source),
            Self::UnknownRelation { .. } => FaultKind::Sql,
            Self::MissingColumn { .. } | Self::SchemaMismatch { .. } => FaultKind::SchemaMismatch,
            Self::ReservedColumn { .. } | Self::Config(_) => FaultKind::Config,
            Self::DataQuality { .. } | Self::RepeatedKey(_) => FaultKind::DataQuality,
            Self::Recreated { .. } => FaultKind::Config,
            Self::Lake(source) => source.kind(),
        }
    }
}
