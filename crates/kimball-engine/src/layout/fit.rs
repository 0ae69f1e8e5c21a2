//! Whether the columns of a query fit an existing table, and what the table has to become.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use kimball_config::{FileFormat, Pipeline, SourceLocation, TableKind, TableName};

use super::Layout;
use super::sql_name;
use super::types::{stores, takes_by_value, takes_guessed, widened};
use crate::EngineError;
use crate::columns as name;

/// System columns that a table taken over may lack: its rows have NULL there, which says the usual.
const ADDABLE: &[&str] = &[
    name::HASHDIFF,
    name::IS_DELETED,
    name::IS_SKELETON,
    name::MEMBER_STATUS,
    name::KEY_ORIGIN,
    name::PROCESSED_AT,
    name::BATCH_ID,
];

/// What has to be done to an existing table so that it holds the query's output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evolution {
    /// Columns of the output or computed from it that old rows get a value for, or another type.
    pub(crate) filled: Vec<String>,
    /// Columns of the table that are nobody's; rows that are new have NULL there.
    pub(crate) foreign: Vec<String>,
}

impl Evolution {
    /// Whether old rows have to be written anew.
    pub(crate) fn rewrites(&self) -> bool {
        !self.filled.is_empty()
    }
}

impl Layout {
    /// Takes over the existing table's types and order, and notes what the table has to become.
    ///
    /// Without `schema_evolution` every column of each must be in the other, and values must be stored without
    /// loss. With it columns are added and types widen. A column that the query no longer gives is an error
    /// either way. `owner` is the table whose configuration says so, where it is another.
    pub(super) fn fit(
        mut self,
        existing: &Schema,
        output: &Schema,
        pipeline: &Pipeline,
        owner: Option<&TableName>,
    ) -> Result<Self, EngineError> {
        let flag = match owner {
            Some(owner) => format!("`schema_evolution: true` of {owner}"),
            None => "`schema_evolution: true`".to_owned(),
        };
        let mismatch = |difference: String| EngineError::SchemaMismatch {
            table: self.table.clone(),
            difference,
            stored: described(existing),
            staged: described(&self.schema),
        };
        let typing = Typing::of(pipeline);
        let mut evolution = Evolution::default();
        let mut fields: Vec<Field> = existing.fields().iter().map(|field| field.as_ref().clone()).collect();
        for field in self.schema.fields() {
            let column = field.name();
            let Some(stored) = fields.iter_mut().find(|stored| stored.name() == column) else {
                let is_system = ADDABLE.contains(&column.as_str());
                if !is_system {
                    if let Some(near) = fields.iter().find(|near| near.name().eq_ignore_ascii_case(column)) {
                        return Err(mismatch(format!("column `{column}` is `{}` in the table", near.name())));
                    }
                    if column.starts_with("__") {
                        return Err(other_kind(&self.table, existing, pipeline));
                    }
                    if !pipeline.schema_evolution {
                        let difference = format!("column `{column}` is not in the table");
                        return Err(mismatch(format!("{difference}; {flag} would add it")));
                    }
                    evolution.filled.push(column.clone());
                }
                fields.push(field.as_ref().clone());
                continue;
            };
            // A column that is NULL in every row has no type of its own.
            let is_untyped =
                output.field_with_name(column).is_ok_and(|field| *field.data_type() == DataType::Null);
            let (kind, given) = (stored.data_type(), field.data_type());
            // Rows of a companion are not cast on their way: they have the types of its owner's.
            let by_value = owner.is_none() && takes_by_value(kind, given);
            if is_untyped || by_value || typing.takes(kind, given) || is_hashdiff(column) {
                continue;
            }
            let difference = format!(
                "column `{column}` is {} in the table and {} in the query",
                sql_name(stored.data_type()),
                sql_name(field.data_type())
            );
            match widened(stored.data_type(), field.data_type()) {
                Some(wide) if pipeline.schema_evolution => {
                    evolution.filled.push(column.clone());
                    *stored = stored.clone().with_data_type(wide);
                }
                Some(_) => {
                    return Err(mismatch(format!("{difference}; {flag} would widen it")));
                }
                None => {
                    let cast = format!("CAST({column} AS {})", sql_name(stored.data_type()));
                    return Err(mismatch(format!(
                        "{difference}; give `{cast}`, or rebuild the table with `--full-refresh --allow-history-loss`"
                    )));
                }
            }
        }
        for stored in
            existing.fields().iter().filter(|stored| self.schema.field_with_name(stored.name()).is_err())
        {
            if is_hashdiff(stored.name()) && existing.field_with_name(name::VALID_FROM).is_ok() {
                return Err(other_kind(&self.table, existing, pipeline));
            }
            if !stored.name().starts_with("__") {
                let (column, kind) = (stored.name(), sql_name(stored.data_type()));
                return Err(mismatch(format!(
                    "column `{column}` of the table is not in the query; select it, or `CAST(NULL AS {kind}) AS {column}` \
                     where the source has it no more"
                )));
            }
            evolution.foreign.push(stored.name().clone());
        }
        let typed = |column: &str| fields.iter().find(|field| field.name() == column).map(Field::data_type);
        for field in &mut self.output {
            if let Some(kind) = typed(field.name()) {
                *field = Field::new(field.name(), kind.clone(), true);
            }
        }
        for computed in &mut self.computed {
            if let Some(kind) = typed(&computed.column) {
                computed.kind = kind.clone();
            }
        }
        self.schema = Arc::new(Schema::new(fields));
        self.evolution = evolution;
        Ok(self)
    }
}

/// A table without columns that the type of its dimension needs, or with versions that it has no columns for.
fn other_kind(table: &str, existing: &Schema, pipeline: &Pipeline) -> EngineError {
    let has = |column: &str| existing.field_with_name(column).is_ok();
    let stored = match has(name::VALID_FROM) && has(name::IS_CURRENT) {
        true => "a dimension with versions",
        false => "a dimension without versions",
    };
    let wanted = match &pipeline.kind {
        TableKind::Dimension(dimension) => format!("type {}", dimension.scd.number()),
        TableKind::Fact(_) => "a fact".to_owned(),
    };
    EngineError::OtherKind { table: table.to_owned(), stored, wanted }
}

/// The hash of a table taken over may be of any type; it is never compared with ours.
fn is_hashdiff(column: &str) -> bool {
    column == name::HASHDIFF
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

    /// Whether a column of type `stored` takes the values of one of type `given`.
    fn takes(self, stored: &DataType, given: &DataType) -> bool {
        stores(stored, given) || (self == Self::Guessed && takes_guessed(stored, given))
    }
}

fn described(schema: &Schema) -> String {
    let columns =
        schema.fields().iter().filter(|field| !field.name().starts_with("__") && !is_hashdiff(field.name()));
    columns
        .map(|field| format!("{} {}", field.name(), sql_name(field.data_type())))
        .collect::<Vec<_>>()
        .join(", ")
}
