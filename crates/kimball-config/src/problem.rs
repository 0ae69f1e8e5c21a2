//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Source lines longer than this are cut around the place that is meant.
const MAX_SHOWN_CHARS: usize = 120;

/// Whether a problem stops the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemSeverity {
    /// The project cannot be used.
    Error,
    /// The project can be used; the user should look.
    Warning,
}

impl fmt::Display for ProblemSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// 1-based line of the user's file, before templating.
    pub line: usize,
    /// 1-based column in `source_line`, counted in characters.
    pub column: usize,
    /// How many characters are meant; at least 1.
    pub width: usize,
    /// The text of that line, without its line break; secrets in it are stars.
    pub source_line: String,
}

/// One problem of one file. `Display` renders it with its source line, the way rustc does, without colour
/// and without a line break at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the load.
    pub severity: ProblemSeverity,
    /// The file, as it was named or found; `None` when no file is to blame (an unknown target).
    pub file: Option<PathBuf>,
    /// Where in the file; `None` when the whole file is meant.
    pub location: Option<Location>,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error that no line of a file shows.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: ProblemSeverity::Error,
            file: None,
            location: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same problem, blamed on a file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same problem, blamed on a place of its file.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// The same problem with a hint at what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, printable(&self.message))?;
        let gutter = match &self.location {
            Some(location) => location.line.to_string().len(),
            None => usize::from(self.file.is_some()),
        };
        if let Some(file) = &self.file {
            write!(f, "\n{:gutter$}--> {}", "", printable(&file.display().to_string()))?;
            if let Some(location) = &self.location {
                write!(f, ":{}:{}", location.line, location.column)?;
            }
        }
        // An empty line shows nothing.
        if let Some(location) = self.location.as_ref().filter(|location| !location.source_line.is_empty()) {
            let shown = Excerpt::of(location);
            write!(f, "\n{:gutter$} |", "")?;
            write!(f, "\n{} | {}", location.line, shown.text)?;
            write!(f, "\n{:gutter$} | {:skip$}{}", "", "", "^".repeat(shown.width), skip = shown.skip)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {}", "", printable(help))?;
        }
        Ok(())
    }
}

/// The part of a source line that is shown.
struct Excerpt {
    text: String,
    /// Characters before the marked ones.
    skip: usize,
    /// Marked characters.
    width: usize,
}

impl Excerpt {
    fn of(location: &Location) -> Self {
        let characters: Vec<char> = location.source_line.chars().map(visible).collect();
        let start = location.column.saturating_sub(1).min(characters.len());
        if characters.len() <= MAX_SHOWN_CHARS {
            let width = location.width.clamp(1, (characters.len() - start).max(1));
            return Self { text: characters.into_iter().collect(), skip: start, width };
        }
        let from = start.saturating_sub(MAX_SHOWN_CHARS / 3);
        let to = (from + MAX_SHOWN_CHARS).min(characters.len());
        let (before, after) = (if from > 0 { "…" } else { "" }, if to < characters.len() { "…" } else { "" });
        let text: String = characters[from..to].iter().collect();
        let skip = start - from + before.chars().count();
        let width = location.width.clamp(1, (to - start).max(1));
        Self { text: format!("{before}{text}{after}"), skip, width }
    }
}

/// A source line must not move the cursor or recolour the terminal; a tab counts as one column.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

/// Text of the user inside a message, without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { character } else { visible(character) }).collect()
}

#[cfg(test)]
mod tests;
