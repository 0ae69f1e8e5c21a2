//! What must hold of rows before they are committed, and which columns are kept from readers.

use super::rules::word_needs;
use super::shape::{Shape, choice, flag, integer_from, list, object, raw_text, table, text};
use crate::dialect::keys::{ACCEPTED_VALUES, COLUMN_TESTS, PII, PII_COLUMN, RELATIONSHIP_TEST, TEST};

/// An item of `tests`.
pub(super) fn column_tests() -> Shape {
    let keys = [
        ("column", text("The column that is tested.")),
        (
            "tests",
            list(
                test(),
                "Any of unique, not_null, {accepted_values: [...]}, {relationships: {to, field}} and \
                 {expression: ...}.",
            ),
        ),
        (
            "severity",
            choice(&["error", "warn"], "Whether a row that fails refuses the batch, or is reported only.")
                .or_by_default("error"),
        ),
    ];
    object(&COLUMN_TESTS, "The tests of one column.", &["column", "tests"], keys)
}

/// A word, or a mapping that may hold several tests.
fn test() -> Shape {
    let keys = [
        ("unique", flag("No value is there twice; NULL counts as no value.")),
        ("not_null", flag("No value is NULL.")),
        ("accepted_values", accepted_values()),
        ("relationships", relationship()),
        ("expression", text("The boolean SQL expression over the row is true or NULL.")),
    ];
    object(&TEST, "A test, by its name or with its settings.", &[], keys)
        .limit("minProperties", 1)
        .or_word(&["unique", "not_null"])
}

/// The values, in a list or in a mapping with one.
fn accepted_values() -> Shape {
    let description = "Every value but NULL is one of these, compared as it is written.";
    let value = || raw_text("A value that is accepted.");
    let values = list(value(), "The values that are accepted.").at_least_one();
    object(&ACCEPTED_VALUES, description, &["values"], [("values", values)])
        .or_list_of(value())
        .at_least_one()
}

fn relationship() -> Shape {
    let keys =
        [("to", table("The table that holds the values.")), ("field", text("The column of that table."))];
    let description = "Every value but NULL is in a column of another table, which is loaded first.";
    object(&RELATIONSHIP_TEST, description, &["to", "field"], keys)
}

/// `pii`.
pub(super) fn pii() -> Shape {
    let columns = list(pii_column(), "The columns, each with how its values are replaced.");
    let description = "Columns with personal values, which are replaced before rows are written.";
    object(&PII, description, &[], [("columns", columns)])
}

fn pii_column() -> Shape {
    let keys = [
        ("column", text("The column whose values are replaced.")),
        (
            "strategy",
            choice(
                &["tokenize", "fast_hash", "hash", "mask", "null", "drop"],
                "What stands in the place of a value: a token made with a secret, a fast hash, a \
                 cryptographic hash, a mask, NULL, or no column at all.",
            ),
        ),
        ("secret_ref", text("For tokenize, which needs it: where the secret is, as env://NAME.")),
        ("reveal_prefix", integer_from(0, "For mask: how many characters at the start are shown.")),
        ("mask_char", text("For mask: the character that stands for the others.")),
    ];
    object(&PII_COLUMN, "A column with personal values.", &["column"], keys).rule(word_needs(
        "strategy",
        "tokenize",
        &["secret_ref"],
    ))
}
