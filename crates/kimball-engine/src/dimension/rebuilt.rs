//! What outlives a rebuild: inferred members that the sources still do not know, as facts point at them.

use std::sync::Arc;

use arrow::datatypes::Field;
use futures::TryStreamExt;
use kimball_config::Dimension;
use kimball_lake::{LiveRows, read_type};

use super::loaded_rows;
use crate::EngineError;
use crate::columns::{IS_SKELETON, OP, equal_keys, listed, quoted};
use crate::merge::Collector;
use crate::nulls::filler;
use crate::session::query;
use crate::target::{TargetRows, retyped};

/// Writes the inferred members of `live`, rows with the columns of `rows.stored`, that the session's `staged` does not
/// hold.
pub(crate) async fn keep_inferred(
    dimension: &Dimension,
    rows: &TargetRows<'_>,
    live: &LiveRows,
    collector: &mut Collector,
) -> Result<(), EngineError> {
    let keys = &dimension.natural_keys;
    let known = |column: &str| rows.stored.field_with_name(column).is_ok();
    if !known(IS_SKELETON) || !keys.iter().all(|key| known(key)) {
        return Ok(());
    }
    rows.session.deregister_table("__k_rebuilt")?;
    rows.session.register_table("__k_rebuilt", Arc::new(live.clone()))?;
    let columns = rows.layout.schema.fields().iter().map(|field| carried(field, rows, dimension));
    let sql = format!(
        "SELECT i.* FROM (SELECT {} FROM __k_rebuilt WHERE {IS_SKELETON} AND {}) i \
         LEFT ANTI JOIN (SELECT DISTINCT {} FROM staged WHERE {OP} = 1) s ON {}",
        columns.collect::<Result<Vec<_>, _>>()?.join(", "),
        loaded_rows(&dimension.surrogate_key),
        listed("", keys),
        equal_keys("i", "s", keys)
    );
    let mut inferred = query(rows.session, &sql).await?.execute_stream().await?;
    while let Some(batch) = inferred.try_next().await? {
        collector.write_uncounted(batch).await?;
    }
    Ok(())
}

/// A column as the rebuilt table has it: nobody told an attribute of an inferred member, so that one that is read as
/// another type is filled anew.
fn carried(field: &Field, rows: &TargetRows<'_>, dimension: &Dimension) -> Result<String, EngineError> {
    let name = quoted(field.name());
    Ok(match rows.stored.field_with_name(field.name()) {
        Ok(old) if old.data_type() == field.data_type() => name,
        Ok(old)
            if dimension.natural_keys.contains(field.name())
                || read_type(old.data_type()) == *field.data_type() =>
        {
            format!("{} AS {name}", retyped(&name, old.data_type(), field.data_type()))
        }
        _ => format!("{} AS {name}", filler(rows.pipeline, rows.layout, field)?),
    })
}
