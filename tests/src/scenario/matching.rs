//! Expected rows against actual rows, as multisets, with wildcards and symbols.

use std::collections::{BTreeMap, HashMap};

use crate::columns::canonical;
use crate::error::Result;
use crate::foreign_reader::Rows;
use crate::text_table::{Cell, TextTable, write_cell, write_value};

/// What the symbols of a scenario stand for, once a row has shown it.
pub type Symbols = BTreeMap<String, String>;

type ActualRow = [Option<String>];

/// Compares; binds the symbols that occur for the first time. `None` when the rows are the same, else the
/// difference as text, one row a line: `-` expected and missing, `+` there and not expected.
///
/// Two symbols in one column of one table stand for two values.
///
/// # Errors
/// When the actual rows lack a column, or Arrow cannot read a column's type from text.
pub fn difference(expected: &TextTable, actual: &Rows, symbols: &mut Symbols) -> Result<Option<String>> {
    let actual = actual.select(&expected.columns)?;
    let expected = canonical_cells(expected, &actual)?;
    let mut search = Search { expected: &expected, actual: &actual.values, symbols: symbols.clone() };
    let mut taken = vec![false; actual.values.len()];
    if expected.len() == actual.values.len() && search.place(&search.order(), &mut taken) {
        *symbols = search.symbols;
        return Ok(None);
    }
    Ok(Some(render(&actual.columns, &expected, &actual.values, symbols)))
}

/// The expected cells with every value in the canonical text of the actual column's type.
fn canonical_cells(expected: &TextTable, actual: &Rows) -> Result<Vec<Vec<Cell>>> {
    let mut rows = expected.rows.clone();
    for (position, data_type) in actual.types.iter().enumerate() {
        let written: Vec<Option<&str>> = expected
            .rows
            .iter()
            .map(|row| match &row[position] {
                Cell::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        for (row, text) in rows.iter_mut().zip(canonical(&written, data_type)?) {
            if let Some(text) = text {
                row[position] = Cell::Text(text);
            }
        }
    }
    Ok(rows)
}

/// A search for partners: every expected row gets an actual row of its own.
struct Search<'a> {
    expected: &'a [Vec<Cell>],
    actual: &'a [Vec<Option<String>>],
    symbols: Symbols,
}

impl Search<'_> {
    /// The expected rows, those with the fewest possible partners first.
    fn order(&self) -> Vec<usize> {
        let partners = |row: &Vec<Cell>| self.actual.iter().filter(|actual| fits(row, actual)).count();
        let mut order: Vec<usize> = (0..self.expected.len()).collect();
        order.sort_by_key(|&index| partners(&self.expected[index]));
        order
    }

    fn place(&mut self, order: &[usize], taken: &mut [bool]) -> bool {
        let Some((&next, rest)) = order.split_first() else { return self.symbols_are_distinct() };
        for candidate in 0..self.actual.len() {
            if taken[candidate] {
                continue;
            }
            let before = self.symbols.clone();
            if bind(&self.expected[next], &self.actual[candidate], &mut self.symbols) {
                taken[candidate] = true;
                if self.place(rest, taken) {
                    return true;
                }
                taken[candidate] = false;
            }
            self.symbols = before;
        }
        false
    }

    fn symbols_are_distinct(&self) -> bool {
        let mut named: HashMap<(usize, &str), &str> = HashMap::new();
        for (position, cell) in self.expected.iter().flat_map(|row| row.iter().enumerate()) {
            let Cell::Symbol(name) = cell else { continue };
            let Some(value) = self.symbols.get(name) else { continue };
            if *named.entry((position, value)).or_insert(name) != name {
                return false;
            }
        }
        true
    }
}

/// Whether a row could be a partner as far as its values and wildcards go.
fn fits(expected: &[Cell], actual: &ActualRow) -> bool {
    expected.iter().zip(actual).all(|(cell, value)| match cell {
        Cell::Null => value.is_none(),
        Cell::Text(text) => value.as_deref() == Some(text),
        Cell::Any | Cell::Symbol(_) => value.is_some(),
    })
}

/// Whether a row is a partner under the symbols known so far; adds the new ones.
fn bind(expected: &[Cell], actual: &ActualRow, symbols: &mut Symbols) -> bool {
    if !fits(expected, actual) {
        return false;
    }
    for (cell, value) in expected.iter().zip(actual) {
        if let (Cell::Symbol(name), Some(value)) = (cell, value)
            && symbols.entry(name.clone()).or_insert_with(|| value.clone()) != value
        {
            return false;
        }
    }
    true
}

/// Both sides, with partners paired off greedily.
fn render(
    columns: &[String],
    expected: &[Vec<Cell>],
    actual: &[Vec<Option<String>>],
    symbols: &Symbols,
) -> String {
    let mut symbols = symbols.clone();
    let mut taken = vec![false; actual.len()];
    let mut lines = vec![(' ', columns.to_vec())];
    let show_cell = |cell: &Cell, symbols: &Symbols| match cell {
        Cell::Symbol(name) => {
            symbols.get(name).map_or_else(|| write_cell(cell), |value| format!("${name}={value}"))
        }
        _ => write_cell(cell),
    };
    for row in expected {
        let partner = (0..actual.len()).find(|&index| {
            let mut tried = symbols.clone();
            let found = !taken[index] && bind(row, &actual[index], &mut tried);
            if found {
                symbols = tried;
            }
            found
        });
        let sign = if partner.is_some() { ' ' } else { '-' };
        if let Some(index) = partner {
            taken[index] = true;
        }
        lines.push((sign, row.iter().map(|cell| show_cell(cell, &symbols)).collect()));
    }
    for (row, _) in actual.iter().zip(&taken).filter(|(_, taken)| !**taken) {
        lines.push(('+', row.iter().map(|value| write_value(value.as_deref())).collect()));
    }
    align(&lines)
}

fn align(lines: &[(char, Vec<String>)]) -> String {
    let columns = lines.first().map_or(0, |(_, cells)| cells.len());
    let width =
        |column: usize| lines.iter().map(|(_, cells)| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    lines
        .iter()
        .map(|(sign, cells)| {
            let cells: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            format!("{sign} {}", cells.join(" | ")).trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use datafusion::arrow::datatypes::DataType;

    use super::*;

    fn rows(values: &[&[Option<&str>]]) -> Rows {
        Rows {
            columns: vec!["sk".to_owned(), "id".to_owned()],
            types: vec![DataType::Int64, DataType::Int64],
            values: values
                .iter()
                .map(|row| row.iter().map(|value| value.map(str::to_owned)).collect())
                .collect(),
        }
    }

    fn compare(expected: &str, actual: &Rows, symbols: &mut Symbols) -> Option<String> {
        difference(&TextTable::parse(expected).unwrap(), actual, symbols).unwrap()
    }

    #[test]
    fn rows_match_in_any_order_and_bind_their_symbols() {
        let actual = rows(&[&[Some("9"), Some("2")], &[Some("8"), Some("1")], &[Some("7"), Some("3")]]);
        let mut symbols = Symbols::new();
        assert_eq!(compare("sk | id\n$a | 1\n$b | 2\n* | 3", &actual, &mut symbols), None);
        assert_eq!(symbols["a"], "8");
        assert_eq!(symbols["b"], "9");
    }

    #[test]
    fn a_symbol_means_one_value_and_two_symbols_mean_two() {
        let mut symbols = Symbols::from([("a".to_owned(), "8".to_owned())]);
        assert!(compare("sk | id\n$a | 1", &rows(&[&[Some("9"), Some("1")]]), &mut symbols).is_some());
        let same = rows(&[&[Some("8"), Some("1")], &[Some("8"), Some("2")]]);
        assert!(compare("sk | id\n$a | 1\n$b | 2", &same, &mut symbols).is_some());
        assert_eq!(compare("sk | id\n$a | 1\n$a | 2", &same, &mut symbols), None);
    }

    #[test]
    fn a_repeated_row_counts_as_often_as_it_stands_there() {
        let twice = rows(&[&[Some("1"), Some("1")], &[Some("1"), Some("1")]]);
        assert!(compare("sk | id\n1 | 1", &twice, &mut Symbols::new()).is_some());
        assert_eq!(compare("sk | id\n1 | 1\n1 | 1", &twice, &mut Symbols::new()), None);
    }

    #[test]
    fn the_difference_shows_both_sides() {
        let actual = rows(&[&[Some("8"), Some("1")], &[None, Some("3")]]);
        let text = compare("sk | id\n$a | 1\n* | 3", &actual, &mut Symbols::new()).unwrap();
        assert_eq!(text, "  sk   | id\n  $a=8 | 1\n- *    | 3\n+ NULL | 3");
    }

    #[test]
    fn a_wildcard_leaves_the_row_that_another_row_needs() {
        let actual = rows(&[&[Some("8"), Some("1")], &[Some("9"), Some("1")]]);
        assert_eq!(compare("sk | id\n* | 1\n8 | 1", &actual, &mut Symbols::new()), None);
    }
}
