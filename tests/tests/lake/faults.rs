//! The table of `docs/errors.md`, row by row.

use std::collections::BTreeSet;
use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use delta_kernel::Error as KernelError;
use deltalake::kernel::transaction::{CommitConflictError, TransactionError};
use deltalake::{DeltaTableError, ObjectStoreError};
use kimball::{Classify, FaultKind, PipelineError};
use kimball_control::ControlError;
use kimball_engine::EngineError;
use kimball_lake::{LakeError, fault_of};

const TABLE: &str = include_str!("../../../docs/errors.md");

fn wrapped(kind: io::ErrorKind) -> ObjectStoreError {
    ObjectStoreError::Generic { store: "S", source: Box::new(io::Error::from(kind)) }
}

fn timed_out() -> ObjectStoreError {
    wrapped(io::ErrorKind::TimedOut)
}

fn full() -> ObjectStoreError {
    wrapped(io::ErrorKind::StorageFull)
}

fn delta(source: DeltaTableError) -> FaultKind {
    LakeError::Delta { table: "gold.t".to_owned(), source: Box::new(source) }.kind()
}

fn store(source: ObjectStoreError) -> FaultKind {
    delta(DeltaTableError::ObjectStore { source })
}

fn path() -> String {
    "a".to_owned()
}

fn cause() -> Box<dyn std::error::Error + Send + Sync> {
    "b".into()
}

/// What the errors of a row are classified as.
fn classified(row: &str) -> Vec<FaultKind> {
    use io::ErrorKind as Io;
    let io_kinds = |kinds: &[Io]| kinds.iter().map(|kind| Classify::kind(&io::Error::from(*kind))).collect();
    match row {
        "I/O: timed out, interrupted, would block" => {
            io_kinds(&[Io::TimedOut, Io::Interrupted, Io::WouldBlock])
        }
        "I/O: connection reset, aborted or refused, broken pipe, network or host unreachable" => io_kinds(&[
            Io::ConnectionReset,
            Io::ConnectionAborted,
            Io::ConnectionRefused,
            Io::BrokenPipe,
            Io::NetworkDown,
            Io::NetworkUnreachable,
            Io::HostUnreachable,
        ]),
        "I/O: resource busy" => io_kinds(&[Io::ResourceBusy]),
        "I/O: no space, no right, not found, anything else" => io_kinds(&[
            Io::StorageFull,
            Io::PermissionDenied,
            Io::NotFound,
            Io::ReadOnlyFilesystem,
            Io::Other,
        ]),
        "object store: already exists, precondition failed" => vec![
            store(ObjectStoreError::AlreadyExists { path: path(), source: cause() }),
            store(ObjectStoreError::Precondition { path: path(), source: cause() }),
        ],
        "object store: not found, no right, not supported, anything else" => vec![
            store(ObjectStoreError::NotFound { path: path(), source: cause() }),
            store(ObjectStoreError::PermissionDenied { path: path(), source: cause() }),
            store(ObjectStoreError::Unauthenticated { path: path(), source: cause() }),
            store(ObjectStoreError::NotSupported { source: cause() }),
            store(ObjectStoreError::Generic { store: "S", source: cause() }),
        ],
        "Delta: another commit came first, attempts used up" => vec![
            delta(DeltaTableError::VersionAlreadyExists(3)),
            delta(TransactionError::VersionAlreadyExists(3).into()),
            delta(TransactionError::MaxCommitAttempts(0).into()),
            delta(TransactionError::CommitConflict(CommitConflictError::ConcurrentAppend).into()),
        ],
        "Delta: not a table" => vec![delta(DeltaTableError::NotATable(path()))],
        "Delta: rows that do not fit the columns" => {
            vec![delta(DeltaTableError::SchemaMismatch { msg: path() })]
        }
        "Delta: a location that is none" => vec![delta(DeltaTableError::InvalidTableLocation(path()))],
        "Delta: a damaged log, checkpoint or metadata, anything else" => vec![
            delta(DeltaTableError::MetadataError(path())),
            delta(DeltaTableError::Generic(path())),
            delta(DeltaTableError::KernelError(KernelError::MissingVersion)),
            delta(DeltaTableError::KernelError(KernelError::Generic(path()))),
            delta(DeltaTableError::Parquet { source: ParquetError::EOF(path()) }),
            delta(TransactionError::UnsupportedTableFeatures(Vec::new()).into()),
        ],
        "a commit of which nobody knows whether it happened" => vec![
            LakeError::Unverified { table: path(), source: Box::new(DeltaTableError::Generic(path())) }
                .kind(),
        ],
        "DataFusion: SQL, plan, schema, what it cannot do" => {
            let field = Box::new(datafusion::common::Column::from_name("c"));
            let missing = SchemaError::FieldNotFound { field, valid_fields: Vec::new() };
            vec![
                fault_of(&DataFusionError::Plan(path())),
                fault_of(&DataFusionError::NotImplemented(path())),
                fault_of(&DataFusionError::SchemaError(Box::new(missing), Box::new(None))),
                fault_of(&DataFusionError::Plan(path()).context("while planning")),
            ]
        }
        "DataFusion: a value that a function or a cast does not take" => vec![
            fault_of(&DataFusionError::Execution(path())),
            fault_of(&DataFusionError::from(ArrowError::CastError(path()))),
        ],
        "DataFusion: Parquet that cannot be read" => {
            vec![fault_of(&DataFusionError::ParquetError(Box::new(ParquetError::General(path()))))]
        }
        "DataFusion: memory used up" => vec![fault_of(&DataFusionError::ResourcesExhausted(path()))],
        "DataFusion: anything else" => vec![
            fault_of(&DataFusionError::Internal(path())),
            fault_of(&DataFusionError::External("nobody knows".into())),
        ],
        "a lease that was lost" => vec![LakeError::LeaseLost { table: path(), held: 1, found: 2 }.kind()],
        "a feed that is not recorded, cleaned up or vacuumed; a version that is not there" => vec![
            LakeError::NoChangeFeed { table: path() }.kind(),
            LakeError::FeedGone { table: path(), version: 1 }.kind(),
            LakeError::FeedVacuumed { table: path(), version: 1, file: path() }.kind(),
            LakeError::NoSuchVersion { table: path(), version: 2, newest: 1 }.kind(),
        ],
        "a source that is not there" => vec![
            LakeError::Missing { table: path(), location: path() }.kind(),
            LakeError::NoFiles { path: path() }.kind(),
        ],
        "rows that break a rule" => {
            vec![EngineError::DataQuality { rule: path(), keys: Vec::new() }.kind()]
        }
        "control rows that others kept changing" => {
            vec![ControlError::Contention { table: path(), attempts: 3 }.kind()]
        }
        "a run that was told to stop" => vec![PipelineError::Cancelled.kind()],
        "a panic" => vec![PipelineError::Panicked { message: path() }.kind()],
        _ => Vec::new(),
    }
}

/// Rows that pass a cause on: with one that passes, and one that does not.
fn passed_on(row: &str) -> Vec<[FaultKind; 2]> {
    let both = |classify: &dyn Fn(ObjectStoreError) -> FaultKind| [classify(timed_out()), classify(full())];
    let external = |error: ObjectStoreError| -> Box<dyn std::error::Error + Send + Sync> { Box::new(error) };
    match row {
        "object store: a call whose cause is an I/O error" => vec![both(&store)],
        "Delta: storage, Parquet, Arrow or the kernel failed" => vec![
            both(&|source| delta(TransactionError::ObjectStore { source }.into())),
            both(&|source| delta(DeltaTableError::KernelError(KernelError::ObjectStore(source)))),
            both(&|source| delta(DeltaTableError::GenericError { source: external(source) })),
            both(&|source| {
                let source = ParquetError::External(external(source));
                delta(DeltaTableError::Parquet { source })
            }),
            both(&|source| {
                let source = ArrowError::ExternalError(external(source));
                delta(DeltaTableError::Arrow { source })
            }),
        ],
        "DataFusion: storage behind a query failed" => vec![
            both(&|source| fault_of(&DataFusionError::ObjectStore(Box::new(source)))),
            both(&|source| fault_of(&DataFusionError::External(external(source)))),
            both(&|source| {
                let parquet = ParquetError::External(external(source));
                fault_of(&DataFusionError::ParquetError(Box::new(parquet)))
            }),
            both(&|source| {
                fault_of(&DataFusionError::External(Box::new(DeltaTableError::ObjectStore { source })))
            }),
        ],
        _ => Vec::new(),
    }
}

#[test]
fn every_row_of_the_table_of_errors_holds() {
    let (_, rows) = TABLE.split_once("| error | class |").unwrap();
    let mut seen = BTreeSet::new();
    for line in rows.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, class] = cells.as_slice() else { panic!("{line}") };
        assert!(seen.insert(*row), "{row} stands there twice");
        if *class == "as its cause" {
            let kinds = passed_on(row);
            assert!(!kinds.is_empty(), "no test of the row `{row}`");
            for kinds in kinds {
                assert_eq!(kinds, [FaultKind::Transient, FaultKind::Storage], "{row}");
            }
            continue;
        }
        let kind = FaultKind::from_class(class).unwrap_or_else(|| panic!("{class}"));
        let found = classified(row);
        assert!(!found.is_empty(), "no test of the row `{row}`");
        assert!(found.iter().all(|found| *found == kind), "{row}: {found:?}");
    }
    assert!(seen.len() > 20, "{seen:?}");
}
