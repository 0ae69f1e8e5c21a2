//! `tests`: what has to hold of the rows of a batch.

use super::columns::required_column;
use super::keys::{ACCEPTED_VALUES, COLUMN_TESTS, RELATIONSHIP_TEST, TEST};
use crate::findings::Findings;
use crate::model::{ColumnTest, Severity, Test};
use crate::reader::{MapReader, clip, scalar, scalar_text};
use crate::sql;
use crate::suggest::nearest;
use crate::yaml::{Node, Value};

/// Reads `tests`.
pub(crate) fn read_tests(reader: &MapReader<'_>) -> Vec<ColumnTest> {
    let entries = reader.mappings("tests", &COLUMN_TESTS);
    entries.iter().filter_map(read_column_tests).collect()
}

/// The tests of one column; `None` when it has errors or tests nothing.
fn read_column_tests(entry: &MapReader<'_>) -> Option<ColumnTest> {
    let column = required_column(entry, "column");
    let severity = entry.choice("severity", &[("error", Severity::Error), ("warn", Severity::Warn)]);
    entry.required("tests");
    let mut tests: Vec<Test> = Vec::new();
    for node in entry.list("tests").unwrap_or_default() {
        tests.extend(read_test(entry.findings(), node));
    }
    if tests.is_empty() {
        return None;
    }
    let severity = severity.map_or(Severity::Error, |severity| severity.value);
    Some(ColumnTest { column: column?.value, tests, severity })
}

/// One item of a list of tests: a name, or a mapping that may hold several.
fn read_test(findings: &Findings<'_>, node: &Node) -> Vec<Test> {
    if let Some(word) = scalar(node) {
        return match word.text.as_str() {
            "unique" => vec![Test::Unique],
            "not_null" => vec![Test::NotNull],
            other => {
                report_word(findings, node, other);
                Vec::new()
            }
        };
    }
    let Some(test) = MapReader::open(findings, node, &TEST) else { return Vec::new() };
    if matches!(&node.value, Value::Mapping(entries) if entries.is_empty()) {
        findings.error(node.span, "a test is a name, or a mapping with the name and its settings");
    }
    let mut tests = Vec::new();
    for (key, named) in [("unique", Test::Unique), ("not_null", Test::NotNull)] {
        if is_on(&test, key) {
            tests.push(named);
        }
    }
    for key in ["accepted_values", "relationships", "expression"] {
        if test.raw(key).is_some() && test.node(key).is_none() {
            test.missing(key);
        }
    }
    tests.extend(read_accepted_values(&test));
    tests.extend(read_relationship(&test));
    if let Some(expression) = test.text("expression") {
        sql::check_expression(findings, &expression, "expression");
        tests.push(Test::Expression(expression.value));
    }
    tests
}

fn report_word(findings: &Findings<'_>, node: &Node, word: &str) {
    if ["accepted_values", "relationships", "expression"].contains(&word) {
        let message = format!("the test `{word}` needs its settings: write a mapping");
        return findings.error(node.span, message);
    }
    let help = match nearest(word, TEST.keys.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "the tests are unique, not_null, accepted_values, relationships and expression".to_owned(),
    };
    findings.error_with_help(node.span, format!("unknown test `{}`", clip(word)), help);
}

/// `- unique:` and `- unique: true` say the same as `- unique`.
fn is_on(test: &MapReader<'_>, key: &str) -> bool {
    test.raw(key).is_some() && (test.node(key).is_none() || test.flag(key).is_some_and(|flag| flag.value))
}

/// Both `[a, b]` and `{values: [a, b]}`; a value is kept as it is written.
fn read_accepted_values(test: &MapReader<'_>) -> Option<Test> {
    let node = test.node("accepted_values")?;
    let items = match &node.value {
        Value::Mapping(_) => {
            let accepted = test.mapping("accepted_values", &ACCEPTED_VALUES)?;
            accepted.required("values")?;
            accepted.list("values")?
        }
        _ => test.list("accepted_values")?,
    };
    if items.is_empty() {
        test.findings().error(node.span, "`accepted_values` needs one value at least");
    }
    let value = |item: &Node| {
        if item.is_null() {
            test.findings().error(item.span, "NULL is always accepted: the test `not_null` refuses it");
            return None;
        }
        scalar_text(test.findings(), item, "a value in `accepted_values`").map(|value| value.value)
    };
    Some(Test::AcceptedValues(items.iter().filter_map(value).collect()))
}

fn read_relationship(test: &MapReader<'_>) -> Option<Test> {
    let relationship = test.mapping("relationships", &RELATIONSHIP_TEST)?;
    let (to, field) = (relationship.required_table("to"), required_column(&relationship, "field"));
    Some(Test::Relationships { to: to?.value, field: field?.value })
}
