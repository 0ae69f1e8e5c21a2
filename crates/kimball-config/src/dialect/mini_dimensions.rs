//! Mini-dimensions: tables that hold the combinations of some attributes of a dimension.

use super::columns::{self, plain, same};
use super::key_columns::KeyColumns;
use super::keys::MINI_DIMENSION;
use crate::model::MiniDimension;
use crate::name::TableName;
use crate::reader::{Located, MapReader};

/// The most that a dimension has; far beyond what anyone designs, and few enough to be held against each other.
const MAX_MINI_DIMENSIONS: usize = 100;

/// A mini-dimension with the places that its rules need.
struct Read {
    table: Located<TableName>,
    surrogate_key: Located<String>,
    columns: Vec<Located<String>>,
}

/// Reads `mini_dimensions`. `companions` holds the tables that the dimension writes besides its own, and takes
/// those of the mini-dimensions.
pub(super) fn read(
    reader: &MapReader<'_>,
    scd_type: Option<&Located<i64>>,
    keys: &KeyColumns,
    companions: &mut Vec<Located<TableName>>,
) -> Vec<MiniDimension> {
    let items = reader.mappings("mini_dimensions", &MINI_DIMENSION);
    if items.len() > MAX_MINI_DIMENSIONS {
        let message = format!("a dimension has at most {MAX_MINI_DIMENSIONS} mini-dimensions");
        reader.findings().error(reader.key_span("mini_dimensions"), message);
    }
    let items = items.iter().take(MAX_MINI_DIMENSIONS);
    let minis: Vec<Read> = items.filter_map(|item| read_one(reader, item, keys, companions)).collect();
    if scd_type.is_some_and(|scd_type| scd_type.value == 5) {
        check_keys_on_the_row(reader, &minis, keys);
    }
    minis
        .into_iter()
        .map(|mini| MiniDimension {
            table: mini.table.value,
            surrogate_key: mini.surrogate_key.value,
            columns: plain(mini.columns),
        })
        .collect()
}

fn read_one(
    reader: &MapReader<'_>,
    mini: &MapReader<'_>,
    keys: &KeyColumns,
    companions: &mut Vec<Located<TableName>>,
) -> Option<Read> {
    let table = mini.required_table("table");
    if let Some(table) = &table {
        check_table(reader, table, companions);
        companions.push(table.clone());
    }
    let surrogate_key = columns::required_column(mini, "surrogate_key");
    let columns = columns::required_columns(mini, "columns");
    for column in columns.iter().flatten() {
        check_column(reader, column, surrogate_key.as_ref(), keys);
    }
    Some(Read { table: table?, surrogate_key: surrogate_key?, columns: columns? })
}

fn check_table(reader: &MapReader<'_>, table: &Located<TableName>, companions: &[Located<TableName>]) {
    let own = reader.table("table_name");
    let message = if own.is_some_and(|own| own.value == table.value) {
        "a mini-dimension must be another table than its dimension".to_owned()
    } else if companions.iter().any(|companion| companion.value == table.value) {
        format!("`{}` is already the history table or a mini-dimension of this dimension", table.value)
    } else {
        return;
    };
    reader.findings().error(table.span, message);
}

fn check_column(
    reader: &MapReader<'_>,
    column: &Located<String>,
    surrogate_key: Option<&Located<String>>,
    keys: &KeyColumns,
) {
    let (findings, name) = (reader.findings(), &column.value);
    if surrogate_key.is_some_and(|key| same(&key.value, name)) {
        findings.error(
            column.span,
            format!("`{name}` is the surrogate key of the mini-dimension: it cannot be one of its columns"),
        );
    }
    if keys.is_natural(name) {
        let message =
            format!("`{name}` is a natural key: the mini-dimension would get a row for every member");
        findings.warning(column.span, message);
    } else if let Some(role) = keys.role_of(name) {
        findings.error(column.span, format!("`{name}` is {role} of the dimension: it is no attribute"));
    }
}

/// The rows of type 5 hold the keys of its mini-dimensions, so these are columns beside its own.
fn check_keys_on_the_row(reader: &MapReader<'_>, minis: &[Read], keys: &KeyColumns) {
    for (position, mini) in minis.iter().enumerate() {
        let key = &mini.surrogate_key;
        let role = keys.role_of(&key.value).map(|role| format!("{role} of the dimension"));
        let before = minis.iter().take(position);
        let other = before
            .into_iter()
            .find(|other| same(&other.surrogate_key.value, &key.value))
            .map(|other| format!("the surrogate key of `{}`", other.table.value));
        if let Some(taken) = role.or(other) {
            let message = format!(
                "`{}` is already {taken}: a type 5 dimension holds the keys of its mini-dimensions",
                key.value
            );
            reader.findings().error(key.span, message);
        }
    }
}
