//! Checks of staged rows before anything is written. Each names up to five offending keys.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{DataFrame, SessionContext};

use crate::EngineError;
use crate::session::query;

/// Offending keys that a message shows.
pub(crate) const SHOWN: usize = 5;

/// Runs a query that finds offenders; its first rows are shown as `column=value` pairs.
///
/// # Errors
/// [`EngineError::DataQuality`] with `rule` when it finds any.
pub(crate) async fn refuse_any(session: &SessionContext, sql: &str, rule: &str) -> Result<(), EngineError> {
    let found = offenders(session, sql).await?;
    if found.is_empty() { Ok(()) } else { Err(EngineError::quality(rule, found)) }
}

/// Up to five rows of a query, as text.
pub(crate) async fn offenders(session: &SessionContext, sql: &str) -> Result<Vec<String>, EngineError> {
    offenders_of(query(session, &format!("{sql} LIMIT {SHOWN}")).await?).await
}

/// How many rows a query has, and the first of them, as text: always the same ones.
pub(crate) async fn counted_offenders(
    session: &SessionContext,
    sql: &str,
) -> Result<(u64, Vec<String>), EngineError> {
    let rows = query(session, sql).await?;
    let names = rows.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let count = rows.clone().count().await? as u64;
    if count == 0 {
        return Ok((0, Vec::new()));
    }
    let ordered = names.iter().map(|name| crate::nulls::column(name).sort(true, true)).collect();
    Ok((count, offenders_of(rows.sort(ordered)?.limit(0, Some(SHOWN))?).await?))
}

/// The rows of a query, as text, sorted.
pub(crate) async fn offenders_of(rows: DataFrame) -> Result<Vec<String>, EngineError> {
    let batches = rows.collect().await?;
    let mut shown = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            shown.push(pairs(batch, row)?);
        }
    }
    shown.sort();
    Ok(shown)
}

/// The only value of a query that gives one row with one integer.
pub(crate) async fn number(session: &SessionContext, sql: &str) -> Result<u64, EngineError> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let batches = query(session, sql).await?.collect().await?;
    let value = batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| {
        let column = batch.columns().first()?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(0).then(|| column.value(0))
    });
    Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default())
}

fn pairs(batch: &RecordBatch, row: usize) -> Result<String, EngineError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut pairs = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let shown = ArrayFormatter::try_new(column.as_ref(), &options)?;
        pairs.push(format!("{}={}", field.name(), shown.value(row)));
    }
    Ok(pairs.join(", "))
}
