//! The slowly changing dimension types.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::columns::{self, plain, same};
use super::history::HistorySettings;
use super::key_columns::KeyColumns;
use crate::model::{FieldHistory, Scd, TrackedColumns};
use crate::name::TableName;
use crate::reader::{Located, MapReader};
use crate::yaml::{Node, Value};

/// A key that only some types have, and the types that cannot do without it.
struct TypeRule {
    key: &'static str,
    allowed: &'static [i64],
    needed: &'static [i64],
    /// What to do where it is needed.
    help: &'static str,
}

/// What the types do, in a phrase each.
const TYPES: &str = "0 keeps the first values, 1 overwrites, 2 keeps versions, 3 keeps the previous values, 4 has a history \
                     table or mini-dimensions, 5 is 4 with the current mini-dimension on the row, 6 is 2 with the current \
                     values, 7 is 2 with a durable key";

const ANY_TYPE: &[i64] = &[0, 1, 2, 3, 4, 5, 6, 7];

/// Keys of the types; `effective_at` and `track_history_columns` do no harm elsewhere and are noted instead.
const TYPE_RULES: &[TypeRule] = &[
    TypeRule {
        key: "effective_at",
        allowed: ANY_TYPE,
        needed: &[2, 7],
        help: "name the column that says since when a row is true, such as `effective_at: updated_at`",
    },
    TypeRule {
        key: "track_history_columns",
        allowed: ANY_TYPE,
        needed: &[2, 6, 7],
        help: "name the columns whose change makes a version, such as `[city, segment]`, or `[\"*\"]` for all",
    },
    TypeRule {
        key: "previous_columns",
        allowed: &[3],
        needed: &[3],
        help: "name the column that takes the value before, such as `previous_columns: {city: previous_city}`",
    },
    TypeRule { key: "history_table", allowed: &[4], needed: &[], help: "" },
    TypeRule {
        key: "mini_dimensions",
        allowed: ANY_TYPE,
        needed: &[5],
        help: "write `mini_dimensions: [{table: gold.dim_profile, surrogate_key: profile_sk, columns: [segment]}]`",
    },
    TypeRule {
        key: "current_value_columns",
        allowed: &[6],
        needed: &[6],
        help: "name the columns whose newest value stands on every version, such as `current_value_columns: [city]`",
    },
];

/// Columns of a type 4 history table beside the key, which it calls as the dimension does.
const HISTORY_TABLE_COLUMNS: &[&str] = &["field", "value", "valid_from", "valid_to"];

/// The number of the type; 1 when the key is not there.
pub(super) fn number(reader: &MapReader<'_>) -> Option<Located<i64>> {
    if reader.node("scd_type").is_none() {
        return Some(Located::new(1, reader.key_span("table_type")));
    }
    let scd_type = reader.integer("scd_type", 0)?;
    if scd_type.value > 7 {
        let message = format!("`scd_type` must be 0 to 7, found {}", scd_type.value);
        reader.findings().error_with_help(scd_type.span, message, TYPES);
        return None;
    }
    Some(scd_type)
}

/// Reads the settings of the type; a history table is added to `companions`.
pub(super) fn read(
    reader: &MapReader<'_>,
    scd_type: Option<&Located<i64>>,
    keys: &KeyColumns,
    companions: &mut Vec<Located<TableName>>,
) -> Option<Scd> {
    let settings = HistorySettings::read(reader, keys);
    let previous = previous_columns(reader, keys);
    let current_values = current_values(reader, keys);
    let history_table = history_table(reader, keys);
    companions.extend(history_table.clone());
    let scd_type = scd_type?;
    for rule in TYPE_RULES {
        check_type_rule(reader, rule, scd_type);
    }
    note_unused_settings(reader, scd_type.value);
    match scd_type.value {
        0 => Some(Scd::Type0),
        1 => Some(Scd::Type1),
        2 => settings.versions(reader).map(Scd::Type2),
        3 => Some(Scd::Type3 { previous }),
        4 => {
            if !is_set(reader, "history_table") && !is_set(reader, "mini_dimensions") {
                reader.findings().error(scd_type.span, "type 4 needs `history_table` or `mini_dimensions`");
            }
            Some(Scd::Type4 { history: history_table.map(|table| field_history(table.value, settings)) })
        }
        5 => Some(Scd::Type5),
        6 => settings.versions(reader).map(|history| Scd::Type6 { history, current_values }),
        7 => {
            let durable_key = keys.durable.as_ref().map(|key| key.value.clone());
            settings
                .versions(reader)
                .zip(durable_key)
                .map(|(history, durable_key)| Scd::Type7 { history, durable_key })
        }
        _ => None,
    }
}

fn field_history(table: TableName, settings: HistorySettings) -> FieldHistory {
    FieldHistory {
        table,
        effective_at: settings.effective_at.map(|column| column.value),
        tracked: settings.tracked.unwrap_or(TrackedColumns::All),
    }
}

fn check_type_rule(reader: &MapReader<'_>, rule: &TypeRule, scd_type: &Located<i64>) {
    let number = scd_type.value;
    if is_set(reader, rule.key) {
        if !rule.allowed.contains(&number) {
            let types = rule.allowed.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("`{}` is for type {types}, this dimension is type {number}", rule.key);
            reader.findings().error(reader.key_span(rule.key), message);
        }
    } else if rule.needed.contains(&number) && !reader.is_misspelled(rule.key) {
        let message = format!("type {number} needs `{}`", rule.key);
        reader.findings().error_with_help(scd_type.span, message, rule.help);
    }
}

/// Whether a key says something: an empty list or mapping of the old dialect does not. That of
/// `track_history_columns` has a message of its own.
fn is_set(reader: &MapReader<'_>, key: &str) -> bool {
    let is_empty = |node: &Node| match &node.value {
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => entries.is_empty(),
        Value::Scalar(_) => false,
    };
    reader.node(key).is_some_and(|node| key == "track_history_columns" || !is_empty(node))
}

fn note_unused_settings(reader: &MapReader<'_>, number: i64) {
    let table = match number {
        0 | 1 | 3 | 5 => format!("type {number} dimension"),
        4 if !is_set(reader, "history_table") => "type 4 dimension without history_table".to_owned(),
        _ => return,
    };
    for key in ["effective_at", "track_history_columns"] {
        if reader.node(key).is_some() {
            reader.findings().note(format!("{key} has no effect on a {table}"));
        }
    }
}

/// `previous_columns`: every column that takes a previous value is one of its own.
fn previous_columns(reader: &MapReader<'_>, keys: &KeyColumns) -> BTreeMap<String, String> {
    let findings = reader.findings();
    let pairs = reader.texts("previous_columns").unwrap_or_default();
    let mut holders: HashMap<String, &String> = HashMap::new();
    let mut currents = HashSet::new();
    for (current, previous) in &pairs {
        columns::check(findings, &Located::new(current.clone(), previous.span));
        columns::check(findings, previous);
        if !currents.insert(current.to_lowercase()) {
            findings.error(previous.span, format!("`{current}` is in `previous_columns` twice"));
        }
        if let Some(role) = keys.role_of(current) {
            let message = format!("`{current}` is {role}: it never changes within a member");
            findings.error(previous.span, message);
        }
        if same(current, &previous.value) {
            findings.error(previous.span, format!("`{current}` cannot be its own previous column"));
        } else if let Some(role) = keys.role_of(&previous.value) {
            let message = format!("`{}` is {role}: it cannot hold previous values", previous.value);
            findings.error(previous.span, message);
        } else if let Some(other) = holders.insert(previous.value.to_lowercase(), current) {
            let message = format!("`{}` is already the previous column of `{other}`", previous.value);
            findings.error(previous.span, message);
        }
    }
    for (current, previous) in &pairs {
        if let Some(holder) = holders.get(&current.to_lowercase()) {
            let message =
                format!("`{current}` is the previous column of `{holder}`: it cannot have one itself");
            findings.error(previous.span, message);
        }
    }
    pairs.into_iter().map(|(current, previous)| (current, previous.value)).collect()
}

/// `current_value_columns`: the newest value of each stands in a column of its own, called `current_<column>`.
fn current_values(reader: &MapReader<'_>, keys: &KeyColumns) -> Vec<String> {
    let findings = reader.findings();
    let names = columns::columns(reader, "current_value_columns").unwrap_or_default();
    let known: HashSet<String> = names.iter().map(|name| name.value.to_lowercase()).collect();
    for name in &names {
        let (column, current) = (&name.value, format!("current_{}", name.value));
        if keys.is_natural(column) {
            let message = format!("`{column}` is a natural key: it never changes within a member");
            findings.warning(name.span, message);
        } else if let Some(role) = keys.role_of(column) {
            findings.error(name.span, format!("`{column}` is {role}: it is no attribute"));
        }
        if let Some(role) = keys.role_of(&current) {
            let message = format!("the newest `{column}` would stand in `{current}`, which is {role}");
            findings.error(name.span, message);
        }
        if known.contains(&current.to_lowercase()) {
            let message = format!(
                "the newest `{column}` would stand in `{current}`, which is in `current_value_columns` itself"
            );
            findings.error(name.span, message);
        }
    }
    plain(names)
}

fn history_table(reader: &MapReader<'_>, keys: &KeyColumns) -> Option<Located<TableName>> {
    let history = reader.table("history_table")?;
    let own = reader.table("table_name");
    if own.is_some_and(|own| own.value == history.value) {
        reader.findings().error(history.span, "`history_table` must be another table");
    }
    if let Some(key) = &keys.surrogate
        && HISTORY_TABLE_COLUMNS.iter().any(|column| same(column, &key.value))
    {
        let message =
            format!("`{}` cannot be the surrogate key: `history_table` has a column of that name", key.value);
        reader.findings().error(key.span, message);
    }
    Some(history)
}
