//! The tree of a YAML document.

use crate::source_text::Span;

/// A value and its place in the parsed text.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// Entries in the order of the file; keys may repeat, the reader complains.
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// A scalar as text: what it means is decided by who reads it, so that `010` stays text where text is
/// wanted and `on` is a boolean only where a boolean is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: ScalarStyle,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarStyle {
    /// Without quotes: may be read as a number, a boolean or null.
    Plain,
    /// In quotes, or folded with `>`: text.
    Quoted,
    /// A literal block (`|`): text whose lines are lines of the file.
    Literal,
}

impl Node {
    /// Whether this is a plain null: nothing, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.style == ScalarStyle::Plain
                    && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// What this is called in a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar(scalar) => scalar.kind(),
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

impl Scalar {
    /// The boolean that YAML 1.1 sees in a plain scalar.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        if self.style != ScalarStyle::Plain {
            return None;
        }
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        }
    }

    /// The integer in a scalar; quotes do no harm, as nobody means text by `"2"` where a number is wanted.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        let text = self.text.trim();
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    }

    /// The finite number in a scalar.
    pub(crate) fn as_number(&self) -> Option<f64> {
        let text = self.text.trim();
        let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        text.parse().ok().filter(|number: &f64| numeric && number.is_finite())
    }

    fn kind(&self) -> &'static str {
        if self.style != ScalarStyle::Plain {
            "text"
        } else if self.as_integer().is_some() || self.as_number().is_some() {
            "a number"
        } else if matches!(self.text.as_str(), "true" | "True" | "TRUE" | "false" | "False" | "FALSE") {
            "a boolean"
        } else {
            "text"
        }
    }
}
