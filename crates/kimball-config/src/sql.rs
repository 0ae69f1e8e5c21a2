//! SQL inside a configuration, as far as it can be judged without a table: is it one query, does it read
//! only its sources, is an expression an expression. Decided by parsing, never by searching text.

use std::collections::HashSet;
use std::fmt::Write as _;

use sqlparser::ast::Statement;
use sqlparser::dialect::{DatabricksDialect, Dialect, GenericDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::findings::Findings;
use crate::model::Source;
use crate::name::TableName;
use crate::reader::{Located, clip};
use crate::source_text::Span;
use crate::suggest::nearest;
use crate::yaml::ScalarStyle;

mod nesting;
mod query;

use query::{Relation, Verdict};

/// Longest SQL text; a longer one is no hand-written query.
const MAX_SQL_BYTES: usize = 256 * 1024;
/// Most tokens of one SQL text; chains of operators nest as deep as they are long.
const MAX_TOKENS: usize = 50_000;
/// Texts with more tokens are parsed on a stack of their own, as trees are dropped recursively.
const TOKENS_ON_OWN_STACK: usize = 2_000;
/// Stack for the largest text that is let through; only what is used is ever allocated.
const BIG_STACK_BYTES: usize = 512 * 1024 * 1024;
/// Parentheses and subqueries inside each other.
const MAX_NESTING: usize = 128;

/// Why a text is not taken, and where in it (1-based line and column), if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    message: String,
    help: Option<String>,
    at: Option<(usize, usize)>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at: None }
    }
}

/// Checks `transformation_sql`: one SELECT or WITH query that reads the sources and nothing else. Without the
/// whole list of sources, what it reads is not judged.
pub(crate) fn check_query(
    findings: &Findings<'_>,
    sql: &Located<String>,
    style: ScalarStyle,
    sources: Option<&[Source]>,
) {
    match tokenize(&sql.value).and_then(|tokens| on_enough_stack(tokens, judge_query)) {
        Ok(relations) => check_relations(findings, sql, style, sources.unwrap_or_default(), &relations),
        Err(refusal) => {
            let span = place(findings, sql, style, refusal.at);
            let message = format!("transformation_sql: {}", refusal.message);
            match refusal.help {
                Some(help) => findings.error_with_help(span, message, help),
                None => findings.error(span, message),
            }
        }
    }
}

/// Checks that a text is one SQL expression.
pub(crate) fn check_expression(findings: &Findings<'_>, sql: &Located<String>, key: &str) {
    let judged = tokenize(&sql.value).and_then(|tokens| {
        on_enough_stack(tokens, |tokens| {
            in_either_dialect(&tokens, |mut parser| {
                let expression = parser.parse_expr()?;
                match parser.peek_token().token {
                    Token::EOF => Ok(expression),
                    other => {
                        Err(ParserError::ParserError(format!("unexpected `{other}` after the expression")))
                    }
                }
            })
            .map(|_| ())
        })
    });
    if let Err(refusal) = judged {
        findings.error(sql.span, format!("`{key}` is no SQL expression: {}", refusal.message));
    }
}

/// The tokens of a SQL text without space and comments, as one line: equal for texts that differ in layout only.
pub(crate) fn without_layout(sql: &str) -> String {
    let Ok(tokens) = tokenize(sql) else { return sql.to_owned() };
    let mut line = String::with_capacity(sql.len());
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
        let separator = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(line, "{separator}{}", token.token);
    }
    line
}

fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>, Refusal> {
    if sql.len() > MAX_SQL_BYTES {
        return Err(Refusal::new("the text is longer than 256 KiB"));
    }
    let tokens = Tokenizer::new(&DatabricksDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| Refusal { at: position(error.location), ..Refusal::new(clip(&error.message)) })?;
    if tokens.len() > MAX_TOKENS {
        return Err(Refusal::new(format!("the text has more than {MAX_TOKENS} words and signs")));
    }
    if nesting::is_too_deep(&tokens) {
        let message =
            format!("CASE, CAST, IN and the like nest more than {} levels deep", nesting::MAX_RETRIED);
        return Err(Refusal::new(message));
    }
    Ok(tokens)
}

/// Runs a parse where its tree and the tree's destruction find enough stack.
fn on_enough_stack<T: Send>(
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(Vec<TokenWithSpan>) -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    if tokens.len() <= TOKENS_ON_OWN_STACK {
        return parse(tokens);
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(BIG_STACK_BYTES);
        match builder.spawn_scoped(scope, || parse(tokens)).map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(judged)) => judged,
            Ok(Err(_)) | Err(_) => Err(Refusal::new("the text is too large to be checked")),
        }
    })
}

fn judge_query(tokens: Vec<TokenWithSpan>) -> Result<Vec<Relation>, Refusal> {
    let statements = in_either_dialect(&tokens, |mut parser| parser.parse_statements())?;
    let help = || Some("write one SELECT or WITH query".to_owned());
    let query = match statements.as_slice() {
        [] => return Err(Refusal { help: help(), ..Refusal::new("there is no query, only comments") }),
        [Statement::Query(query)] => query,
        [_] => return Err(Refusal { help: help(), ..Refusal::new("this statement is no query") }),
        more => {
            let message = format!("there are {} statements", more.len());
            return Err(Refusal { help: help(), ..Refusal::new(message) });
        }
    };
    match query::judge(query) {
        Verdict::Reads(relations) => Ok(relations),
        Verdict::Refused(message) => Err(Refusal { help: help(), ..Refusal::new(message) }),
    }
}

/// Parses as Databricks SQL; what that dialect does not know may still be generic SQL.
fn in_either_dialect<T>(
    tokens: &[TokenWithSpan],
    parse: impl Fn(Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, Refusal> {
    let attempt = |dialect: &dyn Dialect| {
        parse(
            Parser::new(dialect)
                .with_recursion_limit(MAX_NESTING)
                .with_tokens_with_locations(tokens.to_vec()),
        )
    };
    attempt(&DatabricksDialect {}).or_else(|error| attempt(&GenericDialect {}).map_err(|_| refusal(error)))
}

fn refusal(error: ParserError) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => {
            Refusal::new(format!("the text nests more than {MAX_NESTING} levels deep"))
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let Some((text, place)) = message.rsplit_once(" at Line: ") else {
                return Refusal::new(clip(&message));
            };
            let at = place
                .split_once(", Column: ")
                .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
            Refusal { at, ..Refusal::new(clip(text)) }
        }
    }
}

fn position(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line).ok()?;
    let column = usize::try_from(location.column).ok()?;
    (line > 0 && column > 0).then_some((line, column))
}

/// Every relation has to be a source, and every source should be read.
fn check_relations(
    findings: &Findings<'_>,
    sql: &Located<String>,
    style: ScalarStyle,
    sources: &[Source],
    relations: &[Relation],
) {
    if sources.is_empty() {
        return;
    }
    let names = |source: &Source| {
        let table =
            TableName::parse(&source.name).ok().map(|name| format!("{}.{}", name.schema(), name.table()));
        [Some(source.alias.clone()), Some(source.name.clone()), table]
            .into_iter()
            .flatten()
            .map(|n| n.to_lowercase())
    };
    let known: HashSet<String> = sources.iter().flat_map(names).collect();
    let mut read = HashSet::new();
    for relation in relations {
        if let Some(name) = relation.spellings().find(|name| known.contains(name)) {
            read.insert(name);
            continue;
        }
        let span = place(findings, sql, style, relation.at);
        let message =
            format!("transformation_sql reads `{}`, which is none of the sources", clip(&relation.name));
        let help = match nearest(&relation.name, sources.iter().map(|source| source.alias.as_str())) {
            Some(alias) => format!("did you mean `{alias}`?"),
            None => "add it to `sources`".to_owned(),
        };
        findings.error_with_help(span, message, help);
    }
    for source in sources.iter().filter(|source| !names(source).any(|name| read.contains(&name))) {
        findings.warning(sql.span, format!("transformation_sql does not read the source `{}`", source.alias));
    }
}

/// The place in the file of a line and column of the SQL; the SQL as a whole when that cannot be told.
fn place(
    findings: &Findings<'_>,
    sql: &Located<String>,
    style: ScalarStyle,
    at: Option<(usize, usize)>,
) -> Span {
    let whole = sql.span;
    let Some((line, column)) = at else { return whole };
    let Some(sql_line) = sql.value.split('\n').nth(line - 1) else { return whole };
    let within = sql_line.char_indices().nth(column - 1).map_or(sql_line.len(), |(offset, _)| offset);
    let text = findings.file().text();
    if style == ScalarStyle::Literal {
        let block = text[..whole.start].rfind('\n').map_or(0, |at| at + 1);
        let start =
            block + text[block..].split('\n').take(line - 1).map(|skipped| skipped.len() + 1).sum::<usize>();
        let yaml_line = text[block..].split('\n').nth(line - 1).unwrap_or_default().trim_end_matches('\r');
        // The line of the block is the line of the SQL behind its indentation.
        return match yaml_line.strip_suffix(sql_line.trim_end_matches('\r')) {
            Some(indentation) => {
                let at = start + indentation.len() + within;
                Span::new(at, at + 1)
            }
            None => whole,
        };
    }
    // A plain or quoted text on one line stands in the file as it is.
    match text.get(whole.start..whole.end).and_then(|written| written.find(sql.value.as_str())) {
        Some(offset) if line == 1 => {
            Span::new(whole.start + offset + within, whole.start + offset + within + 1)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests;
