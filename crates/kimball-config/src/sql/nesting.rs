//! A guard against SQL that takes for ever to be found wrong.
//!
//! When the parser fails inside constructs such as CASE or CAST, it tries each of them again as a plain name: a
//! mistake below `n` of them costs 2ⁿ attempts. Their nesting is therefore counted before anything is parsed.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Most constructs of this kind inside each other; a mistake below them is still found in well under a second.
pub(super) const MAX_RETRIED: usize = 10;

/// An open construct, and how often the parser doubles its work for it.
enum Open {
    Bracket(usize),
    Case(usize),
    /// NOT or INTERVAL before an expression: ends with that expression.
    Prefix(usize),
}

impl Open {
    fn weight(&self) -> usize {
        match self {
            Self::Bracket(weight) | Self::Case(weight) | Self::Prefix(weight) => *weight,
        }
    }
}

/// Whether more than `most` of the constructs that the parser retries nest inside each other.
pub(super) fn is_deeper_than(most: usize, tokens: &[TokenWithSpan]) -> bool {
    let mut open: Vec<Open> = Vec::new();
    let mut total = 0;
    // Weight of the keywords directly before the next bracket or CASE.
    let mut pending = 0;
    // Weight of the NOT or INTERVAL directly before.
    let mut prefix = 0;
    for token in
        tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)))
    {
        let weight_of_prefix = std::mem::take(&mut prefix);
        if weight_of_prefix > 0 && !matches!(token, Token::SingleQuotedString(_)) {
            open.push(Open::Prefix(weight_of_prefix));
            total += weight_of_prefix;
        }
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(Open::Bracket(pending));
                total += pending;
                pending = 0;
                continue;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                close(&mut open, &mut total, |frame| matches!(frame, Open::Bracket(_)));
            }
            Token::Comma => close_prefixes(&mut open, &mut total),
            Token::Word(word) => match word.keyword {
                Keyword::CASE => {
                    open.push(Open::Case(1 + pending));
                    total += 1 + pending;
                }
                Keyword::END => close(&mut open, &mut total, |frame| matches!(frame, Open::Case(_))),
                Keyword::INTERVAL | Keyword::NOT => prefix = 1 + pending,
                keyword if weight(keyword) > 0 => {
                    pending += weight(keyword);
                    if total + pending > most {
                        return true;
                    }
                    continue;
                }
                Keyword::NoKeyword => {}
                _ => close_prefixes(&mut open, &mut total),
            },
            _ => {}
        }
        pending = 0;
        if total > most {
            return true;
        }
    }
    total > most
}

fn weight(keyword: Keyword) -> usize {
    match keyword {
        Keyword::POSITION => 3,
        Keyword::ARRAY
        | Keyword::CAST
        | Keyword::CEIL
        | Keyword::CONVERT
        | Keyword::CURRENT_DATE
        | Keyword::CURRENT_TIME
        | Keyword::CURRENT_TIMESTAMP
        | Keyword::EXISTS
        | Keyword::EXTRACT
        | Keyword::FLOOR
        | Keyword::IN
        | Keyword::LOCALTIME
        | Keyword::LOCALTIMESTAMP
        | Keyword::OVERLAY
        | Keyword::STRUCT
        | Keyword::SUBSTR
        | Keyword::SUBSTRING
        | Keyword::TRIM
        | Keyword::TRY_CAST => 1,
        _ => 0,
    }
}

/// Closes the last construct that fits, with everything that is open inside it.
fn close(open: &mut Vec<Open>, total: &mut usize, fits: impl Fn(&Open) -> bool) {
    let Some(position) = open.iter().rposition(fits) else { return };
    *total -= open.drain(position..).map(|frame| frame.weight()).sum::<usize>();
}

fn close_prefixes(open: &mut Vec<Open>, total: &mut usize) {
    while let Some(Open::Prefix(weight)) = open.last() {
        *total -= weight;
        open.pop();
    }
}
