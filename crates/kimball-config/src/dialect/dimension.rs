//! Dimensions: their keys, their type and their default members.

use std::collections::BTreeMap;

use super::columns::{self, plain};
use super::{key_columns, mini_dimensions, scd};
use crate::model::{Dimension, KeyStrategy};
use crate::name::TableName;
use crate::reader::{Located, MapReader};
use crate::source_text::Span;

/// Reads the settings of a dimension; `None` when it has errors. `companions` takes the tables that it writes
/// besides its own, also when it has errors.
pub(crate) fn read(reader: &MapReader<'_>, companions: &mut Vec<Located<TableName>>) -> Option<Dimension> {
    let scd_type = scd::number(reader);
    let keys = key_columns::read(reader, scd_type.as_ref());
    let key_strategy = key_strategy(reader);
    let (default_rows, member_labels) = default_rows(reader);
    let scd = scd::read(reader, scd_type.as_ref(), &keys, companions);
    let mini_dimensions = mini_dimensions::read(reader, scd_type.as_ref(), &keys, companions);
    Some(Dimension {
        scd: scd?,
        surrogate_key: keys.surrogate?.value,
        key_strategy,
        natural_keys: plain(keys.natural),
        mini_dimensions,
        default_rows,
        member_labels,
    })
}

fn key_strategy(reader: &MapReader<'_>) -> KeyStrategy {
    let strategies = [
        ("hash", KeyStrategy::Hash),
        ("sequence", KeyStrategy::Sequence),
        ("identity", KeyStrategy::Sequence),
    ];
    reader.choice("surrogate_key_strategy", &strategies).map_or(KeyStrategy::Hash, |strategy| strategy.value)
}

/// `default_rows`: values of columns, and labels of members under their integer keys.
fn default_rows(reader: &MapReader<'_>) -> (BTreeMap<String, String>, BTreeMap<i64, String>) {
    let mut by_column = BTreeMap::new();
    let mut labels = BTreeMap::new();
    for (key, value) in reader.texts("default_rows").unwrap_or_default() {
        match key.parse::<i64>() {
            Ok(member @ -4..=-1) => {
                labels.insert(member, value.value);
            }
            Ok(other) => refuse_member(reader, other, value.span),
            Err(_) => {
                columns::check(reader.findings(), &Located::new(key.clone(), value.span));
                by_column.insert(key, value.value);
            }
        }
    }
    (by_column, labels)
}

fn refuse_member(reader: &MapReader<'_>, member: i64, span: Span) {
    reader.findings().error_with_help(
        span,
        format!("there is no default member {member}"),
        "the members are -1 (missing), -2 (not applicable), -3 (not yet available) and -4 (bad value)",
    );
}
