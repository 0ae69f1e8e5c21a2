#![allow(clippy::unwrap_used, reason = "tests")]
use std::path::Path;

use super::*;
use crate::model::{CdcStrategy, SourceLocation};
use crate::source_text::SourceFile;

fn sources() -> Vec<Source> {
    [("silver.orders", "o"), ("cat.silver.items", "items")]
        .map(|(name, alias)| Source {
            name: name.to_owned(),
            alias: alias.to_owned(),
            location: SourceLocation::Table(TableName::parse(name).unwrap()),
            strategy: CdcStrategy::Cdf,
            primary_keys: Vec::new(),
            starting_version: None,
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
    check_query(&findings, &text, ScalarStyle::Literal, Some(&sources()));
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
        ("SELECT * FROM o; DROP TABLE x", "2:3 : there are 2 statements"),
        ("-- nothing", "2:3 : there is no query, only comments"),
        ("SELECT * INTO x FROM o", "2:3 : SELECT INTO writes a table"),
        (
            "WITH x AS (SELECT 1) INSERT INTO y SELECT * FROM x",
            "2:3 : the text changes data instead of reading it",
        ),
        ("WITH x AS (SELECT 1) DELETE FROM y", "2:3 : the text changes data instead of reading it"),
        ("VALUES (1)", "2:3 : the text is no SELECT or WITH query"),
        ("TABLE o", "2:3 : Expected: an SQL statement, found: TABLE"),
    ] {
        assert_eq!(problems(sql), [message], "{sql}");
    }
}

#[test]
fn mistakes_are_shown_in_their_line() {
    assert_eq!(problems("SELECT a,\n  b c d\nFROM o"), ["3:9 : Expected: end of statement, found: d"]);
    assert_eq!(problems("SELECT a\nFROM o WHERE x = 'open"), ["3:20 : Unterminated string literal"]);
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
