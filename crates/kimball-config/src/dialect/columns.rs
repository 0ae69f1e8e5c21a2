//! Rules for names of columns.

use crate::findings::Findings;
use crate::reader::{Located, MapReader, clip};

/// Characters that Delta tables and Parquet readers do not take in a column name.
const FORBIDDEN: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Checks the name of a column that the table gets or the query gives out.
pub(crate) fn check(findings: &Findings<'_>, column: &Located<String>) {
    check_with(findings, column, None);
}

/// Checks a name of a list, in which several may stand in one text.
fn check_in_list(findings: &Findings<'_>, column: &Located<String>) {
    let help = column.value.contains(',').then(|| {
        let names = column.value.split(',').map(str::trim).filter(|name| !name.is_empty());
        format!("write a list: [{}]", clip(&names.collect::<Vec<_>>().join(", ")))
    });
    check_with(findings, column, help);
}

fn check_with(findings: &Findings<'_>, column: &Located<String>, help: Option<String>) {
    let name = &column.value;
    if name.is_empty() {
        findings.error(column.span, "the name of a column must not be empty");
    } else if name.starts_with("__") {
        findings.error(
            column.span,
            format!("`{}` is no name for a column: `__` is reserved for system columns", clip(name)),
        );
    } else if let Some(bad) = name.chars().find(|c| FORBIDDEN.contains(c) || c.is_control()) {
        findings.error_with(
            column.span,
            format!("`{}` is no name for a column: it holds {bad:?}", clip(name)),
            help,
        );
    } else if name.chars().count() > 255 {
        findings.error(column.span, "the name of a column has at most 255 characters");
    }
}

/// Whether two names are one column: case does not tell columns of a table apart.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A checked column name of a mapping.
pub(crate) fn column(reader: &MapReader<'_>, key: &str) -> Option<Located<String>> {
    let column = reader.text(key)?;
    check(reader.findings(), &column);
    Some(column)
}

/// A checked column name that has to be there.
pub(crate) fn required_column(reader: &MapReader<'_>, key: &str) -> Option<Located<String>> {
    let column = reader.required_text(key)?;
    check(reader.findings(), &column);
    Some(column)
}

/// Checked column names.
pub(crate) fn columns(reader: &MapReader<'_>, key: &str) -> Option<Vec<Located<String>>> {
    let columns = reader.names(key)?.value;
    columns.iter().for_each(|column| check_in_list(reader.findings(), column));
    Some(columns)
}

/// Checked column names, one at least.
pub(crate) fn required_columns(reader: &MapReader<'_>, key: &str) -> Option<Vec<Located<String>>> {
    let columns = reader.required_names(key)?.value;
    columns.iter().for_each(|column| check_in_list(reader.findings(), column));
    Some(columns)
}

/// The names without their places.
pub(crate) fn plain(columns: Vec<Located<String>>) -> Vec<String> {
    columns.into_iter().map(|column| column.value).collect()
}
