//! What there is: tables, columns, commits, as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use kimball_config::nearest;
use kimball_engine::sql_name;
use kimball_lake::{LakeTable, TableId, Warehouse};

use crate::SqlError;

/// Finds tables by the names that people write.
pub(crate) struct Catalog<'a> {
    pub(crate) warehouse: &'a Warehouse,
}

impl Catalog<'_> {
    /// Opens `schema.table`, with or without a catalog in front; a table alone when one schema has it. Exact names go
    /// before those that differ in case.
    pub(crate) async fn open(&self, parts: &[String]) -> Result<LakeTable, SqlError> {
        if let [.., schema, table] = parts
            && let Ok(id) = TableId::new(schema, table)
            && let Some(found) = self.warehouse.open(&id).await?
        {
            return Ok(found);
        }
        let tables = self.warehouse.tables().await?;
        let fits = |id: &&TableId| match parts {
            [.., schema, table] => {
                id.schema().eq_ignore_ascii_case(schema) && id.table().eq_ignore_ascii_case(table)
            }
            [table] => id.table().eq_ignore_ascii_case(table),
            [] => false,
        };
        let written = parts.join(".");
        match tables.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [only] => match self.warehouse.open(only).await? {
                Some(found) => Ok(found),
                None => Err(unknown(written, &tables)),
            },
            [] => Err(unknown(written, &tables)),
            several => Err(SqlError::AmbiguousTable {
                table: written,
                candidates: several.iter().map(ToString::to_string).collect(),
            }),
        }
    }
}

fn unknown(table: String, tables: &[TableId]) -> SqlError {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let last_two = table.split('.').rev().take(2).collect::<Vec<_>>();
    let shown = last_two.into_iter().rev().collect::<Vec<_>>().join(".");
    let near = nearest(&shown, names.iter().map(String::as_str)).map(str::to_owned);
    SqlError::UnknownTable { table, nearest: near, tables: names.len() }
}

/// `SHOW TABLES`: the tables of `schema` or of all, whose names fit `pattern`, in which `*` and `%` stand for anything.
pub(crate) fn tables(
    tables: &[TableId],
    schema: Option<&str>,
    pattern: Option<&str>,
) -> Result<RecordBatch, ArrowError> {
    let shown: Vec<&TableId> = tables
        .iter()
        .filter(|id| schema.is_none_or(|schema| id.schema().eq_ignore_ascii_case(schema)))
        .filter(|id| pattern.is_none_or(|pattern| fits(id.table(), pattern)))
        .collect();
    RecordBatch::try_from_iter([
        ("schema", texts(shown.iter().map(|id| Some(id.schema().to_owned())))),
        ("table", texts(shown.iter().map(|id| Some(id.table().to_owned())))),
    ])
}

/// `SHOW SCHEMAS`.
pub(crate) fn schemas(tables: &[TableId]) -> Result<RecordBatch, ArrowError> {
    let mut schemas: Vec<&str> = tables.iter().map(TableId::schema).collect();
    schemas.dedup();
    RecordBatch::try_from_iter([("schema", texts(schemas.into_iter().map(|name| Some(name.to_owned()))))])
}

/// `DESCRIBE table`: its columns in order.
pub(crate) fn columns(table: &LakeTable) -> Result<RecordBatch, SqlError> {
    let schema = table.schema()?;
    let fields = || schema.fields().iter();
    let batch = RecordBatch::try_from_iter([
        ("column", texts(fields().map(|field| Some(field.name().clone())))),
        ("type", texts(fields().map(|field| Some(sql_name(field.data_type()))))),
        (
            "nullable",
            Arc::new(BooleanArray::from_iter(fields().map(|field| Some(field.is_nullable())))) as ArrayRef,
        ),
        ("comment", texts(fields().map(|field| field.metadata().get("comment").cloned()))),
    ]);
    Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
}

/// `DESCRIBE HISTORY table`: its commits, newest first.
pub(crate) async fn history(table: &LakeTable) -> Result<RecordBatch, SqlError> {
    let commits = table.history().await?;
    let times = commits.iter().map(|commit| commit.at.map(|at| at.timestamp_micros()));
    let times = times.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("version", Arc::new(Int64Array::from_iter_values(commits.iter().map(|it| it.version))) as ArrayRef),
        ("timestamp", Arc::new(times) as ArrayRef),
        ("operation", texts(commits.iter().map(|it| it.operation.clone()))),
        ("operationParameters", texts(commits.iter().map(|it| it.parameters.clone()))),
        ("userMetadata", texts(commits.iter().map(|it| it.user_metadata.clone()))),
    ]);
    Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// Whether `name` is one that `pattern` describes, whatever the case.
fn fits(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (name.to_lowercase(), pattern.to_lowercase().replace('%', "*"));
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
        last = Some(piece);
    }
    match last {
        None => rest.is_empty(),
        Some(piece) => piece.is_empty() || name.ends_with(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_describe_names() {
        for (name, pattern) in
            [("dim_a", "dim*"), ("dim_a", "*_A"), ("dim_a", "DIM_A"), ("dim_a", "d%_%"), ("aba", "a*a")]
        {
            assert!(fits(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("dim_a", "dim"), ("dim_a", "*b"), ("fact_a", "dim*")] {
            assert!(!fits(name, pattern), "{name} {pattern}");
        }
    }
}
