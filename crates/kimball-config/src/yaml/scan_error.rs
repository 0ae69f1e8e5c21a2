//! What the scanner has to say, in the words of those who write YAML, at the place where it went wrong, and with
//! what to do about it.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use super::YamlError;
use super::layout::{Indentation, Place};
use crate::source_text::Span;

/// A complaint before it is one of the whole file.
struct Complaint {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Complaint {
    fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: Some(help.into()) }
    }
}

pub(super) fn scan_error(error: &ScanError, text: &str) -> YamlError {
    let at = error.marker().byte_offset().unwrap_or_else(|| {
        text.char_indices().nth(error.marker().index()).map_or(text.len(), |(offset, _)| offset)
    });
    let place = Place::new(text, at);
    let complaint = layout(&place).or_else(|| by_kind(error.kind(), &place)).unwrap_or_else(|| Complaint {
        span: place.here(),
        message: error.info(),
        help: None,
    });
    YamlError {
        span: complaint.span,
        message: format!("this is not YAML: {}", complaint.message),
        help: complaint.help,
    }
}

/// What the lines around the place say by themselves, whatever the scanner stumbled over.
fn layout(place: &Place<'_>) -> Option<Complaint> {
    if ["<<<<<<< ", "=======", ">>>>>>> "].iter().any(|mark| place.line().starts_with(mark)) {
        return Some(Complaint::new(
            place.whole_line(),
            "two versions of the file were not brought together",
            "keep one of them, and remove the marks of the merge",
        ));
    }
    let sign = place.block_scalar_above().filter(|_| !place.is_key_or_entry())?;
    Some(Complaint::new(
        place.whole_line(),
        format!("the text below `{sign}` is not indented"),
        format!("indent the text below `{sign}`"),
    ))
}

fn by_kind(kind: &ErrorKind, place: &Place<'_>) -> Option<Complaint> {
    use ErrorKind as Kind;
    match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabInPlainScalar
        | Kind::TabAtBlockScalarStart => Some(tab(place)),
        Kind::MissingAnchorOrAliasName | Kind::UnknownAnchor => Some(alias(place)),
        Kind::UnexpectedCharacter { character } if !character.is_control() => Some(Complaint::new(
            place.here(),
            format!("a text cannot begin with `{character}`"),
            "put it in quotes",
        )),
        Kind::BlockSequenceEntryNotAllowed => Some(Complaint::new(
            place.here(),
            "a list cannot begin behind its key",
            "begin it on the next line, or write `[first, second]`",
        )),
        Kind::SimpleKeyExpected => Some(no_key(place)),
        Kind::MappingValueNotAllowed => Some(stray_colon(place)),
        Kind::ExpectedBlockSequenceEntry
        | Kind::ExpectedBlockMappingKey
        | Kind::ExpectedDocumentStart
        | Kind::InvalidIndentation => {
            single_braces(place).or_else(|| indentation(place)).or_else(|| after_bracket(place))
        }
        Kind::InvalidColonPlacement
        | Kind::ExpectedFlowMappingSeparator
        | Kind::ExpectedFlowSequenceSeparator
        | Kind::UnclosedFlowCollection { .. } => Some(bracket(place)),
        Kind::MismatchedFlowCollectionEnd { open, close } => Some(Complaint {
            span: place.here(),
            message: format!("this `{open}` is closed by `{close}`"),
            help: None,
        }),
        Kind::MisplacedFlowCollectionEnd => Some(Complaint {
            span: place.here(),
            message: "nothing is open that this could close".to_owned(),
            help: None,
        }),
        _ => quoted(kind, place),
    }
}

/// What is wrong with a text in quotes.
fn quoted(kind: &ErrorKind, place: &Place<'_>) -> Option<Complaint> {
    use ErrorKind as Kind;
    match kind {
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate
        | Kind::InvalidUnicodeEscape => Some(Complaint::new(
            place.bad_escape(),
            "a backslash in double quotes begins an escape, and this is none",
            "use `/` or single quotes",
        )),
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar => {
            let quote = if place.rest().starts_with('\'') { "'" } else { "\"" };
            Some(Complaint::new(
                place.here(),
                "this quote is not closed",
                format!("end the text with `{quote}`"),
            ))
        }
        Kind::InvalidTrailingSingleQuotedScalar => Some(Complaint::new(
            place.rest_of_line(),
            "text follows the closing quote",
            "quote the whole text; a quote in it is written twice: `''`",
        )),
        Kind::InvalidTrailingDoubleQuotedScalar => Some(Complaint::new(
            place.rest_of_line(),
            "text follows the closing quote",
            "quote the whole text; a quote in it is written `\\\"`",
        )),
        _ => None,
    }
}

fn tab(place: &Place<'_>) -> Complaint {
    Complaint::new(place.tabs(), "a tab stands where YAML wants blanks", "YAML is indented with blanks")
}

/// `*` and `&` begin names; in `["*"]` and in globs neither is meant.
fn alias(place: &Place<'_>) -> Complaint {
    let at = if place.rest().starts_with(['*', '&']) { place.at } else { place.at.saturating_sub(1) };
    let place = place.moved_to(at);
    let word = place.word();
    let in_list = place.before().ends_with(['[', ' ']) && place.before().contains('[');
    if place.rest().starts_with('&') {
        return Complaint::new(
            word,
            "`&` begins the name of an anchor",
            "put a text that begins with `&` in quotes",
        );
    }
    if word.end - word.start == 1 {
        let quoted = if in_list { "[\"*\"]" } else { "\"*\"" };
        return Complaint::new(
            word,
            "`*` begins the name of an anchor, and there is none",
            format!("put `*` in quotes: {quoted}"),
        );
    }
    Complaint::new(word, "there is no anchor of this name", "put a text that begins with `*` in quotes")
}

/// A line that has no key where one has to be.
fn no_key(place: &Place<'_>) -> Complaint {
    missing_blank(place).unwrap_or_else(|| {
        Complaint::new(place.whole_line(), "there is no key and colon here", "write `key: value`")
    })
}

/// `key:value` is one word.
fn missing_blank(place: &Place<'_>) -> Option<Complaint> {
    let (key, value) = place.line().trim().split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_key && !value.is_empty() && !value.starts_with(char::is_whitespace)).then(|| {
        Complaint::new(place.whole_line(), "a blank is missing behind the colon", format!("write `{key}: …`"))
    })
}

/// A colon that makes a key of what is no key: text that should be quoted, or a line that hangs from the one above.
fn stray_colon(place: &Place<'_>) -> Complaint {
    let quotes = || {
        Complaint::new(
            place.here(),
            "a second colon makes a key of this text",
            "put a text that holds `: ` in quotes",
        )
    };
    let key = place.before().trim_start();
    let key = key.strip_prefix("- ").unwrap_or(key);
    if key.contains(": ") {
        return quotes();
    }
    let key_place = place.moved_to(place.at - key.len());
    let above = key_place.line_above();
    if let Some(complaint) = above.as_ref().and_then(missing_blank) {
        return complaint;
    }
    if let Some(above) = above.filter(|above| !above.is_key_or_entry()) {
        return no_key(&above);
    }
    indentation(&key_place).unwrap_or_else(quotes)
}

/// `{target.gold_schema}.dim_customer`: a mapping for YAML, a template for its author.
fn single_braces(place: &Place<'_>) -> Option<Complaint> {
    let before = place.before().strip_suffix('}')?;
    let open = before.rfind('{')?;
    let inner = before[open + 1..].trim();
    let is_expression = !inner.is_empty() && !inner.contains([':', ',', '{', '"', '\'']);
    is_expression.then(|| {
        Complaint::new(
            Span::new(place.at - before[open..].len() - 1, place.at),
            "text follows a closing brace",
            format!("templates have double braces: `{{{{ {inner} }}}}`"),
        )
    })
}

fn indentation(place: &Place<'_>) -> Option<Complaint> {
    let Indentation { what, here, others } = place.indentation()?;
    let blanks = |count: usize, none: &str| match count {
        0 => none.to_owned(),
        1 => "1 blank".to_owned(),
        more => format!("{more} blanks"),
    };
    let (found, wanted) = (blanks(here, "no blanks"), blanks(others, "none"));
    let wanted = wanted.trim_end_matches(" blanks").trim_end_matches(" blank");
    Some(Complaint::new(
        place.word(),
        "the indentation is wrong",
        format!("this {what} has {found} before it, the others have {wanted}"),
    ))
}

fn after_bracket(place: &Place<'_>) -> Option<Complaint> {
    let bracket = place.before().trim_end().chars().next_back().filter(|c| matches!(c, ']' | '}'))?;
    Some(Complaint::new(
        place.rest_of_line(),
        format!("text follows the closing `{bracket}`"),
        "put the whole text in quotes",
    ))
}

/// A list or mapping in brackets that runs into the next key, or holds a text with a colon.
fn bracket(place: &Place<'_>) -> Complaint {
    match place.open_bracket() {
        Some((open, bracket))
            if !place.moved_to(open).shares_line_with(place) || place.rest().starts_with(['[', '{']) =>
        {
            let close = if bracket == '[' { ']' } else { '}' };
            Complaint::new(
                Span::new(open, open + 1),
                format!("this `{bracket}` is not closed"),
                format!("close it with `{close}`"),
            )
        }
        _ => Complaint::new(
            place.here(),
            "a second colon makes a key of this text",
            "put a text that holds `: ` in quotes",
        ),
    }
}
