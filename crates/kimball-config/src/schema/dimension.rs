//! The keys that only dimensions have, and what each type of dimension needs.

use serde_json::{Value, json};

use super::rules::{holds, is_one_of, needs, when};
use super::shape::{Key, Shape, choice, list, names, object, one_of_integers, table, text, texts};
use crate::dialect::keys::{CONFORMED_DIMENSION, KEYS, MINI_DIMENSION};

/// The types, each with what a change does.
const SCD_TYPES: &[(i64, &str)] = &[
    (0, "the first value stays"),
    (1, "overwrites"),
    (2, "opens a row for the new version"),
    (3, "overwrites, and the value before stands in a previous column"),
    (4, "overwrites, and a history table or a mini-dimension keeps the change"),
    (5, "as 4 with mini-dimensions, whose current keys stand on the row"),
    (6, "as 2, and the newest value stands on every row of the member"),
    (7, "as 2, and every row holds a durable key of the member"),
];

/// The keys with their shapes.
pub(super) fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    keys.extend(key_columns());
    keys.extend(change_keys());
    keys.extend(member_keys());
    keys
}

fn key_columns() -> [Key; 5] {
    let nested = object(
        &KEYS,
        "The key columns of a dimension; they may also stand at the top.",
        &[],
        [
            ("surrogate_key", surrogate_key()),
            ("natural_keys", natural_keys()),
            ("durable_key", durable_key()),
        ],
    );
    [
        ("keys", nested),
        ("surrogate_key", surrogate_key()),
        ("natural_keys", natural_keys()),
        ("durable_key", durable_key()),
        (
            "surrogate_key_strategy",
            choice(
                &["hash", "sequence", "identity"],
                "How surrogate keys are made: a hash of the natural key that anyone can recompute, or dense \
                 numbers from 1 (sequence, also called identity).",
            )
            .or_by_default("hash"),
        ),
    ]
}

fn surrogate_key() -> Shape {
    text("The column of the key that the loads make and facts refer to.")
}

fn natural_keys() -> Shape {
    names("The columns that identify a member in its source.").at_least_one()
}

fn durable_key() -> Shape {
    text("The column of the key that all versions of a member share; for type 7, which needs it.")
}

fn change_keys() -> [Key; 7] {
    [
        ("scd_type", one_of_integers(SCD_TYPES, "What a change of an attribute does.").or_by_default(1)),
        (
            "effective_at",
            text(
                "The column of the query's output that tells since when a row is true; types 2 and 7 need \
                 it, 6 and 4 take the time of the run without it.",
            ),
        ),
        (
            "track_history_columns",
            names("The columns whose change opens a version, or [\"*\"] for all; types 2, 6 and 7 need it.")
                .at_least_one(),
        ),
        (
            "previous_columns",
            texts(
                "The column that takes the value before, for each column that has one; for type 3, which \
                 needs it.",
            ),
        ),
        ("history_table", table("The table that keeps the former values of a type 4 dimension.")),
        (
            "mini_dimensions",
            list(
                mini_dimension(),
                "Tables with the combinations of some attributes, on any type; type 5 needs them, type 4 \
                 them or history_table.",
            )
            .limit("maxItems", 100),
        ),
        (
            "current_value_columns",
            names(
                "The columns whose newest value stands on every row, in current_<column>; for type 6, which \
                 needs it.",
            ),
        ),
    ]
}

fn member_keys() -> [Key; 2] {
    [
        (
            "default_rows",
            texts(
                "Values of the four default members, as {column: value}; under -1 to -4 (the old dialect) \
                 the label of that member.",
            ),
        ),
        ("conformed_dimension", conformed_dimension()),
    ]
}

fn mini_dimension() -> Shape {
    let keys = [
        ("table", table("The table of the mini-dimension.")),
        ("surrogate_key", text("Its key column; for type 5 a column of the dimension too.")),
        ("columns", names("The attributes whose combinations are its rows.").at_least_one()),
    ];
    let required = ["table", "surrogate_key", "columns"];
    object(&MINI_DIMENSION, "A table with the combinations of some attributes.", &required, keys)
}

fn conformed_dimension() -> Shape {
    let keys = [
        ("canonical_name", text("The name that all who share it use.")),
        ("owner", text("Who answers for it.")),
        ("grain", text("What one row is, in words.")),
        ("shared_attributes", names("The attributes that mean the same everywhere.")),
    ];
    object(
        &CONFORMED_DIMENSION,
        "A label for a dimension that several facts share, without effect.",
        &[],
        keys,
    )
}

/// What a dimension needs, and what each of its types needs besides.
pub(super) fn rules() -> Vec<Value> {
    let needs_key = |key: &str| json!({"anyOf": [holds("keys", needs(&[key])), needs(&[key])]});
    let history = ["effective_at", "track_history_columns"];
    vec![
        needs_key("surrogate_key"),
        needs_key("natural_keys"),
        type_needs(2, needs(&history)),
        type_needs(3, needs(&["previous_columns"])),
        type_needs(4, json!({"anyOf": [needs(&["history_table"]), needs(&["mini_dimensions"])]})),
        type_needs(5, needs(&["mini_dimensions"])),
        type_needs(6, needs(&["track_history_columns", "current_value_columns"])),
        type_needs(7, needs(&history)),
        type_needs(7, needs_key("durable_key")),
    ]
}

fn type_needs(scd_type: i64, consequence: Value) -> Value {
    let values = [json!(scd_type), json!(scd_type.to_string())];
    when(is_one_of("scd_type", &values), consequence)
}
