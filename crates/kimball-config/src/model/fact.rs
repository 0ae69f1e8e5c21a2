//! Facts: how rows get in, what they stand for, and the keys that point at dimensions.

use super::Severity;
use crate::name::TableName;

/// Settings of a fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The columns that identify a row; never empty.
    pub merge_keys: Vec<String>,
    /// How a batch's rows get into the table.
    pub loading: FactLoading,
    /// The columns that the table is partitioned by; not empty for [`FactLoading::ReplacePartitions`].
    pub partition_by: Vec<String>,
    /// What a row stands for.
    pub pattern: FactPattern,
    /// Numbers, with what may be done with them.
    pub measures: Vec<Measure>,
    /// Columns of the query's output that are dimensions without a table, such as an order number.
    pub degenerate_dimensions: Vec<String>,
    /// The keys that point at dimensions.
    pub foreign_keys: Vec<ForeignKey>,
    /// Tables that hold combinations of some columns; the fact holds their keys.
    pub junk_dimensions: Vec<JunkDimension>,
    /// What a repeated merge key in one batch means.
    pub grain_validation: Severity,
}

/// How a batch's rows get into a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactLoading {
    /// Merged by the merge keys.
    Upsert,
    /// `append_only`: inserts only, exactly once.
    Append,
    /// `replace_partitions`: the partitions that the batch holds are replaced.
    ReplacePartitions,
}

/// `fact_pattern`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactPattern {
    /// A row an event.
    Transaction,
    /// A row a period and whatever else the merge keys say.
    PeriodicSnapshot,
    /// A row a process, filled in as it goes on.
    AccumulatingSnapshot {
        /// In their order; at least two.
        milestones: Vec<Milestone>,
    },
}

/// A step of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// What it is called.
    pub name: String,
    /// The column of the query's output with its date or time, NULL until it is reached.
    pub column: String,
    /// `lag_column`: a column that the engine adds, with the whole days since the milestone before.
    pub lag_column: Option<String>,
}

/// A number of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The column of the query's output.
    pub column: String,
    /// How it is meant to be aggregated; `None` where the file does not say.
    pub aggregation: Option<Aggregation>,
    /// Along what it may be added.
    pub additivity: Additivity,
}

/// `aggregation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called what they are")]
pub enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    CountDistinct,
}

/// `additivity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Additivity {
    /// Along every dimension.
    Additive,
    /// Along all dimensions but these columns of the fact; never empty.
    SemiAdditive(Vec<String>),
    /// Along none, such as a ratio.
    NonAdditive,
}

/// A table of the combinations of some columns of a fact, such as flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JunkDimension {
    /// The table.
    pub table: TableName,
    /// Its surrogate key column, which is the column of the fact, too.
    pub surrogate_key: String,
    /// Columns of the query's output, in config order; never empty.
    pub columns: Vec<String>,
}

/// One foreign key of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The column of the fact.
    pub column: String,
    /// The dimension it points at; `None` when the file only declares the column.
    pub references: Option<TableName>,
    /// The surrogate key column of that dimension. Where the file leaves it out, it is that of the project's table, of which
    /// the fingerprint knows nothing; `None` where the project has none, and no key is looked for.
    pub dimension_key: Option<String>,
    /// `relationship: type7`: the member's key is on the row beside the version's.
    pub durable: Option<DurableReference>,
    /// Whether a loaded row gets another key when a late version of the dimension covers its event.
    pub restate_on_late_dimension: bool,
    /// How the key is found; `None` when the query itself gives it.
    pub lookup: Option<Lookup>,
}

/// The second key of a `relationship: type7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableReference {
    /// `durable_column`: the column of the fact.
    pub column: String,
    /// `durable_dimension_key`: the durable key column of the dimension.
    pub dimension_key: String,
}

/// How a foreign key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Identity columns of the query's output.
    pub source_columns: Vec<String>,
    /// The columns of the dimension they equal, in the same order and number.
    pub dimension_columns: Vec<String>,
    /// The column of the query's output that says as of when; `None`: the current version.
    pub event_time: Option<String>,
    /// A table that tells which identity a source identity stood for at the event time.
    pub identity_map: Option<TableName>,
    /// A boolean SQL expression over the query's output: where it holds the key is −2.
    pub not_applicable_when: Option<String>,
    /// What an identity that can never match (blank, or without its event time) does.
    pub invalid_action: InvalidAction,
    /// What an identity without a member does. Where the file leaves it to the dimension, the project decides; the
    /// fingerprint knows nothing of that.
    pub early_arriving: EarlyArriving,
    /// Whether an identity that matches several members is an error.
    pub detect_fanout: bool,
    /// Whether the batch is refused when any identity ends on a sentinel instead of a member.
    pub validate_resolution: bool,
}

/// `invalid_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidAction {
    /// The key becomes −4.
    Default,
    /// The batch is refused.
    Error,
}

/// `early_arriving`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyArriving {
    /// The dimension gets an inferred member.
    Skeleton,
    /// The key becomes −3, and is repaired when the member arrives.
    Default,
    /// The batch is refused.
    Error,
}
