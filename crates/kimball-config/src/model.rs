//! The domain model: what a pipeline *is*, after every rule of the dialect has been checked.
//!
//! These types hold no YAML, no spans and no optional leftovers of the wire format: a value of
//! [`Pipeline`] can be planned and run. Rules are those of the configuration dialect (`docs/config.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::name::TableName;

/// A folder of pipelines and the target they run against, checked as a whole.
#[derive(Debug, Clone)]
pub struct Project {
    /// The pipelines, in the order of their table names.
    pub pipelines: Vec<Pipeline>,
    /// Where the tables live.
    pub target: Target,
}

/// Where tables live and what the templates see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name chosen with `--target`; `default` without a targets file.
    pub name: String,
    /// A folder or an object-store URL; tables lie at `<warehouse>/<schema>/<table>`.
    pub warehouse: String,
    /// The schema of `etl_control` and the other support tables.
    pub etl_schema: String,
    /// Options for the object store, credentials by reference only.
    pub storage_options: BTreeMap<String, String>,
    /// The folder that relative paths of file sources start from.
    pub base_dir: PathBuf,
}

/// One YAML file: one table and how it is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The file, as it was named on the command line or found below a folder.
    pub config_path: PathBuf,
    /// The table this pipeline writes.
    pub table: TableName,
    /// What kind of table it is, with the settings only that kind has.
    pub kind: TableKind,
    /// Where its rows come from; never empty, aliases unique.
    pub sources: Vec<Source>,
    /// The query over the sources; `None` means all columns of the only source.
    pub transformation: Option<Transformation>,
    /// Tables named in `depends_on`.
    pub depends_on: Vec<TableName>,
    /// What a delete does where rows are not closed as history.
    pub delete_strategy: DeleteStrategy,
    /// What becomes of rows that a full snapshot no longer holds.
    pub missing: MissingRows,
    /// What NULL attributes become; facts keep NULL whatever this says.
    pub null_policy: NullPolicy,
    /// Whether the table takes new columns and wider types of the query's output.
    pub schema_evolution: bool,
    /// `table_description`, written into the Delta metadata.
    pub description: Option<String>,
    /// `column_descriptions`, written into the Delta metadata.
    pub column_descriptions: BTreeMap<String, String>,
    /// `tests`: what must hold of the rows of a batch before it is committed.
    pub tests: Vec<ColumnTest>,
    /// Things to tell the user that are no problem: inert keys, defaults that are not built yet.
    pub notes: Vec<String>,
    /// Changes whenever a change of the file could change the loaded rows; stable over formatting,
    /// comments and key order.
    pub fingerprint: u64,
}

/// Dimension or fact.
#[derive(Debug, Clone, PartialEq)]
pub enum TableKind {
    /// `table_type: dimension`.
    Dimension(Dimension),
    /// `table_type: fact`.
    Fact(Fact),
}

/// The query of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformation {
    /// One SELECT or WITH query, as written.
    pub sql: String,
    /// The 1-based line of the YAML file on which the text of the query begins.
    pub line: usize,
}

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

/// Tests of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnTest {
    /// The column of the table.
    pub column: String,
    /// What is to hold.
    pub tests: Vec<Test>,
    /// What a failure means; never [`Severity::Skip`].
    pub severity: Severity,
}

/// What is to hold of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// No value is there twice; NULL counts as no value.
    Unique,
    /// No value is NULL.
    NotNull,
    /// Every value but NULL is one of these, as written.
    AcceptedValues(Vec<String>),
    /// Every value but NULL is a value of a column of another table.
    Relationships {
        /// The other table.
        to: TableName,
        /// Its column.
        field: String,
    },
    /// This boolean SQL expression over the row is true or NULL.
    Expression(String),
}

/// One foreign key of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The column of the fact.
    pub column: String,
    /// The dimension it points at; `None` when the file only declares the column.
    pub references: Option<TableName>,
    /// The surrogate key column of that dimension.
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
    /// What an identity without a member does.
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

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name as written: a table name for Delta, any name for files.
    pub name: String,
    /// The name in the SQL and of the watermark; the last dotted part of `name` by default.
    pub alias: String,
    /// What is read.
    pub location: SourceLocation,
    /// How much of it is read.
    pub strategy: CdcStrategy,
    /// `primary_keys`: columns that identify a source row, if declared.
    pub primary_keys: Vec<String>,
    /// First version of the feed to read on the first run; `None` starts with a snapshot.
    pub starting_version: Option<u64>,
}

/// What a source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// A Delta table of the warehouse.
    Table(TableName),
    /// A Delta table outside the warehouse: an absolute path or URL.
    DeltaPath(String),
    /// Files: absolute path or URL, globs allowed.
    Files {
        /// How they are read.
        format: FileFormat,
        /// An absolute path, a glob or a URL.
        path: String,
        /// Reader options as written, keys in lower case.
        options: BTreeMap<String, String>,
    },
}

/// Formats of file sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values; option names are Spark's (`header`, `sep`, `quote`, …).
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

/// How much of a source a batch reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdcStrategy {
    /// The change data feed since the watermark.
    Cdf,
    /// The whole source, whenever its version moved: a snapshot.
    Full,
    /// Inserted rows since the watermark.
    Append,
}

/// `delete_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteStrategy {
    /// The row stays with `__is_deleted` true.
    Soft,
    /// The row goes.
    Hard,
}

/// What becomes of rows that a full snapshot no longer holds (semantics 4.8).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MissingRows {
    /// Close or delete them (true), or leave them alone (false).
    pub close: bool,
    /// Whether a snapshot may close every member.
    pub allow_full_close: bool,
    /// Largest share (0 to 1) of the open members that one snapshot may close.
    pub max_close_ratio: Option<f64>,
}

/// `null_policy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NullPolicy {
    /// NULL attributes become the substitute of their column, else of their type.
    Kimball {
        /// `attribute_substitutes`: column → value as written.
        substitutes: BTreeMap<String, String>,
    },
    /// NULL stays.
    Legacy,
}

/// What a failed check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The batch is refused.
    Error,
    /// The batch goes on with a warning.
    Warn,
    /// The check is not made.
    Skip,
}

impl Pipeline {
    /// `dimension` or `fact`, as `table_type` is written.
    pub fn table_type(&self) -> &'static str {
        match self.kind {
            TableKind::Dimension(_) => "dimension",
            TableKind::Fact(_) => "fact",
        }
    }

    /// Whether every source is a snapshot, so that a missing row means something (semantics 4.8).
    pub fn is_snapshot(&self) -> bool {
        self.sources.iter().all(|source| source.strategy == CdcStrategy::Full)
    }

    /// The tables that this pipeline writes besides its own: the history table of type 4, mini-dimensions and
    /// junk dimensions.
    pub fn companions(&self) -> Vec<&TableName> {
        match &self.kind {
            TableKind::Dimension(dimension) => dimension.companions(),
            TableKind::Fact(fact) => fact.junk_dimensions.iter().map(|junk| &junk.table).collect(),
        }
    }

    /// Whether the table keeps history rows of its own: types 2, 6 and 7.
    pub fn is_history(&self) -> bool {
        matches!(&self.kind, TableKind::Dimension(dimension) if dimension.scd.history().is_some())
    }
}

impl Dimension {
    /// See [`Pipeline::companions`].
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
