//! Surrogate keys that must not be given out (semantics 2.4).

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt;
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::DimensionMerge;
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, DEFAULT_MEMBERS, equal_keys, listed, quoted};
use crate::keys::{KeySet, is_one_of};
use crate::merge::addresses;
use crate::quality::refuse_any;
use crate::session::query;

/// Rows of the target that may have one of the new keys.
pub(super) const SUSPECTS: &str = "__k_suspects";
/// New keys up to which it is worth the memory to look for each: joins spill, and this does not.
const FEW_KEYS: usize = 1024 * 1024;

/// Refuses generated keys that several members share, that another member of the target has, or that
/// belong to the default members. `keys` is a query for the key column and the natural keys, one row a key.
pub(super) async fn refuse(merge: &DimensionMerge<'_>, column: &str, keys: &str) -> Result<(), EngineError> {
    let key = quoted(column);
    if !suspect_any(merge, column, &format!("SELECT {key} FROM ({keys})")).await? {
        return Ok(());
    }
    refuse_among_new(merge, column, keys).await?;
    if !merge.has_rows {
        return Ok(());
    }
    let taken = format!(
        "SELECT {}, n.{key} FROM (SELECT * FROM {SUSPECTS} WHERE {}) t JOIN new_keys n \
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

/// Whether any of some keys may have to be refused: two are the same, one is a default member's, or a row of the target
/// has it in its `column`. `keys` is a query for them. If so, such rows of the target are a table of the session,
/// [`SUSPECTS`], perhaps with others. Of all other rows no other column is read.
pub(super) async fn suspect_any(
    merge: &DimensionMerge<'_>,
    column: &str,
    keys: &str,
) -> Result<bool, EngineError> {
    let mut stream = query(merge.session, keys).await?.execute_stream().await?;
    let mut few: Vec<i64> = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        let keys = cast(batch.column(0), &DataType::Int64)?;
        few.extend(keys.as_primitive::<Int64Type>().iter().flatten());
        if few.len() > FEW_KEYS {
            if merge.has_rows {
                merge.target.register_all(SUSPECTS).await?;
            }
            return Ok(true);
        }
    }
    let given = few.len();
    let keys: KeySet = few.into_iter().collect();
    let is_amiss = keys.len() < given || DEFAULT_MEMBERS.iter().any(|member| keys.contains(*member));
    if !merge.has_rows {
        return Ok(is_amiss);
    }
    merge.session.register_udf(is_one_of("is_new_key", keys));
    let found =
        format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM target WHERE is_new_key({})", quoted(column));
    let found = addresses(query(merge.session, &found).await?).await?;
    if !is_amiss && found.is_empty() {
        return Ok(false);
    }
    merge.target.register(SUSPECTS, merge.target.live.at(found)).await?;
    Ok(true)
}

/// What is said of a key that another member has.
pub(super) fn taken_rule(column: &str) -> String {
    format!("another member of the dimension has the `{column}` already")
}
