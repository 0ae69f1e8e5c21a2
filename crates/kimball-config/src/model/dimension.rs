//! Dimensions: their keys, how changes of attributes are kept, and the tables beside them.

use std::collections::BTreeMap;

use crate::name::TableName;

/// Settings of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// How changes of attributes are kept.
    pub scd: Scd,
    /// The name of the surrogate key column.
    pub surrogate_key: String,
    /// How surrogate keys come about.
    pub key_strategy: KeyStrategy,
    /// The natural key columns, in config order; never empty.
    pub natural_keys: Vec<String>,
    /// Tables that hold combinations of some attributes; not empty for type 5.
    pub mini_dimensions: Vec<MiniDimension>,
    /// `default_rows`: column → value as written, for all default members.
    pub default_rows: BTreeMap<String, String>,
    /// Integer keys of `default_rows` (the old dialect): member key (−4 to −1) → its label in text columns,
    /// instead of "Missing", "Not Applicable", "Not Yet Available", "Bad Value".
    pub member_labels: BTreeMap<i64, String>,
}

/// `surrogate_key_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStrategy {
    /// A hash of the natural key that anyone can recompute (semantics 2.1).
    Hash,
    /// Dense numbers from 1 (semantics 2.2).
    Sequence,
}

/// The slowly changing dimension types, with the settings each needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scd {
    /// The first value stays.
    Type0,
    /// Overwrite in place.
    Type1,
    /// A row for every version.
    Type2(History),
    /// Overwrite in place, with the value before in a column of its own.
    Type3 {
        /// `previous_columns`: column → the column that takes its previous value; never empty.
        previous: BTreeMap<String, String>,
    },
    /// Overwrite in place, with the changes of fields in a table of their own, or mini-dimensions, or both.
    Type4 {
        /// `None`: mini-dimensions alone.
        history: Option<FieldHistory>,
    },
    /// Overwrite in place, with the current keys of its mini-dimensions on the row.
    Type5,
    /// A row for every version, with the newest values on each.
    Type6 {
        /// The versions.
        history: History,
        /// `current_value_columns`: columns whose newest value stands in `current_<column>`; never empty.
        current_values: Vec<String>,
    },
    /// A row for every version, with a key of the member beside the key of the version.
    Type7 {
        /// The versions.
        history: History,
        /// The column of the member's key.
        durable_key: String,
    },
}

/// Settings of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The column of the query's output that says since when a row is true; `None` (type 6 only): the run's
    /// clock reading.
    pub effective_at: Option<String>,
    /// The attributes whose change opens a version.
    pub tracked: TrackedColumns,
    /// Which versions of one batch become history.
    pub kept_changes: KeptChanges,
    /// When a member's delete takes effect.
    pub delete_effective: DeleteEffective,
    /// Whether changes that repeat what holds already are remembered (semantics 4.2).
    pub remember_repeats: bool,
}

/// `preserve_all_changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptChanges {
    /// Every version inside a batch (true).
    All,
    /// The last one of each member (false).
    Last,
}

/// `delete_effective`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteEffective {
    /// The commit time of the delete.
    Commit,
    /// The deleted row's own effective time.
    Row,
}

/// The history table of a type 4 dimension: a row for each changed field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHistory {
    /// The table.
    pub table: TableName,
    /// The column of the query's output that says since when a value is true; `None`: the run's clock reading.
    pub effective_at: Option<String>,
    /// The fields whose changes are kept.
    pub tracked: TrackedColumns,
}

/// A mini-dimension: the combinations of some attributes, each with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiniDimension {
    /// The table.
    pub table: TableName,
    /// Its surrogate key column.
    pub surrogate_key: String,
    /// The attributes; never empty.
    pub columns: Vec<String>,
}

/// `track_history_columns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackedColumns {
    /// `["*"]`: every attribute.
    All,
    /// The named ones; never empty.
    Named(Vec<String>),
}

impl Dimension {
    /// The tables that its pipeline writes besides its own: the history table of type 4, and mini-dimensions.
    pub fn companions(&self) -> Vec<&TableName> {
        let history = match &self.scd {
            Scd::Type4 { history } => history.as_ref().map(|history| &history.table),
            _ => None,
        };
        self.mini_dimensions.iter().map(|mini| &mini.table).chain(history).collect()
    }
}

impl Scd {
    /// The settings of the versions, for types 2, 6 and 7.
    pub fn history(&self) -> Option<&History> {
        match self {
            Self::Type2(history) | Self::Type6 { history, .. } | Self::Type7 { history, .. } => Some(history),
            Self::Type0 | Self::Type1 | Self::Type3 { .. } | Self::Type4 { .. } | Self::Type5 => None,
        }
    }

    /// The number of the type.
    pub fn number(&self) -> u8 {
        match self {
            Self::Type0 => 0,
            Self::Type1 => 1,
            Self::Type2(_) => 2,
            Self::Type3 { .. } => 3,
            Self::Type4 { .. } => 4,
            Self::Type5 => 5,
            Self::Type6 { .. } => 6,
            Self::Type7 { .. } => 7,
        }
    }
}
