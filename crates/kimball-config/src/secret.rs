//! Secrets that stand in a file of the user, where they must not: found, so that no excerpt shows them.

use std::ops::Range;

use crate::dialect::pii::variable_of;
use crate::source_text::Span;
use crate::yaml::{Node, Value};

/// How a value says that it is no secret but names one.
const REFERENCE: &str = "env://";
/// Parts of the names of options that hold secrets.
const SECRET_MARKS: [&str; 6] = ["secret", "password", "token", "account_key", "sas_key", "shared_access"];

/// Which keys of a file hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretKeys {
    /// Those of a targets file: whatever is called like a secret.
    Targets,
    /// Those of a pipeline; its columns may be called as they like.
    Pipeline,
}

impl SecretKeys {
    fn hold(self, key: &str) -> bool {
        match self {
            Self::Targets => is_secret_name(key),
            Self::Pipeline => matches!(key, "secret_ref" | "webhook_env"),
        }
    }

    /// Whether `text` may be shown although its key holds secrets.
    fn may_show(self, key: &str, text: &str) -> bool {
        match (self, key) {
            (Self::Targets, _) => is_reference(text),
            (Self::Pipeline, "webhook_env") => is_variable(text),
            (Self::Pipeline, _) => variable_of(text).is_some(),
        }
    }
}

/// Whether an option of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET_MARKS.iter().any(|mark| lower.contains(mark))
}

/// Whether a text is a reference to a secret.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with(REFERENCE)
}

/// Whether a text is the name of an environment variable.
pub(crate) fn is_variable(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The values of a document that hold secrets, at any depth.
pub(crate) fn in_tree(root: &Node, keys: SecretKeys) -> Vec<Span> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Scalar(_) => {}
            Value::Sequence(items) => open.extend(items),
            Value::Mapping(entries) => {
                for entry in entries {
                    if keys.hold(&entry.key) && !entry.value.is_null() {
                        found.extend(unless_shown(&entry.value, &entry.key, keys));
                    } else {
                        open.push(&entry.value);
                    }
                }
            }
        }
    }
    found
}

fn unless_shown(node: &Node, key: &str, keys: SecretKeys) -> Option<Span> {
    match &node.value {
        Value::Scalar(scalar) if keys.may_show(key, &scalar.text) => None,
        _ => Some(node.span),
    }
}

/// The values that seem to hold secrets in a text that is no document, or not yet one.
pub(crate) fn in_text(text: &str, keys: SecretKeys) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut offset = 0;
    let mut above: Option<Above> = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let indentation = content.len() - content.trim_start().len();
        if above.as_mut().is_some_and(|above| above.goes_on(content, indentation)) {
            found.push(offset + indentation..offset + content.len());
        } else {
            let value = value_of_secret(content, keys);
            above = value.map(|start| Above::new(indentation, &content[start..]));
            found.extend(value.map(|start| offset + start..offset + content.len()));
        }
        offset += line.len();
    }
    found
}

/// A line with a secret, whose value may go on below it.
struct Above {
    indentation: usize,
    /// Its own line holds nothing of the value, which may stand below without being indented, by mistake.
    is_open: bool,
    /// The sign of a block stands there: the next line is part of it, whatever it looks like.
    begins_block: bool,
}

impl Above {
    fn new(indentation: usize, value: &str) -> Self {
        let begins_block = value.starts_with(['|', '>']);
        Self { indentation, is_open: begins_block || value.is_empty(), begins_block }
    }

    fn goes_on(&mut self, line: &str, indentation: usize) -> bool {
        if line.is_empty() {
            return true;
        }
        let begins = std::mem::take(&mut self.begins_block);
        let is_key = (line.contains(": ") || line.ends_with(':')) && !line.trim_start().starts_with("- ");
        begins || indentation > self.indentation || (self.is_open && !is_key)
    }
}

/// Where on a line the first value begins that has to be hidden.
fn value_of_secret(line: &str, keys: SecretKeys) -> Option<usize> {
    let quotes = ['"', '\''];
    line.match_indices(':').find_map(|(colon, _)| {
        let before = line[..colon].trim_end().trim_end_matches(quotes);
        let in_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let key = &before[before.trim_end_matches(in_key).len()..];
        let behind = &line[colon + 1..];
        let value = behind.trim_start();
        let end = value.find([',', '}', ' ']).unwrap_or(value.len());
        let shown = keys.may_show(key, value[..end].trim_matches(quotes));
        (keys.hold(key) && !shown).then(|| line.len() - value.len())
    })
}

/// Passwords and signatures inside URLs: `://user:password@` and everything behind `?`.
pub(crate) fn in_urls(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let url = &text[start..start + text[start..].find(ends).unwrap_or(text.len() - start)];
        let authority = url.split(['/', '?']).next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@').filter(|(user, _)| user.contains(':')) {
            found.push(start..start + user.len());
        }
        if let Some(query) = url.find('?').filter(|query| query + 1 < url.len()) {
            found.push(start + query + 1..start + url.len());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::yaml::parse;

    fn tree(text: &str, keys: SecretKeys) -> Vec<&str> {
        in_tree(&parse(text).unwrap().unwrap(), keys).iter().map(|span| &text[span.start..span.end]).collect()
    }

    fn text(text: &str, keys: SecretKeys) -> Vec<&str> {
        in_text(text, keys).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn whatever_stands_under_a_secret_name_of_a_targets_file_is_found() {
        let targets = "targets:\n  a: {My_Token: 't 1', region: eu, db_password: 'env://PW'}\n  b:\n    storage_options:\n\
                       \x20     aws_secret_access_key: [x, y]\n      sas_key: !!str 7\n      account_key:\n";
        assert_eq!(tree(targets, SecretKeys::Targets), ["[x, y]", "7", "'t 1'"]);
        assert_eq!(tree("column: token\ntoken_id: 'env'", SecretKeys::Pipeline), Vec::<&str>::new());
        let pipeline =
            "pii: {secret_ref: hunter2}\nobservability: {webhook_env: 'https://x'}\nb: {webhook_env: HOOK}";
        assert_eq!(tree(pipeline, SecretKeys::Pipeline), ["'https://x'", "hunter2"]);
    }

    #[test]
    fn a_text_that_is_no_document_is_searched_line_by_line() {
        let broken = "a: {region: eu, \"api_token\" : abc: d}\nb:\n  password: >\n    one\n    two\n  other: 1\nkeys: [\n";
        assert_eq!(text(broken, SecretKeys::Targets), ["abc: d}", ">", "one", "two"]);
        let not_indented = "a:\n  token: |\n  one: 1\n  two\n  c: 1\nsas_key:\nthree\nd: 2\n";
        assert_eq!(text(not_indented, SecretKeys::Targets), ["|", "one: 1", "two", "", "three"]);
        let references = "password: env://PW\ntoken: 'env://T', secret: s\n";
        assert_eq!(text(references, SecretKeys::Targets), ["s"]);
    }

    #[test]
    fn a_url_keeps_its_password_and_its_signature_for_itself() {
        let found =
            |text: &'static str| in_urls(text).into_iter().map(|range| &text[range]).collect::<Vec<_>>();
        assert_eq!(found("w: 'https://me:pw@host/a?sig=1&x=2'"), ["me:pw", "sig=1&x=2"]);
        assert_eq!(found("abfss://box@account/a s3://b/c file:///d"), Vec::<&str>::new());
    }
}
