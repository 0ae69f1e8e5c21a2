//! Surrogate keys that must not be given out (semantics 2.4).

use super::DimensionMerge;
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, equal_keys, listed, quoted};
use crate::quality::refuse_any;
use crate::session::query;

/// Refuses generated keys that several members share, that another member of the target has, or that
/// belong to the default members. `keys` is a query for the key column and the natural keys, one row a key.
pub(super) async fn refuse(merge: &DimensionMerge<'_>, column: &str, keys: &str) -> Result<(), EngineError> {
    refuse_among_new(merge, column, keys).await?;
    if !merge.has_rows {
        return Ok(());
    }
    let key = quoted(column);
    let taken = format!(
        "SELECT {}, n.{key} FROM (SELECT * FROM target WHERE {}) t JOIN new_keys n \
         ON t.{key} = n.{key} WHERE NOT ({})",
        listed("n", merge.keys()),
        merge.loaded(),
        equal_keys("t", "n", merge.keys())
    );
    refuse_any(merge.session, &taken, &taken_rule(column)).await
}

/// The part of [`refuse`] that needs no look at the target. Leaves `new_keys` in the session.
pub(super) async fn refuse_among_new(
    merge: &DimensionMerge<'_>,
    column: &str,
    keys: &str,
) -> Result<(), EngineError> {
    let session = merge.session;
    session.deregister_table("new_keys")?;
    session.register_table("new_keys", query(session, keys).await?.into_view())?;
    let key = quoted(column);
    let shown = listed("n", merge.keys());
    let reserved = format!("SELECT {shown}, n.{key} FROM new_keys n WHERE n.{key} IN {DEFAULT_KEYS}");
    refuse_any(session, &reserved, &format!("a generated `{column}` is one of the default members'")).await?;
    let shared = format!(
        "SELECT {shown}, n.{key} FROM new_keys n JOIN \
         (SELECT {key} FROM new_keys GROUP BY {key} HAVING count(*) > 1) d ON n.{key} = d.{key}"
    );
    refuse_any(session, &shared, &format!("different members have the same `{column}`")).await
}

/// What is said of a key that another member has.
pub(super) fn taken_rule(column: &str) -> String {
    format!("another member of the dimension has the `{column}` already")
}
