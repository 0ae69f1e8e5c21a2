#![allow(clippy::unwrap_used, reason = "tests")]
use std::path::Path;

use super::*;
use crate::model::{CdcStrategy, SourceLocation};
use crate::source_text::{SourceFile, Span};

fn sources() -> Vec<Source> {
    [("silver.orders", "o"), ("cat.silver.items", "items")]
        .map(|(name, alias)| Source {
            name: name.to_owned(),
            alias: alias.to_owned(),
            location: SourceLocation::Table(TableName::parse(name).unwrap()),
            strategy: CdcStrategy::Cdf,
            primary_keys: Vec::new(),
            starting_version: None,
            starting_timestamp: None,
            contract: None,
        })
        .into()
}

/// Problems (`line:column message`) of a query in a literal block that begins on line 2.
fn problems(sql: &str) -> Vec<String> {
    let indented: String = sql.split('\n').map(|line| format!("  {line}\n")).collect();
    let file = SourceFile::new(Path::new("a.yml"), format!("transformation_sql: |\n{indented}"));
    let findings = Findings::new(&file);
    let start = "transformation_sql: |\n  ".len();
    let text = Located::new(format!("{sql}\n"), Span::new(start, file.text().len()));
    check_query(&findings, &text, Some(&sources()));
    let shown = |problem: &crate::problem::Problem| {
        let at = problem.location.as_ref().unwrap();
        format!("{}:{} {}", at.line, at.column, problem.message.trim_start_matches("transformation_sql"))
    };
    findings.finish().0.iter().map(shown).collect()
}

#[test]
fn one_query_is_taken_however_it_is_dressed() {
    for sql in [
        "SELECT * FROM o JOIN items ON o.id = items.id",
        "-- first\n/* then */ SELECT * FROM o, items",
        "((SELECT * FROM o)) UNION ALL (SELECT * FROM items)",
        "WITH x AS (SELECT * FROM o) SELECT * FROM x JOIN items USING (id);",
        "select * from silver.orders join cat.silver.items using (id)",
        "SELECT * FROM SILVER.ORDERS o2 JOIN silver.items USING (id)",
        "SELECT * FROM `o` JOIN items WHERE EXISTS (SELECT 1 FROM items i WHERE i.id = `o`.id)",
        "SELECT datediff(minute, a, b), x:y, o.z::int FROM o, items QUALIFY row_number() OVER (ORDER BY a) = 1",
        "SELECT * FROM o, items, range(3)",
        "SELECT 'DROP TABLE x; DELETE FROM y' AS s FROM o, items",
    ] {
        assert_eq!(problems(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn whatever_is_no_query_is_refused() {
    for (sql, message) in [
        ("DELETE FROM o", "2:3 : this statement is no query"),
        ("INSERT INTO x SELECT * FROM o", "2:3 : this statement is no query"),
        ("CREATE TABLE x AS SELECT * FROM o", "2:3 : this statement is no query"),
        ("SELECT * FROM o; DROP TABLE x", "2:20 : there are 2 statements"),
        ("-- nothing", "2:3 : there is no query, only comments"),
        ("SELECT * INTO x FROM o", "2:12 : SELECT INTO writes a table"),
        (
            "WITH x AS (SELECT 1) INSERT INTO y SELECT * FROM x",
            "2:24 : the text changes data instead of reading it",
        ),
        ("WITH x AS (SELECT 1) DELETE FROM y", "2:24 : the text changes data instead of reading it"),
        ("VALUES (1)", "2:3 : the text is no SELECT or WITH query"),
        ("TABLE o", "2:3 : expected a query, found `TABLE`"),
    ] {
        assert_eq!(problems(sql), [message], "{sql}");
    }
}

#[test]
fn mistakes_are_shown_in_their_line() {
    assert_eq!(problems("SELECT a,\n  b c d\nFROM o"), ["3:9 : expected the end of the query, found `d`"]);
    assert_eq!(problems("SELECT a\nFROM o WHERE x = 'open"), ["3:20 : this text is not closed"]);
}

/// The marked text of the only problem of a query, its message and its help.
fn marked(sql: &str) -> (String, String, String) {
    let indented: String = sql.split('\n').map(|line| format!("  {line}\n")).collect();
    let file = SourceFile::new(Path::new("a.yml"), format!("transformation_sql: |\n{indented}"));
    let findings = Findings::new(&file);
    let start = "transformation_sql: |\n  ".len();
    check_query(&findings, &Located::new(format!("{sql}\n"), Span::new(start, file.text().len())), None);
    let (mut problems, _) = findings.finish();
    assert_eq!(problems.len(), 1, "{sql}");
    let problem = problems.remove(0);
    let at = problem.location.unwrap();
    let marked = at.source_line.chars().skip(at.column - 1).take(at.width).collect();
    let message = problem.message.trim_start_matches("transformation_sql: ").to_owned();
    (marked, message, problem.help.unwrap_or_default())
}

#[test]
fn the_word_that_is_meant_is_marked_as_a_whole_and_a_mend_is_proposed_that_parses() {
    for (sql, word, message, help) in [
        (
            "SELECT\n  id,\n  upper(city) AS city\n  name\nFROM o",
            "name",
            "expected the end of the query, found `name`",
            "is a comma missing before `name`?",
        ),
        ("SELECT id,\n  city\nFORM o", "FORM", "`FORM` is not understood here", "did you mean `FROM`?"),
        ("selct id from o", "selct", "expected a query, found `selct`", "did you mean `select`?"),
        ("SELECT id FROM o WERE id > 1", "WERE", "`WERE` is not understood here", "did you mean `WHERE`?"),
        ("SELECT id FROM o GROUP YB id", "YB", "`YB` is not understood here", "did you mean `BY`?"),
        ("SELECT lower(id,) FROM o", ")", "expected an expression, found `)`", "remove the comma before `)`"),
        ("SELECT id FROM o WHERE", "WHERE", "it ends too early, where an expression is expected", ""),
        (
            "SELECT coalesce(city, 'x' AS city\nFROM o",
            "AS",
            "expected `)`, found `AS`",
            "the parenthesis behind `coalesce` is not closed",
        ),
        (
            "SELECT id FROM (SELECT id FROM o",
            "FROM",
            "expected a table, found `FROM`",
            "the parenthesis behind `FROM` is not closed",
        ),
        ("SELECT id FROM o WHERE city = 'Rome", "'Rome", "this text is not closed", "end it with `'`"),
        ("SELECT `id FROM o", "`id FROM o", "this name in quotes is not closed", ""),
        ("SELECT id;\nSELECT 2", "SELECT", "there are 2 statements", "write one SELECT or WITH query"),
        ("INSERT INTO x SELECT 1", "INSERT", "this statement is no query", "write one SELECT or WITH query"),
        ("SELECT 1 INTO y FROM o", "INTO", "SELECT INTO writes a table", "write one SELECT or WITH query"),
    ] {
        assert_eq!(marked(sql), (word.to_owned(), message.to_owned(), help.to_owned()), "{sql}");
    }
}

#[test]
fn a_relation_is_marked_with_its_schema() {
    let sql = "SELECT * FROM o, items\nJOIN silver.addresses AS a USING (id)";
    let indented: String = sql.split('\n').map(|line| format!("  {line}\n")).collect();
    let file = SourceFile::new(Path::new("a.yml"), format!("sql: >\n{indented}"));
    let findings = Findings::new(&file);
    // Folded: the lines are one.
    let text = Located::new(sql.replace('\n', " "), Span::new("sql: >\n  ".len(), file.text().len()));
    check_query(&findings, &text, Some(&sources()));
    let at = findings.finish().0.remove(0).location.unwrap();
    assert_eq!((at.line, at.column, at.width), (3, 8, "silver.addresses".len()));
}

#[test]
fn an_expression_is_marked_where_it_goes_wrong() {
    let text = "tests:\n  - expression: channel == 'kiosk' and\n";
    let file = SourceFile::new(Path::new("a.yml"), text.to_owned());
    let findings = Findings::new(&file);
    let start = text.find("channel").unwrap();
    let sql = Located::new(text[start..].trim_end().to_owned(), Span::new(start, text.len() - 1));
    check_expression(&findings, &sql, "expression");
    let problem = findings.finish().0.remove(0);
    let message = "`expression` is no SQL expression: it ends too early, where an expression is expected";
    assert_eq!(problem.message, message);
    let at = problem.location.unwrap();
    assert_eq!((at.line, at.column, at.width), (2, 36, 3), "{}", at.source_line);
}

#[test]
fn a_query_reads_its_sources_and_nothing_else() {
    assert_eq!(
        problems("SELECT *\nFROM o\nJOIN itms USING (id)"),
        ["2:3  does not read the source `items`", "4:8  reads `itms`, which is none of the sources"]
    );
    assert_eq!(problems("SELECT * FROM o"), ["2:3  does not read the source `items`"]);
}

#[test]
fn layout_makes_no_difference_and_words_do() {
    let base = without_layout("SELECT a, 'x  y' FROM o -- why");
    assert_eq!(without_layout("SELECT\n  a, /* b */ 'x  y'\nFROM o\n"), base);
    assert_ne!(without_layout("SELECT a, 'x y' FROM o"), base);
    assert_eq!(without_layout("SELECT 'open"), "SELECT 'open");
}
