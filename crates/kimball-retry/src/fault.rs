//! Kinds of failure and the action each prescribes.

use std::fmt;
use std::io;

/// What kind of failure an error is. A kind exists only where a caller acts, or a user reads, differently.
///
/// The kind is decided from error types along the source chain, never from the text of a message; what
/// nobody recognises is [`FaultKind::Internal`] and is not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// The table is held by another live process.
    Busy,
    /// Another writer committed first.
    Conflict,
    /// A time-out, throttling or a reset connection: nothing is known to be wrong with the work itself.
    Transient,
    /// The configuration is wrong or missing.
    Config,
    /// A query does not parse, does not resolve, or fails on the values it meets.
    Sql,
    /// Columns or types of a source and its target do not fit.
    SchemaMismatch,
    /// The rows break a rule of the model.
    DataQuality,
    /// A source, or a table that should have been loaded before, does not exist.
    MissingTable,
    /// The storage refuses for good: access denied, no space, a damaged log.
    Storage,
    /// The run was told to stop.
    Cancelled,
    /// A broken invariant of the engine, or an error that nobody recognises.
    Internal,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Wait, then do the same work again.
    Wait,
    /// Wait, then read the new state of the tables and compute the change anew: the old result is void.
    Recompute,
    /// Change the configuration or the query.
    CorrectConfig,
    /// Change the source, or what the configuration says of its columns.
    CorrectSource,
    /// Load or create the table that is missing.
    CreateTable,
    /// Change rights, space or state of the storage.
    RepairStorage,
    /// Nothing: the stop was asked for.
    Stop,
    /// Report a defect.
    Report,
}

/// An error that knows its kind.
///
/// An error that wraps another asks it first, so that a kind survives every layer:
///
/// ```
/// use kimball_retry::{Classify, FaultKind};
///
/// enum LoadError {
///     NoRows,
///     Read(std::io::Error),
/// }
///
/// impl Classify for LoadError {
///     fn kind(&self) -> FaultKind {
///         match self {
///             Self::NoRows => FaultKind::DataQuality,
///             Self::Read(source) => Classify::kind(source),
///         }
///     }
/// }
/// assert_eq!(LoadError::Read(std::io::ErrorKind::TimedOut.into()).kind(), FaultKind::Transient);
/// assert_eq!(LoadError::NoRows.kind(), FaultKind::DataQuality);
/// ```
pub trait Classify {
    /// The kind of this failure.
    fn kind(&self) -> FaultKind;
}

impl FaultKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Busy,
        Self::Conflict,
        Self::Transient,
        Self::Config,
        Self::Sql,
        Self::SchemaMismatch,
        Self::DataQuality,
        Self::MissingTable,
        Self::Storage,
        Self::Cancelled,
        Self::Internal,
    ];

    /// Whether the same pipeline may succeed when it is simply run again.
    pub const fn is_retriable(self) -> bool {
        matches!(self.action(), Action::Wait | Action::Recompute)
    }

    /// The error class that users see: in `error_class`, and at the head of every `error_message`.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Busy => "TableBusyError",
            Self::Conflict => "ConcurrentModificationError",
            Self::Transient => "TransientError",
            Self::Config => "ConfigError",
            Self::Sql => "SqlError",
            Self::SchemaMismatch => "SchemaMismatchError",
            Self::DataQuality => "DataQualityError",
            Self::MissingTable => "MissingTableError",
            Self::Storage => "StorageError",
            Self::Cancelled => "CancelledError",
            Self::Internal => "InternalError",
        }
    }

    /// The kind whose [`class`](Self::class) is `class`, for reading back what an earlier run stored.
    pub fn from_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.class() == class)
    }

    /// What to do about it.
    pub const fn action(self) -> Action {
        match self {
            Self::Busy | Self::Transient => Action::Wait,
            Self::Conflict => Action::Recompute,
            Self::Config | Self::Sql => Action::CorrectConfig,
            Self::SchemaMismatch | Self::DataQuality => Action::CorrectSource,
            Self::MissingTable => Action::CreateTable,
            Self::Storage => Action::RepairStorage,
            Self::Cancelled => Action::Stop,
            Self::Internal => Action::Report,
        }
    }
}

/// Shown as its class.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())
    }
}

impl Action {
    /// The action as advice to a user: half a sentence in the imperative, without a full stop.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Wait => "run it again in a while",
            Self::Recompute => "run it again; the change is computed anew on what the other writer left",
            Self::CorrectConfig => "correct the configuration, then run it again",
            Self::CorrectSource => {
                "correct the source rows or the columns the configuration names, then run it again"
            }
            Self::CreateTable => "create or load the missing table, then run it again",
            Self::RepairStorage => "check rights, space and state of the storage, then run it again",
            Self::Stop => "run it again when it suits",
            Self::Report => "report this as a defect, with the message",
        }
    }
}

impl Classify for io::Error {
    fn kind(&self) -> FaultKind {
        use io::ErrorKind as Io;
        match io::Error::kind(self) {
            Io::TimedOut
            | Io::Interrupted
            | Io::WouldBlock
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::ConnectionRefused
            | Io::BrokenPipe
            | Io::NetworkDown
            | Io::NetworkUnreachable
            | Io::HostUnreachable => FaultKind::Transient,
            Io::ResourceBusy => FaultKind::Busy,
            // A missing file is a storage fault here: only a caller knows that the file was a table.
            _ => FaultKind::Storage,
        }
    }
}

impl<E: Classify + ?Sized> Classify for &E {
    fn kind(&self) -> FaultKind {
        (**self).kind()
    }
}

impl<E: Classify + ?Sized> Classify for Box<E> {
    fn kind(&self) -> FaultKind {
        (**self).kind()
    }
}

impl<E: Classify + ?Sized> Classify for std::sync::Arc<E> {
    fn kind(&self) -> FaultKind {
        (**self).kind()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use super::{Action, Classify, FaultKind};

    #[test]
    fn exactly_busy_conflict_and_transient_faults_are_retriable() {
        let retriable: Vec<_> = FaultKind::ALL.into_iter().filter(|kind| kind.is_retriable()).collect();
        assert_eq!(retriable, [FaultKind::Busy, FaultKind::Conflict, FaultKind::Transient]);
    }

    #[test]
    fn only_a_conflict_asks_for_the_change_to_be_computed_anew() {
        let recomputed: Vec<_> =
            FaultKind::ALL.into_iter().filter(|kind| kind.action() == Action::Recompute).collect();
        assert_eq!(recomputed, [FaultKind::Conflict]);
    }

    #[test]
    fn every_kind_has_a_class_of_its_own_that_reads_back() {
        let classes: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.class()).collect();
        assert_eq!(classes.len(), FaultKind::ALL.len());
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_class(&kind.to_string()), Some(kind));
        }
        assert_eq!(FaultKind::from_class("dataqualityerror"), None);
    }

    #[test]
    fn an_io_time_out_is_transient_and_a_full_disk_is_not() {
        let kind = |kind: io::ErrorKind| Classify::kind(&io::Error::from(kind));
        assert_eq!(kind(io::ErrorKind::TimedOut), FaultKind::Transient);
        assert_eq!(kind(io::ErrorKind::StorageFull), FaultKind::Storage);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), FaultKind::Storage);
    }

    #[test]
    fn a_boxed_or_shared_error_keeps_its_kind() {
        let boxed: Box<dyn Classify> = Box::new(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(boxed.kind(), FaultKind::Transient);
        let shared = std::sync::Arc::new(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(Classify::kind(&shared), FaultKind::Storage);
    }
}
