//! Surrogate keys that must not be given out (semantics 2.4).

use super::DimensionMerge;
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, equal_keys, listed};
use crate::quality::refuse_any;
use crate::session::query;

/// Refuses generated keys that several members share, that another member of the target has, or that
/// belong to the default members. `keys` is a query for surrogate key and natural keys, one row a key.
pub(super) async fn refuse(merge: &DimensionMerge<'_>, keys: &str) -> Result<(), EngineError> {
    let session = merge.session;
    session.deregister_table("new_keys")?;
    session.register_table("new_keys", query(session, keys).await?.into_view())?;
    let key = merge.surrogate_key();
    let shown = listed("n", merge.keys());
    let reserved = format!("SELECT {shown}, n.{key} FROM new_keys n WHERE n.{key} IN {DEFAULT_KEYS}");
    refuse_any(session, &reserved, "a generated surrogate key is one of the default members'").await?;
    let shared = format!(
        "SELECT {shown}, n.{key} FROM new_keys n JOIN \
         (SELECT {key} FROM new_keys GROUP BY {key} HAVING count(*) > 1) d ON n.{key} = d.{key}"
    );
    refuse_any(session, &shared, "different members have the same surrogate key").await?;
    if merge.has_rows {
        let taken = format!(
            "SELECT {shown}, n.{key} FROM (SELECT * FROM target WHERE {}) t JOIN new_keys n \
             ON t.{key} = n.{key} WHERE NOT ({})",
            merge.loaded(),
            equal_keys("t", "n", merge.keys())
        );
        refuse_any(session, &taken, "another member of the dimension has the surrogate key already").await?;
    }
    Ok(())
}
