//! Places in the text of a query.

use std::path::{Path, PathBuf};

use datafusion::common::Span;
use datafusion::sql::sqlparser::dialect::DatabricksDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location as SqlLocation, Token, TokenWithSpan, Tokenizer};
use kimball_config::{Location, Problem};

/// A run of characters in the text of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 1-based.
    pub(super) line: usize,
    /// 1-based, counted in characters.
    pub(super) column: usize,
    /// Characters that are meant; at least 1.
    pub(super) width: usize,
}

/// What of a query is to be pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sought {
    /// A column, with the name of its relation where the query writes it.
    Column { relation: Option<String>, name: String },
    /// The first call of a function.
    Call(String),
    /// The call of a function, where there is but one.
    OnlyCall(String),
    /// The cast to a type, where there is but one.
    OnlyCast(String),
    /// Where the parser stopped.
    At { line: usize, column: usize },
}

/// A query as it stands in a file.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    file: PathBuf,
    sql: String,
    line: usize,
    lines: Vec<Location>,
}

impl Origin {
    pub(crate) fn new(file: &Path, written: &kimball_config::Transformation) -> Self {
        Self {
            file: file.to_owned(),
            sql: written.sql.clone(),
            line: written.line,
            lines: written.lines.clone(),
        }
    }

    /// A problem with its place in the file; the first line of the query where no nearer one is known.
    pub(super) fn blame(&self, problem: Problem, place: Option<Place>) -> Problem {
        match place.and_then(|place| self.located(place)) {
            Some(location) => problem.in_file(&self.file).at(location),
            None => problem.in_file(format!("{}:{}", self.file.display(), self.line)),
        }
    }

    fn located(&self, place: Place) -> Option<Location> {
        let begin = self.lines.get(place.line.checked_sub(1)?)?;
        let sql_line = self.sql.lines().nth(place.line - 1)?;
        let meant: Vec<char> = sql_line.chars().skip(place.column - 1).take(place.width).collect();
        let written: Vec<char> = begin.source_line.chars().collect();
        let at = begin.column + place.column - 2;
        let stands_there = written.get(at..at + meant.len()).is_some_and(|found| found == meant);
        // What a template wrote moves the rest of its line.
        let at = match stands_there {
            true => Some(at),
            false => written.windows(meant.len().max(1)).position(|found| found == meant),
        };
        let (column, width) = match at {
            Some(at) => (at + 1, place.width),
            None => (begin.column, written.len().saturating_sub(begin.column - 1).max(1)),
        };
        Some(Location { line: begin.line, column, width, source_line: begin.source_line.clone() })
    }
}

/// Where what is sought stands; `span` is what the planner knows of it.
pub(super) fn place_of(sql: &str, sought: Option<&Sought>, span: Option<Span>) -> Option<Place> {
    if let Some(Span { start, end }) = span
        && start.line > 0
    {
        let place =
            |line: u64, column: u64| Some((usize::try_from(line).ok()?, usize::try_from(column).ok()?));
        let (line, column) = place(start.line, start.column)?;
        let width = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
        return Some(Place { line, column, width: usize::try_from(width).ok()?.max(1) });
    }
    let tokens = Tokenizer::new(&DatabricksDialect {}, sql).tokenize_with_location().ok()?;
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
        .collect();
    let at = |first: usize, last: usize| spanned(tokens.get(first)?.span.start, tokens.get(last)?.span.end);
    match sought? {
        Sought::At { line, column } => {
            let found = tokens.iter().find(|token| {
                let start = token.span.start;
                usize::try_from(start.line) == Ok(*line) && usize::try_from(start.column) == Ok(*column)
            });
            match found {
                Some(token) => spanned(token.span.start, token.span.end),
                None => Some(Place { line: *line, column: *column, width: 1 }),
            }
        }
        Sought::Column { relation: Some(relation), name } => {
            let is_meant = |first: usize| {
                is_word(&tokens, first, relation)
                    && is(&tokens, first + 1, &Token::Period)
                    && is_word(&tokens, first + 2, name)
            };
            (0..tokens.len()).find(|first| is_meant(*first)).and_then(|first| at(first, first + 2))
        }
        Sought::Column { relation: None, name } => (0..tokens.len())
            .find(|place| is_bare_column(&tokens, *place, name))
            .and_then(|place| at(place, place)),
        Sought::Call(name) => {
            let calls = calls_of(&tokens, name);
            calls.first().and_then(|place| at(*place, *place))
        }
        Sought::OnlyCall(name) => match calls_of(&tokens, name).as_slice() {
            [only] => at(*only, *only),
            _ => None,
        },
        Sought::OnlyCast(kind) => match casts(&tokens, kind).as_slice() {
            [(first, last)] => at(*first, *last),
            _ => None,
        },
    }
}

fn spanned(start: SqlLocation, end: SqlLocation) -> Option<Place> {
    let width = if start.line == end.line { end.column.saturating_sub(start.column).max(1) } else { 1 };
    Some(Place {
        line: usize::try_from(start.line).ok()?,
        column: usize::try_from(start.column).ok()?,
        width: usize::try_from(width).ok()?,
    })
}

fn is(tokens: &[TokenWithSpan], place: usize, wanted: &Token) -> bool {
    tokens.get(place).is_some_and(|token| token.token == *wanted)
}

fn is_word(tokens: &[TokenWithSpan], place: usize, wanted: &str) -> bool {
    let token = tokens.get(place).map(|token| &token.token);
    matches!(token, Some(Token::Word(word)) if word.value.eq_ignore_ascii_case(wanted))
}

fn is_keyword(tokens: &[TokenWithSpan], place: Option<usize>, wanted: Keyword) -> bool {
    let token = place.and_then(|place| tokens.get(place)).map(|token| &token.token);
    matches!(token, Some(Token::Word(word)) if word.keyword == wanted && word.quote_style.is_none())
}

/// A name that belongs to no relation, is called as no function, and is not given to a column just there.
fn is_bare_column(tokens: &[TokenWithSpan], place: usize, name: &str) -> bool {
    let before = place.checked_sub(1);
    is_word(tokens, place, name)
        && !before.is_some_and(|before| is(tokens, before, &Token::Period))
        && !is(tokens, place + 1, &Token::Period)
        && !is(tokens, place + 1, &Token::LParen)
        && !is_keyword(tokens, before, Keyword::AS)
}

fn calls_of(tokens: &[TokenWithSpan], name: &str) -> Vec<usize> {
    let is_call = |place: &usize| is_word(tokens, *place, name) && is(tokens, place + 1, &Token::LParen);
    (0..tokens.len()).filter(is_call).collect()
}

/// The first and last tokens of each `CAST(… AS kind)` and `::kind`.
fn casts(tokens: &[TokenWithSpan], kind: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for place in 0..tokens.len() {
        if is(tokens, place, &Token::DoubleColon) && is_kind(tokens, place + 1, kind) {
            found.push((place, place + 1));
        }
        if is_keyword(tokens, Some(place), Keyword::CAST)
            && let Some((target, last)) = cast_call(tokens, place + 1)
            && is_kind(tokens, target, kind)
        {
            found.push((place, last));
        }
    }
    found
}

/// The token of the type of a cast whose parenthesis opens at `open`, and the token that closes it.
fn cast_call(tokens: &[TokenWithSpan], open: usize) -> Option<(usize, usize)> {
    let (mut depth, mut target) = (0usize, None);
    for place in open..tokens.len() {
        match tokens.get(place)?.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ if depth == 1 && is_keyword(tokens, Some(place), Keyword::AS) => target = Some(place + 1),
            _ => {}
        }
        if depth == 0 {
            return Some((target?, place));
        }
    }
    None
}

/// Whether a token is a type by any of its names.
fn is_kind(tokens: &[TokenWithSpan], place: usize, kind: &str) -> bool {
    let names: &[&str] = match kind.split_whitespace().next().unwrap_or_default() {
        "tinyint" => &["tinyint", "byte"],
        "smallint" => &["smallint", "short", "int2"],
        "int" => &["int", "integer", "int4"],
        "bigint" => &["bigint", "long", "int8"],
        "decimal" => &["decimal", "dec", "numeric"],
        "float" => &["float", "real", "float4"],
        "double" => &["double", "float8"],
        "boolean" => &["boolean", "bool"],
        "date" => &["date"],
        "timestamp" => &["timestamp", "timestamp_ntz", "timestamp_ltz"],
        _ => return false,
    };
    names.iter().any(|name| is_word(tokens, place, name))
}
