//! What is wrong with a text that does not parse, and what its author is likely to have meant: changes of one word that
//! make it parse.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span as Stretch, Token, TokenWithSpan, TokenizerError};

use super::nesting::is_deeper_than;
use super::{MAX_NESTING, Refusal};
use crate::reader::clip;
use crate::suggest::nearest;

/// Longer texts are not mended: each attempt parses them anew.
const MAX_MENDED_TOKENS: usize = 2_000;
/// Texts that nest deeper are not mended: the parser takes long to find each of them wrong.
const MAX_MENDED_NESTING: usize = 5;
/// Words before the one that the parser stumbled over that may be misspelled: it takes them for names first.
const WORDS_BEFORE: usize = 2;
/// Keywords of queries.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "BY",
    "HAVING",
    "QUALIFY",
    "LIMIT",
    "UNION",
    "WITH",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "OUTER",
    "CROSS",
    "ON",
    "USING",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AS",
    "OVER",
    "PARTITION",
];

/// A text that is no sequence of words and signs.
pub(super) fn unreadable(error: &TokenizerError, sql: &str) -> Refusal {
    let start = error.location;
    let line = usize::try_from(start.line).ok().and_then(|line| sql.split('\n').nth(line.checked_sub(1)?));
    let columns = line.map_or(0, |line| line.chars().count());
    let end = Location { line: start.line, column: u64::try_from(columns).unwrap_or(0) + 1 };
    let at = (start.line > 0).then_some(Stretch { start, end });
    let opening = line.and_then(|line| line.chars().nth(usize::try_from(start.column).ok()?.checked_sub(1)?));
    let message = error.message.as_str();
    if message.starts_with("Unterminated") {
        let quote = opening.filter(|c| matches!(c, '\'' | '"')).unwrap_or('\'');
        return Refusal { at, ..Refusal::new("this text is not closed") }
            .with_help(format!("end it with `{quote}`"));
    }
    if message.starts_with("Expected close delimiter") {
        return Refusal { at, ..Refusal::new("this name in quotes is not closed") };
    }
    if message.contains("multi-line comment") {
        return Refusal::new("a comment is not closed").with_help("end it with `*/`");
    }
    Refusal { at, ..Refusal::new(clip(message)) }
}

/// Says what the parser said, in plainer words and with the word that is meant. `attempt` parses a text of other tokens.
pub(super) fn explain(
    error: ParserError,
    tokens: &[TokenWithSpan],
    attempt: &dyn Fn(&[TokenWithSpan]) -> bool,
) -> Refusal {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return Refusal::new(format!("the text nests more than {MAX_NESTING} levels deep"));
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (text, start) = match message.rsplit_once(" at Line: ") {
        Some((text, place)) => (text, location(place)),
        None => (message.as_str(), None),
    };
    // Tokens that are no space, by their index.
    let words: Vec<usize> = (0..tokens.len())
        .filter(|index| !matches!(tokens[*index].token, Token::Whitespace(_) | Token::EOF))
        .collect();
    let expected = text.strip_prefix("Expected").map(|rest| rest.trim_start_matches([':', ' ']));
    let expected = expected.and_then(|rest| rest.rsplit_once(", found: "));
    let found = words.iter().position(|index| Some(tokens[*index].span.start) == start);
    // Of some words the parser names the place behind them.
    let is_it =
        |word: &usize| expected.is_some_and(|(_, what)| tokens[words[*word]].token.to_string() == what);
    let found = found.map(|word| match word.checked_sub(1) {
        Some(before) if !is_it(&word) && is_it(&before) => before,
        _ => word,
    });
    let mistake = Mistake { tokens, words: &words, found, attempt };
    let may_be_mended = words.len() <= MAX_MENDED_TOKENS && !is_deeper_than(MAX_MENDED_NESTING, tokens);
    let at = found.or(words.len().checked_sub(1)).map(|word| tokens[words[word]].span);
    let Some((wanted, what)) = expected else {
        return Refusal { at: found.and(at), ..Refusal::new(clip(text)) };
    };
    if may_be_mended && let Some(mended) = mistake.misspelled_before().or_else(|| mistake.misspelled()) {
        let (word, keyword) = mended;
        let stretch = tokens[words[word]].span;
        let message = match Some(word) == found {
            true => format!("expected {}, found `{}`", plain(wanted), clip(what)),
            false => format!("`{}` is not understood here", tokens[words[word]].token),
        };
        return Refusal { at: Some(stretch), ..Refusal::new(message) }
            .with_help(format!("did you mean `{keyword}`?"));
    }
    let message = match found {
        Some(_) => format!("expected {}, found `{}`", plain(wanted), clip(what)),
        None => format!("it ends too early, where {} is expected", plain(wanted)),
    };
    let help = if may_be_mended { mistake.comma() } else { None };
    Refusal { at, help: help.or_else(|| mistake.open_parenthesis()), ..Refusal::new(message) }
}

/// `1, Column: 8` as a location.
fn location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location { line: line.parse().ok()?, column: column.trim().parse().ok()? })
}

/// What the parser expects, in the words of those who write queries.
fn plain(wanted: &str) -> String {
    match wanted {
        "end of statement" => "the end of the query".to_owned(),
        "an SQL statement" => "a query".to_owned(),
        "identifier" => "a name".to_owned(),
        "joined table" => "a table".to_owned(),
        sign if !sign.chars().any(char::is_lowercase) && !sign.contains([' ', ',']) => format!("`{sign}`"),
        other => other.to_owned(),
    }
}

/// A text that does not parse, and the word at which that shows; none where the text ends too early.
struct Mistake<'m> {
    tokens: &'m [TokenWithSpan],
    words: &'m [usize],
    found: Option<usize>,
    attempt: &'m dyn Fn(&[TokenWithSpan]) -> bool,
}

impl Mistake<'_> {
    /// The word at which the mistake shows, or the one behind it (`GROUP YB`), and the keyword that it is meant to be.
    fn misspelled(&self) -> Option<(usize, String)> {
        let word = self.found?;
        self.keyword_for(word).or_else(|| self.keyword_for(word + 1))
    }

    /// A misspelled keyword in front, which the parser took for a name.
    fn misspelled_before(&self) -> Option<(usize, String)> {
        let end = self.found.unwrap_or(self.words.len());
        (end.saturating_sub(WORDS_BEFORE)..end).rev().find_map(|word| self.keyword_for(word))
    }

    /// The keyword that makes the text parse in the place of a word.
    fn keyword_for(&self, word: usize) -> Option<(usize, String)> {
        let index = *self.words.get(word)?;
        let Token::Word(written) = &self.tokens.get(index)?.token else { return None };
        let is_keyword = KEYWORDS.iter().any(|keyword| written.value.eq_ignore_ascii_case(keyword));
        if written.quote_style.is_some() || written.value.len() < 2 || is_keyword {
            return None;
        }
        let keyword = nearest(&written.value, KEYWORDS.iter().copied())?;
        let mut mended = self.tokens.to_vec();
        mended.get_mut(index)?.token = Token::make_keyword(keyword);
        let lower = written.value.chars().all(|c| !c.is_uppercase());
        let shown = if lower { keyword.to_lowercase() } else { keyword.to_owned() };
        (self.attempt)(&mended).then_some((word, shown))
    }

    /// A comma that is missing before the word, or that is one too many.
    fn comma(&self) -> Option<String> {
        let word = self.found?;
        let index = *self.words.get(word)?;
        let shown = clip(&self.tokens.get(index)?.token.to_string());
        let before = word.checked_sub(1).and_then(|before| self.words.get(before)).copied();
        if let Some(before) = before.filter(|before| self.tokens[*before].token == Token::Comma) {
            let mut mended = self.tokens.to_vec();
            mended.remove(before);
            return (self.attempt)(&mended).then(|| format!("remove the comma before `{shown}`"));
        }
        let mut mended = self.tokens.to_vec();
        mended.insert(index, TokenWithSpan::wrap(Token::Comma));
        (self.attempt)(&mended).then(|| format!("is a comma missing before `{shown}`?"))
    }

    /// The last parenthesis that nothing closes.
    fn open_parenthesis(&self) -> Option<String> {
        let token = |word: usize| self.words.get(word).and_then(|index| self.tokens.get(*index));
        let mut open: Vec<usize> = Vec::new();
        for word in 0..self.words.len() {
            match token(word).map(|token| &token.token) {
                Some(Token::LParen) => open.push(word),
                Some(Token::RParen) => {
                    open.pop();
                }
                _ => {}
            }
        }
        Some(match token(open.pop()?.wrapping_sub(1)).map(|token| &token.token) {
            Some(Token::Word(name)) => {
                format!("the parenthesis behind `{}` is not closed", clip(&name.value))
            }
            _ => "a parenthesis is not closed".to_owned(),
        })
    }
}
