//! Readers over the tree: they ask for keys and kinds of values, and report what does not fit.

use std::collections::{BTreeMap, HashMap};

use crate::dialect::keys::{Mapping, example};
use crate::findings::Findings;
use crate::name::TableName;
use crate::source_text::Span;
use crate::suggest::nearest;
use crate::yaml::{Entry, Node, Scalar, ScalarStyle, Value};

mod report;

use report::{report_repeated, report_unknown};

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> Located<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A mapping whose keys are known by name.
pub(crate) struct MapReader<'a> {
    findings: &'a Findings<'a>,
    mapping: &'static Mapping,
    span: Span,
    entries: HashMap<&'a str, &'a Entry>,
    /// Known keys that unknown ones seem to mean.
    misspelled: Vec<&'static str>,
}

impl<'a> MapReader<'a> {
    /// Opens a node that has to be a mapping, and reports keys that it does not know or that repeat.
    pub(crate) fn open(
        findings: &'a Findings<'a>,
        node: &'a Node,
        mapping: &'static Mapping,
    ) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            let message = format!("{} is a mapping, found {}", mapping.what, node.kind());
            let some =
                mapping.keys.iter().take(3).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            findings.error_with_help(
                node.span,
                message,
                format!("write keys such as {some} with their values"),
            );
            return None;
        };
        let mut known = HashMap::new();
        let mut misspelled = Vec::new();
        for entry in entries {
            if !mapping.keys.contains(&entry.key.as_str()) {
                misspelled.extend(report_unknown(findings, entry, mapping));
            } else if let Some(first) = known.insert(entry.key.as_str(), entry) {
                report_repeated(findings, first, entry);
                known.insert(entry.key.as_str(), first);
            }
        }
        // The first line of a block mapping says enough; its whole text is never underlined.
        Some(Self { findings, mapping, span: node.span, entries: known, misspelled })
    }

    pub(crate) fn findings(&self) -> &'a Findings<'a> {
        self.findings
    }

    /// The place of the mapping itself.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The node of a key that is set to something.
    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.mapping.keys.contains(&key), "`{key}` is no key of {}", self.mapping.what);
        self.entries.get(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// The node of a key whatever it is set to, null included.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a Node> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The place of a key, or of the mapping when the key is not there.
    pub(crate) fn key_span(&self, key: &str) -> Span {
        self.entries.get(key).map_or(self.span, |entry| entry.key_span)
    }

    /// Whether a key that is not there seems to be meant by one that is misspelled: that it is missing need not be said.
    pub(crate) fn is_misspelled(&self, key: &str) -> bool {
        !self.entries.contains_key(key) && self.misspelled.contains(&key)
    }

    /// The place of the name of an entry in the mapping of a key; of the key itself when there is no such entry.
    pub(crate) fn entry_span(&self, key: &str, name: &str) -> Span {
        let entries = match self.node(key).map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().find(|entry| entry.key == name).map_or(self.key_span(key), |entry| entry.key_span)
    }

    /// The node of a key that has to be set.
    pub(crate) fn required(&self, key: &str) -> Option<&'a Node> {
        let node = self.node(key);
        if node.is_none() {
            self.missing(key);
        }
        node
    }

    /// Reports that a key has to be set.
    pub(crate) fn missing(&self, key: &str) {
        let help = example(self.mapping, key).map(str::to_owned);
        match self.entries.get(key) {
            Some(entry) => self.findings.error_with(entry.key_span, format!("`{key}` needs a value"), help),
            None if self.is_misspelled(key) => {}
            None => self.findings.error_with(self.span, format!("{} needs `{key}`", self.mapping.what), help),
        }
    }

    /// Text that is not blank.
    pub(crate) fn text(&self, key: &str) -> Option<Located<String>> {
        text(self.findings, self.node(key)?, &named(key))
    }

    /// Text that has to be there.
    pub(crate) fn required_text(&self, key: &str) -> Option<Located<String>> {
        text(self.findings, self.required(key)?, &named(key))
    }

    /// A boolean, `yes` and `off` included.
    pub(crate) fn flag(&self, key: &str) -> Option<Located<bool>> {
        let node = self.node(key)?;
        if let Some(value) = scalar(node).and_then(Scalar::as_bool) {
            return Some(Located::new(value, node.span));
        }
        let unquoted = scalar(node).map(|scalar| Scalar { style: ScalarStyle::Plain, ..scalar.clone() });
        let help = unquoted.and_then(|scalar| scalar.as_bool()).map(|_| "leave the quotes out".to_owned());
        self.wrong_kind_with(key, node, "true or false", help)
    }

    /// A whole number of at least `least`.
    pub(crate) fn integer(&self, key: &str, least: i64) -> Option<Located<i64>> {
        let node = self.node(key)?;
        match scalar(node).and_then(Scalar::as_integer) {
            Some(value) if value >= least => Some(Located::new(value, node.span)),
            Some(value) => {
                self.findings.error(node.span, format!("`{key}` must be at least {least}, found {value}"));
                None
            }
            None => self.wrong_kind(key, node, "a whole number"),
        }
    }

    /// A number above 0 and up to 1.
    pub(crate) fn ratio(&self, key: &str) -> Option<Located<f64>> {
        let node = self.node(key)?;
        match scalar(node).and_then(Scalar::as_number) {
            Some(value) if value > 0.0 && value <= 1.0 => Some(Located::new(value, node.span)),
            Some(value) => {
                self.findings
                    .error(node.span, format!("`{key}` must be above 0 and at most 1, found {value}"));
                None
            }
            None => self.wrong_kind(key, node, "a number"),
        }
    }

    /// A number from 0 to 1.
    pub(crate) fn share(&self, key: &str) -> Option<Located<f64>> {
        let node = self.node(key)?;
        match scalar(node).and_then(Scalar::as_number) {
            Some(value) if (0.0..=1.0).contains(&value) => Some(Located::new(value, node.span)),
            Some(value) => {
                self.findings.error(node.span, format!("`{key}` must be from 0 to 1, found {value}"));
                None
            }
            None => self.wrong_kind(key, node, "a number"),
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<Located<T>> {
        let node = self.node(key)?;
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let Some(scalar) = scalar(node) else {
            return self.wrong_kind(key, node, &one_of(&words));
        };
        match choices.iter().find(|(word, _)| scalar.text == *word) {
            Some((_, value)) => Some(Located::new(*value, node.span)),
            None => {
                let found = clip(&scalar.text);
                let message = format!("`{key}` must be {}, found `{found}`", one_of(&words));
                match nearest(&scalar.text, words.iter().copied()) {
                    Some(word) => {
                        self.findings.error_with_help(node.span, message, format!("did you mean `{word}`?"));
                    }
                    None => self.findings.error(node.span, message),
                }
                None
            }
        }
    }

    /// A list of names without repetitions; one bare name counts as a list of one.
    pub(crate) fn names(&self, key: &str) -> Option<Located<Vec<Located<String>>>> {
        names(self.findings, self.node(key)?, key)
    }

    /// A list of names that has to be there and to hold one at least.
    pub(crate) fn required_names(&self, key: &str) -> Option<Located<Vec<Located<String>>>> {
        let names = names(self.findings, self.required(key)?, key)?;
        if names.value.is_empty() {
            self.findings.error(self.key_span(key), format!("`{key}` needs one name at least"));
            return None;
        }
        Some(names)
    }

    /// The items of a list.
    pub(crate) fn list(&self, key: &str) -> Option<&'a [Node]> {
        let node = self.node(key)?;
        match &node.value {
            Value::Sequence(items) => Some(items),
            Value::Mapping(_) => {
                let help = format!("begin each entry of `{key}` with `- `");
                self.wrong_kind_with(key, node, "a list", Some(help))
            }
            Value::Scalar(scalar) => {
                let help = (!scalar.text.is_empty()).then(|| format!("write `[{}]`", clip(&scalar.text)));
                self.wrong_kind_with(key, node, "a list", help)
            }
        }
    }

    /// A mapping of names to scalars, as written.
    pub(crate) fn texts(&self, key: &str) -> Option<BTreeMap<String, Located<String>>> {
        let node = self.node(key)?;
        let Value::Mapping(entries) = &node.value else {
            return self.wrong_kind(key, node, "a mapping");
        };
        let mut texts = BTreeMap::new();
        for entry in entries {
            let label = format!("`{key}.{}`", clip(&entry.key));
            if entry.value.is_null() {
                self.findings.error(entry.key_span, format!("{label} needs a value"));
            } else if let Some(value) = scalar_text(self.findings, &entry.value, &label)
                && texts.insert(entry.key.clone(), value).is_some()
            {
                self.findings.error(entry.key_span, format!("{label} is there twice"));
            }
        }
        Some(texts)
    }

    /// The name of a table.
    pub(crate) fn table(&self, key: &str) -> Option<Located<TableName>> {
        table(self.findings, self.node(key)?)
    }

    /// The name of a table that has to be there.
    pub(crate) fn required_table(&self, key: &str) -> Option<Located<TableName>> {
        table(self.findings, self.required(key)?)
    }

    /// A nested mapping.
    pub(crate) fn mapping(&self, key: &str, mapping: &'static Mapping) -> Option<MapReader<'a>> {
        MapReader::open(self.findings, self.node(key)?, mapping)
    }

    /// The mappings of a list.
    pub(crate) fn mappings(&self, key: &str, mapping: &'static Mapping) -> Vec<MapReader<'a>> {
        let items = self.list(key).unwrap_or_default();
        items.iter().filter_map(|item| MapReader::open(self.findings, item, mapping)).collect()
    }

    fn wrong_kind<T>(&self, key: &str, node: &Node, wanted: &str) -> Option<T> {
        self.wrong_kind_with(key, node, wanted, None)
    }

    fn wrong_kind_with<T>(&self, key: &str, node: &Node, wanted: &str, help: Option<String>) -> Option<T> {
        let found = match scalar(node) {
            Some(scalar) if !scalar.text.is_empty() => format!("`{}`", clip(&scalar.text)),
            _ => node.kind().to_owned(),
        };
        self.findings.error_with(node.span, format!("`{key}` must be {wanted}, found {found}"), help);
        None
    }
}

/// A scalar that is text and not blank.
pub(crate) fn text(findings: &Findings<'_>, node: &Node, label: &str) -> Option<Located<String>> {
    let text = scalar_text(findings, node, label)?;
    if text.value.trim().is_empty() {
        findings.error(node.span, format!("{label} must not be empty"));
        return None;
    }
    Some(text)
}

/// Any scalar as it is written.
pub(crate) fn scalar_text(findings: &Findings<'_>, node: &Node, label: &str) -> Option<Located<String>> {
    match &node.value {
        Value::Scalar(scalar) => Some(Located::new(scalar.text.clone(), node.span)),
        _ => {
            findings.error(node.span, format!("{label} must be text, found {}", node.kind()));
            None
        }
    }
}

fn names(findings: &Findings<'_>, node: &Node, key: &str) -> Option<Located<Vec<Located<String>>>> {
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        Value::Scalar(_) => std::slice::from_ref(node),
        Value::Mapping(_) => {
            findings.error(node.span, format!("`{key}` must be a list of names, found a mapping"));
            return None;
        }
    };
    let label = format!("a name in `{key}`");
    let mut names: Vec<Located<String>> = Vec::with_capacity(items.len());
    let mut known: HashMap<String, ()> = HashMap::new();
    for item in items {
        if item.is_null() {
            findings.error(item.span, format!("{label} must not be empty"));
            continue;
        }
        let Some(name) = text(findings, item, &label) else { continue };
        if known.insert(name.value.to_lowercase(), ()).is_some() {
            findings.error(item.span, format!("`{}` is in `{key}` twice", clip(&name.value)));
            continue;
        }
        names.push(name);
    }
    Some(Located::new(names, node.span))
}

pub(crate) fn table(findings: &Findings<'_>, node: &Node) -> Option<Located<TableName>> {
    let name = text(findings, node, "a table name")?;
    match TableName::parse(&name.value) {
        Ok(table) => Some(Located::new(table, name.span)),
        Err(error) => {
            let braces =
                name.value.contains('{').then(|| "templates have double braces: `{{ … }}`".to_owned());
            findings.error_with(node.span, clip(&error.to_string()), braces);
            None
        }
    }
}

pub(crate) fn scalar(node: &Node) -> Option<&Scalar> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar),
        _ => None,
    }
}

/// Text of the user, cut to what a message can hold.
pub(crate) fn clip(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn named(key: &str) -> String {
    format!("`{key}`")
}

/// `one of a, b or c`, or the word itself.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => format!("`{word}`"),
        [rest @ .., last] => {
            let rest = rest.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            format!("{rest} or `{last}`")
        }
    }
}
