//! Which columns a table has and where each comes from.

mod exact;
mod fact;
mod fit;
mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kimball_config::{Dimension, Pipeline, Scd, TableKind, TableName, TrackedColumns};
use kimball_lake::{read_schema, stored_schema};
use xxhash_rust::xxh64::xxh64;

pub(crate) use self::exact::stored_value;
pub(crate) use self::fit::Evolution;
pub(crate) use self::types::{stores, takes_guessed};
pub use kimball_lake::sql_name;

use crate::EngineError;
use crate::columns as name;
use crate::error::QUERY_OUTPUT;

/// The columns of a target table and their roles.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The table's name, for messages.
    pub(crate) table: String,
    /// All columns in the order they are written.
    pub(crate) schema: SchemaRef,
    /// The columns of the query's output, as stored.
    pub(crate) output: Vec<Field>,
    /// Natural keys or merge keys.
    pub(crate) keys: Vec<String>,
    /// The surrogate key of a dimension.
    pub(crate) surrogate_key: Option<String>,
    /// Foreign keys that the broker finds, durable ones included.
    pub(crate) looked_up: Vec<String>,
    /// Columns that the type of a dimension or the pattern of a fact adds to those of the output.
    pub(crate) computed: Vec<Computed>,
    /// Whether the table holds versions with intervals.
    pub(crate) is_history: bool,
    /// The effective time of a history or of a type 4 history table, where the output has one.
    pub(crate) effective_at: Option<String>,
    /// Attributes whose change opens a version.
    pub(crate) tracked: Vec<String>,
    /// What the existing table lacks.
    pub(crate) evolution: Evolution,
}

/// A column that the engine computes from others.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub(crate) column: String,
    pub(crate) kind: DataType,
    pub(crate) role: Role,
}

/// What a computed column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Type 3: the value before the present one of a column.
    Previous(String),
    /// Type 6: the newest value of a column.
    Current(String),
    /// Type 5: the key of these columns' combination in a mini-dimension.
    MiniKey(Vec<String>),
    /// Type 7: the member's key.
    DurableKey,
    /// Type 7: SHA-256 of the natural key.
    MemberFingerprint,
    /// Type 7: SHA-256 of natural key and effective time.
    RowFingerprint,
    /// A fact's key of these columns' combination in a junk dimension.
    JunkKey(Vec<String>),
    /// An accumulating snapshot: whole days from one milestone to the next.
    Lag {
        /// The column of the milestone before.
        from: String,
        /// The column of the milestone.
        to: String,
    },
}

/// The type of every timestamp column.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Layout {
    /// The layout of `pipeline`'s table for a query whose output has the columns of `output`; types are
    /// those of the existing table, if there is one.
    ///
    /// # Errors
    /// [`EngineError::MissingColumn`], [`EngineError::ReservedColumn`] or [`EngineError::SchemaMismatch`]
    /// when the output, the configuration and the table do not fit together.
    pub(crate) fn of(
        pipeline: &Pipeline,
        output: &Schema,
        existing: Option<&Schema>,
    ) -> Result<Self, EngineError> {
        Self::laid_out(pipeline, output, existing, None)
    }

    /// The layout of a table that the pipeline of `owner` writes besides its own, as a pipeline of its own: it is the
    /// owner's configuration that says whether columns may be added and types may widen.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub(crate) fn of_companion(
        pipeline: &Pipeline,
        owner: &TableName,
        output: &Schema,
        existing: Option<&Schema>,
    ) -> Result<Self, EngineError> {
        Self::laid_out(pipeline, output, existing, Some(owner))
    }

    fn laid_out(
        pipeline: &Pipeline,
        output: &Schema,
        existing: Option<&Schema>,
        owner: Option<&TableName>,
    ) -> Result<Self, EngineError> {
        let stored = stored_schema(output)?;
        let mut layout = Self {
            table: pipeline.table.to_string(),
            schema: stored.clone(),
            output: stored.fields().iter().map(|field| field.as_ref().clone()).collect(),
            keys: Vec::new(),
            surrogate_key: None,
            looked_up: Vec::new(),
            computed: Vec::new(),
            is_history: pipeline.is_history(),
            effective_at: None,
            tracked: Vec::new(),
            evolution: Evolution::default(),
        };
        layout.check_names()?;
        match &pipeline.kind {
            TableKind::Dimension(dimension) => layout.take_dimension(dimension)?,
            TableKind::Fact(fact) => layout.take_fact(fact)?,
        }
        layout.schema = layout.all_columns();
        if owner.is_none() {
            layout.require_anywhere("cluster_by", &pipeline.cluster_by)?;
        }
        match existing {
            // What the table has without a zone is read in UTC, and written back as it is stored.
            Some(existing) => layout.fit(&read_schema(existing), output, pipeline, owner),
            None => Ok(layout),
        }
    }

    fn take_dimension(&mut self, dimension: &Dimension) -> Result<(), EngineError> {
        self.keys.clone_from(&dimension.natural_keys);
        self.surrogate_key = Some(dimension.surrogate_key.clone());
        self.require("natural key", &self.keys)?;
        let made = "it is the surrogate key, which the engine makes; leave it out with a `transformation_sql`, or call the \
                    surrogate key otherwise";
        self.forbid(&dimension.surrogate_key, made)?;
        if let Some(history) = dimension.scd.history() {
            self.require_time(history.effective_at.as_slice())?;
            self.effective_at.clone_from(&history.effective_at);
            self.tracked = self.fields_of(&history.tracked)?;
        }
        for mini in &dimension.mini_dimensions {
            self.require("mini-dimension column", &mini.columns)?;
        }
        if let Scd::Type4 { history: Some(history) } = &dimension.scd {
            self.require_time(history.effective_at.as_slice())?;
            self.effective_at.clone_from(&history.effective_at);
            self.fields_of(&history.tracked)?;
        }
        self.computed = self.computed_of(dimension)?;
        for computed in &self.computed {
            self.forbid(&computed.column, "the engine computes it for this type of dimension")?;
        }
        Ok(())
    }

    /// The named columns, or all attributes; natural keys never change and are left out.
    pub(crate) fn fields_of(&self, tracked: &TrackedColumns) -> Result<Vec<String>, EngineError> {
        match tracked {
            TrackedColumns::All => Ok(self.attributes().map(str::to_owned).collect()),
            TrackedColumns::Named(names) => {
                self.require("tracked column", names)?;
                Ok(names.iter().filter(|column| !self.keys.contains(column)).cloned().collect())
            }
        }
    }

    fn computed_of(&self, dimension: &Dimension) -> Result<Vec<Computed>, EngineError> {
        let like = |role: &'static str, column: &String| -> Result<DataType, EngineError> {
            self.require(role, std::slice::from_ref(column))?;
            let field = self.output.iter().find(|field| field.name() == column);
            Ok(field.map_or(DataType::Utf8, |field| field.data_type().clone()))
        };
        let fixed =
            |column: &str, kind: DataType, role: Role| Computed { column: column.to_owned(), kind, role };
        Ok(match &dimension.scd {
            Scd::Type3 { previous } => previous
                .iter()
                .map(|(of, column)| {
                    Ok(fixed(column, like("previous column of", of)?, Role::Previous(of.clone())))
                })
                .collect::<Result<_, EngineError>>()?,
            Scd::Type5 => dimension
                .mini_dimensions
                .iter()
                .map(|mini| fixed(&mini.surrogate_key, DataType::Int64, Role::MiniKey(mini.columns.clone())))
                .collect(),
            Scd::Type6 { current_values, .. } => current_values
                .iter()
                .map(|of| {
                    let kind = like("current value column", of)?;
                    Ok(fixed(&format!("current_{of}"), kind, Role::Current(of.clone())))
                })
                .collect::<Result<_, EngineError>>()?,
            Scd::Type7 { durable_key, .. } => vec![
                fixed(durable_key, DataType::Int64, Role::DurableKey),
                fixed(name::MEMBER_FINGERPRINT, DataType::Utf8, Role::MemberFingerprint),
                fixed(name::ROW_FINGERPRINT, DataType::Utf8, Role::RowFingerprint),
            ],
            Scd::Type0 | Scd::Type1 | Scd::Type2(_) | Scd::Type4 { .. } => Vec::new(),
        })
    }

    /// Attributes: columns of the output that are neither key nor effective time.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.output.iter().map(|field| field.name().as_str()).filter(|name| {
            !self.keys.iter().any(|key| key == name) && self.effective_at.as_deref() != Some(name)
        })
    }

    /// Attributes that are overwritten in place in a history.
    pub(crate) fn untracked(&self) -> Vec<String> {
        self.attributes().filter(|name| !self.tracked.iter().any(|t| t == name)).map(str::to_owned).collect()
    }

    /// What `hashdiff` is computed from: the tracked columns, in order, and their types.
    pub(crate) fn hashdiff_fingerprint(&self) -> Option<i64> {
        if !self.is_history {
            return None;
        }
        let mut text = String::new();
        for column in &self.tracked {
            let kind = self.output.iter().find(|field| field.name() == column).map(Field::data_type);
            text.push_str(&format!("{column}\0{kind:?}\0"));
        }
        Some((xxh64(text.as_bytes(), 0) >> 1).cast_signed())
    }

    fn names(&self) -> Vec<String> {
        self.output.iter().map(|field| field.name().clone()).collect()
    }

    fn check_names(&self) -> Result<(), EngineError> {
        let mut seen = BTreeSet::new();
        for field in &self.output {
            if field.name().starts_with("__") || field.name() == name::HASHDIFF {
                let reason = "names that begin with `__`, and `hashdiff`, belong to the engine";
                return Err(EngineError::ReservedColumn { column: field.name().clone(), reason });
            }
            if !seen.insert(field.name().to_lowercase()) {
                let reason = "it is there twice, and tables do not tell case apart; name the columns one by one, and rename \
                              or leave out the second";
                return Err(EngineError::ReservedColumn { column: field.name().clone(), reason });
            }
        }
        Ok(())
    }

    fn require(&self, role: &'static str, columns: &[String]) -> Result<(), EngineError> {
        let known = |column: &&String| {
            self.looked_up.contains(column) || self.output.iter().any(|field| field.name() == *column)
        };
        match columns.iter().find(|column| !known(column)) {
            None => Ok(()),
            Some(column) => {
                let (column, of) = (column.clone(), QUERY_OUTPUT.to_owned());
                Err(EngineError::MissingColumn { role, column, of, found: self.names() })
            }
        }
    }

    /// As [`require`](Self::require), of all columns of the table.
    fn require_anywhere(&self, role: &'static str, columns: &[String]) -> Result<(), EngineError> {
        match columns.iter().find(|column| self.schema.field_with_name(column).is_err()) {
            None => Ok(()),
            Some(column) => {
                let (column, of) = (column.clone(), self.table.clone());
                let found = self.schema.fields().iter().map(|field| field.name().clone()).collect();
                Err(EngineError::MissingColumn { role, column, of, found })
            }
        }
    }

    /// An effective time is a time, or a text that is read as one: of a number nobody knows what it counts.
    fn require_time(&self, columns: &[String]) -> Result<(), EngineError> {
        self.require("effective_at", columns)?;
        for field in self.output.iter().filter(|field| columns.contains(field.name())) {
            let (column, kind) = (field.name(), field.data_type());
            if kind.is_numeric() || *kind == DataType::Boolean {
                return Err(EngineError::Config(format!(
                    "effective_at `{column}` is {}: give a timestamp, date or ISO text, such as \
                     `to_timestamp_seconds({column})`",
                    sql_name(kind)
                )));
            }
        }
        Ok(())
    }

    fn forbid(&self, column: &str, reason: &'static str) -> Result<(), EngineError> {
        match self.output.iter().any(|field| field.name().eq_ignore_ascii_case(column)) {
            true => Err(EngineError::ReservedColumn { column: column.to_owned(), reason }),
            false => Ok(()),
        }
    }

    fn all_columns(&self) -> SchemaRef {
        let mut fields: Vec<Field> = Vec::new();
        let text = |name| Field::new(name, DataType::Utf8, true);
        let flag = |name| Field::new(name, DataType::Boolean, true);
        let time = |name| Field::new(name, timestamp(), true);
        fields.extend(self.surrogate_key.iter().map(|key| Field::new(key, DataType::Int64, true)));
        fields.extend(self.output.iter().cloned());
        fields.extend(self.looked_up.iter().map(|key| Field::new(key, DataType::Int64, true)));
        fields.extend(self.computed.iter().map(|new| Field::new(&new.column, new.kind.clone(), true)));
        if self.is_history {
            fields.extend([time(name::VALID_FROM), time(name::VALID_TO), flag(name::IS_CURRENT)]);
            fields.push(Field::new(name::HASHDIFF, DataType::Int64, true));
        }
        fields.push(flag(name::IS_DELETED));
        if self.surrogate_key.is_some() {
            fields.extend([flag(name::IS_SKELETON), text(name::MEMBER_STATUS), text(name::KEY_ORIGIN)]);
        }
        fields.extend([time(name::PROCESSED_AT), text(name::BATCH_ID)]);
        Arc::new(Schema::new(fields))
    }
}
