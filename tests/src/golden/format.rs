//! The text of a case: what it proves, what is done step by step, and what the last command says.

use std::fmt;
use std::path::Path;

use crate::error::{Result, TestkitError};
use crate::source_table::ChangeFeed;

/// What every part of a case begins with, on a line of its own together with what the part is.
const MARK: &str = ">>> ";

/// What parts two parts.
const BREAK: &str = "\n>>> ";

/// The head of the first part that is an expectation.
const FIRST_EXPECTED: &str = "\n>>> exit ";

/// One mistake, and the answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// One sentence: the mistake that somebody made.
    pub proves: String,
    /// What is done before the command, in order.
    pub steps: Vec<Step>,
    /// The words of the command behind `kimball`.
    pub command: Vec<String>,
    /// The text of the expected [`Ending`]; empty in a case that has none yet.
    pub expected: String,
    given: String,
}

/// One thing that is done before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes a file, by its path in the project.
    File {
        /// The path.
        path: String,
        /// Its whole text.
        text: String,
    },
    /// Deletes a file, or a folder with all that it holds.
    Remove {
        /// The path.
        path: String,
    },
    /// Makes a Delta table of the warehouse: its columns in one commit, its rows, if there are any, in another.
    Table(Table),
    /// Appends rows to a table that the case has made.
    Insert {
        /// The table.
        table: String,
        /// The rows, as a [`TextTable`](crate::text_table::TextTable).
        rows: String,
    },
    /// An earlier command, which must succeed: its words behind `kimball`.
    Call(Vec<String>),
}

/// A Delta table to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `schema.table`.
    pub name: String,
    /// `id bigint, name string`.
    pub columns: String,
    /// Whether it keeps a change feed.
    pub change_feed: ChangeFeed,
    /// The rows, as a [`TextTable`](crate::text_table::TextTable); may be empty.
    pub rows: String,
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it said about its work.
    pub stderr: String,
    /// What was asked for.
    pub stdout: String,
}

impl Case {
    /// Reads the text of a case; `path` is for messages.
    ///
    /// # Errors
    /// [`TestkitError::Scenario`] when it proves nothing, holds a step that is none, or does not end with a command.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let (given, expected) = match text.find(FIRST_EXPECTED) {
            Some(at) => text.split_at(at + 1),
            None => (text, ""),
        };
        let mut case =
            read(given).map_err(|message| TestkitError::Scenario { path: path.to_path_buf(), message })?;
        case.expected = expected.to_owned();
        Ok(case)
    }

    /// The text of the case with another ending.
    pub fn ending_with(&self, ending: &Ending) -> String {
        format!("{}\n\n{ending}", self.given.trim_end())
    }
}

impl fmt::Display for Ending {
    /// The parts of a case that are expectations: the exit code and each stream that is not empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "{MARK}exit {code}")?,
            None => writeln!(f, "{MARK}exit by a signal")?,
        }
        for (name, text) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
            if !text.is_empty() {
                let end = if text.ends_with('\n') { "" } else { "\n" };
                write!(f, "\n{MARK}{name}\n{text}{end}")?;
            }
        }
        Ok(())
    }
}

fn read(given: &str) -> std::result::Result<Case, String> {
    let mut parts = given.split(BREAK);
    let proves = parts.next().unwrap_or_default().trim().to_owned();
    if proves.is_empty() || proves.starts_with(MARK) {
        return Err("a case begins with a sentence: the mistake that somebody made".to_owned());
    }
    let mut steps = parts.map(read_step).collect::<std::result::Result<Vec<_>, _>>()?;
    let Some(Step::Call(command)) = steps.pop() else {
        return Err(format!("a case ends with a command, such as `{MARK}kimball run`"));
    };
    Ok(Case { proves, steps, command, expected: String::new(), given: given.to_owned() })
}

fn read_step(part: &str) -> std::result::Result<Step, String> {
    let (head, body) = part.split_once('\n').unwrap_or((part, ""));
    let (verb, rest) = head.split_once(' ').unwrap_or((head, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(format!("`{head}` says too little"));
    }
    if matches!(verb, "remove" | "kimball") && !body.trim().is_empty() {
        return Err(format!("nothing stands below `{head}`"));
    }
    // The line break before the next head is no part of the text; an empty line before it is its own line break.
    let body = if body.is_empty() || body.ends_with('\n') { body.to_owned() } else { format!("{body}\n") };
    match verb {
        "file" => Ok(Step::File { path: rest.to_owned(), text: body }),
        "remove" => Ok(Step::Remove { path: rest.to_owned() }),
        "table" => read_table(rest, body).map(Step::Table),
        "insert" => Ok(Step::Insert { table: rest.to_owned(), rows: body }),
        "kimball" => Ok(Step::Call(words(rest)?)),
        _ => Err(format!("`{head}` is no step: they are file, remove, table, insert and kimball")),
    }
}

/// `silver.customers (id bigint, name string)`, maybe `without change feed`.
fn read_table(head: &str, rows: String) -> std::result::Result<Table, String> {
    let (head, change_feed) = match head.strip_suffix(" without change feed") {
        Some(head) => (head, ChangeFeed::Disabled),
        None => (head, ChangeFeed::Enabled),
    };
    let (name, columns) = head
        .split_once(" (")
        .and_then(|(name, columns)| Some((name, columns.strip_suffix(')')?)))
        .ok_or_else(|| format!("`{head}` is no table: write `schema.table (column type, …)`"))?;
    Ok(Table { name: name.to_owned(), columns: columns.to_owned(), change_feed, rows })
}

/// The words of a command line; what stands in double quotes is one word.
fn words(line: &str) -> std::result::Result<Vec<String>, String> {
    let pieces: Vec<&str> = line.split('"').collect();
    if pieces.len().is_multiple_of(2) {
        return Err(format!("a quote is not closed in `{line}`"));
    }
    let mut words = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        // Every second piece stands in quotes.
        match index % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const CASE: &str = "\
A mistake.

>>> file configs/a.yml
a: 1

b: 2

>>> file empty.yml

>>> table silver.a (id bigint, price decimal(10,2)) without change feed
id | price
1  | 2.50

>>> kimball run
>>> insert silver.a
id
2

>>> remove configs/a.yml

>>> kimball sql \"SELECT 1\" --format csv

>>> exit 2

>>> stderr
error: no
";

    fn parse(text: &str) -> Result<Case> {
        Case::parse(Path::new("a.case"), text)
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_case_is_a_sentence_steps_a_command_and_its_ending() {
        let case = parse(CASE).unwrap();
        assert_eq!(case.proves, "A mistake.");
        let file = |path: &str, text: &str| Step::File { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(
            case.steps,
            [
                file("configs/a.yml", "a: 1\n\nb: 2\n"),
                file("empty.yml", ""),
                Step::Table(Table {
                    name: "silver.a".to_owned(),
                    columns: "id bigint, price decimal(10,2)".to_owned(),
                    change_feed: ChangeFeed::Disabled,
                    rows: "id | price\n1  | 2.50\n".to_owned(),
                }),
                Step::Call(vec!["run".to_owned()]),
                Step::Insert { table: "silver.a".to_owned(), rows: "id\n2\n".to_owned() },
                Step::Remove { path: "configs/a.yml".to_owned() },
            ]
        );
        assert_eq!(case.command, ["sql", "SELECT 1", "--format", "csv"]);
        assert_eq!(case.expected, ">>> exit 2\n\n>>> stderr\nerror: no\n");
    }

    #[test]
    fn an_ending_is_written_as_it_is_read() {
        let case = parse(CASE).unwrap();
        let same = Ending { code: Some(2), stderr: "error: no\n".to_owned(), stdout: String::new() };
        assert_eq!(same.to_string(), case.expected);
        assert_eq!(case.ending_with(&same), CASE);
        let other = Ending { code: None, stderr: "a\n\n".to_owned(), stdout: "b".to_owned() };
        let text = case.ending_with(&other);
        assert_eq!(parse(&text).unwrap().expected, other.to_string());
        assert!(text.ends_with(">>> exit by a signal\n\n>>> stderr\na\n\n\n>>> stdout\nb\n"), "{text}");
    }

    #[test]
    fn a_case_without_an_ending_expects_nothing_yet() {
        assert_eq!(parse("A mistake.\n\n>>> kimball run\n").unwrap().expected, "");
    }

    #[test]
    fn what_is_no_case_is_refused_with_the_reason() {
        for (text, reason) in [
            (">>> kimball run\n", "begins with a sentence"),
            ("A mistake.\n", "ends with a command"),
            ("A mistake.\n\n>>> kimball run\n>>> remove a\n", "ends with a command"),
            ("A mistake.\n\n>>> kimbal run\n", "`kimbal run` is no step"),
            ("A mistake.\n\n>>> kimball\n", "`kimball` says too little"),
            ("A mistake.\n\n>>> kimball run\nwith this\n", "nothing stands below `kimball run`"),
            ("A mistake.\n\n>>> kimball sql \"SELECT\n", "a quote is not closed"),
            ("A mistake.\n\n>>> table silver.a\n>>> kimball run\n", "`silver.a` is no table"),
        ] {
            let told = refusal(text);
            assert!(told.contains(reason) && told.starts_with("a.case: "), "{told}");
        }
    }
}
