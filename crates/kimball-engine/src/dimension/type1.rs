//! Type 1: one row a member, overwritten in place (semantics 5).

use super::{DimensionMerge, arguments, collisions};
use crate::EngineError;
use crate::columns::{KEY_ORIGIN, OP, qualified};
use crate::keys::SEED;
use crate::merge::Collector;
use crate::upsert::{Derived, Upsert};

pub(super) async fn merge(merge: &DimensionMerge<'_>, collector: &mut Collector) -> Result<(), EngineError> {
    let output = merge.output();
    merge.refuse_ties(&output, None).await?;
    let key = |prefix: &str| format!("member_key({SEED}, {})", arguments(prefix, merge.keys()));
    let keys = format!(
        "SELECT DISTINCT {} AS {}, {} FROM staged s WHERE {OP} = 1",
        key("s"),
        merge.surrogate_key(),
        arguments("s", merge.keys())
    );
    collisions::refuse(merge, &keys).await?;
    let stored = qualified("h", &merge.dimension.surrogate_key);
    let mut derived = vec![
        Derived {
            column: merge.dimension.surrogate_key.clone(),
            value: format!("coalesce({stored}, {})", key("s")),
            compared: false,
        },
        Derived {
            column: KEY_ORIGIN.to_owned(),
            value: format!("coalesce(h.{KEY_ORIGIN}, 'generated')"),
            compared: false,
        },
    ];
    derived.extend(merge.stamps().into_iter().map(|(column, value)| Derived {
        column: column.to_owned(),
        value,
        compared: false,
    }));
    let upsert = Upsert {
        keys: merge.keys(),
        key_role: "natural key",
        output: &output,
        derived,
        loaded: merge.loaded(),
        arrival: merge.staged.arrival,
        delete_strategy: merge.pipeline.delete_strategy,
        missing: merge.pipeline.missing,
        has_rows: merge.has_rows,
    };
    upsert.run(merge.session, merge.live, collector).await
}
