//! Small tables as text: `|` between cells, the header first, one row a line.

use crate::error::{Result, TestkitError};

/// The end of time in the text of a table, written `∞` there.
pub const END_OF_TIME: &str = "9999-12-31 23:59:59.999999";

/// One cell as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cell {
    /// `NULL`.
    Null,
    /// A value, quotes and escapes resolved.
    Text(String),
    /// `*`: anything but NULL.
    Any,
    /// `$name`: anything but NULL, and the same value wherever the name stands.
    Symbol(String),
}

/// A table as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTable {
    /// The names in the header.
    pub columns: Vec<String>,
    /// The rows; every row has one cell a column.
    pub rows: Vec<Vec<Cell>>,
}

impl TextTable {
    /// Reads a text block. Blank lines and lines that begin with `#` are comments.
    ///
    /// # Errors
    /// [`TestkitError::TableText`] when there is no header, a row has another number of cells than the
    /// header, a quoted cell is not closed, or a cell is empty.
    pub fn parse(text: &str) -> Result<Self> {
        let mut columns: Option<Vec<String>> = None;
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = |message: String| TestkitError::TableText { line: index + 1, message };
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let cells = split_cells(trimmed).map_err(at)?;
            match &columns {
                None => columns = Some(cells.iter().map(|cell| cell.trim().to_owned()).collect()),
                Some(header) if header.len() != cells.len() => {
                    return Err(at(format!("{} cells under {} columns", cells.len(), header.len())));
                }
                Some(_) => {
                    rows.push(
                        cells
                            .iter()
                            .map(|cell| parse_cell(cell.trim()).map_err(at))
                            .collect::<Result<_>>()?,
                    );
                }
            }
        }
        let columns = columns.ok_or(TestkitError::TableText { line: 1, message: "no header".to_owned() })?;
        Ok(Self { columns, rows })
    }

    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// Cuts a line at the bars that stand outside quotes.
fn split_cells(line: &str) -> std::result::Result<Vec<String>, String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        if c == '|' && !quoted {
            cells.push(String::new());
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(cell) = cells.last_mut() {
            cell.push(c);
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok(cells) }
}

fn parse_cell(text: &str) -> std::result::Result<Cell, String> {
    if text.starts_with('"') {
        return serde_json::from_str(text).map(Cell::Text).map_err(|error| format!("{text}: {error}"));
    }
    match text {
        "" => Err("an empty cell: write NULL or \"\"".to_owned()),
        "NULL" => Ok(Cell::Null),
        "*" => Ok(Cell::Any),
        "∞" => Ok(Cell::Text(END_OF_TIME.to_owned())),
        _ => Ok(match text.strip_prefix('$') {
            Some(name) if !name.is_empty() => Cell::Symbol(name.to_owned()),
            _ => Cell::Text(text.to_owned()),
        }),
    }
}

/// A value as it would be written in a table: quoted where it would be misread bare.
pub fn write_value(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(END_OF_TIME) => "∞".to_owned(),
        Some(text) => {
            let misread = text.is_empty()
                || text != text.trim()
                || matches!(text, "NULL" | "*" | "∞")
                || text.starts_with(['"', '$', '#'])
                || text.chars().any(|c| c == '|' || c.is_control());
            if misread { serde_json::Value::from(text).to_string() } else { text.to_owned() }
        }
    }
}

/// A cell as it was written.
pub fn write_cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => write_value(None),
        Cell::Text(text) => write_value(Some(text)),
        Cell::Any => "*".to_owned(),
        Cell::Symbol(name) => format!("${name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn cells_are_nulls_values_wildcards_and_symbols() {
        let table =
            TextTable::parse("sk | id | name\n\n# why\n$a | 1 | \"x | y\\n\"\n* | NULL | ∞\n").unwrap();
        assert_eq!(table.columns, ["sk", "id", "name"]);
        let text = |value: &str| Cell::Text(value.to_owned());
        assert_eq!(table.rows[0], [Cell::Symbol("a".to_owned()), text("1"), text("x | y\n")]);
        assert_eq!(table.rows[1], [Cell::Any, Cell::Null, text(END_OF_TIME)]);
    }

    #[test]
    fn a_row_of_another_width_an_open_quote_and_an_empty_cell_are_refused() {
        for (text, message) in [
            ("a | b\n1", "line 2: 1 cells under 2 columns"),
            ("a\n\"x", "not closed"),
            ("a | b\n1 | ", "empty cell"),
            ("", "no header"),
        ] {
            let error = TextTable::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_written_value_reads_back_as_itself() {
        for value in [
            None,
            Some(""),
            Some(" a"),
            Some("NULL"),
            Some("*"),
            Some("$x"),
            Some("a|b"),
            Some("Zoe\u{308}"),
            Some(END_OF_TIME),
        ] {
            let cell = match value {
                None => Cell::Null,
                Some(text) => Cell::Text(text.to_owned()),
            };
            assert_eq!(parse_cell(&write_value(value)).unwrap(), cell);
        }
    }
}
