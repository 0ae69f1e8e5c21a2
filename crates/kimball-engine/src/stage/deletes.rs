//! Row by row, a delete says that one source row is gone or has left the filter. Where several source rows can
//! have one merge key over time, another of them may hold the key now, though its change came first: an upserted
//! fact asks the source before it believes such a delete (semantics 8.2).

use datafusion::logical_expr::{Expr, LogicalPlan};
use kimball_config::TableKind;

use super::{Numbering, Spool, Step, numbered};
use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, listed};
use crate::session::query;

impl Step<'_> {
    pub(super) async fn row_wise_with_deletes_confirmed(&self) -> Result<Spool, EngineError> {
        let changes = self.row_wise().await?;
        let [source] = self.input.sources else { return Ok(changes) };
        if !matches!(self.input.pipeline.kind, TableKind::Fact(_)) {
            return Ok(changes);
        }
        let session = self.input.runtime.session(self.input.clock);
        let plan = self.query.normal()?;
        if self.holds_primary_key(plan, &source.source.primary_keys) {
            return Ok(changes);
        }
        changes.register(&session, "__k_changes").await?;
        let keys = listed("", self.keys);
        let deleted = format!(
            "SELECT {keys}, max({TIME}) AS {TIME} FROM (SELECT *, first_value({OP}) OVER (PARTITION BY {keys} \
             ORDER BY {VERSION} DESC, {OP} DESC) AS __k_last FROM __k_changes) WHERE __k_last = 0 GROUP BY {keys}"
        );
        let deleted = Spool::fill(query(&session, &deleted).await?, Numbering::Plain).await?;
        if deleted.rows() == 0 {
            return Ok(changes);
        }
        let found = self.recomputed(&session, plan, &deleted).await?;
        found.register(&session, "__k_found").await?;
        let output: Vec<String> = self.layout.output.iter().map(|field| field.name().clone()).collect();
        let output = listed("", &output);
        let all = format!(
            "SELECT {output}, {OP}, {VERSION}, {TIME} FROM __k_changes UNION ALL \
             SELECT {output}, {OP}, CAST({} AS BIGINT) AS {VERSION}, {TIME} FROM __k_found WHERE {OP} = 1",
            source.version()
        );
        numbered(query(&session, &all).await?).await
    }

    /// Whether the keys hold every column of a declared primary key, so that one source row alone has a key.
    fn holds_primary_key(&self, plan: &LogicalPlan, primary_key: &[String]) -> bool {
        let places = |key: &String| plan.schema().fields().iter().position(|field| field.name() == key);
        let origins: Vec<String> =
            self.keys.iter().filter_map(places).filter_map(|place| origin(plan, place)).collect();
        !primary_key.is_empty() && primary_key.iter().all(|column| origins.contains(column))
    }
}

/// The column of the table that an output column of a row-wise query is, if it is one as it stands.
fn origin(plan: &LogicalPlan, place: usize) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(_) => Some(plan.schema().field(place).name().clone()),
        LogicalPlan::Filter(filter) => origin(&filter.input, place),
        LogicalPlan::SubqueryAlias(aliased) => origin(&aliased.input, place),
        LogicalPlan::Sort(sort) => origin(&sort.input, place),
        LogicalPlan::Projection(projection) => {
            let mut expr = projection.expr.get(place)?;
            while let Expr::Alias(aliased) = expr {
                expr = &aliased.expr;
            }
            let Expr::Column(column) = expr else { return None };
            origin(&projection.input, projection.input.schema().maybe_index_of_column(column)?)
        }
        _ => None,
    }
}
