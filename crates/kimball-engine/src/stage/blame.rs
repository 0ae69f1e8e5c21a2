//! Which rows a query fails on, and where in its text.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;
use kimball_lake::bad_value;

use super::StageInput;
use super::bind::Binder;
use crate::EngineError;
use crate::columns::{listed, quoted};
use crate::layout::{Layout, sql_name};
use crate::quality::{counted_offenders, with_rest};

/// The failure of a pipeline's query, in words: with the rows whose values do not fit the table, or with the place in the
/// query.
pub(crate) async fn blamed(input: &StageInput<'_>, cause: DataFusionError) -> EngineError {
    let Ok(binder) = Binder::new(input).await else { return cause.into() };
    if bad_value(&cause).is_some()
        && let Ok(Some(found)) = misfits(input, &binder).await
    {
        return found;
    }
    binder.blamed(cause)
}

/// The first column of the table that does not take all that the query gives, with the rows at fault. `None` where they
/// all fit; an error where it is the query itself that fails.
async fn misfits(input: &StageInput<'_>, binder: &Binder<'_>) -> Result<Option<EngineError>, EngineError> {
    let session = input.runtime.session(input.clock);
    let counts: Vec<_> = input.sources.iter().map(|_| Arc::default()).collect();
    binder.bind_all(&session, &counts).await?;
    let plan = binder.plan(&session).await?;
    let given = Arc::clone(plan.schema().inner());
    let layout = Layout::of(input.pipeline, &given, input.existing)?;
    session.register_table("__k_query", DataFrame::new(session.state(), plan).into_view())?;
    let keys: Vec<String> =
        layout.keys.iter().filter(|key| given.field_with_name(key).is_ok()).cloned().collect();
    for stored in &layout.output {
        let (column, kind) = (quoted(stored.name()), stored.data_type());
        if given.field_with_name(stored.name()).is_ok_and(|given| given.data_type() == kind) {
            continue;
        }
        let mut shown = keys.clone();
        if !shown.contains(stored.name()) {
            shown.push(stored.name().clone());
        }
        let sql = format!(
            "SELECT {} FROM __k_query WHERE {column} IS NOT NULL AND arrow_try_cast({column}, '{kind}') IS NULL",
            listed("", &shown)
        );
        let (count, found) = counted_offenders(&session, &sql).await?;
        if count > 0 {
            let rule = format!(
                "column `{}` of {} is {}, and some values are none; correct them, or make them NULL with `TRY_CAST`",
                stored.name(),
                layout.table,
                sql_name(kind)
            );
            return Ok(Some(EngineError::quality(rule, with_rest(found, count))));
        }
    }
    Ok(None)
}
