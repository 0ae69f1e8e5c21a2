//! Carrying the change columns of a feed through a row-wise query, so that forgetting them in a SELECT loses
//! nothing (semantics 5).

use std::sync::Arc;

use datafusion::common::{Column, Result as QueryResult, plan_err};
use datafusion::logical_expr::{
    Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableSource,
};

use crate::columns::{OP, TIME, VERSION};

/// The plan with the scan of `alias` replaced by `feed`, whose rows carry [`OP`], [`VERSION`] and [`TIME`],
/// and with these columns passed on to the output.
///
/// # Errors
/// A planning error when the plan is not made of projections, filters and aliases over one scan of `alias`.
pub(crate) fn carry(
    plan: &LogicalPlan,
    alias: &str,
    feed: &Arc<dyn TableSource>,
) -> QueryResult<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == alias => {
            let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), Arc::clone(feed), None)?;
            scan.build()
        }
        LogicalPlan::Projection(projection) => {
            let input = carry(&projection.input, alias, feed)?;
            let mut exprs = projection.expr.clone();
            exprs.extend(change_columns(&input));
            Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
        }
        LogicalPlan::Filter(filter) => {
            let input = carry(&filter.input, alias, feed)?;
            Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?))
        }
        LogicalPlan::SubqueryAlias(aliased) => {
            let input = carry(&aliased.input, alias, feed)?;
            let renamed = SubqueryAlias::try_new(Arc::new(input), aliased.alias.clone())?;
            Ok(LogicalPlan::SubqueryAlias(renamed))
        }
        // The order of a query's output means nothing to a table.
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => carry(&sort.input, alias, feed),
        other => plan_err!("{} cannot be followed row by row", other.display()),
    }
}

fn change_columns(input: &LogicalPlan) -> Vec<Expr> {
    let columns =
        input.schema().iter().filter(|(_, field)| [OP, VERSION, TIME].contains(&field.name().as_str()));
    columns.map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name()))).collect()
}
