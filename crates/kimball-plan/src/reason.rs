//! Why one pipeline comes after another.

use std::fmt;
use std::path::PathBuf;

use kimball_config::TableName;

/// Why a pipeline needs a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// One of its sources is the table.
    ReadsSource,
    /// A foreign key points at it.
    ForeignKey {
        /// The column of the fact.
        column: String,
    },
    /// A foreign key resolves identities through it.
    IdentityMap {
        /// The column of the fact.
        column: String,
    },
    /// A `relationships` test looks for the values of a column in it.
    Test {
        /// The column that is tested.
        column: String,
    },
    /// `depends_on` names it.
    Declared,
    /// One of these about a table that the needed pipeline writes besides its own: a history table, a
    /// mini-dimension or a junk dimension.
    Companion {
        /// That table.
        table: TableName,
        /// Why it is needed; never a companion itself.
        reason: Box<Reason>,
    },
}

/// A pipeline that another one needs, with every reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The table that the needed pipeline writes.
    pub table: TableName,
    /// Why it is needed; never empty, sorted, without repeats.
    pub reasons: Vec<Reason>,
}

/// A table that a pipeline needs and that no pipeline of the project writes: it has to exist already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExternalTable {
    /// The table of the pipeline that needs it.
    pub pipeline: TableName,
    /// The table that is needed.
    pub table: TableName,
    /// Why it is needed; a table needed for several reasons is listed once for each.
    pub reason: Reason,
    /// The file of the pipeline.
    pub config_path: PathBuf,
    /// The table of another pipeline that is called nearly so; a plan does not look for it.
    pub near: Option<TableName>,
}

/// Where a pipeline stands, and what keeps it from standing earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number of its wave, from 1.
    pub wave: usize,
    /// Its dependencies in the wave right before; empty exactly for the first wave.
    pub after: Vec<Dependency>,
}

impl Reason {
    /// The name of this kind of reason in JSON: `source`, `foreign_key`, `identity_map`, `test` or `depends_on`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ReadsSource => "source",
            Self::ForeignKey { .. } => "foreign_key",
            Self::IdentityMap { .. } => "identity_map",
            Self::Test { .. } => "test",
            Self::Declared => "depends_on",
            Self::Companion { reason, .. } => reason.kind(),
        }
    }

    /// Whether `depends_on` names the pipeline by one of its tables.
    pub(crate) fn is_declared(&self) -> bool {
        match self {
            Self::Declared => true,
            Self::Companion { reason, .. } => reason.is_declared(),
            Self::ReadsSource | Self::ForeignKey { .. } | Self::IdentityMap { .. } | Self::Test { .. } => {
                false
            }
        }
    }

    /// Whether `depends_on` should name the pipeline for this reason; a test changes no row.
    pub(crate) fn wants_declaration(&self) -> bool {
        match self {
            Self::ReadsSource | Self::ForeignKey { .. } | Self::IdentityMap { .. } => true,
            Self::Test { .. } | Self::Declared => false,
            Self::Companion { reason, .. } => reason.wants_declaration(),
        }
    }
}

/// `source`, `foreign key customer_sk`, `identity map of customer_sk`, `test of status`, `depends_on`; on a
/// companion `source gold.customer_history`, `foreign key segment_sk to gold.segments`, `identity map of
/// customer_sk in gold.segments`, `test of segment in gold.segments`, `depends_on gold.segments`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadsSource => f.write_str("source"),
            Self::ForeignKey { column } => write!(f, "foreign key {column}"),
            Self::IdentityMap { column } => write!(f, "identity map of {column}"),
            Self::Test { column } => write!(f, "test of {column}"),
            Self::Declared => f.write_str("depends_on"),
            Self::Companion { table, reason } => match reason.as_ref() {
                Self::ForeignKey { .. } => write!(f, "{reason} to {table}"),
                Self::IdentityMap { .. } | Self::Test { .. } => write!(f, "{reason} in {table}"),
                reason => write!(f, "{reason} {table}"),
            },
        }
    }
}

/// `gold.dim_customer (foreign key customer_sk, depends_on)`.
impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.table, comma_separated(&self.reasons))
    }
}

/// `wave 2: after gold.dim_customer (foreign key customer_sk)`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.after.is_empty() {
            write!(f, "wave {}: needs no other pipeline", self.wave)
        } else {
            write!(f, "wave {}: after {}", self.wave, comma_separated(&self.after))
        }
    }
}

/// The items one after the other, with a comma between two.
pub(crate) fn comma_separated<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
