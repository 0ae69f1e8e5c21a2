//! `pii`: what becomes of personal columns.

use super::columns::required_column;
use super::keys::{PII, PII_COLUMN};
use crate::model::{PiiColumn, Protection, SecretReference, TableKind};
use crate::reader::{Located, MapReader, clip};

/// Characters that a mask leaves, where the file does not say.
const NOTHING_REVEALED: usize = 0;
const MASK: char = '*';

/// A protected column with its place.
pub(crate) type Protected = (PiiColumn, Located<String>);

/// Reads `pii`; columns with errors are left out.
pub(crate) fn read(reader: &MapReader<'_>) -> Vec<Protected> {
    let Some(pii) = reader.mapping("pii", &PII) else { return Vec::new() };
    let mut columns: Vec<Protected> = Vec::new();
    for entry in pii.mappings("columns", &PII_COLUMN) {
        let Some((column, place)) = read_column(&entry) else { continue };
        if columns.iter().any(|(other, _)| super::columns::same(&other.column, &column.column)) {
            let message = format!("`{}` is in `pii` twice", clip(&column.column));
            entry.findings().error(place.span, message);
            continue;
        }
        columns.push((column, place));
    }
    columns
}

fn read_column(entry: &MapReader<'_>) -> Option<Protected> {
    let column = required_column(entry, "column");
    let secret = entry.text("secret_ref");
    let reveal = entry.integer("reveal_prefix", 0);
    let mask = read_mask(entry);
    // Unquoted, the strategy `null` is YAML's null.
    let is_null_strategy =
        entry.raw("strategy").is_some_and(|node| node.is_null() && entry.node("strategy").is_none());
    let strategies = ["tokenize", "fast_hash", "hash", "mask", "null", "drop"].map(|word| (word, word));
    let strategy = match is_null_strategy {
        true => "null",
        false => {
            entry.required("strategy")?;
            entry.choice("strategy", &strategies)?.value
        }
    };
    for (key, is_there) in [("reveal_prefix", reveal.is_some()), ("mask_char", mask.is_some())] {
        if is_there && strategy != "mask" {
            entry.findings().error(entry.key_span(key), format!("`{key}` is for `strategy: mask`"));
        }
    }
    if let Some(secret) = secret.as_ref().filter(|_| strategy != "tokenize") {
        entry.findings().error(secret.span, "`secret_ref` is for `strategy: tokenize`");
    }
    let protection = match strategy {
        "tokenize" => Protection::Tokenize { secret: read_secret(entry, secret)? },
        "mask" => Protection::Mask {
            reveal_prefix: reveal
                .map_or(Some(NOTHING_REVEALED), |count| usize::try_from(count.value).ok())?,
            mask_char: mask.unwrap_or(MASK),
        },
        "null" => Protection::Null,
        "drop" => Protection::Drop,
        "hash" => {
            entry.findings().note("pii: `strategy: hash` is `fast_hash`, which does not keep a value secret");
            Protection::FastHash
        }
        _ => Protection::FastHash,
    };
    let column = column?;
    Some((PiiColumn { column: column.value.clone(), protection }, column))
}

fn read_mask(entry: &MapReader<'_>) -> Option<char> {
    let mask = entry.text("mask_char")?;
    let mut chars = mask.value.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => Some(only),
        _ => {
            entry.findings().error(mask.span, "`mask_char` is one character");
            None
        }
    }
}

fn read_secret(entry: &MapReader<'_>, secret: Option<Located<String>>) -> Option<SecretReference> {
    let Some(secret) = secret else {
        if entry.node("secret_ref").is_none() {
            entry.missing("secret_ref");
        }
        return None;
    };
    match variable_of(&secret.value) {
        Some(name) => Some(SecretReference { name: name.to_owned(), value: None }),
        None => {
            entry.findings().error_with_help(
                secret.span,
                "`secret_ref` must be a reference, never the secret itself",
                "write `env://NAME` for the environment variable that holds it",
            );
            None
        }
    }
}

/// The variable of `env://NAME`.
pub(crate) fn variable_of(text: &str) -> Option<&str> {
    let name = text.strip_prefix("env://")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// Refuses what would take the sense from a column that the file needs for something else.
pub(crate) fn check_uses(reader: &MapReader<'_>, protected: &[Protected], kind: &TableKind) {
    for (column, place) in protected {
        let Some((role, needs)) = role_of(kind, &column.column) else { continue };
        let keeps_identity = matches!(column.protection, Protection::Tokenize { .. } | Protection::FastHash);
        let fits = match needs {
            Needs::Identity => keeps_identity,
            Needs::Value => false,
            Needs::Presence => column.protection != Protection::Drop,
        };
        if fits {
            continue;
        }
        let message = format!("`{}` is {role} and cannot be protected so", clip(&column.column));
        match needs {
            Needs::Identity => reader.findings().error_with_help(
                place.span,
                message,
                "`tokenize` and `fast_hash` give equal values for equal ones",
            ),
            Needs::Value | Needs::Presence => reader.findings().error(place.span, message),
        }
    }
}

/// What a use of a column needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// That equal values stay equal and different ones different.
    Identity,
    /// The value itself.
    Value,
    /// That it is there.
    Presence,
}

/// What a column is to its table besides an attribute; the strongest need first.
fn role_of(kind: &TableKind, column: &str) -> Option<(&'static str, Needs)> {
    if let Some(identity) = kind.identity(column) {
        return Some((identity, Needs::Identity));
    }
    let is = |name: &String| super::columns::same(name, column);
    match kind {
        TableKind::Dimension(dimension) => {
            let effective = dimension.scd.history().and_then(|history| history.effective_at.as_ref());
            effective.is_some_and(is).then_some(("`effective_at`", Needs::Value))
        }
        TableKind::Fact(fact) => {
            let mut lookups = fact.foreign_keys.iter().filter_map(|key| key.lookup.as_ref());
            match () {
                () if lookups.any(|lookup| lookup.event_time.as_ref().is_some_and(is)) => {
                    Some(("an event time", Needs::Value))
                }
                () if fact.partition_by.iter().any(is) => Some(("a partition column", Needs::Presence)),
                () if fact.measures.iter().any(|measure| is(&measure.column)) => {
                    Some(("a measure", Needs::Presence))
                }
                () => None,
            }
        }
    }
}
