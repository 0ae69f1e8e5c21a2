//! Keys and hashes that anyone can recompute (semantics 2).

mod hash;
mod spark_text;
#[cfg(test)]
mod tests;

pub(crate) use hash::{key_hash, row_hash};
pub(crate) use spark_text::spark_text;

/// The seed of Spark's `xxhash64`.
pub(crate) const SEED: i64 = 42;
