//! Which part of a table a few keys can lie in, so that files, row groups and pages beyond it are not read.

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;

use crate::EngineError;
use crate::columns::{literal, qualified, quoted};
use crate::session::query;

/// A condition on `prefix.key` that holds for every row of a target whose keys are among those of `wanted`, a table of
/// the session or a query in parentheses. It says nothing about keys whose type has no text to read it from, and about those that may be NULL.
///
/// # Errors
/// Whatever reading can bring.
pub(crate) async fn within(
    session: &SessionContext,
    wanted: &str,
    prefix: &str,
    keys: &[String],
) -> Result<String, EngineError> {
    let wanted = format!("{wanted} __k_wanted");
    let schema = query(session, &format!("SELECT * FROM {wanted}")).await?.schema().as_arrow().clone();
    let bounded: Vec<(&String, &DataType)> = keys
        .iter()
        .filter_map(|key| Some((key, schema.field_with_name(key).ok()?.data_type())))
        .filter(|(_, kind)| is_told_by_text(kind))
        .collect();
    let mut conditions = vec!["true".to_owned()];
    if !bounded.is_empty() {
        let ends = bounded.iter().flat_map(|(key, _)| {
            let key = quoted(key);
            [
                format!("CAST(min({key}) AS VARCHAR)"),
                format!("CAST(CASE WHEN count({key}) = count(*) THEN max({key}) END AS VARCHAR)"),
            ]
        });
        let sql = format!("SELECT {} FROM {wanted}", ends.collect::<Vec<_>>().join(", "));
        let found = query(session, &sql).await?.collect().await?;
        let texts: Vec<Option<String>> = found
            .first()
            .map(|row| row.columns().iter().map(|column| text_of(column.as_ref())).collect())
            .unwrap_or_default();
        for ((key, kind), ends) in bounded.iter().zip(texts.chunks_exact(2)) {
            if let [Some(least), Some(greatest)] = ends {
                let value = |text: &str| format!("arrow_cast({}, '{kind}')", literal(text));
                let (key, least, greatest) = (qualified(prefix, key), value(least), value(greatest));
                conditions.push(format!("{key} >= {least} AND {key} <= {greatest}"));
            }
        }
    }
    Ok(conditions.join(" AND "))
}

/// Types whose values text tells exactly, and in whose order files keep their statistics.
fn is_told_by_text(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::Date32 | DataType::Decimal128(_, _))
}

fn text_of(column: &dyn arrow::array::Array) -> Option<String> {
    let column = arrow::compute::cast(column, &DataType::Utf8).ok()?;
    let texts = column.as_string::<i32>();
    texts.iter().next().flatten().map(str::to_owned)
}
