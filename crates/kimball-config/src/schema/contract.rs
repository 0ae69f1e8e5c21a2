//! Contracts of sources: what a source promises, and what its batches are checked for.

use super::rules::word_needs;
use super::shape::{
    Key, Shape, any_list, choice, flag, integer, integer_from, list, map_of, names, object, ratio, text,
};
use crate::dialect::keys::{
    CONTRACT, CONTRACT_CDC, CONTRACT_COLUMN, CONTRACT_FRESHNESS, CONTRACT_RULE, CONTRACT_TEMPORAL,
    CONTRACT_VALIDATION,
};

const SEVERITIES: &[&str] = &["error", "warn"];

/// `contract` of a source.
pub(super) fn contract() -> Shape {
    let keys = identity_keys().into_iter().chain(promise_keys());
    let description = "What the source promises: each batch is checked for it before it is committed.";
    object(&CONTRACT, description, &["id", "version", "schema"], keys)
}

fn identity_keys() -> [Key; 5] {
    [
        ("id", text("The name of the contract.")),
        ("version", text("Its version, such as 1.0.0.")),
        ("owner", text("Who answers for the source.")),
        (
            "compatibility",
            choice(
                &["nullable_additions", "strict"],
                "Which other columns the source may have: new ones that may be NULL, or none.",
            ),
        ),
        ("schema", map_of(column(), "The columns of the source, as {column: {type, nullable}}.")),
    ]
}

fn promise_keys() -> [Key; 5] {
    [
        ("cdc", cdc()),
        ("freshness", freshness()),
        ("quality", list(rule(), "What holds of the rows of the source.")),
        ("temporal", temporal()),
        ("validation", validation()),
    ]
}

fn column() -> Shape {
    let keys = [
        (
            "type",
            text("A SQL type such as string, bigint, double, decimal(10,2), boolean, date or timestamp."),
        ),
        ("nullable", flag("Whether the column may hold NULL.").or_by_default(true)),
    ];
    object(&CONTRACT_COLUMN, "A column of the source.", &["type"], keys)
}

fn cdc() -> Shape {
    let keys = [
        ("required", flag("Whether the source must have a change feed: cdc_strategy cdf.")),
        ("primary_key", names("The columns that identify a row, the same as primary_keys of the source.")),
    ];
    object(&CONTRACT_CDC, "What the change feed of the source promises.", &[], keys)
}

fn freshness() -> Shape {
    let keys = [("max_age", text("How old the newest rows may be, such as 2 hours or 30m."))];
    object(&CONTRACT_FRESHNESS, "How old the source may be.", &["max_age"], keys)
}

fn rule() -> Shape {
    let keys = rule_keys().into_iter().chain(setting_keys());
    object(&CONTRACT_RULE, "A rule that the rows of the source keep.", &["rule"], keys)
        .rule(word_needs("rule", "not_null", &["column"]))
        .rule(word_needs("rule", "null_rate", &["column", "max_ratio"]))
        .rule(word_needs("rule", "accepted_values", &["column", "values"]))
        .rule(word_needs("rule", "expression", &["expression"]))
}

fn rule_keys() -> [Key; 5] {
    [
        ("name", text("What the rule is called in events.")),
        (
            "rule",
            choice(
                &["not_null", "unique", "null_rate", "accepted_values", "expression"],
                "What is checked; unique needs column or columns, expression its expression, the others \
                 column.",
            ),
        ),
        ("column", text("The column that is checked.")),
        ("columns", names("The columns that are unique together, instead of column.")),
        ("severity", choice(SEVERITIES, "Whether a row that breaks the rule refuses the batch.")),
    ]
}

fn setting_keys() -> [Key; 3] {
    [
        ("max_ratio", ratio("For null_rate: the largest share of NULL, above 0 and up to 1.")),
        ("values", any_list("For accepted_values: the values that are accepted.")),
        ("expression", text("For expression: a boolean SQL expression over the row.")),
    ]
}

fn temporal() -> Shape {
    let keys = [
        ("event_time_column", text("The column with the time of the event.")),
        ("allowed_lateness", text("How much later than its event a row may arrive, such as 2 hours or 30m.")),
        ("late_event_severity", choice(SEVERITIES, "Whether a row that is too late refuses the batch.")),
        (
            "out_of_order_severity",
            choice(SEVERITIES, "Whether a row that is older than the newest of its key refuses the batch."),
        ),
    ];
    object(&CONTRACT_TEMPORAL, "When the rows of the source may arrive.", &["event_time_column"], keys)
}

fn validation() -> Shape {
    let keys = [
        (
            "mode",
            choice(
                &["full", "sampled", "approximate"],
                "Whether all rows are checked, a sample of them, or sketches of their values.",
            ),
        ),
        (
            "sample_fraction",
            ratio("The share of the rows in the sample, above 0 and up to 1; sampled needs it."),
        ),
        ("sample_seed", integer("The seed of the sample, so that it can be drawn again.")),
        ("max_sample_rows", integer_from(1, "The most rows that a sample has.")),
        (
            "max_failure_samples",
            integer_from(0, "The most rows that an event shows of those which break a rule."),
        ),
        ("max_actions", integer_from(1, "The most passes over the rows of a batch.")),
    ];
    object(&CONTRACT_VALIDATION, "How much is checked.", &[], keys).rule(word_needs(
        "mode",
        "sampled",
        &["sample_fraction"],
    ))
}
