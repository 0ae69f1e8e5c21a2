//! The keys that only facts have, and what their patterns need.

use serde_json::{Value, json};

use super::foreign_key::foreign_key;
use super::rules::{flag_needs, holds, is_one_of, needs, when, word_needs};
use super::shape::{Key, Shape, choice, flag, integer_from, list, names, object, table, text};
use crate::dialect::keys::{JUNK_DIMENSION, MEASURE, MILESTONE};

const PATTERNS: &[&str] = &["transaction", "periodic_snapshot", "accumulating_snapshot"];

/// The keys with their shapes.
pub(super) fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    keys.extend(grain_keys());
    keys.extend(loading_keys());
    keys.extend(column_keys());
    keys
}

fn grain_keys() -> [Key; 4] {
    [
        ("merge_keys", names("The columns that identify a row.").at_least_one()),
        (
            "fact_pattern",
            choice(
                PATTERNS,
                "What a row stands for: an event, a period, or a process that goes on; needs grain.",
            )
            .or_by_default("transaction"),
        ),
        ("grain", text("What one row is, in words.")),
        (
            "snapshot_period",
            choice(
                &["day", "week", "month", "quarter", "year"],
                "The period of a periodic snapshot, which needs it.",
            ),
        ),
    ]
}

fn loading_keys() -> [Key; 3] {
    [
        (
            "append_only",
            flag(
                "Whether rows are inserted only; needs a source that is a feed, and every append source \
                 needs it.",
            )
            .or_by_default(false),
        ),
        (
            "replace_partitions",
            flag("Whether the partitions that a batch holds are replaced as a whole; needs partition_by.")
                .or_by_default(false),
        ),
        ("partition_by", names("The columns that the table is partitioned by.")),
    ]
}

fn column_keys() -> [Key; 5] {
    [
        ("measures", list(measure(), "The numbers of the fact, with what may be done with them.")),
        (
            "milestones",
            list(milestone(), "The steps of a process; an accumulating snapshot needs two at least."),
        ),
        (
            "degenerate_dimensions",
            names("Columns that are dimensions without a table, such as an order number."),
        ),
        ("foreign_keys", list(foreign_key(), "The keys that point at dimensions.")),
        (
            "junk_dimensions",
            list(junk_dimension(), "Tables of their own with the combinations of some columns of the fact.")
                .limit("maxItems", 100),
        ),
    ]
}

fn measure() -> Shape {
    let keys = [
        ("name", text("A column of the query's output.")),
        (
            "aggregation",
            choice(
                &["sum", "avg", "min", "max", "count", "count_distinct"],
                "How the measure is meant to be aggregated.",
            ),
        ),
        (
            "additivity",
            choice(
                &["additive", "semi_additive", "non_additive"],
                "Along what the measure may be added: all dimensions, all but some, none.",
            )
            .or_by_default("additive"),
        ),
        (
            "non_additive_dimensions",
            names(
                "The columns along which a semi-additive measure is not added, such as the day of a balance.",
            ),
        ),
    ];
    object(&MEASURE, "A number of the fact.", &["name"], keys).rule(word_needs(
        "additivity",
        "semi_additive",
        &["non_additive_dimensions"],
    ))
}

fn milestone() -> Shape {
    let keys = [
        ("name", text("What the step is called.")),
        ("column", text("The column with the time of the step, NULL until it is reached.")),
        ("order", integer_from(1, "The place of the step among the others, from 1.")),
        (
            "lag_column",
            text(
                "A column that takes the whole days since the milestone before; the first milestone has \
                 none.",
            ),
        ),
    ];
    object(&MILESTONE, "A step of the process.", &["name", "column", "order"], keys)
}

fn junk_dimension() -> Shape {
    let keys = [
        ("dimension_table", table("The table of the junk dimension, which this pipeline writes.")),
        ("surrogate_key", text("Its key, and the column of the fact that holds it.")),
        (
            "source_columns",
            names("The columns of the query's output whose combinations are its rows.").at_least_one(),
        ),
    ];
    let required = ["dimension_table", "surrogate_key", "source_columns"];
    object(&JUNK_DIMENSION, "A table with the combinations of some columns of the fact.", &required, keys)
}

/// What the patterns and the ways of loading need.
pub(super) fn rules() -> Vec<Value> {
    let patterns: Vec<Value> = PATTERNS.iter().map(|pattern| json!(pattern)).collect();
    let accumulating = is_one_of("fact_pattern", &[json!("accumulating_snapshot")]);
    vec![
        when(is_one_of("fact_pattern", &patterns), needs(&["grain"])),
        word_needs("fact_pattern", "periodic_snapshot", &["snapshot_period"]),
        when(accumulating, holds("milestones", json!({"minItems": 2}))),
        flag_needs("replace_partitions", &["partition_by"]),
    ]
}
