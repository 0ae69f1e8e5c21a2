//! Identities that a fact protects in one way and its dimension in another: they never meet.

use crate::dialect::columns::same;
use crate::model::{ForeignKey, PiiColumn, Protection};

/// What is to be said of the columns of a lookup whose values `fact` and `dimension` protect differently. No error: a
/// source may hold tokens that somebody else made. An identity map stands between the two, so that nothing is said there.
pub(super) fn differences(key: &ForeignKey, fact: &[PiiColumn], dimension: &[PiiColumn]) -> Vec<String> {
    let Some(lookup) = key.lookup.as_ref().filter(|lookup| lookup.identity_map.is_none()) else {
        return Vec::new();
    };
    let table = key.references.as_ref().map(ToString::to_string).unwrap_or_default();
    let pairs = lookup.source_columns.iter().zip(&lookup.dimension_columns);
    let differing = pairs.filter_map(|(ours, theirs)| {
        let (here, there) = (Protected::of(fact, ours), Protected::of(dimension, theirs));
        (!here.equals(&there)).then(|| {
            format!(
                "{}: `{ours}` is looked up {here}, and `{theirs}` of {table} is kept {there}: unless a source holds \
                 protected values already, no member is ever found",
                key.column
            )
        })
    });
    differing.collect()
}

/// What identities have become, as far as it decides whether two of them can be equal.
#[derive(Debug)]
enum Protected {
    No,
    /// With the secret of this variable.
    Token(String),
    /// With the name of this column.
    Hash(String),
}

impl Protected {
    fn of(personal: &[PiiColumn], column: &str) -> Self {
        match personal.iter().find(|it| same(&it.column, column)).map(|it| &it.protection) {
            Some(Protection::Tokenize { secret }) => Self::Token(secret.name.clone()),
            Some(Protection::FastHash) => Self::Hash(column.to_owned()),
            // Refused elsewhere where it would be an identity.
            Some(Protection::Mask { .. } | Protection::Null | Protection::Drop) | None => Self::No,
        }
    }

    /// Whether equal values are equal after both. What goes into a hash is the name that the query gives its column, and the
    /// file may write that in another case.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::No, Self::No) => true,
            (Self::Token(here), Self::Token(there)) => here == there,
            (Self::Hash(here), Self::Hash(there)) => same(here, there),
            (Self::No | Self::Token(_) | Self::Hash(_), _) => false,
        }
    }
}

impl std::fmt::Display for Protected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::No => f.write_str("as it is"),
            Self::Token(variable) => write!(f, "as a token of the secret `{variable}`"),
            Self::Hash(column) => write!(f, "as the `fast_hash` of a column `{column}`"),
        }
    }
}
