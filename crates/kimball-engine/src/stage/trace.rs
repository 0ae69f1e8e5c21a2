//! Where an output column of a query comes from, if it is a column of a source as it stands.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

/// A column of a table that a query scans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) table: String,
    pub(super) column: String,
}

/// The origin of the output column `name`: followed through projections, filters, aliases and inner joins.
///
/// `None` where the column is computed, and where another kind of node, or a table that is scanned twice,
/// makes it unsafe to say that dropping rows of the table drops nothing but output rows with their values.
pub(super) fn origin_of(plan: &LogicalPlan, name: &str) -> Option<Origin> {
    let place = plan.schema().fields().iter().position(|field| field.name() == name)?;
    let origin = follow(plan, place)?;
    (scans_of(plan, &origin.table) == 1).then_some(origin)
}

fn follow(plan: &LogicalPlan, place: usize) -> Option<Origin> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let column = plan.schema().field(place).name().clone();
            Some(Origin { table: scan.table_name.table().to_owned(), column })
        }
        LogicalPlan::Projection(projection) => {
            let column = plain_column(projection.expr.get(place)?)?;
            follow(&projection.input, projection.input.schema().maybe_index_of_column(column)?)
        }
        LogicalPlan::Filter(filter) => follow(&filter.input, place),
        LogicalPlan::SubqueryAlias(aliased) => follow(&aliased.input, place),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => follow(&sort.input, place),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let left = join.left.schema().fields().len();
            if place < left { follow(&join.left, place) } else { follow(&join.right, place - left) }
        }
        _ => None,
    }
}

fn plain_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(aliased) => plain_column(&aliased.expr),
        _ => None,
    }
}

/// How often a plan scans a table.
pub(super) fn scans_of(plan: &LogicalPlan, table: &str) -> usize {
    let here = matches!(plan, LogicalPlan::TableScan(scan) if scan.table_name.table() == table);
    usize::from(here) + plan.inputs().into_iter().map(|input| scans_of(input, table)).sum::<usize>()
}
