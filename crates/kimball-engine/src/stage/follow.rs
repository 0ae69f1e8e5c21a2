//! Which columns of a row are known when a changed row touches it; see [`super::touch`] for why that matters.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan, Window};

use super::approach::WholeReason;
use super::shape::is_subquery;

/// Follows changes of some sources through a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed<'a> {
    /// The aliases of the sources that changed.
    pub(super) changed: &'a BTreeSet<String>,
}

/// The parts of a join's condition that can be tested.
pub(super) struct Conditions {
    pub(super) on: Vec<(Expr, Expr)>,
    pub(super) filter: Vec<Expr>,
}

impl Followed<'_> {
    /// Which columns of `plan` the rows tell that its changed sources touch; `None` when they touch none.
    ///
    /// # Errors
    /// Why changes cannot be followed.
    pub(super) fn known(&self, plan: &LogicalPlan) -> Result<Option<Vec<bool>>, WholeReason> {
        let has_subquery = |expr: &Expr| !matches!(expr.exists(|part| Ok(is_subquery(part))), Ok(false));
        if plan.expressions().iter().any(has_subquery) {
            return Err(WholeReason::Subquery);
        }
        match plan {
            LogicalPlan::TableScan(scan) => {
                let is_changed = self.changed.contains(scan.table_name.table());
                Ok(is_changed.then(|| vec![true; plan.schema().fields().len()]))
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(None),
            LogicalPlan::Filter(filter) => self.known(&filter.input),
            LogicalPlan::SubqueryAlias(aliased) => self.known(&aliased.input),
            LogicalPlan::Distinct(Distinct::All(input)) => self.known(input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.known(&sort.input),
            LogicalPlan::Projection(projection) => {
                let Some(known) = self.known(&projection.input)? else { return Ok(None) };
                let schema = projection.input.schema();
                Ok(Some(projection.expr.iter().map(|expr| tells(expr, schema, &known)).collect()))
            }
            LogicalPlan::Union(union) => {
                let mut all: Option<Vec<bool>> = None;
                for input in &union.inputs {
                    let Some(known) = self.known(input)? else { continue };
                    all = Some(match all {
                        None => known,
                        Some(others) => {
                            others.iter().zip(&known).map(|(one, other)| *one && *other).collect()
                        }
                    });
                }
                Ok(all)
            }
            LogicalPlan::Join(join) => self.joined(join),
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate),
            LogicalPlan::Window(window) => self.windowed(window),
            other => self.unfollowed(other),
        }
    }

    /// What is not followed does no harm where no changed source is below it.
    fn unfollowed(&self, plan: &LogicalPlan) -> Result<Option<Vec<bool>>, WholeReason> {
        for input in plan.inputs() {
            if self.known(input)?.is_some() {
                return Err(match plan {
                    LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => WholeReason::Limit,
                    LogicalPlan::Distinct(_) => WholeReason::DistinctOn,
                    LogicalPlan::RecursiveQuery(_) => WholeReason::Recursive,
                    LogicalPlan::Subquery(_) => WholeReason::Subquery,
                    _ => WholeReason::Other,
                });
            }
        }
        Ok(None)
    }

    fn joined(&self, join: &Join) -> Result<Option<Vec<bool>>, WholeReason> {
        let (left, right) = (self.known(&join.left)?, self.known(&join.right)?);
        if left.is_none() && right.is_none() {
            return Ok(None);
        }
        if join.null_aware && right.is_some() {
            return Err(WholeReason::NotIn);
        }
        let all = |plan: &LogicalPlan| vec![true; plan.schema().fields().len()];
        let left = left.unwrap_or_else(|| all(&join.left));
        let right_changed = right.is_some();
        let right = right.unwrap_or_else(|| all(&join.right));
        let has_condition = !join.on.is_empty() || join.filter.is_some();
        let testable = Conditions::of(join, &left, &right);
        let meets_everything = testable.on.is_empty() && testable.filter.is_empty();
        let (outputs, needs_right) = match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                (left.into_iter().chain(right).collect(), true)
            }
            JoinType::LeftSemi | JoinType::LeftAnti => (left, right_changed),
            JoinType::LeftMark => (left.into_iter().chain([false]).collect(), right_changed),
            _ => return Err(WholeReason::Other),
        };
        if has_condition && meets_everything && needs_right {
            return Err(WholeReason::ComputedJoin);
        }
        Ok(Some(outputs))
    }

    fn grouped(&self, aggregate: &Aggregate) -> Result<Option<Vec<bool>>, WholeReason> {
        let Some(known) = self.known(&aggregate.input)? else { return Ok(None) };
        if aggregate.group_expr.is_empty() {
            return Err(WholeReason::GlobalAggregate);
        }
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(WholeReason::GroupingSets);
        }
        let schema = aggregate.input.schema();
        let groups = aggregate.group_expr.iter().map(|expr| tells(expr, schema, &known));
        Ok(Some(groups.chain(aggregate.aggr_expr.iter().map(|_| false)).collect()))
    }

    fn windowed(&self, window: &Window) -> Result<Option<Vec<bool>>, WholeReason> {
        let Some(known) = self.known(&window.input)? else { return Ok(None) };
        let schema = window.input.schema();
        for expr in &window.window_expr {
            let partition = partition_of(expr).ok_or(WholeReason::Other)?;
            if partition.is_empty() {
                return Err(WholeReason::WholeWindow);
            }
            if !partition.iter().all(|expr| tells(expr, schema, &known)) {
                return Err(WholeReason::ComputedWindow);
            }
        }
        Ok(Some(known.into_iter().chain(window.window_expr.iter().map(|_| false)).collect()))
    }
}

impl Conditions {
    /// What of a join's condition looks at known columns alone; to leave out the rest makes more rows meet.
    pub(super) fn of(join: &Join, left: &[bool], right: &[bool]) -> Self {
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        let on = join.on.iter().filter(|(l, r)| tells(l, left_schema, left) && tells(r, right_schema, right));
        let is_known = |column: &Column| {
            place_of(column, left_schema).map_or_else(
                || place_of(column, right_schema).is_some_and(|place| right.get(place) == Some(&true)),
                |place| left.get(place) == Some(&true),
            )
        };
        let parts = join.filter.iter().flat_map(split_conjunction);
        let filter = parts.filter(|part| part.column_refs().into_iter().all(is_known));
        Self { on: on.cloned().collect(), filter: filter.cloned().collect() }
    }
}

/// What a window function is computed over.
pub(super) fn partition_of(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::WindowFunction(call) => Some(&call.params.partition_by),
        Expr::Alias(aliased) => partition_of(&aliased.expr),
        _ => None,
    }
}

/// Whether an expression looks at known columns alone.
pub(super) fn tells(expr: &Expr, schema: &DFSchema, known: &[bool]) -> bool {
    let is_known =
        |column: &Column| place_of(column, schema).and_then(|place| known.get(place)) == Some(&true);
    expr.column_refs().into_iter().all(is_known)
}

pub(super) fn place_of(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

#[cfg(test)]
mod tests;
