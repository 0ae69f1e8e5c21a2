//! What can go wrong with tables, and what the caller should do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use delta_kernel::Error as KernelError;
use deltalake::kernel::transaction::TransactionError;
use deltalake::parquet::errors::ParquetError;
use deltalake::{DeltaTableError, ObjectStoreError};
use kimball_retry::{Classify, FaultKind};

/// Failures of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// A table name that is no pair of plain folder names.
    #[error("`{name}` is not a table name: its parts may hold letters, digits, `_` and `-` only")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// A text that is neither a folder nor a URL.
    #[error("`{location}` is neither a folder nor an object-store URL")]
    InvalidLocation {
        /// The text as given.
        location: String,
    },
    /// A local folder could not be made or removed.
    #[error("the folder {path} could not be created or removed")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No table where one is needed.
    #[error("table {table} does not exist at {location}")]
    Missing {
        /// The table's name or path.
        table: String,
        /// Where it was looked for.
        location: String,
    },
    /// A feed is asked of a table that has none.
    #[error(
        "{table} has no change data feed: set its table property `delta.enableChangeDataFeed` to `true`, \
         or use `cdc_strategy: full`"
    )]
    NoChangeFeed {
        /// The table's name or path.
        table: String,
    },
    /// A version that the table does not have.
    #[error("{table} has no version {version}; its newest is {newest}")]
    NoSuchVersion {
        /// The table's name or path.
        table: String,
        /// The version asked for.
        version: i64,
        /// The newest version.
        newest: i64,
    },
    /// A time from which nothing is left in the log.
    #[error(
        "the log of {table} reaches back to version {version} of {}: earlier entries were cleaned up (`delta.logRetentionDuration`)",
        .committed.format("%Y-%m-%d %H:%M:%S UTC")
    )]
    TooOld {
        /// The table's name or path.
        table: String,
        /// The oldest version that is known.
        version: i64,
        /// When it was committed.
        committed: DateTime<Utc>,
    },
    /// The log no longer tells what the version changed.
    #[error(
        "the log of {table} no longer holds version {version}, from which its changes are to be read: it was cleaned up \
         (`delta.logRetentionDuration`). `--full-refresh` reads the table whole and reconciles"
    )]
    FeedGone {
        /// The table's name or path.
        table: String,
        /// The version that is wanted.
        version: i64,
    },
    /// The log tells of a change whose rows are gone.
    #[error(
        "the rows that version {version} of {table} changed are gone: {file} is not there, the table was vacuumed. \
         `--full-refresh` reads it whole and reconciles"
    )]
    FeedVacuumed {
        /// The table's name or path.
        table: String,
        /// The version that is wanted.
        version: i64,
        /// The file that the log names.
        file: String,
    },
    /// Appended rows cannot be told apart in a commit that also removed rows.
    #[error(
        "version {version} of {table} changed or removed rows; `cdc_strategy: append` can only skip those \
         through a change data feed: set the table property `delta.enableChangeDataFeed` to `true`"
    )]
    NotAppendOnly {
        /// The table's name or path.
        table: String,
        /// The version at fault.
        version: i64,
    },
    /// A column type that Delta tables cannot store.
    #[error("column `{column}` has type {found}, which a Delta table cannot store; cast it in the query")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its Arrow type.
        found: String,
    },
    /// A table layout that this engine does not write to.
    #[error("{table} cannot be written: {reason}")]
    UnsupportedTable {
        /// The table's name or path.
        table: String,
        /// What is in the way.
        reason: String,
    },
    /// The log holds a higher lease than the writer's: somebody else took over.
    #[error("the lease on {table} was lost: another writer took it over with epoch {found}, ours was {held}")]
    LeaseLost {
        /// The table's name or path.
        table: String,
        /// The epoch of the writer that failed.
        held: i64,
        /// The epoch found in the log.
        found: i64,
    },
    /// File sources that match nothing.
    #[error("no file matches `{path}`")]
    NoFiles {
        /// The path or pattern.
        path: String,
    },
    /// A path or pattern that cannot be listed.
    #[error("`{path}` cannot be read: {reason}")]
    BadPath {
        /// The path or pattern.
        path: String,
        /// Why.
        reason: String,
    },
    /// The table library failed.
    #[error("{table}: {source}")]
    Delta {
        /// The table's name or path.
        table: String,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A commit failed, and the log could not be read to see whether it had happened all the same.
    #[error("{table}: it is not known whether the commit happened: {source}")]
    Unverified {
        /// The table's name or path.
        table: String,
        /// Why the commit failed.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A deletion vector could not be read or written.
    #[error("{table}: deletion vector: {reason}")]
    DeletionVector {
        /// The table's name or path.
        table: String,
        /// Why.
        reason: String,
    },
    /// The log has a partition value that is none of its column's type.
    #[error("{table}: `{value}` is no value of the partition column `{column}`")]
    PartitionValue {
        /// The table's name or path.
        table: String,
        /// The partition column.
        column: String,
        /// The text in the log.
        value: String,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A query over tables failed.
    #[error(transparent)]
    Query(#[from] DataFusionError),
}

impl LakeError {
    /// Wraps an error of the table library with the table it happened at.
    pub(crate) fn delta(table: &impl ToString) -> impl FnOnce(DeltaTableError) -> Self {
        let table = table.to_string();
        move |source| Self::Delta { table, source: Box::new(source) }
    }

    /// Wraps an error of the storage with the table it happened at.
    pub(crate) fn stored(table: &impl ToString) -> impl Fn(ObjectStoreError) -> Self {
        let table = table.to_string();
        move |source| Self::Delta {
            table: table.clone(),
            source: Box::new(DeltaTableError::ObjectStore { source }),
        }
    }
}

impl Classify for LakeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::InvalidName { .. } | Self::InvalidLocation { .. } => FaultKind::Config,
            Self::NoChangeFeed { .. }
            | Self::NotAppendOnly { .. }
            | Self::NoSuchVersion { .. }
            | Self::TooOld { .. }
            | Self::FeedGone { .. }
            | Self::FeedVacuumed { .. } => FaultKind::Config,
            Self::Missing { .. } | Self::NoFiles { .. } => FaultKind::MissingTable,
            Self::UnsupportedType { .. } => FaultKind::SchemaMismatch,
            Self::Folder { .. } | Self::BadPath { .. } => FaultKind::Storage,
            Self::UnsupportedTable { .. } | Self::DeletionVector { .. } | Self::PartitionValue { .. } => {
                FaultKind::Storage
            }
            Self::LeaseLost { .. } => FaultKind::Busy,
            Self::Delta { source, .. } => fault_of_delta(source),
            // The next attempt looks into the log first.
            Self::Unverified { .. } => FaultKind::Transient,
            Self::Query(source) => fault_of(source),
        }
    }
}

/// The kind of a query's failure, decided from the types along its chain.
pub fn fault_of(error: &DataFusionError) -> FaultKind {
    let root = error.find_root();
    if let Some(kind) = storage_fault_in(root) {
        return kind;
    }
    match root {
        DataFusionError::ParquetError(_) | DataFusionError::ResourcesExhausted(_) => FaultKind::Storage,
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_) => FaultKind::Sql,
        _ => FaultKind::Internal,
    }
}

/// The kind of the first failure of storage along a chain; `None` when there is none.
fn storage_fault_in(error: &(dyn Error + 'static)) -> Option<FaultKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kind) = storage_fault(error) {
            return Some(kind);
        }
        next = error.source();
    }
    None
}

fn storage_fault(error: &(dyn Error + 'static)) -> Option<FaultKind> {
    if let Some(lake) = error.downcast_ref::<LakeError>() {
        return Some(lake.kind());
    }
    if let Some(delta) = error.downcast_ref::<DeltaTableError>() {
        return Some(fault_of_delta(delta));
    }
    if let Some(store) = error.downcast_ref::<ObjectStoreError>() {
        return Some(fault_of_store(store));
    }
    if let Some(kernel) = error.downcast_ref::<KernelError>() {
        return Some(fault_of_kernel(kernel));
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return Some(fault_of_io(io));
    }
    match error.downcast_ref::<DataFusionError>() {
        // Neither is told by its `source`.
        Some(DataFusionError::ObjectStore(source)) => Some(fault_of_store(source)),
        Some(DataFusionError::IoError(source)) => Some(fault_of_io(source)),
        _ => match error.downcast_ref::<ParquetError>() {
            Some(ParquetError::External(source)) => storage_fault_in(source.as_ref()),
            _ => match error.downcast_ref::<ArrowError>() {
                Some(ArrowError::IoError(_, source)) => Some(fault_of_io(source)),
                Some(ArrowError::ExternalError(source)) => storage_fault_in(source.as_ref()),
                _ => None,
            },
        },
    }
}

pub(crate) fn fault_of_delta(error: &DeltaTableError) -> FaultKind {
    match error {
        DeltaTableError::ObjectStore { source } => fault_of_store(source),
        DeltaTableError::Io { source } => fault_of_io(source),
        DeltaTableError::KernelError(source) => fault_of_kernel(source),
        DeltaTableError::VersionAlreadyExists(_) => FaultKind::Conflict,
        DeltaTableError::Transaction { source } => match source {
            TransactionError::CommitConflict(_)
            | TransactionError::MaxCommitAttempts(_)
            | TransactionError::VersionAlreadyExists(_) => FaultKind::Conflict,
            TransactionError::ObjectStore { source } => fault_of_store(source),
            _ => FaultKind::Storage,
        },
        DeltaTableError::NotATable(_) => FaultKind::MissingTable,
        DeltaTableError::SchemaMismatch { .. } => FaultKind::SchemaMismatch,
        DeltaTableError::InvalidTableLocation(_) => FaultKind::Config,
        DeltaTableError::Parquet { source } => storage_fault_in(source).unwrap_or(FaultKind::Storage),
        DeltaTableError::Arrow { source } => storage_fault_in(source).unwrap_or(FaultKind::Storage),
        DeltaTableError::GenericError { source } => {
            storage_fault_in(source.as_ref()).unwrap_or(FaultKind::Storage)
        }
        _ => FaultKind::Storage,
    }
}

/// Whether a log names or lists a file that is not there.
pub(crate) fn is_missing_file(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::KernelError(KernelError::Backtraced { source, .. }) => {
            matches!(**source, KernelError::FileNotFound(_))
        }
        DeltaTableError::KernelError(source) => matches!(source, KernelError::FileNotFound(_)),
        _ => false,
    }
}

fn fault_of_kernel(error: &KernelError) -> FaultKind {
    match error {
        KernelError::Backtraced { source, .. } => fault_of_kernel(source),
        KernelError::ObjectStore(source) => fault_of_store(source),
        KernelError::IOError(source) => fault_of_io(source),
        KernelError::Parquet(source) => storage_fault_in(source).unwrap_or(FaultKind::Storage),
        KernelError::Arrow(source) => storage_fault_in(source).unwrap_or(FaultKind::Storage),
        KernelError::GenericError { source } => {
            storage_fault_in(source.as_ref()).unwrap_or(FaultKind::Storage)
        }
        _ => FaultKind::Storage,
    }
}

/// A failure that nobody recognises is none that passes: clients of object stores have tried for minutes when they
/// report one.
pub(crate) fn fault_of_store(error: &ObjectStoreError) -> FaultKind {
    match error {
        ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. } => FaultKind::Conflict,
        ObjectStoreError::Generic { source, .. } => {
            storage_fault_in(source.as_ref()).unwrap_or(FaultKind::Storage)
        }
        _ => FaultKind::Storage,
    }
}

fn fault_of_io(error: &io::Error) -> FaultKind {
    // What a library wrapped into an error of the system says more than the wrapping.
    let inner = error.get_ref().and_then(|inner| storage_fault_in(inner));
    inner.unwrap_or_else(|| Classify::kind(error))
}
