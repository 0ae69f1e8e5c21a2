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

    fn columns(&self, table: &str) -> Vec<String> {
        let columns = || self.console.columns(table).unwrap_or_default();
        self.columns.borrow_mut().entry(table.to_owned()).or_insert_with(columns).clone()
    }

    /// The columns of the tables that `text` names.
    fn columns_in(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let named = self.tables().into_iter().filter(|table| lower.contains(&table.to_lowercase()));
        named.flat_map(|table| self.columns(&table)).collect()
    }

    /// The columns that can follow the dot of `word`, behind what stands before it: those of the table that this is, or
    /// stands for in `text`.
    fn qualified_columns(&self, text: &str, word: &str) -> Vec<String> {
        let Some((qualifier, _)) = word.rsplit_once('.') else { return Vec::new() };
        let Some(table) = meant(text, &self.tables(), qualifier) else { return Vec::new() };
        self.columns(&table).into_iter().map(|column| format!("{qualifier}.{column}")).collect()
    }
}

/// The table that `qualifier` means in a statement: by its name with or without its schema, or by an alias.
fn meant(text: &str, tables: &[String], qualifier: &str) -> Option<String> {
    let words: Vec<&str> = text.split(|c| !is_of_name(c)).filter(|word| !word.is_empty()).collect();
    let is = |table: &str, word: &str| {
        let bare = table.rsplit('.').next().unwrap_or(table);
        table.eq_ignore_ascii_case(word) || bare.eq_ignore_ascii_case(word)
    };
    let named = |word: &str| tables.iter().find(|table| is(table, word));
    let aliased = words.iter().enumerate().find_map(|(place, word)| {
        let next = words.get(place + 1)?;
        let alias = if next.eq_ignore_ascii_case("AS") { words.get(place + 2)? } else { next };
        if alias.eq_ignore_ascii_case(qualifier) { named(word) } else { None }
    });
    aliased.or_else(|| named(qualifier)).cloned()
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// Where the word before `at` begins: names and their dots, and a backslash.
fn word_start(line: &str, at: usize) -> usize {
    let before = line.get(..at).unwrap_or_default();
    before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_of_name(*c) || *c == '\\')
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
        let qualified = self.qualified_columns(line, word);
        let names = columns.iter().chain(&tables).chain(&qualified).map(String::as_str);
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
    use super::{beginning, is_complete, meant, word_start};

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

    #[test]
    fn a_qualifier_is_the_name_of_a_table_or_what_stands_for_it() {
        let tables = ["gold.dim_a", "gold.fact_b"].map(str::to_owned);
        let text = "select A.x from gold.dim_a as a, Fact_B f where ";
        for (qualifier, table) in [("a", 0), ("F", 1), ("dim_a", 0), ("GOLD.FACT_B", 1)] {
            assert_eq!(meant(text, &tables, qualifier).as_ref(), tables.get(table), "{qualifier}");
        }
        assert_eq!(meant(text, &tables, "x"), None);
        assert_eq!(meant("select a", &tables, "a"), None);
    }
}
