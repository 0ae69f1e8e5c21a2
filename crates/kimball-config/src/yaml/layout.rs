//! Lines of a YAML text around a place, as the eye sees them.

use crate::source_text::Span;

/// A place in a text, with the lines around it.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    text: &'t str,
    pub(super) at: usize,
    line_start: usize,
    line_end: usize,
}

/// What is indented differently from its siblings, and by how much, in blanks.
pub(super) struct Indentation {
    pub(super) what: &'static str,
    pub(super) here: usize,
    pub(super) others: usize,
}

impl<'t> Place<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line_end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        Self { text, at, line_start, line_end }
    }

    pub(super) fn moved_to(&self, at: usize) -> Self {
        Self::new(self.text, at)
    }

    /// The line without its break.
    pub(super) fn line(&self) -> &'t str {
        self.text[self.line_start..self.line_end].trim_end_matches('\r')
    }

    /// The line up to the place.
    pub(super) fn before(&self) -> &'t str {
        &self.text[self.line_start..self.at]
    }

    /// The text from the place on.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn shares_line_with(&self, other: &Self) -> bool {
        self.line_start == other.line_start
    }

    /// The character at the place.
    pub(super) fn here(&self) -> Span {
        Span::new(self.at, self.at + self.rest().chars().next().map_or(0, char::len_utf8))
    }

    /// What stands at the place, up to the next blank, colon or bracket.
    pub(super) fn word(&self) -> Span {
        let ends = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '[' | ']' | '{' | '}');
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        if length == 0 { self.here() } else { Span::new(self.at, self.at + length) }
    }

    pub(super) fn rest_of_line(&self) -> Span {
        Span::new(self.at, self.line_end)
    }

    /// The line without its indentation.
    pub(super) fn whole_line(&self) -> Span {
        Span::new(self.line_start + indent(self.line()), self.line_end)
    }

    /// The tabs at the place, right before it, or the next ones.
    pub(super) fn tabs(&self) -> Span {
        let end = if self.rest().starts_with('\t') || !self.before().ends_with('\t') {
            let Some(first) = self.rest().find('\t') else { return self.here() };
            let run = self.rest()[first..].chars().take_while(|c| *c == '\t').count();
            self.at + first + run
        } else {
            self.at
        };
        let run = self.text[..end].chars().rev().take_while(|c| *c == '\t').count();
        Span::new(end - run, end)
    }

    /// The first escape of the double-quoted text at the place that is none.
    pub(super) fn bad_escape(&self) -> Span {
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character != '\\' {
                continue;
            }
            let Some((_, escaped)) = characters.next() else { break };
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ if "0abt\tnvfre \"/\\N_LP\n\r".contains(escaped) => continue,
                _ => 0,
            };
            let behind = offset + 1 + escaped.len_utf8();
            let found =
                self.rest()[behind..].chars().take(digits).take_while(char::is_ascii_hexdigit).count();
            if digits == 0 || found < digits {
                return Span::new(self.at + offset, self.at + behind);
            }
        }
        self.here()
    }

    /// The closest line above that is neither empty nor a comment.
    pub(super) fn line_above(&self) -> Option<Self> {
        let mut line = *self;
        loop {
            line = self.moved_to(line.line_start.checked_sub(1)?);
            let content = line.line().trim();
            if !content.is_empty() && !content.starts_with('#') {
                return Some(line.moved_to(line.line_start + indent(line.line())));
            }
        }
    }

    /// The sign of a block scalar on the line above whose text is not indented below it.
    pub(super) fn block_scalar_above(&self) -> Option<char> {
        let above = self.line_above()?;
        if indent(self.line()) > indent(above.line()) {
            return None;
        }
        let content = above.line().split(" #").next().unwrap_or_default().trim_end();
        let content = content.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        let sign = content.chars().next_back().filter(|c| matches!(c, '|' | '>'))?;
        content[..content.len() - 1].trim_end().ends_with([':', '-']).then_some(sign)
    }

    /// Whether the line is `key: …` or `- …`.
    pub(super) fn is_key_or_entry(&self) -> bool {
        self.key_level().is_some() || self.entry_level().is_some()
    }

    /// How the key or entry of the line is indented, where the lines above want it otherwise.
    pub(super) fn indentation(&self) -> Option<Indentation> {
        if !self.before().trim().is_empty() {
            return None;
        }
        let here = indent(self.line());
        let (what, level): (_, fn(&Self) -> Option<usize>) = match self.entry_level() {
            Some(_) => ("`-`", Self::entry_level),
            None => ("key", Self::key_level),
        };
        let mut nearest: Option<usize> = None;
        let mut outermost = usize::MAX;
        let mut above = self.line_above();
        while let Some(line) = above {
            let outer = indent(line.line());
            if outer < outermost && line.is_key_or_entry() {
                outermost = outer;
                let closer =
                    |level: &usize| nearest.is_none_or(|best| level.abs_diff(here) < best.abs_diff(here));
                nearest = level(&line).filter(closer).or(nearest);
            }
            if outermost == 0 {
                break;
            }
            above = line.line_above();
        }
        let others = nearest.filter(|level| *level != here)?;
        Some(Indentation { what, here, others })
    }

    /// The column at which the key of the line begins.
    fn key_level(&self) -> Option<usize> {
        let line = self.line();
        let content = line.trim_start_matches([' ', '-']);
        let (key, value) = content.split_once(':')?;
        let is_key =
            !key.is_empty() && !key.contains(char::is_whitespace) && !key.starts_with(['#', '[', '{']);
        (is_key && (value.is_empty() || value.starts_with(char::is_whitespace)))
            .then(|| line.len() - content.len())
    }

    /// The column at which the dash of the line stands.
    fn entry_level(&self) -> Option<usize> {
        let content = self.line().trim_start();
        (content.starts_with("- ") || content == "-").then(|| indent(self.line()))
    }

    /// The innermost bracket before the place that nothing closes; brackets in quotes count, as what is wrong with the
    /// text may be its quotes.
    pub(super) fn open_bracket(&self) -> Option<(usize, char)> {
        if let Some(bracket) = self.rest().chars().next().filter(|c| matches!(c, '[' | '{')) {
            return Some((self.at, bracket));
        }
        let mut closed = 0_usize;
        for (offset, character) in self.text[..self.at].char_indices().rev() {
            match character {
                ']' | '}' => closed += 1,
                '[' | '{' if closed == 0 => return Some((offset, character)),
                '[' | '{' => closed -= 1,
                _ => {}
            }
        }
        None
    }
}

/// Blanks at the begin of a line.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
