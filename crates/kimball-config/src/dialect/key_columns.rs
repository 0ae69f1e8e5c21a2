//! The key columns of a dimension.

use std::collections::HashSet;

use super::columns::{self, column, same};
use super::keys::KEYS;
use super::pipeline::{KeyField, key_readers};
use crate::reader::{Located, MapReader};

/// The key columns, as far as they could be read.
#[derive(Debug)]
pub(super) struct KeyColumns {
    pub(super) surrogate: Option<Located<String>>,
    /// In the order of the file.
    pub(super) natural: Vec<Located<String>>,
    pub(super) durable: Option<Located<String>>,
    /// The natural keys in lower case.
    natural_names: HashSet<String>,
}

impl KeyColumns {
    /// What `column` is among the keys, with its article.
    pub(super) fn role_of(&self, column: &str) -> Option<&'static str> {
        let is = |key: &Option<Located<String>>| key.as_ref().is_some_and(|key| same(&key.value, column));
        if is(&self.surrogate) {
            Some("the surrogate key")
        } else if is(&self.durable) {
            Some("the durable key")
        } else {
            self.is_natural(column).then_some("a natural key")
        }
    }

    pub(super) fn is_natural(&self, column: &str) -> bool {
        self.natural_names.contains(&column.to_lowercase())
    }
}

/// Reads the keys, which stand under `keys` or at the top, and checks that no column is two of them.
pub(super) fn read(reader: &MapReader<'_>, scd_type: Option<&Located<i64>>) -> KeyColumns {
    let surrogate = surrogate_key(reader);
    let natural = natural_keys(reader);
    let keys = KeyColumns {
        surrogate,
        durable: durable_key(reader, scd_type),
        natural_names: natural.iter().map(|key| key.value.to_lowercase()).collect(),
        natural,
    };
    for (key, what) in [(&keys.surrogate, "the surrogate key"), (&keys.durable, "the durable key")] {
        let Some(key) = key else { continue };
        if let Some(natural) = keys.natural.iter().find(|natural| same(&natural.value, &key.value)) {
            let message = format!("`{}` cannot be both {what} and a natural key", natural.value);
            reader.findings().error(natural.span, message);
        }
    }
    if let (Some(surrogate), Some(durable)) = (&keys.surrogate, &keys.durable)
        && same(&surrogate.value, &durable.value)
    {
        let message = format!("`{}` cannot be both the surrogate key and the durable key", durable.value);
        reader.findings().error(durable.span, message);
    }
    keys
}

fn surrogate_key(reader: &MapReader<'_>) -> Option<Located<String>> {
    match key_readers(reader, "surrogate_key") {
        Some(KeyField::Nested(keys)) => column(&keys, "surrogate_key"),
        Some(KeyField::Top) => column(reader, "surrogate_key"),
        None => {
            missing(reader, "surrogate_key");
            None
        }
    }
}

fn natural_keys(reader: &MapReader<'_>) -> Vec<Located<String>> {
    let names = match key_readers(reader, "natural_keys") {
        Some(KeyField::Nested(keys)) => columns::required_columns(&keys, "natural_keys"),
        Some(KeyField::Top) => columns::required_columns(reader, "natural_keys"),
        None => {
            missing(reader, "natural_keys");
            None
        }
    };
    names.unwrap_or_default()
}

/// The durable key, which type 7 needs and no other type has.
fn durable_key(reader: &MapReader<'_>, scd_type: Option<&Located<i64>>) -> Option<Located<String>> {
    let number = scd_type?.value;
    let field = key_readers(reader, "durable_key");
    let keys = match &field {
        Some(KeyField::Nested(keys)) => keys,
        Some(KeyField::Top) => reader,
        None => {
            if number == 7 {
                missing(reader, "durable_key");
            }
            return None;
        }
    };
    let key = column(keys, "durable_key")?;
    if number == 7 {
        return Some(key);
    }
    let message = format!("`durable_key` is for type 7, this dimension is type {number}");
    reader.findings().error(keys.key_span("durable_key"), message);
    None
}

fn missing(reader: &MapReader<'_>, field: &str) {
    // What is misspelled is told already.
    let nested = reader.mapping("keys", &KEYS);
    let is_told = [field, "keys"].iter().any(|key| reader.is_misspelled(key))
        || nested.is_some_and(|keys| keys.is_misspelled(field));
    if is_told {
        return;
    }
    let span =
        if reader.node("keys").is_some() { reader.key_span("keys") } else { reader.key_span("table_type") };
    let help = match field {
        "surrogate_key" => "name the column that a run fills with it, such as `surrogate_key: customer_sk`",
        "natural_keys" => {
            "name the columns that tell members apart in the source, such as `natural_keys: [customer_id]`"
        }
        _ => {
            "name the column that a run fills with it, the same in all versions of a member, such as `durable_key: customer_dk`"
        }
    };
    reader.findings().error_with_help(span, format!("a dimension needs `keys.{field}`"), help);
}
