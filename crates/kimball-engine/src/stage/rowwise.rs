//! Carrying the change columns of a feed through a query, so that forgetting them in a SELECT loses
//! nothing (semantics 5), and telling what kind a query is (semantics 4.11).

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as QueryResult, plan_err};
use datafusion::logical_expr::{
    Expr, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableSource,
};

use super::trace::scans_of;
use crate::columns::{OP, TIME, VERSION};

/// How a query can be kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryKind {
    /// Projection and filter over one table: every image of a row can be run through it alone.
    RowWise,
    /// Inner joins and unions too: a changed row can only affect what it joins with.
    Joining,
    /// Anything else.
    Whole,
}

impl QueryKind {
    /// The kind of a plan as it comes from the parser, before any optimisation.
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let mut kind = Self::RowWise;
        let mut scans = 0;
        let walked = plan.apply(|node| {
            let here = match node {
                LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                    Self::RowWise
                }
                LogicalPlan::TableScan(_) => {
                    scans += 1;
                    Self::RowWise
                }
                LogicalPlan::Sort(sort) if sort.fetch.is_none() => Self::RowWise,
                LogicalPlan::Join(join) if join.join_type == JoinType::Inner => Self::Joining,
                LogicalPlan::Union(_) | LogicalPlan::Distinct(_) => Self::Joining,
                _ => Self::Whole,
            };
            let simple = node.expressions().iter().all(is_simple);
            kind = match (kind, if simple { here } else { Self::Whole }) {
                (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
                (Self::Joining, _) | (_, Self::Joining) => Self::Joining,
                _ => Self::RowWise,
            };
            Ok(TreeNodeRecursion::Continue)
        });
        match (walked, kind) {
            (Err(_), _) => Self::Whole,
            (Ok(_), Self::RowWise) if scans != 1 => Self::Joining,
            (Ok(_), kind) => kind,
        }
    }
}

/// Whether an expression looks at its own row alone and always gives the same.
fn is_simple(expr: &Expr) -> bool {
    let mut simple = true;
    let walked = expr.apply(|part| {
        if matches!(
            part,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::WindowFunction(_)
        ) || part.is_volatile_node()
        {
            simple = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    simple && walked.is_ok()
}

/// The plan with the scan of `alias` replaced by `feed`, whose rows carry [`OP`], [`VERSION`] and [`TIME`],
/// and with these columns passed on to the output.
///
/// # Errors
/// A planning error when the plan reads `alias` more than once or is not made of projections, filters,
/// inner joins and aliases.
pub(crate) fn carry(
    plan: &LogicalPlan,
    alias: &str,
    feed: &Arc<dyn TableSource>,
) -> QueryResult<LogicalPlan> {
    match carried(plan, alias, feed)? {
        (plan, true) => Ok(plan),
        (_, false) => plan_err!("the query does not read `{alias}`"),
    }
}

fn carried(plan: &LogicalPlan, alias: &str, feed: &Arc<dyn TableSource>) -> QueryResult<(LogicalPlan, bool)> {
    // What does not read the feed stays as it is, whatever it is made of.
    if scans_of(plan, alias) == 0 {
        return Ok((plan.clone(), false));
    }
    match plan {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == alias => {
            let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), Arc::clone(feed), None)?;
            Ok((scan.build()?, true))
        }
        LogicalPlan::Projection(projection) => {
            let (input, carries) = carried(&projection.input, alias, feed)?;
            let mut exprs = projection.expr.clone();
            if carries {
                exprs.extend(change_columns(&input));
            }
            Ok((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?), carries))
        }
        LogicalPlan::Filter(filter) => {
            let (input, carries) = carried(&filter.input, alias, feed)?;
            Ok((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?), carries))
        }
        LogicalPlan::SubqueryAlias(aliased) => {
            let (input, carries) = carried(&aliased.input, alias, feed)?;
            let renamed = SubqueryAlias::try_new(Arc::new(input), aliased.alias.clone())?;
            Ok((LogicalPlan::SubqueryAlias(renamed), carries))
        }
        // The order of a query's output means nothing to a table.
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => carried(&sort.input, alias, feed),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let (left, in_left) = carried(&join.left, alias, feed)?;
            let (right, in_right) = carried(&join.right, alias, feed)?;
            if in_left && in_right {
                return plan_err!("`{alias}` is joined with itself");
            }
            let joined = plan.with_new_exprs(plan.expressions(), vec![left, right])?;
            Ok((joined, in_left || in_right))
        }
        other => plan_err!("{} cannot be followed row by row", other.display()),
    }
}

fn change_columns(input: &LogicalPlan) -> Vec<Expr> {
    let columns =
        input.schema().iter().filter(|(_, field)| [OP, VERSION, TIME].contains(&field.name().as_str()));
    columns.map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name()))).collect()
}
