//! Keys and hashes that anyone can recompute (semantics 2).

mod among;
mod durable;
mod hash;
mod json;
mod protect;
mod spark_text;
#[cfg(test)]
mod tests;

pub(crate) use among::{KeySet, is_one_of};
pub(crate) use durable::{durable_version_key, member_fingerprint, row_fingerprint, spark_text_function};
pub(crate) use hash::value_hash;
pub use hash::{key_hash, row_hash};
pub(crate) use json::row_json;
pub(crate) use protect::{Replacement, protect};
pub(crate) use spark_text::spark_text;

use crate::columns::{qualified, quoted};

/// The seed of Spark's `xxhash64`.
pub(crate) const SEED: i64 = 42;

/// `prefix.a, prefix.b` as arguments of a hash function.
pub(crate) fn arguments(prefix: &str, columns: &[String]) -> String {
    columns.iter().map(|column| qualified(prefix, column)).collect::<Vec<_>>().join(", ")
}

/// The hash of some columns that tells rows of different typed values apart.
pub(crate) fn hash_of(prefix: &str, columns: &[String]) -> String {
    match columns {
        [] => "CAST(0 AS BIGINT)".to_owned(),
        columns => format!("row_hash({})", arguments(prefix, columns)),
    }
}

/// The name of the function that makes the keys of a mini-dimension, by its surrogate key column.
pub(crate) fn mini_key_function(surrogate_key: &str) -> String {
    format!("mini_key_of_{surrogate_key}")
}

/// The key of a row's combination of `columns` in a junk dimension (semantics 8.6).
pub(crate) fn junk_key(prefix: &str, columns: &[String]) -> String {
    format!("junk_key({})", arguments(prefix, columns))
}

/// The key of a row's combination of `columns` in the mini-dimension with that surrogate key column.
pub(crate) fn mini_key(surrogate_key: &str, prefix: &str, columns: &[String]) -> String {
    format!("{}({SEED}, {})", quoted(&mini_key_function(surrogate_key)), arguments(prefix, columns))
}
