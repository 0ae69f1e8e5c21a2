//! Foreign keys of facts and how they are looked up.

use serde_json::json;

use super::rules::{flag_needs, holds, is_one_of, needs, when, word_needs};
use super::shape::{Key, Shape, choice, flag, names, object, table, text};
use crate::dialect::keys::{FOREIGN_KEY, LOOKUP};

/// An item of `foreign_keys`.
pub(super) fn foreign_key() -> Shape {
    let keys = reference_keys().into_iter().chain(role_keys());
    let event_time = || holds("lookup", needs(&["event_time"]));
    let mapping = json!({"type": "object"});
    object(&FOREIGN_KEY, "A key that points at a dimension.", &["column"], keys)
        .rule(when(holds("lookup", mapping), needs(&["references", "dimension_key"])))
        .rule(flag_needs("role_playing", &["role", "references"]))
        .rule(when(is_one_of("restate_on_late_dimension", &[json!(true)]), event_time()))
        .rule(when(is_one_of("relationship", &[json!("type7")]), event_time()))
        .rule(word_needs(
            "relationship",
            "type7",
            &["references", "dimension_key", "durable_column", "durable_dimension_key"],
        ))
}

fn reference_keys() -> [Key; 4] {
    [
        ("column", text("The column of the fact; no two foreign keys share one.")),
        ("references", table("The dimension, mini-dimension, or junk dimension of another fact.")),
        (
            "dimension_key",
            text("The surrogate key of the dimension; known without it for one of the project."),
        ),
        ("lookup", lookup()),
    ]
}

fn role_keys() -> [Key; 6] {
    [
        ("role", text("The part that the dimension plays, such as order date: a label.")),
        (
            "role_playing",
            flag("Whether the dimension plays several parts in this fact; needs role and references.")
                .or_by_default(false),
        ),
        (
            "relationship",
            choice(
                &["standard", "type7"],
                "type7 puts the key of the member on the row beside that of the version.",
            )
            .or_by_default("standard"),
        ),
        (
            "durable_column",
            text("For type7: the second column of the fact, which takes the key of the member."),
        ),
        ("durable_dimension_key", text("For type7: the durable key of the dimension.")),
        (
            "restate_on_late_dimension",
            flag(
                "Whether a loaded row gets another key when a late version of the dimension covers its \
                 event; needs lookup.event_time.",
            )
            .or_by_default(false),
        ),
    ]
}

fn lookup() -> Shape {
    let description = "How the key is found; without it the query gives the key itself. Needs references and \
        dimension_key.";
    object(&LOOKUP, description, &["source_columns"], identity_keys().into_iter().chain(outcome_keys()))
        .rule(when(holds("identity_map", json!({"type": "string"})), needs(&["event_time"])))
}

fn identity_keys() -> [Key; 4] {
    [
        ("source_columns", names("The identity in the query's output.").at_least_one()),
        (
            "dimension_columns",
            names(
                "The columns of the dimension that the identity equals, in the same order; as source_columns \
                 if unset.",
            ),
        ),
        ("event_time", text("The column that tells as of when; without it the current version is taken.")),
        (
            "identity_map",
            table(
                "The table that tells which identity a source identity stood for at the event time; needs \
                 one source column and event_time.",
            ),
        ),
    ]
}

fn outcome_keys() -> [Key; 5] {
    [
        (
            "early_arriving",
            choice(
                &["skeleton", "default", "error"],
                "An identity without a member gets an inferred member, becomes -3 until the member arrives, \
                 or refuses the batch; skeleton where the project can make one, else default.",
            ),
        ),
        ("not_applicable_when", text("A SQL expression over the row; where it holds the key is -2.")),
        (
            "invalid_action",
            choice(
                &["error", "default"],
                "A blank identity or a missing event time refuses the batch, or gets -4.",
            )
            .or_by_default("error"),
        ),
        (
            "validate_resolution",
            flag("Whether any identity that ends on a default member refuses the batch.")
                .or_by_default(false),
        ),
        (
            "detect_fanout",
            flag("Whether an identity that matches several members refuses the batch.").or_by_default(true),
        ),
    ]
}
