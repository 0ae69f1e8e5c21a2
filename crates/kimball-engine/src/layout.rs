//! Which columns a table has, where each comes from, and whether the query's output fits.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kimball_config::{FileFormat, Pipeline, Scd, SourceLocation, TableKind, TrackedColumns};
use kimball_lake::stored_schema;
use xxhash_rust::xxh64::xxh64;

use crate::EngineError;
use crate::columns as name;

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
    /// Foreign keys that the broker finds.
    pub(crate) looked_up: Vec<String>,
    /// The effective time of a history.
    pub(crate) effective_at: Option<String>,
    /// Attributes whose change opens a version.
    pub(crate) tracked: Vec<String>,
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
        let stored = stored_schema(output)?;
        let mut layout = Self {
            table: pipeline.table.to_string(),
            schema: stored.clone(),
            output: stored.fields().iter().map(|field| field.as_ref().clone()).collect(),
            keys: Vec::new(),
            surrogate_key: None,
            looked_up: Vec::new(),
            effective_at: None,
            tracked: Vec::new(),
        };
        layout.check_names()?;
        match &pipeline.kind {
            TableKind::Dimension(dimension) => {
                layout.keys.clone_from(&dimension.natural_keys);
                layout.surrogate_key = Some(dimension.surrogate_key.clone());
                layout.require("natural key", &layout.keys)?;
                layout.forbid(&dimension.surrogate_key, "it is the surrogate key, which the engine makes")?;
                if let Scd::Type2(history) = &dimension.scd {
                    layout.require("effective_at", std::slice::from_ref(&history.effective_at))?;
                    layout.effective_at = Some(history.effective_at.clone());
                    layout.tracked = match &history.tracked {
                        TrackedColumns::All => layout.attributes().map(str::to_owned).collect(),
                        TrackedColumns::Named(names) => {
                            layout.require("tracked column", names)?;
                            names.iter().filter(|column| !layout.keys.contains(column)).cloned().collect()
                        }
                    };
                }
            }
            TableKind::Fact(fact) => {
                layout.keys.clone_from(&fact.merge_keys);
                for key in &fact.foreign_keys {
                    let Some(lookup) = &key.lookup else {
                        layout.require("foreign key", std::slice::from_ref(&key.column))?;
                        continue;
                    };
                    layout
                        .forbid(&key.column, "it is a foreign key with a lookup, which the engine finds")?;
                    layout.require("lookup column", &lookup.source_columns)?;
                    layout.require("event_time", lookup.event_time.as_slice())?;
                    layout.looked_up.push(key.column.clone());
                }
                layout.require("merge key", &layout.keys)?;
            }
        }
        layout.schema = layout.all_columns();
        match existing {
            Some(existing) => layout.fit(existing, output, Typing::of(pipeline)),
            None => Ok(layout),
        }
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
        self.effective_at.as_ref()?;
        let mut text = String::new();
        for column in &self.tracked {
            let kind = self.output.iter().find(|field| field.name() == column).map(Field::data_type);
            text.push_str(&format!("{column}\0{kind:?}\0"));
        }
        Some((xxh64(text.as_bytes(), 0) >> 1).cast_signed())
    }

    fn names(&self) -> String {
        self.output.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
    }

    fn check_names(&self) -> Result<(), EngineError> {
        let mut seen = BTreeSet::new();
        for field in &self.output {
            if field.name().starts_with("__") || field.name() == name::HASHDIFF {
                let reason = "names that begin with `__`, and `hashdiff`, belong to the engine";
                return Err(EngineError::ReservedColumn { column: field.name().clone(), reason });
            }
            if !seen.insert(field.name().to_lowercase()) {
                let reason = "it is there twice, and tables do not tell case apart";
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
                Err(EngineError::MissingColumn { role, column: column.clone(), found: self.names() })
            }
        }
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
        if self.effective_at.is_some() {
            fields.extend([time(name::VALID_FROM), time(name::VALID_TO), flag(name::IS_CURRENT)]);
            fields.push(Field::new(name::HASHDIFF, DataType::Int64, true));
        }
        fields.push(flag(name::IS_DELETED));
        if self.surrogate_key.is_some() {
            fields.extend([flag(name::IS_SKELETON), text(name::MEMBER_STATUS), text(name::KEY_ORIGIN)]);
        }
        fields.extend([time(name::PROCESSED_AT), text(name::BATCH_ID)]);
        std::sync::Arc::new(Schema::new(fields))
    }

    /// Takes over the existing table's types and order, if every column of each is in the other and its
    /// values can be stored without loss.
    fn fit(mut self, existing: &Schema, output: &Schema, typing: Typing) -> Result<Self, EngineError> {
        let mismatch = |difference: String| EngineError::SchemaMismatch {
            table: self.table.clone(),
            difference,
            stored: described(existing),
            staged: described(&self.schema),
        };
        for field in self.schema.fields() {
            let Ok(stored) = existing.field_with_name(field.name()) else {
                let advice = "new columns need `schema_evolution`, which is not supported yet";
                return Err(mismatch(format!("column `{}` is not in the table; {advice}", field.name())));
            };
            // A column that is NULL in every row has no type of its own.
            let is_untyped =
                output.field_with_name(field.name()).is_ok_and(|field| *field.data_type() == DataType::Null);
            let guessed = typing == Typing::Guessed && takes_guessed(stored.data_type(), field.data_type());
            if !(is_untyped || guessed || stores(stored.data_type(), field.data_type())) {
                return Err(mismatch(format!(
                    "column `{}` is {} in the table and {} in the query",
                    field.name(),
                    stored.data_type(),
                    field.data_type()
                )));
            }
        }
        for stored in existing.fields() {
            if self.schema.field_with_name(stored.name()).is_err() {
                return Err(mismatch(format!("column `{}` of the table is not in the query", stored.name())));
            }
        }
        for field in &mut self.output {
            if let Ok(stored) = existing.field_with_name(field.name()) {
                *field = Field::new(field.name(), stored.data_type().clone(), true);
            }
        }
        self.schema = std::sync::Arc::new(existing.clone());
        Ok(self)
    }
}

/// Whether the types of a query's output are declared by its sources or guessed from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typing {
    Declared,
    Guessed,
}

impl Typing {
    fn of(pipeline: &Pipeline) -> Self {
        let guessed = pipeline.sources.iter().any(|source| {
            matches!(
                &source.location,
                SourceLocation::Files { format: FileFormat::Csv | FileFormat::Json, .. }
            )
        });
        if guessed { Self::Guessed } else { Self::Declared }
    }
}

/// Whether a column whose type was guessed from a file's text may be read as the type that the table has: one
/// day's prices may all be whole, and an empty file has no types at all. A value that does not fit is an error.
fn takes_guessed(stored: &DataType, guessed: &DataType) -> bool {
    match guessed {
        DataType::Utf8 => stored.is_numeric() || stored.is_temporal() || *stored == DataType::Boolean,
        DataType::Int64 => matches!(stored, DataType::Float64 | DataType::Decimal128(_, _) | DataType::Utf8),
        DataType::Float64 | DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _) => {
            *stored == DataType::Utf8
        }
        _ => false,
    }
}

fn described(schema: &Schema) -> String {
    let columns = schema.fields().iter().filter(|field| !field.name().starts_with("__"));
    columns.map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
}

/// Whether a column of type `stored` takes every value of type `staged` as it is.
fn stores(stored: &DataType, staged: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp};
    let integer_digits = |kind: &DataType| match kind {
        Int8 => Some(3),
        Int16 => Some(5),
        Int32 => Some(10),
        Int64 => Some(19),
        _ => None,
    };
    if stored == staged {
        return true;
    }
    match (stored, staged) {
        (Int16, Int8) | (Int32, Int8 | Int16) | (Int64, Int8 | Int16 | Int32) => true,
        (Float64, Float32 | Int8 | Int16 | Int32) | (Float32, Int8 | Int16) => true,
        // Change detection compares typed values (semantics 1.3): 10.00 and 10.0 are one value.
        (Float64, Decimal128(precision, _)) => *precision <= 15,
        (Decimal128(precision, scale), Decimal128(other, other_scale)) => {
            scale >= other_scale
                && i16::from(*precision) - i16::from(*scale) >= i16::from(*other) - i16::from(*other_scale)
        }
        (Decimal128(precision, scale), whole) => {
            integer_digits(whole).is_some_and(|digits| i16::from(*precision) - i16::from(*scale) >= digits)
        }
        (Timestamp(_, _), Date32) => true,
        _ => false,
    }
}
