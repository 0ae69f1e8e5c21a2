//! The history of a member as an algebra: a chain, changes, and what becomes of the chain.
//!
//! This is semantics 4 for one member, in plain code, meant to be read. The merge of `dimension::versions` computes
//! the same for millions of members at once, in columns; property tests hold the two against each other, and
//! [`as_of`] against both.

mod chain;
mod truth;

pub use chain::{Chain, Change, Commit, OPEN_END, Restated, Version, What};
pub use truth::as_of;

#[cfg(test)]
mod tests;
