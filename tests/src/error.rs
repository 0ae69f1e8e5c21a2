//! What can go wrong while a scenario is read, prepared or checked.

use std::path::PathBuf;

use thiserror::Error;

/// A fault of the test material or of the tools it uses; a rule that does not hold is a
/// [`crate::scenario::Failure`] instead.
#[derive(Debug, Error)]
pub enum TestkitError {
    /// A scenario file that is no scenario.
    #[error("{}: {message}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        message: String,
    },
    /// A small table that cannot be read as one.
    #[error("table text, line {line}: {message}")]
    TableText {
        /// 1-based line inside the text block.
        line: usize,
        /// What is wrong in it.
        message: String,
    },
    /// A column type that is not known here.
    #[error(
        "`{0}` is no column type: write bigint, int, smallint, tinyint, string, double, float, boolean, date, timestamp, timestamp_ntz, binary or decimal(p,s)"
    )]
    ColumnType(String),
    /// A cell that is no value of its column.
    #[error("column `{column}`: `{value}` is no {data_type}")]
    Cell {
        /// The column.
        column: String,
        /// The cell as written.
        value: String,
        /// The Arrow type of the column.
        data_type: String,
    },
    /// A column that a table does not have.
    #[error("no column `{column}`; there are: {}", known.join(", "))]
    UnknownColumn {
        /// The column asked for.
        column: String,
        /// The columns of the table.
        known: Vec<String>,
    },
    /// A step of a scenario that cannot be carried out as written.
    #[error("{0}")]
    Step(String),
    /// Delta refused.
    #[error("delta: {0}")]
    Delta(#[from] deltalake::DeltaTableError),
    /// DataFusion refused.
    #[error("datafusion: {0}")]
    DataFusion(#[from] datafusion::error::DataFusionError),
    /// Arrow refused.
    #[error("arrow: {0}")]
    Arrow(#[from] datafusion::arrow::error::ArrowError),
    /// Parquet refused.
    #[error("parquet: {0}")]
    Parquet(#[from] datafusion::parquet::errors::ParquetError),
    /// A commit of a log that is no JSON.
    #[error("commit {}: {source}", path.display())]
    CommitJson {
        /// The commit file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl TestkitError {
    /// For `map_err`: an I/O error together with the path it happened on.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, TestkitError>;
