//! Foreign keys of facts and how they are looked up.

use std::collections::HashSet;

use super::columns::{self, column, plain, required_column, required_columns};
use super::fact_columns::unique;
use super::keys::{FOREIGN_KEY, LOOKUP};
use crate::model::{DurableReference, EarlyArriving, ForeignKey, InvalidAction, Lookup};
use crate::name::TableName;
use crate::reader::{Located, MapReader};
use crate::source_text::Span;
use crate::sql;

/// Places of a foreign key, for the rules across files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignKeyMark {
    pub(crate) references: Span,
    pub(crate) dimension_key: Span,
    pub(crate) relationship: Span,
    pub(crate) durable_dimension_key: Span,
    /// Where the lookup says `early_arriving`; `None` where it leaves that to the dimension.
    pub(crate) early_arriving: Option<Span>,
}

impl ForeignKeyMark {
    fn of(key: &MapReader<'_>) -> Self {
        let early_arriving = key.mapping("lookup", &LOOKUP).and_then(|lookup| lookup.node("early_arriving"));
        let value = |name: &str| key.node(name).map_or(key.key_span(name), |node| node.span);
        Self {
            references: value("references"),
            dimension_key: value("dimension_key"),
            relationship: value("relationship"),
            durable_dimension_key: value("durable_dimension_key"),
            early_arriving: early_arriving.map(|node| node.span),
        }
    }
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
        check_mapping(&key, &foreign_key, &foreign_keys);
        marks.push(ForeignKeyMark::of(&key));
        foreign_keys.push(foreign_key);
    }
    foreign_keys
}

/// A row keeps the identity that its source identity stood for: two keys that map one column have to agree on it.
fn check_mapping(reader: &MapReader<'_>, key: &ForeignKey, others: &[ForeignKey]) {
    let Some(lookup) = key.lookup.as_ref().filter(|lookup| lookup.identity_map.is_some()) else { return };
    let differs = |other: &&Lookup| {
        other.source_columns == lookup.source_columns
            && other.identity_map.is_some()
            && (&other.identity_map, &other.event_time) != (&lookup.identity_map, &lookup.event_time)
    };
    if others.iter().filter_map(|other| other.lookup.as_ref()).any(|other| differs(&other)) {
        let message = format!(
            "another foreign key maps `{}` by another map or event time, and a row keeps one canonical identity: give the \
             query a column for each",
            lookup.source_columns.join(", ")
        );
        reader.findings().error(reader.key_span("lookup"), message);
    }
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
    let durable = read_durable(key);
    let lookup_reader = key.mapping("lookup", &LOOKUP);
    let has_event_time = lookup_reader.as_ref().is_some_and(|lookup| lookup.node("event_time").is_some());
    let restate = key.flag("restate_on_late_dimension").filter(|flag| flag.value);
    if let Some(restate) = restate.as_ref().filter(|_| !has_event_time) {
        key.findings().error(restate.span, "`restate_on_late_dimension` needs `lookup.event_time`");
    }
    let lookup = lookup_reader.and_then(|lookup| {
        for needed in ["references", "dimension_key"] {
            if key.node(needed).is_none() && !key.is_misspelled(needed) {
                key.findings().error(lookup.span(), format!("a lookup needs `{needed}` of its foreign key"));
            }
        }
        read_lookup(&lookup)
    });
    Some(ForeignKey {
        column: name?.value,
        references: references.map(|table| table.value),
        dimension_key: dimension_key.map(|column| column.value),
        durable,
        restate_on_late_dimension: restate.is_some(),
        lookup,
    })
}

/// `relationship: type7` with all its parts.
fn read_durable(key: &MapReader<'_>) -> Option<DurableReference> {
    let findings = key.findings();
    let relationship = key.choice("relationship", &[("standard", false), ("type7", true)]);
    let (durable_column, dimension_key) =
        (column(key, "durable_column"), column(key, "durable_dimension_key"));
    let Some(relationship) = relationship.filter(|relationship| relationship.value) else {
        for field in durable_column.iter().chain(&dimension_key) {
            let message = format!("`{}` is a durable key: that needs `relationship: type7`", field.value);
            findings.error(field.span, message);
        }
        return None;
    };
    for needed in ["references", "dimension_key", "durable_column", "durable_dimension_key"] {
        if key.node(needed).is_none() && !key.is_misspelled(needed) {
            findings.error(relationship.span, format!("`relationship: type7` needs `{needed}`"));
        }
    }
    let lookup = key.mapping("lookup", &LOOKUP);
    if lookup.as_ref().is_none_or(|lookup| lookup.node("event_time").is_none()) {
        let span = lookup.map_or_else(|| key.key_span("relationship"), |lookup| lookup.span());
        findings.error(span, "`relationship: type7` needs `lookup.event_time`");
    }
    Some(DurableReference { column: durable_column?.value, dimension_key: dimension_key?.value })
}

fn read_lookup(lookup: &MapReader<'_>) -> Option<Lookup> {
    let source_columns = required_columns(lookup, "source_columns");
    let dimension_columns = columns::columns(lookup, "dimension_columns");
    let event_time = column(lookup, "event_time");
    let identity_map = read_identity_map(lookup, source_columns.as_deref());
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
        identity_map,
        not_applicable_when: not_applicable_when.map(|expression| expression.value),
        invalid_action: invalid_action.map_or(InvalidAction::Error, |action| action.value),
        early_arriving,
        detect_fanout,
        validate_resolution,
    })
}

fn read_identity_map(
    lookup: &MapReader<'_>,
    source_columns: Option<&[Located<String>]>,
) -> Option<TableName> {
    let map = lookup.table("identity_map")?;
    if source_columns.is_some_and(|columns| columns.len() != 1) {
        let message = "`identity_map` maps one identity: `source_columns` needs exactly one column";
        lookup.findings().error(lookup.key_span("source_columns"), message);
    }
    if lookup.node("event_time").is_none() {
        lookup.findings().error(map.span, "`identity_map` needs `event_time`: identities change over time");
    }
    Some(map.value)
}

/// What is not said is for the dimension to decide, which may be another file: until then it is the default key.
fn read_early_arriving(lookup: &MapReader<'_>) -> EarlyArriving {
    let choices = [
        ("skeleton", EarlyArriving::Skeleton),
        ("default", EarlyArriving::Default),
        ("error", EarlyArriving::Error),
    ];
    lookup.choice("early_arriving", &choices).map_or(EarlyArriving::Default, |chosen| chosen.value)
}
