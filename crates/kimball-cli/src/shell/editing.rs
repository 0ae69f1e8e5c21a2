//! What the line editor knows of SQL: when a statement is complete, and how words go on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kimball::{BlockingSqlConsole, split_statements};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

/// Words that statements are made of.
const WORDS: [&str; 42] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "WITH",
    "AS",
    "JOIN",
    "LEFT JOIN",
    "INNER JOIN",
    "FULL JOIN",
    "ON",
    "USING",
    "UNION ALL",
    "DISTINCT",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS NULL",
    "BETWEEN",
    "LIKE",
    "IN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "COUNT(*)",
    "SUM(",
    "AVG(",
    "MIN(",
    "MAX(",
    "INTERVAL",
    "VERSION AS OF",
    "TIMESTAMP AS OF",
    "SHOW TABLES",
    "DESCRIBE",
    "DESCRIBE HISTORY",
    "EXPLAIN",
];

/// The helper of the line editor.
pub struct Editing {
    console: Rc<BlockingSqlConsole>,
    tables: RefCell<Option<Vec<String>>>,
    columns: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Editing {
    /// Looks up tables and columns in `console` when they are first needed.
    pub fn new(console: Rc<BlockingSqlConsole>) -> Self {
        Self { console, tables: RefCell::default(), columns: RefCell::default() }
    }

    fn tables(&self) -> Vec<String> {
        let mut known = self.tables.borrow_mut();
        // What cannot be listed cannot be completed; a question will say why.
        known.get_or_insert_with(|| self.console.tables().unwrap_or_default()).clone()
    }

    /// The columns of the tables that `text` names.
    fn columns_in(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let named = self.tables().into_iter().filter(|table| lower.contains(&table.to_lowercase()));
        let mut known = self.columns.borrow_mut();
        named
            .flat_map(|table| {
                let columns = || self.console.columns(&table).unwrap_or_default();
                known.entry(table.clone()).or_insert_with(columns).clone()
            })
            .collect()
    }
}

/// Where the word before `at` begins: names and their dots, and a backslash.
fn word_start(line: &str, at: usize) -> usize {
    let before = line.get(..at).unwrap_or_default();
    before
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.' | '\\'))
        .last()
        .map_or(at, |(start, _)| start)
}

/// `candidates` that begin with `word`, whatever the case.
fn beginning<'t>(candidates: impl IntoIterator<Item = &'t str>, word: &str) -> Vec<String> {
    let lower = word.to_lowercase();
    let fits = |candidate: &&str| candidate.to_lowercase().starts_with(&lower);
    candidates.into_iter().filter(fits).map(str::to_owned).collect()
}

impl Completer for Editing {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let start = word_start(line, at);
        let word = line.get(start..at).unwrap_or_default();
        if word.is_empty() {
            return Ok((at, Vec::new()));
        }
        let (tables, columns) = (self.tables(), self.columns_in(line));
        let names = columns.iter().chain(&tables).map(String::as_str);
        let mut found = beginning(names.chain(WORDS), word);
        found.sort();
        found.dedup();
        Ok((start, found))
    }
}

impl Validator for Editing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Whether the shell should take a text: commands at once, statements when they end with `;`.
pub fn is_complete(text: &str) -> bool {
    let trimmed = text.trim();
    let is_command = trimmed.starts_with('\\')
        || ["exit", "quit", "help"].iter().any(|command| trimmed.eq_ignore_ascii_case(command));
    is_command || trimmed.is_empty() || (trimmed.ends_with(';') && split_statements(text).is_ok())
}

impl Hinter for Editing {
    type Hint = String;
}

impl Highlighter for Editing {}

impl Helper for Editing {}

#[cfg(test)]
mod tests {
    use super::{beginning, is_complete, word_start};

    #[test]
    fn statements_are_complete_at_a_semicolon_outside_of_texts() {
        for text in ["SELECT 1;", "select ';';", "\\dt", "EXIT", "", "a;\nb; "] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["SELECT 1", "select ';", "SELECT 1; SELECT", "exit now"] {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn a_word_is_completed_from_its_beginning_whatever_its_case() {
        assert_eq!(word_start("select * from gold.di", 21), 14);
        assert_eq!(word_start("select ", 7), 7);
        assert_eq!(beginning(["gold.dim_a", "gold.fact_b"], "GOLD.D"), ["gold.dim_a"]);
    }
}
