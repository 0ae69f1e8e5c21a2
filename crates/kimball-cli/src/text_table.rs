//! Columns for people.

use std::fmt;

/// Characters of text in the last column that are worth a line: what is behind them may be cut.
const LEAST_TEXT: usize = 20;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows whose columns are as wide as their widest cell, two spaces apart, without space at the ends of lines.
#[derive(Debug)]
pub struct TextTable<const N: usize> {
    aligns: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> TextTable<N> {
    /// A table with these headings and no rows.
    pub fn new(headings: &[(&str, Align); N]) -> Self {
        let aligns = headings.map(|(_, align)| align);
        Self { aligns, rows: vec![headings.map(|(heading, _)| heading.to_owned())] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table in lines of at most `width` columns (`None`: as wide as it is): columns are left out in the order of
    /// `expendable`, which is said behind the rows, and what is still too wide is cut. No column is left out for a long
    /// text in the last one.
    pub fn within(&self, width: Option<usize>, expendable: &[&str]) -> String {
        let Some(width) = width else { return self.to_string() };
        let headings: Vec<&str> = self.rows.iter().take(1).flatten().map(String::as_str).collect();
        let mut left_out: Vec<&str> = Vec::new();
        let is_shown = |left_out: &[&str]| {
            std::array::from_fn(|place| headings.get(place).is_none_or(|name| !left_out.contains(name)))
        };
        for name in expendable {
            if self.needed(is_shown(&left_out)) <= width {
                break;
            }
            left_out.push(name);
        }
        let mut text = String::new();
        for line in self.lines(is_shown(&left_out)) {
            text += &cut(&line, width);
            text.push('\n');
        }
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            text += &format!("(no room for {names}: `--format json` has all)\n");
        }
        text
    }

    /// What the columns that are shown need, with the space between them.
    fn needed(&self, is_shown: [bool; N]) -> usize {
        let columns = self.widths().into_iter().zip(self.aligns).zip(is_shown);
        let mut shown: Vec<(usize, Align)> =
            columns.filter_map(|(column, shown)| shown.then_some(column)).collect();
        if let Some((width, Align::Left)) = shown.last_mut() {
            *width = (*width).min(LEAST_TEXT);
        }
        let gaps = 2 * shown.len().saturating_sub(1);
        shown.into_iter().map(|(width, _)| width).sum::<usize>() + gaps
    }

    fn lines(&self, is_shown: [bool; N]) -> impl Iterator<Item = String> {
        let widths = self.widths();
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(widths).zip(self.aligns).zip(is_shown).filter(|(_, shown)| *shown);
            let cells = cells.map(|(((cell, width), align), _)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl<const N: usize> fmt::Display for TextTable<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines([true; N]).try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn cut(line: &str, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, TextTable};

    fn table() -> TextTable<3> {
        let mut table =
            TextTable::new(&[("NAME", Align::Left), ("ROWS", Align::Right), ("ERROR", Align::Left)]);
        table.row(["gold.dim".to_owned(), "12".to_owned(), String::new()]);
        table.row(["gold.f".to_owned(), "1".to_owned(), "it is gone".to_owned()]);
        table
    }

    #[test]
    fn where_there_is_room_a_table_stays_whole() {
        let whole = "NAME      ROWS  ERROR\ngold.dim    12\ngold.f       1  it is gone\n";
        assert_eq!(table().to_string(), whole);
        assert_eq!(table().within(None, &["ROWS"]), whole);
        assert_eq!(table().within(Some(26), &["ROWS"]), whole);
    }

    #[test]
    fn a_long_text_in_the_last_column_is_cut_before_a_column_is_left_out() {
        let mut table = table();
        table.row([
            "gold.g".to_owned(),
            "7".to_owned(),
            "it is gone and nobody knows where it went".to_owned(),
        ]);
        assert_eq!(
            table.within(Some(38), &["ROWS"]),
            "NAME      ROWS  ERROR\ngold.dim    12\ngold.f       1  it is gone\n\
             gold.g       7  it is gone and nobody…\n"
        );
        // Where hardly anything of the text would be left, its column goes before it.
        let narrow = table.within(Some(28), &["ROWS"]);
        assert!(narrow.contains("gold.g    it is gone and no…\n(no room for ROWS: "), "{narrow}");
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_and_the_rest_is_cut() {
        let note = "(no room for ROWS: `--format json` has all)\n";
        assert_eq!(
            table().within(Some(20), &["ROWS", "ERROR"]),
            format!("NAME      ERROR\ngold.dim\ngold.f    it is gone\n{note}")
        );
        assert_eq!(
            table().within(Some(15), &["ROWS"]),
            format!("NAME      ERROR\ngold.dim\ngold.f    it i…\n{note}")
        );
    }
}
