//! Junk dimensions: tables that hold the combinations of some columns of a fact.

use std::collections::HashSet;

use super::columns::{plain, required_column, required_columns};
use super::fact_columns::{FactColumns, unique};
use super::keys::JUNK_DIMENSION;
use crate::model::JunkDimension;
use crate::name::TableName;
use crate::reader::{Located, MapReader};

/// The most that a fact has; few enough to be held against each other.
const MAX_JUNK_DIMENSIONS: usize = 100;

/// Reads `junk_dimensions`. `columns` holds the keys and the degenerate dimensions of the fact, and takes the
/// columns of the junk dimensions; `companions` takes their tables.
pub(super) fn read(
    reader: &MapReader<'_>,
    columns: &mut FactColumns,
    companions: &mut Vec<Located<TableName>>,
) -> Vec<JunkDimension> {
    let items = reader.mappings("junk_dimensions", &JUNK_DIMENSION);
    if items.len() > MAX_JUNK_DIMENSIONS {
        let message = format!("a fact has at most {MAX_JUNK_DIMENSIONS} junk dimensions");
        reader.findings().error(reader.key_span("junk_dimensions"), message);
    }
    let mut keys = HashSet::new();
    let mut junk_dimensions = Vec::new();
    for junk in items.iter().take(MAX_JUNK_DIMENSIONS) {
        let table = junk.required_table("dimension_table");
        if let Some(table) = &table {
            check_table(reader, table, companions);
            companions.push(table.clone());
        }
        let surrogate_key = read_key(junk, columns);
        unique(junk, surrogate_key.clone(), &mut keys, "junk key");
        let sources = required_columns(junk, "source_columns");
        check_sources(junk, sources.iter().flatten(), &keys);
        columns.add_all(sources.iter().flatten(), "a source column of a junk dimension");
        let (Some(table), Some(surrogate_key), Some(sources)) = (table, surrogate_key, sources) else {
            continue;
        };
        junk_dimensions.push(JunkDimension {
            table: table.value,
            surrogate_key: surrogate_key.value,
            columns: plain(sources),
        });
    }
    junk_dimensions.iter().for_each(|junk| columns.add(&junk.surrogate_key, "a junk key"));
    junk_dimensions
}

fn check_table(reader: &MapReader<'_>, table: &Located<TableName>, companions: &[Located<TableName>]) {
    let own = reader.table("table_name");
    let message = if own.is_some_and(|own| own.value == table.value) {
        "a junk dimension must be another table than its fact".to_owned()
    } else if companions.iter().any(|companion| companion.value == table.value) {
        format!("`{}` is already a junk dimension of this fact", table.value)
    } else {
        return;
    };
    reader.findings().error(table.span, message);
}

/// The key is a column that the engine adds to the fact.
fn read_key(junk: &MapReader<'_>, columns: &FactColumns) -> Option<Located<String>> {
    let key = required_column(junk, "surrogate_key")?;
    if let Some(role) = columns.role_of(&key.value) {
        let message = format!("`{}` cannot be both {role} and a junk key", key.value);
        junk.findings().error(key.span, message);
    }
    Some(key)
}

/// The query gives the columns, the engine adds the keys.
fn check_sources<'a>(
    junk: &MapReader<'_>,
    sources: impl Iterator<Item = &'a Located<String>>,
    keys: &HashSet<String>,
) {
    for source in sources.filter(|source| keys.contains(&source.value.to_lowercase())) {
        let message = format!("`{}` is a junk key: it cannot be a source column", source.value);
        junk.findings().error(source.span, message);
    }
}
