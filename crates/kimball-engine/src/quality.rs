//! Checks of staged rows before anything is written. Each names up to five offending keys, and always the same ones.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{DataFrame, SessionContext};

use crate::EngineError;
use crate::session::query;

/// Offending keys that a message shows.
pub(crate) const SHOWN: usize = 5;

/// Characters of a value that a message shows.
const SHOWN_CHARS: usize = 80;

/// Runs a query that finds offenders; its first rows are shown as `column=value` pairs.
///
/// # Errors
/// [`EngineError::DataQuality`] with `rule` when it finds any.
pub(crate) async fn refuse_any(session: &SessionContext, sql: &str, rule: &str) -> Result<(), EngineError> {
    let found = offenders(session, sql).await?;
    if found.is_empty() { Ok(()) } else { Err(EngineError::quality(rule, found)) }
}

/// Up to five rows of a query, as text, and how many more there are.
pub(crate) async fn offenders(session: &SessionContext, sql: &str) -> Result<Vec<String>, EngineError> {
    // Most queries find nothing, and need no order for that.
    if !any(session, sql).await? {
        return Ok(Vec::new());
    }
    let (count, found) = counted_offenders(session, sql).await?;
    Ok(with_rest(found, count))
}

/// Whether a query has any rows.
pub(crate) async fn any(session: &SessionContext, sql: &str) -> Result<bool, EngineError> {
    let first = query(session, &format!("{sql} LIMIT 1")).await?.collect().await?;
    Ok(first.iter().any(|batch| batch.num_rows() > 0))
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

/// Shown offenders, and behind them how many there are besides.
pub(crate) fn with_rest(mut shown: Vec<String>, count: u64) -> Vec<String> {
    let more = count.saturating_sub(shown.len() as u64);
    if more > 0 && !shown.is_empty() {
        shown.push(format!("… and {} more", grouped(more)));
    }
    shown
}

/// `1995` as `1,995`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The rows of a query, as text, in their order.
async fn offenders_of(rows: DataFrame) -> Result<Vec<String>, EngineError> {
    let batches = rows.collect().await?;
    let mut shown = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            shown.push(pairs(batch, row)?);
        }
    }
    Ok(shown)
}

/// The rows of a query that gives them in any order, as text, sorted.
pub(crate) async fn samples_of(rows: DataFrame) -> Result<Vec<String>, EngineError> {
    let mut shown = offenders_of(rows).await?;
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
        let text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string();
        let shown = if column.is_null(row) { text } else { shown(&text) };
        pairs.push(format!("{}={shown}", field.name()));
    }
    Ok(pairs.join(", "))
}

/// A value that can be told from the text around it: cut when it is long, in quotes when one would not see where it begins
/// or ends.
fn shown(value: &str) -> String {
    let is_clear =
        value == value.trim() && !value.is_empty() && value != "NULL" && !value.chars().any(char::is_control);
    let cut = match value.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", value.get(..at).unwrap_or_default()),
        None => value.to_owned(),
    };
    if is_clear { cut } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_so_that_one_sees_where_it_begins_and_ends() {
        for (value, text) in [
            ("Rome", "Rome"),
            ("", "\"\""),
            (" ", "\" \""),
            ("Rome ", "\"Rome \""),
            ("NULL", "\"NULL\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(shown(value), text);
        }
        assert_eq!(shown(&"ü".repeat(200)), format!("{}…", "ü".repeat(80)));
    }

    #[test]
    fn those_that_are_not_shown_are_counted() {
        let five = || vec!["id=1".to_owned(); 5];
        assert_eq!(with_rest(five(), 5), five());
        assert_eq!(with_rest(five(), 2_000).last().map(String::as_str), Some("… and 1,995 more"));
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(with_rest(Vec::new(), 3), Vec::<String>::new());
    }
}
