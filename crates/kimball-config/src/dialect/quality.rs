//! `tests` and `pii`: checked for form, refused until they act.

use super::columns::required_column;
use super::keys::{ACCEPTED_VALUES, COLUMN_TESTS, PII, PII_COLUMN, RELATIONSHIP_TEST, TEST};
use crate::findings::Findings;
use crate::reader::{MapReader, clip, scalar};
use crate::sql;
use crate::suggest::nearest;
use crate::yaml::{Node, Value};

/// Checks both keys of a pipeline.
pub(crate) fn check(reader: &MapReader<'_>) {
    let tested = reader.mappings("tests", &COLUMN_TESTS);
    for column in &tested {
        required_column(column, "column");
        column.choice("severity", &[("error", ()), ("warn", ())]);
        column.required("tests");
        for test in column.list("tests").unwrap_or_default() {
            check_test(column.findings(), test);
        }
    }
    if !tested.is_empty() {
        reader.findings().not_yet(reader.key_span("tests"), "tests");
    }
    let Some(pii) = reader.mapping("pii", &PII) else { return };
    let columns = pii.mappings("columns", &PII_COLUMN);
    for column in &columns {
        check_pii_column(column);
    }
    if !columns.is_empty() {
        reader.findings().not_yet(reader.key_span("pii"), "pii");
    }
}

fn check_test(findings: &Findings<'_>, test: &Node) {
    if let Some(word) = scalar(test) {
        match word.text.as_str() {
            "unique" | "not_null" => {}
            "accepted_values" | "relationships" | "expression" => {
                findings.error(
                    test.span,
                    format!("the test `{}` needs its settings: write a mapping", word.text),
                );
            }
            other => {
                let message = format!("unknown test `{}`", clip(other));
                match nearest(other, TEST.keys.iter().copied()) {
                    Some(known) => {
                        findings.error_with_help(test.span, message, format!("did you mean `{known}`?"))
                    }
                    None => findings.error_with_help(
                        test.span,
                        message,
                        "the tests are unique, not_null, accepted_values, relationships and expression",
                    ),
                }
            }
        }
        return;
    }
    let Some(test) = MapReader::open(findings, test, &TEST) else { return };
    if let Some(node) = test.node("accepted_values") {
        match &node.value {
            Value::Mapping(_) => {
                if let Some(values) = test.mapping("accepted_values", &ACCEPTED_VALUES) {
                    values.required("values");
                    values.list("values");
                }
            }
            _ => {
                test.list("accepted_values");
            }
        }
    }
    if let Some(relationship) = test.mapping("relationships", &RELATIONSHIP_TEST) {
        relationship.required_table("to");
        required_column(&relationship, "field");
    }
    if let Some(expression) = test.text("expression") {
        sql::check_expression(findings, &expression, "expression");
    }
}

fn check_pii_column(column: &MapReader<'_>) {
    required_column(column, "column");
    let secret = column.text("secret_ref");
    column.integer("reveal_prefix", 0);
    if let Some(mask) = column.text("mask_char")
        && mask.value.chars().count() != 1
    {
        column.findings().error(mask.span, "`mask_char` is one character");
    }
    // Unquoted, the strategy `null` is YAML's null.
    let is_null_strategy =
        column.raw("strategy").is_some_and(|node| node.is_null() && column.node("strategy").is_none());
    let strategies = ["tokenize", "fast_hash", "hash", "mask", "null", "drop"].map(|word| (word, word));
    let strategy = if is_null_strategy { None } else { column.choice("strategy", &strategies) };
    let is_tokenize = strategy.as_ref().is_some_and(|strategy| strategy.value == "tokenize");
    match (&secret, is_tokenize) {
        (None, true) => column.missing("secret_ref"),
        (Some(secret), false) => {
            column.findings().error(secret.span, "`secret_ref` is for `strategy: tokenize`");
        }
        (Some(secret), true) if !is_environment_reference(&secret.value) => {
            column.findings().error_with_help(
                secret.span,
                "`secret_ref` must be a reference, never the secret itself",
                "write `env://NAME` for the environment variable that holds it",
            );
        }
        _ => {}
    }
}

/// `env://NAME`.
pub(crate) fn is_environment_reference(text: &str) -> bool {
    text.strip_prefix("env://")
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}
