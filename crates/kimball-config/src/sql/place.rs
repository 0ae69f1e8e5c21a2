//! Where a stretch of SQL stands in the YAML file that holds it.

use sqlparser::tokenizer::{Location, Span as Stretch};

use crate::findings::Findings;
use crate::reader::Located;
use crate::source_text::Span;

/// The place in the file of a stretch of the SQL; the SQL as a whole when that cannot be told.
pub(super) fn place(findings: &Findings<'_>, sql: &Located<String>, at: Option<Stretch>) -> Span {
    let whole = sql.span;
    let text = findings.file().text();
    let found = at.zip(text.get(whole.start..whole.end)).and_then(|(stretch, written)| {
        let start = offset(&sql.value, stretch.start)?;
        let end = offset(&sql.value, stretch.end).unwrap_or(sql.value.len());
        let first = in_file(written, &sql.value, start)?;
        let last = sql.value[start..end.max(start)].trim_end().char_indices().next_back();
        let (behind, length) = match last {
            Some((within, character)) => {
                (in_file(written, &sql.value, start + within)?, character.len_utf8())
            }
            None => (first, 1),
        };
        Some(Span::new(whole.start + first, whole.start + behind + length))
    });
    found.unwrap_or(whole)
}

/// The offset of a line and column of a text.
fn offset(text: &str, at: Location) -> Option<usize> {
    let (line, column) = (usize::try_from(at.line).ok()?, usize::try_from(at.column).ok()?);
    let before = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let line = text.get(before..)?;
    let within = line.char_indices().nth(column.checked_sub(1)?).map_or(line.len(), |(offset, _)| offset);
    Some(before + within)
}

/// The offset, in a value as it is written, of the character at `wanted` of what YAML reads there: both hold the same
/// characters but for space, quotes and escapes.
fn in_file(written: &str, value: &str, wanted: usize) -> Option<usize> {
    let in_quotes = |quote: char| {
        walk(written.strip_prefix(quote)?, value, wanted, Some(quote)).map(|offset| offset + quote.len_utf8())
    };
    walk(written, value, wanted, None).or_else(|| in_quotes('\'')).or_else(|| in_quotes('"'))
}

fn walk(written: &str, value: &str, wanted: usize, quote: Option<char>) -> Option<usize> {
    let mut characters = written.char_indices().peekable();
    for (offset, expected) in value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        let (at, found) = loop {
            let (at, character) = characters.next()?;
            if character.is_whitespace() {
                continue;
            }
            let next = characters.peek().map(|(_, next)| *next);
            match (quote, character) {
                (Some('\''), '\'') => {
                    characters.next();
                    break (at, next?);
                }
                (Some('"'), '\\') => {
                    characters.next();
                    match next? {
                        'n' | 't' | 'r' | ' ' | '\n' => {}
                        plain @ ('"' | '\\' | '/') => break (at, plain),
                        _ => return None,
                    }
                }
                _ => break (at, character),
            }
        };
        if found != expected {
            return None;
        }
        if offset >= wanted {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_character_is_found_however_the_text_is_written() {
        for (written, value) in [
            ("SELECT a FROM ö", "SELECT a FROM ö"),
            ("SELECT a\n     FROM ö", "SELECT a FROM ö"),
            ("'it''s FROM ö'", "it's FROM ö"),
            ("\"\\\"a\\\"\\n FROM\\\n  ö\"", "\"a\"\n FROM ö"),
            ("'''a'' FROM ö'", "'a' FROM ö"),
        ] {
            for wanted in ["FROM", "ö"] {
                let offset = in_file(written, value, value.find(wanted).unwrap()).unwrap();
                assert!(written[offset..].starts_with(wanted), "{written}: {wanted}");
            }
        }
        assert_eq!(in_file("\"\\x41 b\"", "A b", 2), None);
        assert_eq!(in_file("other", "SELECT", 0), None);
        assert_eq!(in_file("", "SELECT", 0), None);
    }
}
