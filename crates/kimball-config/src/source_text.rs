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
}

impl SourceFile {
    /// A file as it was read.
    pub(crate) fn new(path: &Path, written: String) -> Self {
        let line_starts =
            std::iter::once(0).chain(written.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_path_buf(), written, line_starts, rendered: None }
    }

    /// Takes over what the template made of the file.
    pub(crate) fn set_rendered(&mut self, rendered: Rendered) {
        self.rendered = Some(rendered);
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
        let source_line = self.written[line_start..line_end].trim_end_matches('\r');
        let end = floor_char_boundary(&self.written, range.end.clamp(start, line_end.max(start)));
        Location {
            line: line_index + 1,
            column: self.written[line_start..start].chars().count() + 1,
            width: self.written[start..end].trim_end().chars().count().max(1),
            source_line: source_line.to_owned(),
        }
    }
}

impl Rendered {
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
        let whole = file.locate(Span::new(0, 14));
        assert_eq!((whole.column, whole.width), (1, 11));
        assert_eq!(file.locate(Span::new(20, 20)).line, 3);
    }
}
