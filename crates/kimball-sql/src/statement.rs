//! From a text to statements, and what kind of question each is.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{
    ObjectName, Query, SetExpr, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions,
    Statement, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::DatabricksDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer, TokenizerError};

use crate::SqlError;

/// Parentheses and subqueries inside each other.
const MAX_NESTING: usize = 128;

/// A question.
pub(crate) enum Question {
    /// SELECT, WITH or VALUES, or EXPLAIN of one.
    Query(ParsedStatement),
    /// SHOW TABLES, of one schema or all, whose names may have to fit a pattern.
    Tables { schema: Option<String>, pattern: Option<String> },
    /// SHOW SCHEMAS.
    Schemas,
    /// DESCRIBE or SHOW COLUMNS.
    Columns(ObjectName),
    /// DESCRIBE HISTORY.
    History(ObjectName),
}

/// A text that ends within a statement, a quoted text or a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished;

/// The statements of a text, each without its `;`; those that are only comments are left out.
///
/// # Errors
/// [`Unfinished`] when a quote or a comment is not closed. A last statement without its `;` is taken as it is.
pub fn split_statements(text: &str) -> Result<Vec<String>, Unfinished> {
    let tokens = Tokenizer::new(&DatabricksDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|TokenizerError { .. }| Unfinished)?;
    let offsets = LineOffsets::of(text);
    let (mut statements, mut start, mut has_words) = (Vec::new(), 0, false);
    for token in &tokens {
        match token.token {
            Token::SemiColon => {
                let end = offsets.offset(text, token.span.start);
                if has_words {
                    statements.extend(text.get(start..end).map(|statement| statement.trim().to_owned()));
                }
                (start, has_words) = (end + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_words = true,
        }
    }
    if has_words {
        statements.extend(text.get(start..).map(|statement| statement.trim().to_owned()));
    }
    Ok(statements)
}

/// Where the lines of a text begin.
struct LineOffsets(Vec<usize>);

impl LineOffsets {
    fn of(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(breaks).collect())
    }

    /// The byte of a 1-based line and column, which counts characters.
    fn offset(&self, text: &str, at: Location) -> usize {
        let line = usize::try_from(at.line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
        let start = self.0.get(line).copied().unwrap_or(text.len());
        let rest = text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset)
    }
}

impl Question {
    /// Reads one statement.
    pub(crate) fn parse(text: &str) -> Result<Self, SqlError> {
        let dialect = DatabricksDialect {};
        let parser = || Parser::new(&dialect).with_recursion_limit(MAX_NESTING).try_with_sql(text);
        if let Some(table) = history_of(parser().map_err(syntax)?) {
            return Ok(Self::History(table));
        }
        let mut statements = parser().and_then(|mut parser| parser.parse_statements()).map_err(syntax)?;
        match (statements.pop(), statements.is_empty()) {
            (None, _) => Err(SqlError::Empty),
            (Some(statement), true) => Self::of(statement),
            (Some(_), false) => Err(SqlError::NoQuestion),
        }
    }

    fn of(statement: Statement) -> Result<Self, SqlError> {
        match statement {
            Statement::Query(ref query) if writes(query) => Err(SqlError::NoQuestion),
            Statement::Query(_) => Ok(Self::Query(ParsedStatement::Statement(Box::new(statement)))),
            Statement::Explain { statement: ref inner, .. } if matches!(**inner, Statement::Query(_)) => {
                Ok(Self::Query(ParsedStatement::Statement(Box::new(statement))))
            }
            Statement::ShowTables { show_options, .. } => {
                let (schema, pattern) = restriction(show_options);
                Ok(Self::Tables { schema, pattern })
            }
            Statement::ShowSchemas { .. } | Statement::ShowDatabases { .. } => Ok(Self::Schemas),
            Statement::ExplainTable { table_name, .. } => Ok(Self::Columns(table_name)),
            Statement::ShowColumns { show_options, .. } => {
                match show_options.show_in.and_then(|inside| inside.parent_name) {
                    Some(table) => Ok(Self::Columns(table)),
                    None => Err(SqlError::NoQuestion),
                }
            }
            _ => Err(SqlError::NoQuestion),
        }
    }
}

/// Whether a query writes somewhere within: SELECT INTO, or INSERT, UPDATE and DELETE in a WITH. What it would do is checked
/// by its plan, too; this is for the message.
fn writes(query: &Query) -> bool {
    let found = visit_query(query, |body| match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Select(select) => select.into.is_some(),
        _ => false,
    });
    found.is_break()
}

/// Breaks where one of the bodies of a query and its parts is one that is looked for.
fn visit_query(query: &Query, is_found: impl Fn(&SetExpr) -> bool) -> ControlFlow<()> {
    struct Bodies<F>(F);
    impl<F: Fn(&SetExpr) -> bool> Visitor for Bodies<F> {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let mut open = vec![query.body.as_ref()];
            while let Some(body) = open.pop() {
                if (self.0)(body) {
                    return ControlFlow::Break(());
                }
                if let SetExpr::SetOperation { left, right, .. } = body {
                    open.extend([left.as_ref(), right.as_ref()]);
                }
            }
            ControlFlow::Continue(())
        }
    }
    query.visit(&mut Bodies(is_found))
}

/// The table of `DESCRIBE HISTORY table`, which the parser does not know.
fn history_of(mut parser: Parser<'_>) -> Option<ObjectName> {
    let mut word = |known: &[&str]| {
        let token = parser.next_token().token;
        matches!(&token, Token::Word(word) if known.iter().any(|it| word.value.eq_ignore_ascii_case(it)))
    };
    if !(word(&["DESCRIBE", "DESC"]) && word(&["HISTORY"])) {
        return None;
    }
    let table = parser.parse_object_name(false).ok()?;
    // `DESCRIBE history` alone, or with more behind the name, is something else.
    matches!(parser.next_token().token, Token::EOF | Token::SemiColon).then_some(table)
}

/// The schema and the pattern of a SHOW TABLES.
fn restriction(options: ShowStatementOptions) -> (Option<String>, Option<String>) {
    let schema = options.show_in.and_then(|inside| inside.parent_name);
    let schema = schema.and_then(|name| Some(name.0.last()?.as_ident()?.value.clone()));
    let filter = options.filter_position.map(|position| match position {
        ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter) => filter,
    });
    let pattern = match filter {
        Some(
            ShowStatementFilter::Like(pattern)
            | ShowStatementFilter::ILike(pattern)
            | ShowStatementFilter::NoKeyword(pattern),
        ) => Some(pattern),
        _ => None,
    };
    (schema, pattern)
}

fn syntax(error: datafusion::sql::sqlparser::parser::ParserError) -> SqlError {
    datafusion::error::DataFusionError::SQL(Box::new(error), None).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Question, Unfinished, split_statements};

    #[test]
    fn statements_end_at_semicolons_that_stand_in_no_text_and_no_comment() {
        let text = "SELECT ';' AS `a;b`; -- one; two\nSELECT 'ü;ß' /* ; */ ;\n;-- nothing\n SELECT 3";
        assert_eq!(
            split_statements(text).unwrap(),
            ["SELECT ';' AS `a;b`", "-- one; two\nSELECT 'ü;ß' /* ; */", "-- nothing\n SELECT 3"]
        );
        assert_eq!(split_statements("  -- nothing\n ").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_open_quote_or_comment_is_unfinished() {
        for text in ["SELECT 'a", "SELECT `a", "SELECT 1 /* more"] {
            assert_eq!(split_statements(text), Err(Unfinished), "{text}");
        }
    }

    #[test]
    fn only_questions_are_taken() {
        for text in [
            "DROP TABLE a",
            "INSERT INTO a VALUES (1)",
            "DELETE FROM a",
            "CREATE TABLE a AS SELECT 1",
            "COPY a TO 'x'",
            "SET x = 1",
            "EXPLAIN DELETE FROM a",
            "SELECT 1; SELECT 2",
            "SELECT * INTO b FROM a",
            "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x",
        ] {
            assert!(Question::parse(text).is_err(), "{text}");
        }
        assert!(matches!(Question::parse("describe history gold.a").unwrap(), Question::History(_)));
        assert!(matches!(Question::parse("DESCRIBE gold.a").unwrap(), Question::Columns(_)));
        assert!(matches!(
            Question::parse("SHOW TABLES IN gold LIKE 'dim*'").unwrap(),
            Question::Tables { schema: Some(_), pattern: Some(_) }
        ));
    }
}
