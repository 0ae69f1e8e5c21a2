//! From parser events to the tree, within limits that no honest file reaches.

use std::collections::{HashMap, HashSet};

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle as EventStyle, Tag};

use super::node::{Entry, Node, Scalar, ScalarStyle, Value};
use super::scan_error::scan_error;
use crate::source_text::Span;

/// Collections inside collections.
const MAX_DEPTH: usize = 64;
/// Nodes of the tree, aliases counted as often as they are used.
const MAX_NODES: usize = 200_000;
/// Bytes of all scalars, aliases counted as often as they are used.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one scalar.
const MAX_SCALAR_BYTES: usize = 1024 * 1024;
/// Bytes of one key.
const MAX_KEY_BYTES: usize = 1024;

/// Why a text is no tree.
#[derive(Debug, Clone)]
pub(crate) struct YamlError {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl YamlError {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    fn too_big(span: Span, what: &str) -> Self {
        Self::new(span, format!("this file {what}"))
    }
}

/// Reads one document; `None` when the text holds nothing but space and comments.
///
/// # Errors
/// The first thing that is no YAML, or is more of it than a configuration needs.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut options = Options::default();
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| scan_error(&error, text))?;
        let start = span.start.byte_offset().unwrap_or(text.len());
        let end = span.end.byte_offset().unwrap_or(start);
        builder.take(event, Span::new(start.min(text.len()), end.min(text.len())))?;
    }
    Ok(builder.root)
}

/// A collection that is still being read.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// Entries of `<<` bases, in the order in which they win; explicit entries go before all of them.
        merged: Vec<Entry>,
        key: Option<(String, Span)>,
    },
}

impl Content {
    fn mapping() -> Self {
        Self::Mapping { entries: Vec::new(), merged: Vec::new(), key: None }
    }
}

/// What the limits count.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    /// Levels of collections, 0 for a scalar.
    height: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes + other.nodes, bytes: self.bytes + other.bytes, height: self.height }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    root: Option<Node>,
    documents: usize,
    size: Size,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = Some("put every pipeline into a file of its own".to_owned());
                    return Err(YamlError { help, ..YamlError::new(span, "a file holds one YAML document") });
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(&text, style, tag.as_deref(), span)?;
                self.complete(Node { span, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                self.start(span, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                self.start(span, anchor, Content::mapping())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn start(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open { span, anchor, content });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let whole = Span::new(open.span.start, span.end.max(open.span.end));
        let value = match open.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, merged, .. } => Value::Mapping(with_merged(entries, merged)),
        };
        self.complete(Node { span: whole, value }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), YamlError> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(YamlError::new(span, "this alias stands inside its own anchor"));
        };
        // Refuse before copying: an alias bomb must not be built to be found out.
        let total = self.size.plus(*size);
        check_size(total, span)?;
        if self.open.len() + size.height > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let node = node.clone();
        self.size = total;
        self.place(node)
    }

    /// Counts a finished node, keeps it for its aliases, and puts it where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.size.nodes += 1;
        if let Value::Scalar(scalar) = &node.value {
            self.size.bytes += scalar.text.len();
        }
        check_size(self.size, node.span)?;
        if anchor > 0 {
            // The copy that is kept for the aliases counts, or nested anchors would multiply the tree.
            let kept = size_of(&node);
            self.size = self.size.plus(kept);
            check_size(self.size, node.span)?;
            self.anchors.insert(anchor, (node.clone(), kept));
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), YamlError> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { entries, merged, key }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((key, key_span)) if key == "<<" => merge(merged, key_span, node)?,
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
            },
        }
        Ok(())
    }
}

fn scalar(text: &str, style: EventStyle, tag: Option<&Tag>, span: Span) -> Result<Scalar, YamlError> {
    check_tag(tag, span)?;
    if text.len() > MAX_SCALAR_BYTES {
        return Err(YamlError::new(span, "this text is longer than 1 MiB"));
    }
    let style = match style {
        EventStyle::Plain if tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str")) => ScalarStyle::Quoted,
        EventStyle::Plain => ScalarStyle::Plain,
        EventStyle::Literal => ScalarStyle::Literal,
        _ => ScalarStyle::Quoted,
    };
    Ok(Scalar { text: text.to_owned(), style })
}

/// Tags of YAML itself say nothing that the readers do not know; others mean a program that is not here.
fn check_tag(tag: Option<&Tag>, span: Span) -> Result<(), YamlError> {
    match tag {
        // Not named: what the user meant by it may be a password that begins with `!`.
        Some(tag) if !tag.is_yaml_core_schema() && tag.original() != "!" => {
            let help = Some("put a text that begins with `!` in quotes".to_owned());
            Err(YamlError { help, ..YamlError::new(span, "`!` begins a tag, which means nothing here") })
        }
        _ => Ok(()),
    }
}

fn check_size(size: Size, span: Span) -> Result<(), YamlError> {
    if size.nodes > MAX_NODES {
        return Err(YamlError::too_big(
            span,
            &format!("holds more than {MAX_NODES} values, aliases counted"),
        ));
    }
    if size.bytes > MAX_TEXT_BYTES {
        return Err(YamlError::too_big(span, "holds more than 16 MiB of text, aliases counted"));
    }
    Ok(())
}

/// Counts a node with all it holds.
fn size_of(node: &Node) -> Size {
    let mut size = Size::default();
    let mut rest = vec![(node, 0)];
    while let Some((node, level)) = rest.pop() {
        size.nodes += 1;
        match &node.value {
            Value::Scalar(scalar) => {
                size.bytes += scalar.text.len();
                size.height = size.height.max(level);
            }
            Value::Sequence(items) => {
                size.height = size.height.max(level + 1);
                rest.extend(items.iter().map(|item| (item, level + 1)));
            }
            Value::Mapping(entries) => {
                size.height = size.height.max(level + 1);
                rest.extend(entries.iter().map(|entry| (&entry.value, level + 1)));
            }
        }
    }
    size
}

fn too_deep(span: Span) -> YamlError {
    YamlError::too_big(span, &format!("nests more than {MAX_DEPTH} levels deep"))
}

fn key_of(node: Node) -> Result<(String, Span), YamlError> {
    match node.value {
        Value::Scalar(scalar) if scalar.text.len() <= MAX_KEY_BYTES => Ok((scalar.text, node.span)),
        Value::Scalar(_) => Err(YamlError::new(node.span, "this key is too long")),
        _ => Err(YamlError::new(node.span, "a key is a single word here, not a list or mapping")),
    }
}

/// `<<: *base`: remembers the entries of the base.
fn merge(merged: &mut Vec<Entry>, key_span: Span, node: Node) -> Result<(), YamlError> {
    match node.value {
        Value::Mapping(base) => merged.extend(base),
        Value::Sequence(items) => {
            for item in items {
                match item.value {
                    Value::Mapping(base) => merged.extend(base),
                    _ => return Err(YamlError::new(item.span, "`<<` takes mappings")),
                }
            }
        }
        Value::Scalar(_) => {
            return Err(YamlError::new(key_span, "`<<` takes a mapping or a list of mappings"));
        }
    }
    Ok(())
}

/// The entries of a mapping and those of its bases that it does not hold itself.
fn with_merged(mut entries: Vec<Entry>, merged: Vec<Entry>) -> Vec<Entry> {
    if merged.is_empty() {
        return entries;
    }
    let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    entries.extend(merged.into_iter().filter(|entry| known.insert(entry.key.clone())));
    entries
}

#[cfg(test)]
mod tests;
