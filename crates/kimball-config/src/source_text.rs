//! A file of the user, what its template made of it, and the way back from one to the other.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::problem::Location;

/// A range of bytes in the text that is parsed (after templating).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// Rendered text with the pieces of the template that it came from, in order.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) pieces: Vec<Piece>,
}

/// A run of rendered text and its origin in the template.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) output: Range<usize>,
    pub(crate) source: Range<usize>,
    /// Whether the output is the source, byte by byte; otherwise it is the value of an expression.
    pub(crate) verbatim: bool,
}

/// One file: its name, the text the user wrote, and the text that is parsed.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    path: PathBuf,
    written: String,
    line_starts: Vec<usize>,
    rendered: Option<Rendered>,
    /// Ranges of what was written that are never shown, in order and apart from each other.
    hidden: Vec<Range<usize>>,
}

/// What stands in the place of a text that is not shown, whatever its length.
const MASK: &str = "****";

impl SourceFile {
    /// A file as it was read.
    pub(crate) fn new(path: &Path, written: String) -> Self {
        let line_starts =
            std::iter::once(0).chain(written.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_path_buf(), written, line_starts, rendered: None, hidden: Vec::new() }
    }

    /// Takes over what the template made of the file.
    pub(crate) fn set_rendered(&mut self, rendered: Rendered) {
        self.rendered = Some(rendered);
    }

    /// From now on no location shows these ranges of what the user wrote; others that were hidden are shown again.
    pub(crate) fn hide(&mut self, mut ranges: Vec<Range<usize>>) {
        for range in &mut ranges {
            *range = floor_char_boundary(&self.written, range.start)
                ..floor_char_boundary(&self.written, range.end);
        }
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        self.hidden.clear();
        for range in ranges {
            match self.hidden.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => self.hidden.push(range),
            }
        }
    }

    /// The range of the user's file that a range of the parsed text was copied from; `None` where it is the value of an
    /// expression, which the file does not show.
    pub(crate) fn copied_from(&self, span: Span) -> Option<Range<usize>> {
        match &self.rendered {
            None => Some(span.start..span.end),
            Some(rendered) => (!rendered.is_computed(span)).then(|| rendered.origin(span)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text as the user wrote it.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// The text to parse: after templating, if there was any.
    pub(crate) fn text(&self) -> &str {
        self.rendered.as_ref().map_or(&self.written, |rendered| &rendered.text)
    }

    /// Where a range of the parsed text stands in the user's file.
    pub(crate) fn locate(&self, span: Span) -> Location {
        let range = match &self.rendered {
            None => span.start..span.end,
            Some(rendered) => rendered.origin(span),
        };
        self.locate_written(range)
    }

    /// Line, column and text of a range of the user's file.
    pub(crate) fn locate_written(&self, range: Range<usize>) -> Location {
        let start = floor_char_boundary(&self.written, range.start);
        let line_index = self.line_starts.partition_point(|&at| at <= start).saturating_sub(1);
        let line_start = self.line_starts.get(line_index).copied().unwrap_or(0);
        let line_end =
            self.written[line_start..].find('\n').map_or(self.written.len(), |length| line_start + length);
        let line = line_start..line_start + self.written[line_start..line_end].trim_end_matches('\r').len();
        let end = floor_char_boundary(&self.written, range.end.clamp(start, line_end.max(start)));
        let end = start + self.written[start..end].trim_end().len();
        let masks = self.masks_of(&line);
        let start = self.column(&line, &masks, start, 0);
        let end = self.column(&line, &masks, end, MASK.len());
        Location {
            line: line_index + 1,
            column: start + 1,
            width: end.saturating_sub(start).max(1),
            source_line: self.masked(&line, &masks),
        }
    }

    /// What of a line is hidden.
    fn masks_of(&self, line: &Range<usize>) -> Vec<Range<usize>> {
        let first = self.hidden.partition_point(|range| range.end <= line.start);
        let on_line = self.hidden[first..].iter().take_while(|range| range.start < line.end);
        on_line.map(|range| range.start.max(line.start)..range.end.min(line.end)).collect()
    }

    /// A line as it is shown.
    fn masked(&self, line: &Range<usize>, masks: &[Range<usize>]) -> String {
        let (mut text, mut at) = (String::new(), line.start);
        for mask in masks {
            text.push_str(&self.written[at..mask.start]);
            text.push_str(MASK);
            at = mask.end;
        }
        text.push_str(&self.written[at..line.end]);
        text
    }

    /// How many characters of a line as it is shown stand before `offset`; `within` of the mask when it lies inside one.
    fn column(&self, line: &Range<usize>, masks: &[Range<usize>], offset: usize, within: usize) -> usize {
        let characters = |range: Range<usize>| self.written[range].chars().count();
        let (mut column, mut at) = (0, line.start);
        for mask in masks.iter().take_while(|mask| mask.start < offset) {
            column += characters(at..mask.start);
            if offset < mask.end {
                return column + within;
            }
            column += MASK.len();
            at = mask.end;
        }
        column + characters(at..offset.clamp(at, line.end.max(at)))
    }
}

impl Rendered {
    /// Whether a range of the output is the value of one expression.
    fn is_computed(&self, span: Span) -> bool {
        let index = self.pieces.partition_point(|piece| piece.output.end <= span.start);
        self.pieces.get(index).is_some_and(|piece| {
            !piece.verbatim && piece.output.start <= span.start && span.end <= piece.output.end
        })
    }

    /// The range of the template that produced a range of the output.
    fn origin(&self, span: Span) -> Range<usize> {
        let index = self.pieces.partition_point(|piece| piece.output.end <= span.start);
        let Some(piece) = self.pieces.get(index).or_else(|| self.pieces.last()) else {
            return 0..0;
        };
        if span.start >= piece.output.end {
            // Past the end of the output: the end of the last thing that was written.
            return piece.source.end..piece.source.end;
        }
        if !piece.verbatim || span.start < piece.output.start {
            return piece.source.clone();
        }
        let start = piece.source.start + (span.start - piece.output.start);
        let end = if span.end <= piece.output.end {
            start + (span.end - span.start)
        } else {
            self.end_of_origin(index, span.end).max(start)
        };
        start..end
    }

    /// The end in the template of a range that reaches over several pieces.
    fn end_of_origin(&self, from: usize, output_end: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.output.end < output_end);
        match self.pieces.get(index.max(from)).or_else(|| self.pieces.last()) {
            Some(piece) if piece.verbatim => {
                piece.source.start + output_end.saturating_sub(piece.output.start).min(piece.output.len())
            }
            Some(piece) => piece.source.end,
            None => 0,
        }
    }
}

/// The nearest character boundary at or below `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_range_is_shown_with_its_line_column_and_width_in_characters() {
        let file = SourceFile::new(Path::new("a.yml"), "one: 1\r\nzwölf: äöü\n".to_owned());
        let start = file.written().find("äöü").unwrap();
        let location = file.locate(Span::new(start, start + "äöü".len()));
        assert_eq!(location, Location { line: 2, column: 8, width: 3, source_line: "zwölf: äöü".to_owned() });
    }

    #[test]
    fn a_range_ends_with_its_line_and_is_never_empty() {
        let file = SourceFile::new(Path::new("a.yml"), "a:\n  b: 1\n".to_owned());
        assert_eq!(file.locate(Span::new(0, 9)).width, 2);
        assert_eq!(file.locate(Span::new(3, 3)).width, 1);
        assert_eq!(file.locate(Span::new(999, 1000)).line, 3);
    }

    #[test]
    fn what_is_hidden_is_a_mask_of_one_length_and_what_is_meant_stays_under_the_mark() {
        let mut file = SourceFile::new(
            Path::new("a.yml"),
            "a: {key: hünter2, x: 1}\nb: 'two\n  lines' # c\n".to_owned(),
        );
        let at = |text: &str| {
            let start = file.written().find(text).unwrap();
            start..start + text.len()
        };
        let (secret, inside, behind, lines) = (at("hünter2"), at("nter"), at("x:"), at("'two\n  lines'"));
        file.hide(vec![lines.clone(), secret.clone()]);
        let shown = |range: Range<usize>| {
            let location = file.locate_written(range);
            (location.source_line, location.column, location.width)
        };
        let first = "a: {key: ****, x: 1}".to_owned();
        assert_eq!(shown(secret.clone()), (first.clone(), 10, 4));
        assert_eq!(shown(inside), (first.clone(), 10, 4));
        assert_eq!(shown(behind), (first.clone(), 16, 2));
        assert_eq!(shown(3..secret.end + 1), (first, 4, 11));
        assert_eq!(shown(lines.clone()), ("b: ****".to_owned(), 4, 4));
        assert_eq!(shown(lines.end - 2..lines.end), ("**** # c".to_owned(), 1, 4));
        file.hide(Vec::new());
        assert_eq!(file.locate_written(secret).source_line, "a: {key: hünter2, x: 1}");
    }

    #[test]
    fn a_range_of_rendered_text_points_into_the_template() {
        let mut file = SourceFile::new(Path::new("a.yml"), "a: {{ x }}!\nb: 2\n".to_owned());
        file.set_rendered(Rendered {
            text: "a: long value!\nb: 2\n".to_owned(),
            pieces: vec![
                Piece { output: 0..3, source: 0..3, verbatim: true },
                Piece { output: 3..13, source: 6..7, verbatim: false },
                Piece { output: 13..20, source: 10..17, verbatim: true },
            ],
        });
        assert_eq!(file.locate(Span::new(5, 9)).column, 7);
        let second = file.locate(Span::new(15, 16));
        assert_eq!((second.line, second.column, second.source_line.as_str()), (2, 1, "b: 2"));
        assert_eq!(file.copied_from(Span::new(5, 9)), None, "the value of an expression");
        assert_eq!(file.copied_from(Span::new(15, 16)), Some(12..13));
        let whole = file.locate(Span::new(0, 14));
        assert_eq!((whole.column, whole.width), (1, 11));
        assert_eq!(file.locate(Span::new(20, 20)).line, 3);
    }
}
