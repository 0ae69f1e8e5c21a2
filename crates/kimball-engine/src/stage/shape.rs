//! What a query is made of: whether it looks at one row at a time, whether its values hold, and the form of its
//! plan in which changes are followed.

use std::sync::Arc;

use datafusion::common::Result as QueryResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::SessionContext;

/// Why two evaluations of a query over the same rows can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fickle {
    /// It reads the run's clock.
    Clock,
    /// It calls a function that gives another value every time.
    Volatile,
}

/// The plan with explicit types, subqueries turned into joins where that is possible, and joins with their equal
/// columns found: the form in which changes are followed. It yields the same rows.
pub(super) fn normal(session: &SessionContext, plan: LogicalPlan) -> QueryResult<LogicalPlan> {
    let state = session.state();
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateOuterJoin::new()),
    ];
    Optimizer::with_rules(rules).optimize(plan, &state, |_, _| {})
}

/// Whether a query is a projection and filter over one table, so that every image of a row can be run through it
/// alone (semantics 4.11).
pub(super) fn is_row_wise(plan: &LogicalPlan) -> bool {
    let mut scans = 0;
    let mut row_wise = true;
    let walked = plan.apply(|node| {
        row_wise &= match node {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => true,
            LogicalPlan::TableScan(_) => {
                scans += 1;
                true
            }
            LogicalPlan::Sort(sort) => sort.fetch.is_none(),
            _ => false,
        } && node.expressions().iter().all(looks_at_its_row_alone);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && row_wise && scans == 1
}

fn looks_at_its_row_alone(expr: &Expr) -> bool {
    let found = expr.exists(|part| Ok(is_subquery(part) || matches!(part, Expr::WindowFunction(_))));
    matches!(found, Ok(false))
}

pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::ScalarSubquery(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
    )
}

/// Whether something in a query, subqueries included, makes it give other values over the same rows.
pub(super) fn fickle(plan: &LogicalPlan) -> Option<Fickle> {
    let mut worst = None;
    let walked = plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|part| {
                worst = worst.max(match part {
                    Expr::ScalarFunction(call) => match call.func.signature().volatility {
                        Volatility::Volatile => Some(Fickle::Volatile),
                        Volatility::Stable => Some(Fickle::Clock),
                        Volatility::Immutable => None,
                    },
                    _ => None,
                });
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() { Some(Fickle::Volatile) } else { worst }
}
