//! The domain model: what a pipeline *is*, after every rule of the dialect has been checked.
//!
//! These types hold no YAML, no spans and no optional leftovers of the wire format: a value of
//! [`Pipeline`] can be planned and run. Rules are those of the configuration dialect (`docs/config.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::name::TableName;
use crate::problem::Location;

mod dimension;
mod fact;
mod quality;

pub use dimension::{
    DeleteEffective, Dimension, FieldHistory, History, KeptChanges, KeyStrategy, MiniDimension, Scd,
    TrackedColumns,
};
pub use fact::{
    Additivity, Aggregation, DurableReference, EarlyArriving, Fact, FactLoading, FactPattern, ForeignKey,
    InvalidAction, JunkDimension, Lookup, Measure, Milestone,
};
pub(crate) use quality::UNRESOLVED_KEYS;
pub use quality::{
    Compatibility, Contract, ContractColumn, ContractRule, Observability, PiiColumn, Protection, RuleCheck,
    Secret, SecretReference, TemporalRule, Validation, ValidationMode,
};

/// A folder of pipelines and the target they run against, checked as a whole.
#[derive(Debug, Clone)]
pub struct Project {
    /// The pipelines, in the order of their table names.
    pub pipelines: Vec<Pipeline>,
    /// Those of files that lie beside the ones that were asked for: they tell of tables, and are not to be run.
    pub known: Vec<Pipeline>,
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
    /// How many days rows of `etl_control` are kept; `None` keeps them for ever.
    pub control_history_days: Option<u32>,
    /// How rows are taken out of tables whose pipelines do not say.
    pub merge_strategy: MergeStrategy,
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
    /// How rows are taken out of the table: the pipeline's own choice, or the target's.
    pub merge_strategy: MergeStrategy,
    /// `optimize_after_merge`: whether every batch leaves the table with as few files as it needs.
    pub optimize_after_merge: bool,
    /// `cluster_by`: columns by which rows are sorted where files are written anew.
    pub cluster_by: Vec<String>,
    /// `table_description`, written into the Delta metadata.
    pub description: Option<String>,
    /// `column_descriptions`, written into the Delta metadata.
    pub column_descriptions: BTreeMap<String, String>,
    /// `tests`: what must hold of the rows of a batch before it is committed.
    pub tests: Vec<ColumnTest>,
    /// `tags`: words by which pipelines are selected together.
    pub tags: Vec<String>,
    /// `pii`: personal columns of the query's output.
    pub pii: Vec<PiiColumn>,
    /// `observability`: where findings about data are kept, and who is told.
    pub observability: Observability,
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

/// How a commit takes rows out of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MergeStrategy {
    /// A deletion vector beside the file names them: `merge_on_read`.
    #[default]
    MergeOnRead,
    /// The file is written anew without them, for readers that know no deletion vectors: `copy_on_write`.
    CopyOnWrite,
}

/// The query of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformation {
    /// One SELECT or WITH query, as written.
    pub sql: String,
    /// The 1-based line of the YAML file on which the text of the query begins.
    pub line: usize,
    /// Where each line of the query stands in the file; empty where its lines are not lines of the file.
    pub lines: Vec<Location>,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq)]
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
    /// The same as a time: the first version is the one that was committed then or next. Never beside `starting_version`.
    pub starting_timestamp: Option<DateTime<Utc>>,
    /// What its supplier promises.
    pub contract: Option<Contract>,
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

impl TableKind {
    /// What `column` is, with its article, where rows are found by it.
    pub(crate) fn identity(&self, column: &str) -> Option<&'static str> {
        let any = |names: &[String]| names.iter().any(|name| name.to_lowercase() == column.to_lowercase());
        match self {
            Self::Dimension(dimension) => any(&dimension.natural_keys).then_some("a natural key"),
            Self::Fact(fact) if any(&fact.merge_keys) => Some("a merge key"),
            Self::Fact(fact) => {
                let mut lookups = fact.foreign_keys.iter().filter_map(|key| key.lookup.as_ref());
                lookups.any(|lookup| any(&lookup.source_columns)).then_some("a source column of a lookup")
            }
        }
    }
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

    /// Whether rows are found by a column: a natural key, a merge key, or an identity that a lookup starts from.
    pub fn is_identity(&self, column: &str) -> bool {
        self.kind.identity(column).is_some()
    }

    /// Whether the table keeps history rows of its own: types 2, 6 and 7.
    pub fn is_history(&self) -> bool {
        matches!(&self.kind, TableKind::Dimension(dimension) if dimension.scd.history().is_some())
    }
}
