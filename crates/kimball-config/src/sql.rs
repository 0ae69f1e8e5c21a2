//! SQL inside a configuration, as far as it can be judged without a table: is it one query, does it read
//! only its sources, is an expression an expression. Decided by parsing, never by searching text.

use std::collections::HashSet;
use std::fmt::Write as _;

use sqlparser::ast::Statement;
use sqlparser::dialect::{DatabricksDialect, Dialect, GenericDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span as Stretch, Token, TokenWithSpan, Tokenizer};

use crate::findings::Findings;
use crate::model::Source;
use crate::name::TableName;
use crate::reader::{Located, clip};
use crate::suggest::nearest;

mod mistake;
mod nesting;
mod place;
mod query;

use place::place;
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

/// Why a text is not taken, and where in it, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    message: String,
    help: Option<String>,
    at: Option<Stretch>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Checks `transformation_sql`: one SELECT or WITH query that reads the sources and nothing else. Without the
/// whole list of sources, what it reads is not judged.
pub(crate) fn check_query(findings: &Findings<'_>, sql: &Located<String>, sources: Option<&[Source]>) {
    match tokenize(&sql.value).and_then(|tokens| on_enough_stack(&tokens, judge_query)) {
        Ok(relations) => check_relations(findings, sql, sources.unwrap_or_default(), &relations),
        Err(refusal) => {
            let message = format!("transformation_sql: {}", refusal.message);
            findings.error_with(place(findings, sql, refusal.at), message, refusal.help);
        }
    }
}

/// Checks that a text is one SQL expression.
pub(crate) fn check_expression(findings: &Findings<'_>, sql: &Located<String>, key: &str) {
    let judged = tokenize(&sql.value).and_then(|tokens| {
        on_enough_stack(&tokens, |tokens| {
            in_either_dialect(tokens, |mut parser| {
                parser.parse_expr()?;
                match parser.peek_token_ref() {
                    token if token.token == Token::EOF => Ok(()),
                    token => parser.expected_ref("the end of the expression", token),
                }
            })
        })
    });
    if let Err(refusal) = judged {
        let message = format!("`{key}` is no SQL expression: {}", refusal.message);
        findings.error_with(place(findings, sql, refusal.at), message, refusal.help);
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
        .map_err(|error| mistake::unreadable(&error, sql))?;
    if tokens.len() > MAX_TOKENS {
        return Err(Refusal::new(format!("the text has more than {MAX_TOKENS} words and signs")));
    }
    if nesting::is_deeper_than(nesting::MAX_RETRIED, &tokens) {
        let message =
            format!("CASE, CAST, IN and the like nest more than {} levels deep", nesting::MAX_RETRIED);
        return Err(Refusal::new(message));
    }
    Ok(tokens)
}

/// Runs a parse where its tree and the tree's destruction find enough stack.
fn on_enough_stack<T: Send>(
    tokens: &[TokenWithSpan],
    parse: impl FnOnce(&[TokenWithSpan]) -> Result<T, Refusal> + Send,
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

fn judge_query(tokens: &[TokenWithSpan]) -> Result<Vec<Relation>, Refusal> {
    let statements = in_either_dialect(tokens, |mut parser| parser.parse_statements())?;
    let refuse = |message: &str, at: Option<Stretch>| {
        Err(Refusal { at, ..Refusal::new(message) }.with_help("write one SELECT or WITH query"))
    };
    let query = match statements.as_slice() {
        [] => return refuse("there is no query, only comments", None),
        [Statement::Query(query)] => query,
        [_] => return refuse("this statement is no query", words(tokens).next().map(|word| word.span)),
        more => return refuse(&format!("there are {} statements", more.len()), second_statement(tokens)),
    };
    match query::judge(query) {
        Verdict::Reads(relations) => Ok(relations),
        Verdict::Refused { message, keywords } => {
            let is_one = |word: &&TokenWithSpan| matches!(&word.token, Token::Word(word) if keywords.contains(&word.keyword));
            let first = || words(tokens).next();
            refuse(message, words(tokens).find(is_one).or_else(first).map(|word| word.span))
        }
    }
}

/// The tokens that are no space and no comments.
fn words(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &TokenWithSpan> {
    tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
}

/// Where the second statement begins.
fn second_statement(tokens: &[TokenWithSpan]) -> Option<Stretch> {
    let is_end = |word: &&TokenWithSpan| word.token == Token::SemiColon;
    let mut behind_first = words(tokens).skip_while(is_end).skip_while(|word| !is_end(word));
    Some(behind_first.find(|word| !is_end(word))?.span)
}

/// Parses as Databricks SQL; what that dialect does not know may still be generic SQL.
fn in_either_dialect<T>(
    tokens: &[TokenWithSpan],
    parse: impl Fn(Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, Refusal> {
    let attempt = |dialect: &dyn Dialect, tokens: &[TokenWithSpan]| {
        parse(
            Parser::new(dialect)
                .with_recursion_limit(MAX_NESTING)
                .with_tokens_with_locations(tokens.to_vec()),
        )
    };
    let (databricks, generic) = (DatabricksDialect {}, GenericDialect {});
    let parses =
        |tokens: &[TokenWithSpan]| attempt(&databricks, tokens).is_ok() || attempt(&generic, tokens).is_ok();
    attempt(&databricks, tokens)
        .or_else(|error| attempt(&generic, tokens).map_err(|_| mistake::explain(error, tokens, &parses)))
}

/// Every relation has to be a source, and every source should be read.
fn check_relations(
    findings: &Findings<'_>,
    sql: &Located<String>,
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
        let span = place(findings, sql, relation.at);
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

#[cfg(test)]
mod tests;
