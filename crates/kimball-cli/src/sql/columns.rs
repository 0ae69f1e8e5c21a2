//! An answer as columns for people, written as its rows come.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::answer::Room;

/// Rows that decide how wide the columns are; those after them are written as they come.
const MEASURED_ROWS: usize = 1_000;
/// The widest cell on a terminal.
const WIDEST_CELL: usize = 60;

/// Rows under headings, with their number at the end.
pub struct Columns<W> {
    writer: W,
    schema: SchemaRef,
    room: Room,
    /// Rows that wait for the widths.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    count: usize,
}

impl<W: Write> Columns<W> {
    /// Columns for rows of `schema`.
    pub fn new(schema: SchemaRef, room: Room, writer: W) -> Self {
        Self { writer, schema, room, waiting: Vec::new(), widths: None, count: 0 }
    }

    /// Writes rows, as soon as the widths are known.
    pub fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        self.count += rows.num_rows();
        let cells = self.cells_of(rows)?;
        if self.widths.is_some() {
            return cells.iter().try_for_each(|row| self.write_row(row));
        }
        self.waiting.extend(cells);
        if self.waiting.len() >= MEASURED_ROWS { self.settle_widths() } else { Ok(()) }
    }

    /// Writes what waits, and the number of rows.
    pub fn finish(mut self) -> io::Result<()> {
        if self.widths.is_none() {
            self.settle_widths()?;
        }
        let rows = if self.count == 1 { "row" } else { "rows" };
        writeln!(self.writer, "({} {rows})", self.count)
    }

    fn settle_widths(&mut self) -> io::Result<()> {
        let headings: Vec<String> =
            self.schema.fields().iter().map(|field| without_controls(field.name())).collect();
        let mut widths: Vec<usize> = headings.iter().map(|heading| heading.width()).collect();
        for row in &self.waiting {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.lines().map(UnicodeWidthStr::width).max().unwrap_or_default());
            }
        }
        self.widths = Some(widths.clone());
        self.write_row(&headings)?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(self.writer, "{}", rules.join("+"))?;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().try_for_each(|row| self.write_row(row))
    }

    /// A row, on as many lines as its highest cell has.
    fn write_row(&mut self, cells: &[String]) -> io::Result<()> {
        let height = cells.iter().map(|cell| cell.lines().count()).max().unwrap_or_default().max(1);
        for line in 0..height {
            let parts: Vec<&str> =
                cells.iter().map(|cell| cell.lines().nth(line).unwrap_or_default()).collect();
            self.write_line(&parts)?;
        }
        Ok(())
    }

    fn write_line(&mut self, parts: &[&str]) -> io::Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let padded = parts.iter().zip(widths).zip(self.schema.fields()).map(|((part, width), field)| {
            let space = " ".repeat(width.saturating_sub(part.width()));
            match field.data_type().is_numeric() {
                true => format!(" {space}{part} "),
                false => format!(" {part}{space} "),
            }
        });
        writeln!(self.writer, "{}", padded.collect::<Vec<_>>().join("|").trim_end())
    }

    fn cells_of(&self, rows: &RecordBatch) -> io::Result<Vec<Vec<String>>> {
        let options = FormatOptions::new()
            .with_null("NULL")
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"))
            .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"));
        let formatters: Result<Vec<_>, _> =
            rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
        let formatters = formatters.map_err(io::Error::other)?;
        let cell = |formatter: &ArrayFormatter<'_>, row| -> io::Result<String> {
            let text = formatter.value(row).try_to_string().map_err(io::Error::other)?;
            Ok(self.fitted(without_controls(&text)))
        };
        (0..rows.num_rows())
            .map(|row| formatters.iter().map(|formatter| cell(formatter, row)).collect())
            .collect()
    }

    fn fitted(&self, text: String) -> String {
        if self.room == Room::Unlimited || text.contains('\n') || text.width() <= WIDEST_CELL {
            return text;
        }
        let mut width = 0;
        let fits = text.chars().take_while(|c| {
            width += c.width().unwrap_or_default();
            width < WIDEST_CELL
        });
        fits.chain(['…']).collect()
    }
}

/// A text without what would move the cursor, but for line breaks.
fn without_controls(text: &str) -> String {
    let is_control = |c: char| c.is_control() && c != '\n';
    if !text.contains(is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if is_control(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

    use super::Columns;
    use crate::sql::answer::Room;

    fn shown(room: Room, texts: Vec<Option<&str>>) -> String {
        let numbers = Int64Array::from_iter_values(1..=i64::try_from(texts.len()).unwrap());
        let times = TimestampMicrosecondArray::from(vec![1_500_000; texts.len()]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 3] =
            [("n", Arc::new(numbers)), ("text", Arc::new(StringArray::from(texts))), ("at", Arc::new(times))];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
        let rows = rows.unwrap();
        let mut written = Vec::new();
        let mut shown = Columns::new(rows.schema(), room, &mut written);
        shown.write(&rows).unwrap();
        shown.finish().unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn cells_stand_below_their_headings_whatever_they_hold() {
        assert_eq!(
            shown(Room::Unlimited, vec![Some("東京"), None, Some("a\nb\u{1b}[31m")]),
            " n | text        | at\n\
             ---+-------------+-------------------------\n \
             1 | 東京        | 1970-01-01 00:00:01.500\n \
             2 | NULL        | 1970-01-01 00:00:01.500\n \
             3 | a           | 1970-01-01 00:00:01.500\n   \
             | b\\u{1b}[31m |\n\
             (3 rows)\n"
        );
    }

    #[test]
    fn a_terminal_shows_the_beginning_of_long_texts() {
        let long = "ä".repeat(100);
        let on_terminal = shown(Room::Terminal, vec![Some(&long)]);
        assert!(on_terminal.contains(&format!("{}…", "ä".repeat(59))), "{on_terminal}");
        assert!(on_terminal.ends_with("(1 row)\n"), "{on_terminal}");
        assert!(shown(Room::Unlimited, vec![Some(&long)]).contains(&long));
    }
}
