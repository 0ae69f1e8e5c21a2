//! What can go wrong with tables, and what the caller should do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use deltalake::{DeltaTableError, ObjectStoreError};
use kimball_retry::{Classify, FaultKind};

use crate::fault::{fault_of, fault_of_delta};
use crate::words::in_words;

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
    /// A storage that no client is there for.
    #[error(
        "{place} cannot be reached: this build has no client for `{scheme}://`, only for {known}. Give a folder, such as \
         one where the storage is mounted"
    )]
    UnknownStorage {
        /// The warehouse or table, as one would call it.
        place: String,
        /// The scheme of its URL.
        scheme: String,
        /// What there are clients for.
        known: String,
    },
    /// A file lies where a folder is to be made.
    #[error("{path} is a file where {belongs} belongs: move it away")]
    NotAFolder {
        /// The file.
        path: PathBuf,
        /// What is to lie there.
        belongs: String,
    },
    /// A local folder could not be made or removed.
    #[error("the folder {path} could not be created or removed{}", to_check(.source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No table where one is needed.
    #[error("table {table} does not exist at {}", folder_of(.location))]
    Missing {
        /// The table's name or path.
        table: String,
        /// Where it was looked for.
        location: String,
    },
    /// No table where one is needed, and one of nearly that name.
    #[error("table {table} does not exist at {}; did you mean {nearest}?", folder_of(.location))]
    Misspelled {
        /// The table's name.
        table: String,
        /// Where it was looked for.
        location: String,
        /// The table that may have been meant.
        nearest: String,
    },
    /// A folder that is there and is no Delta table.
    #[error(
        "{} is no Delta table: it has no folder `_delta_log`. Sources that are files need a `format` \
         (csv, parquet or json)",
        folder_of(.location)
    )]
    NoLog {
        /// The folder.
        location: String,
    },
    /// A log entry that cannot be read as one.
    #[error("the log of {table} is damaged: {reason}. Restore {file} from a backup")]
    DamagedLog {
        /// The table's name or path.
        table: String,
        /// The log entry, from the table's folder on.
        file: String,
        /// Why it cannot be read.
        reason: String,
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
    /// A feed is to begin at a version that is still to come.
    #[error(
        "{table} has no version {version} yet, its newest is {newest}: lower `starting_version`, or leave it out to begin \
         with what the table holds"
    )]
    StillToCome {
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
    /// Files are to be deleted that versions need which the table says are kept.
    #[error(
        "{table} keeps old versions for {} (`delta.deletedFileRetentionDuration`), and {} are asked for: who reads \
         older versions or change feeds meanwhile would be cut off. `--allow-shorter` does it all the same",
        hours_of(.kept),
        hours_of(.asked)
    )]
    KeptLonger {
        /// The table's name or path.
        table: String,
        /// What is asked for.
        asked: Duration,
        /// What the table says.
        kept: Duration,
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
    #[error("no file matches `{path}`; relative paths start at the folder of the targets file")]
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
    /// A file that is not what its format says.
    #[error("{reason}")]
    BadFile {
        /// What is wrong with which file, and what to do.
        reason: String,
        /// What the reader says.
        cause: Box<DataFusionError>,
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
    /// A query over tables failed. What the library says of it is told in other words, and not once more as a source.
    #[error("{}", in_words(.0))]
    Query(DataFusionError),
}

/// A folder as one writes it: without the scheme of a local one.
fn folder_of(location: &str) -> &str {
    location.strip_prefix("file://").unwrap_or(location).trim_end_matches('/')
}

fn hours_of(time: &Duration) -> String {
    match time.as_secs_f64() / 3600.0 {
        1.0 => "1 hour".to_owned(),
        hours => format!("{hours} hours"),
    }
}

/// What to look at when a folder cannot be made.
fn to_check(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => " (check who may write to the folder above it)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (check the space that is left)",
        io::ErrorKind::ReadOnlyFilesystem => " (check how the disk is mounted)",
        _ => "",
    }
}

impl From<DataFusionError> for LakeError {
    fn from(source: DataFusionError) -> Self {
        Self::Query(source)
    }
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
            Self::InvalidName { .. } | Self::InvalidLocation { .. } | Self::UnknownStorage { .. } => {
                FaultKind::Config
            }
            Self::NoChangeFeed { .. }
            | Self::NotAppendOnly { .. }
            | Self::NoSuchVersion { .. }
            | Self::StillToCome { .. }
            | Self::TooOld { .. }
            | Self::KeptLonger { .. }
            | Self::FeedGone { .. }
            | Self::FeedVacuumed { .. } => FaultKind::Config,
            Self::Missing { .. } | Self::Misspelled { .. } | Self::NoLog { .. } | Self::NoFiles { .. } => {
                FaultKind::MissingTable
            }
            Self::UnsupportedType { .. } => FaultKind::SchemaMismatch,
            Self::Folder { .. }
            | Self::NotAFolder { .. }
            | Self::BadPath { .. }
            | Self::DamagedLog { .. } => FaultKind::Storage,
            Self::UnsupportedTable { .. } | Self::DeletionVector { .. } | Self::PartitionValue { .. } => {
                FaultKind::Storage
            }
            Self::LeaseLost { .. } => FaultKind::Busy,
            Self::Delta { source, .. } => fault_of_delta(source),
            // The next attempt looks into the log first.
            Self::Unverified { .. } => FaultKind::Transient,
            Self::Query(source) => fault_of(source),
            Self::BadFile { cause, .. } => fault_of(cause),
        }
    }
}
