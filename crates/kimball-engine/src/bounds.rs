//! Which part of a table a few keys can lie in, so that files, row groups and pages beyond it are not read.

use datafusion::prelude::SessionContext;

use crate::EngineError;
use crate::columns::{listed, qualified};
use crate::session::query;
use crate::spans::Spans;

/// A condition on `prefix.key` that holds for every row of a target whose keys are among those of `wanted`, a table of
/// the session or a query in parentheses. It says nothing about keys that have no [`Spans`].
///
/// # Errors
/// Whatever reading can bring.
pub(crate) async fn within(
    session: &SessionContext,
    wanted: &str,
    prefix: &str,
    keys: &[String],
) -> Result<String, EngineError> {
    let rows = query(session, &format!("SELECT {} FROM {wanted} __k_wanted", listed("", keys))).await?;
    let mut conditions = vec!["true".to_owned()];
    for (key, spans) in keys.iter().zip(Spans::of_columns(rows).await?) {
        if let Some(spans) = spans {
            conditions.push(spans.sql(&qualified(prefix, key))?);
        }
    }
    Ok(conditions.join(" AND "))
}
