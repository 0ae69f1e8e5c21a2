//! The kinds of failures of the libraries below, decided from the types along their chains of causes.

use std::error::Error;
use std::io;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use delta_kernel::Error as KernelError;
use deltalake::kernel::transaction::TransactionError;
use deltalake::parquet::errors::ParquetError;
use deltalake::{DeltaTableError, ObjectStoreError};
use kimball_retry::{Classify, FaultKind};

use crate::LakeError;

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
