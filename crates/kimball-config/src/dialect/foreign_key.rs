//! Foreign keys of facts and how they are looked up.

use std::collections::HashSet;

use super::columns::{self, column, plain, required_column, required_columns};
use super::fact::unique;
use super::keys::{FOREIGN_KEY, LOOKUP};
use crate::model::{EarlyArriving, ForeignKey, InvalidAction, Lookup};
use crate::reader::{Located, MapReader};
use crate::source_text::Span;
use crate::sql;

/// Places of a foreign key, for the rules across files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignKeyMark {
    pub(crate) references: Span,
    pub(crate) dimension_key: Span,
    /// Whether the lookup leaves `early_arriving` to the default of the dimension's type.
    pub(crate) default_early_arriving: bool,
}

/// Reads `foreign_keys`, with a mark for each key that is returned.
pub(crate) fn read_all(reader: &MapReader<'_>, marks: &mut Vec<ForeignKeyMark>) -> Vec<ForeignKey> {
    let (mut used_columns, mut roles) = (HashSet::new(), HashSet::new());
    let mut foreign_keys = Vec::new();
    for key in reader.mappings("foreign_keys", &FOREIGN_KEY) {
        check_role(&key, &mut roles);
        unique(&key, key.text("durable_column"), &mut used_columns, "foreign key column");
        let Some(foreign_key) = read(&key) else { continue };
        let named = Located::new(foreign_key.column.clone(), key.key_span("column"));
        unique(&key, Some(named), &mut used_columns, "foreign key column");
        marks.push(ForeignKeyMark {
            references: key.key_span("references"),
            dimension_key: key.key_span("dimension_key"),
            default_early_arriving: key
                .node("lookup")
                .and_then(|_| key.mapping("lookup", &LOOKUP))
                .is_some_and(|lookup| lookup.node("early_arriving").is_none()),
        });
        foreign_keys.push(foreign_key);
    }
    foreign_keys
}

/// A role is a label; a dimension that plays several needs them to be told apart.
fn check_role(key: &MapReader<'_>, roles: &mut HashSet<String>) {
    let role = key.text("role");
    if let Some(playing) = key.flag("role_playing").filter(|flag| flag.value) {
        if role.is_none() {
            key.findings().error(playing.span, "a role-playing foreign key needs `role`");
        }
        if key.node("references").is_none() {
            key.findings().error(playing.span, "a role-playing foreign key needs `references`");
        }
        unique(key, role, roles, "role");
    }
}

fn read(key: &MapReader<'_>) -> Option<ForeignKey> {
    let name = required_column(key, "column");
    let references = key.table("references");
    let dimension_key = column(key, "dimension_key");
    let is_type7 = check_relationship(key);
    let lookup = key.mapping("lookup", &LOOKUP).and_then(|lookup| {
        for needed in ["references", "dimension_key"] {
            if key.node(needed).is_none() {
                key.findings().error(lookup.span(), format!("a lookup needs `{needed}` of its foreign key"));
            }
        }
        if is_type7 && lookup.node("event_time").is_none() {
            lookup.findings().error(lookup.span(), "`relationship: type7` needs `lookup.event_time`");
        }
        read_lookup(&lookup)
    });
    if is_type7 && key.node("lookup").is_none() {
        key.findings().error(key.key_span("relationship"), "`relationship: type7` needs `lookup.event_time`");
    }
    Some(ForeignKey {
        column: name?.value,
        references: references.map(|table| table.value),
        dimension_key: dimension_key.map(|column| column.value),
        durable: None,
        restate_on_late_dimension: false,
        lookup,
    })
}

fn check_relationship(key: &MapReader<'_>) -> bool {
    let relationship = key.choice("relationship", &[("standard", false), ("type7", true)]);
    let is_type7 = relationship.as_ref().is_some_and(|relationship| relationship.value);
    let durable = [column(key, "durable_column"), column(key, "durable_dimension_key")];
    if let Some(relationship) = relationship.filter(|relationship| relationship.value) {
        for needed in ["references", "dimension_key", "durable_column", "durable_dimension_key"] {
            if key.node(needed).is_none() {
                key.findings().error(relationship.span, format!("`relationship: type7` needs `{needed}`"));
            }
        }
        key.findings().not_yet(relationship.span, "relationship: type7");
    } else {
        for field in durable.iter().flatten() {
            let message = format!("`{}` is a durable key: that needs `relationship: type7`", field.value);
            key.findings().error(field.span, message);
        }
    }
    is_type7
}

fn read_lookup(lookup: &MapReader<'_>) -> Option<Lookup> {
    let source_columns = required_columns(lookup, "source_columns");
    let dimension_columns = columns::columns(lookup, "dimension_columns");
    let event_time = column(lookup, "event_time");
    check_identity_map(lookup, source_columns.as_deref());
    let not_applicable_when = lookup.text("not_applicable_when");
    if let Some(expression) = &not_applicable_when {
        sql::check_expression(lookup.findings(), expression, "not_applicable_when");
    }
    let invalid_actions = [("default", InvalidAction::Default), ("error", InvalidAction::Error)];
    let invalid_action = lookup.choice("invalid_action", &invalid_actions);
    let early_arriving = read_early_arriving(lookup);
    let detect_fanout = lookup.flag("detect_fanout").is_none_or(|flag| flag.value);
    let validate_resolution = lookup.flag("validate_resolution").is_some_and(|flag| flag.value);
    let source_columns = plain(source_columns?);
    let dimension_columns = match dimension_columns {
        Some(names) => {
            if names.len() != source_columns.len() {
                let message = format!(
                    "`dimension_columns` has {} names and `source_columns` has {}: they go in pairs",
                    names.len(),
                    source_columns.len()
                );
                lookup.findings().error(lookup.key_span("dimension_columns"), message);
            }
            plain(names)
        }
        None => source_columns.clone(),
    };
    Some(Lookup {
        source_columns,
        dimension_columns,
        event_time: event_time.map(|column| column.value),
        identity_map: None,
        not_applicable_when: not_applicable_when.map(|expression| expression.value),
        invalid_action: invalid_action.map_or(InvalidAction::Error, |action| action.value),
        early_arriving,
        detect_fanout,
        validate_resolution,
    })
}

fn check_identity_map(lookup: &MapReader<'_>, source_columns: Option<&[Located<String>]>) {
    let Some(map) = lookup.table("identity_map") else { return };
    if source_columns.is_some_and(|columns| columns.len() != 1) {
        let message = "`identity_map` maps one identity: `source_columns` needs exactly one column";
        lookup.findings().error(lookup.key_span("source_columns"), message);
    }
    if lookup.node("event_time").is_none() {
        lookup.findings().error(map.span, "`identity_map` needs `event_time`: identities change over time");
    }
    lookup.findings().not_yet(lookup.key_span("identity_map"), "identity_map");
}

fn read_early_arriving(lookup: &MapReader<'_>) -> EarlyArriving {
    let choices = [
        ("skeleton", None),
        ("default", Some(EarlyArriving::Default)),
        ("error", Some(EarlyArriving::Error)),
    ];
    let Some(chosen) = lookup.choice("early_arriving", &choices) else { return EarlyArriving::Default };
    chosen.value.unwrap_or_else(|| {
        lookup.findings().not_yet(chosen.span, "early_arriving: skeleton");
        EarlyArriving::Default
    })
}
