//! Dimensions: keys and slowly changing dimension types.

use std::collections::BTreeMap;

use super::columns::{self, column, columns as column_names, plain};
use super::keys::MINI_DIMENSION;
use super::pipeline::{KeyField, key_readers};
use crate::model::{Dimension, History, Scd, TrackedColumns};
use crate::reader::{Located, MapReader};
use crate::source_text::Span;

/// Reads the settings of a dimension; `None` when it has errors or its type is not built.
pub(crate) fn read(reader: &MapReader<'_>) -> Option<Dimension> {
    let surrogate_key = key_column(reader, "surrogate_key");
    let natural_keys = natural_keys(reader);
    check_key_clash(reader, surrogate_key.as_ref(), &natural_keys);
    let scd_type = scd_type(reader);
    check_durable_key(reader, scd_type.as_ref());
    let strategies = [("hash", "hash"), ("sequence", "sequence"), ("identity", "sequence")];
    if let Some(strategy) = reader.choice("surrogate_key_strategy", &strategies)
        && strategy.value != "hash"
    {
        reader.findings().not_yet(strategy.span, "surrogate_key_strategy: sequence");
    }
    let (default_rows, member_labels) = default_rows(reader);
    let scd = read_scd(reader, scd_type.as_ref(), &natural_keys);
    Some(Dimension {
        scd: scd?,
        surrogate_key: surrogate_key?.value,
        natural_keys: plain(natural_keys),
        default_rows,
        member_labels,
    })
}

fn key_column(reader: &MapReader<'_>, field: &str) -> Option<Located<String>> {
    match key_readers(reader, field) {
        Some(KeyField::Nested(keys)) => column(&keys, field),
        Some(KeyField::Top) => column(reader, field),
        None => {
            missing_key(reader, field);
            None
        }
    }
}

fn natural_keys(reader: &MapReader<'_>) -> Vec<Located<String>> {
    let names = match key_readers(reader, "natural_keys") {
        Some(KeyField::Nested(keys)) => columns::required_columns(&keys, "natural_keys"),
        Some(KeyField::Top) => columns::required_columns(reader, "natural_keys"),
        None => {
            missing_key(reader, "natural_keys");
            None
        }
    };
    names.unwrap_or_default()
}

fn missing_key(reader: &MapReader<'_>, field: &str) {
    let span =
        if reader.node("keys").is_some() { reader.key_span("keys") } else { reader.key_span("table_type") };
    reader.findings().error(span, format!("a dimension needs `keys.{field}`"));
}

fn check_key_clash(
    reader: &MapReader<'_>,
    surrogate_key: Option<&Located<String>>,
    natural_keys: &[Located<String>],
) {
    let Some(surrogate_key) = surrogate_key else { return };
    let same = |key: &&Located<String>| key.value.eq_ignore_ascii_case(&surrogate_key.value);
    if let Some(natural) = natural_keys.iter().find(same) {
        let message = format!("`{}` cannot be both the surrogate key and a natural key", natural.value);
        reader.findings().error(natural.span, message);
    }
}

/// The number of the type; 1 when the key is not there.
fn scd_type(reader: &MapReader<'_>) -> Option<Located<i64>> {
    if reader.node("scd_type").is_none() {
        return Some(Located::new(1, reader.key_span("table_type")));
    }
    let scd_type = reader.integer("scd_type", 0)?;
    if scd_type.value > 7 {
        let message = format!("`scd_type` must be 0 to 7, found {}", scd_type.value);
        reader.findings().error(scd_type.span, message);
        return None;
    }
    Some(scd_type)
}

fn check_durable_key(reader: &MapReader<'_>, scd_type: Option<&Located<i64>>) {
    let span = match key_readers(reader, "durable_key") {
        Some(KeyField::Nested(keys)) => column(&keys, "durable_key").map(|_| keys.key_span("durable_key")),
        Some(KeyField::Top) => column(reader, "durable_key").map(|_| reader.key_span("durable_key")),
        None => None,
    };
    match (scd_type.map(|scd_type| scd_type.value), span) {
        (Some(7), None) => missing_key(reader, "durable_key"),
        (Some(7) | None, _) | (_, None) => {}
        (Some(other), Some(span)) => {
            reader
                .findings()
                .error(span, format!("`durable_key` is for type 7, this dimension is type {other}"));
        }
    }
}

/// A key that only some types have, and the types that cannot do without it.
struct TypeRule {
    key: &'static str,
    allowed: &'static [i64],
    needed: &'static [i64],
}

/// Keys of the types; `effective_at` and `track_history_columns` do no harm elsewhere and are noted instead.
const TYPE_RULES: &[TypeRule] = &[
    TypeRule { key: "effective_at", allowed: &[0, 1, 2, 3, 4, 5, 6, 7], needed: &[2, 7] },
    TypeRule { key: "track_history_columns", allowed: &[0, 1, 2, 3, 4, 5, 6, 7], needed: &[2, 6, 7] },
    TypeRule { key: "previous_columns", allowed: &[3], needed: &[3] },
    TypeRule { key: "history_table", allowed: &[4], needed: &[] },
    TypeRule { key: "mini_dimensions", allowed: &[0, 1, 2, 3, 4, 5, 6, 7], needed: &[5] },
    TypeRule { key: "current_value_columns", allowed: &[6], needed: &[6] },
];

fn read_scd(
    reader: &MapReader<'_>,
    scd_type: Option<&Located<i64>>,
    natural_keys: &[Located<String>],
) -> Option<Scd> {
    let effective_at = column(reader, "effective_at");
    let tracked = tracked_columns(reader, natural_keys);
    check_later_type_keys(reader);
    let scd_type = scd_type?;
    for rule in TYPE_RULES {
        check_type_rule(reader, rule, scd_type);
    }
    match scd_type.value {
        1 => {
            for key in ["effective_at", "track_history_columns"] {
                if reader.node(key).is_some() {
                    reader.findings().note(format!("{key} has no effect on a type 1 dimension"));
                }
            }
            Some(Scd::Type1)
        }
        2 => Some(Scd::Type2(History { effective_at: effective_at?.value, tracked: tracked? })),
        4 if reader.node("history_table").is_none() && reader.node("mini_dimensions").is_none() => {
            reader.findings().error(scd_type.span, "type 4 needs `history_table` or `mini_dimensions`");
            None
        }
        other => {
            reader.findings().not_yet(scd_type.span, &format!("scd_type: {other}"));
            None
        }
    }
}

fn check_type_rule(reader: &MapReader<'_>, rule: &TypeRule, scd_type: &Located<i64>) {
    let number = scd_type.value;
    let is_set = reader.node(rule.key).is_some();
    if is_set && !rule.allowed.contains(&number) {
        let types = rule.allowed.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("`{}` is for type {types}, this dimension is type {number}", rule.key);
        reader.findings().error(reader.key_span(rule.key), message);
    } else if !is_set && rule.needed.contains(&number) {
        reader.findings().error(scd_type.span, format!("type {number} needs `{}`", rule.key));
    }
}

fn tracked_columns(reader: &MapReader<'_>, natural_keys: &[Located<String>]) -> Option<TrackedColumns> {
    let names = reader.names("track_history_columns")?;
    if names.value.is_empty() {
        reader.findings().error(names.span, "`track_history_columns` needs names, or `[\"*\"]` for all");
        return None;
    }
    if names.value.iter().any(|name| name.value == "*") {
        if names.value.len() > 1 {
            reader.findings().error(names.span, "`\"*\"` tracks all columns: leave the other names out");
        }
        return Some(TrackedColumns::All);
    }
    for name in &names.value {
        columns::check(reader.findings(), name);
        if natural_keys.iter().any(|key| key.value.eq_ignore_ascii_case(&name.value)) {
            let message = format!("`{}` is a natural key: it never changes within a member", name.value);
            reader.findings().warning(name.span, message);
        }
    }
    Some(TrackedColumns::Named(plain(names.value)))
}

/// Checks the keys of types that are not built, as far as they are there.
fn check_later_type_keys(reader: &MapReader<'_>) {
    for (current, previous) in reader.texts("previous_columns").unwrap_or_default() {
        columns::check(reader.findings(), &previous);
        if current.eq_ignore_ascii_case(&previous.value) {
            reader.findings().error(previous.span, format!("`{current}` cannot be its own previous column"));
        }
    }
    if let Some(history) = reader.table("history_table") {
        let own = reader.table("table_name");
        if own.is_some_and(|own| own.value == history.value) {
            reader.findings().error(history.span, "`history_table` must be another table");
        }
    }
    column_names(reader, "current_value_columns");
    let minis = reader.mappings("mini_dimensions", &MINI_DIMENSION);
    for mini in &minis {
        mini.required_table("table");
        columns::required_column(mini, "surrogate_key");
        columns::required_columns(mini, "columns");
    }
    if !minis.is_empty() {
        reader.findings().not_yet(reader.key_span("mini_dimensions"), "mini_dimensions");
    }
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
