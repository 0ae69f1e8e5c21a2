//! Touched rows of one side of a join with the rows of the other side that they meet.

use datafusion::common::NullEquality;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan};
use datafusion::prelude::SessionContext;

use super::follow::Conditions;
use super::narrow::{Wanted, narrowed};
use super::row_plans::{Behind, chosen, is_light, merged, numbered_columns, numbered_name};
use crate::EngineError;
use crate::columns::TIME;
use crate::nulls::column;

/// The sides of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The condition of a join as far as it can be tested.
pub(super) struct Meeting<'a> {
    join: &'a Join,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
}

impl<'a> Meeting<'a> {
    pub(super) fn of(join: &'a Join, left: &[bool], right: &[bool]) -> Self {
        let testable = Conditions::of(join, left, right);
        Self { join, on: testable.on, filter: conjunction(testable.filter) }
    }

    /// The equal columns, those of the touched side first.
    fn equal(&self, touched: Side) -> Vec<(Expr, Expr)> {
        match touched {
            Side::Left => self.on.clone(),
            Side::Right => self.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect(),
        }
    }

    /// Which rows of the other side the touched `rows` can meet.
    pub(super) async fn wanted(
        &self,
        session: &SessionContext,
        rows: &LogicalPlan,
        touched: Side,
    ) -> Result<Option<Wanted>, EngineError> {
        let other = match touched {
            Side::Left => &self.join.right,
            Side::Right => &self.join.left,
        };
        Wanted::of(session, rows, other, &self.equal(touched)).await
    }

    /// Touched rows of one side with the rows of the other that they meet: the columns of both and [`TIME`].
    pub(super) fn pairs(
        &self,
        rows: LogicalPlan,
        touched: Side,
        other: LogicalPlan,
    ) -> QueryResult<LogicalPlan> {
        let met = met(rows, other, self.equal(touched), self.filter.clone(), self.join.null_equality)?;
        let sides = self.join.left.schema().iter().chain(self.join.right.schema().iter());
        let columns = sides.map(Expr::from).chain([column(TIME)]).collect();
        chosen(met, columns)
    }

    /// The left rows that touched `right` rows meet. Both sides of a subquery can have columns of one name, so those
    /// of the right get names of their own.
    pub(super) async fn left_rows(
        &self,
        session: &SessionContext,
        right: LogicalPlan,
    ) -> Result<LogicalPlan, EngineError> {
        let (left_schema, right_schema) = (self.join.left.schema(), self.join.right.schema());
        let own = |expr: Expr, may_be_left: bool| {
            expr.transform(|part| {
                let place = match &part {
                    Expr::Column(column) if may_be_left && left_schema.has_column(column) => None,
                    Expr::Column(column) => right_schema.maybe_index_of_column(column),
                    _ => None,
                };
                Ok(place.map_or_else(
                    || Transformed::no(part),
                    |place| Transformed::yes(column(&numbered_name(place))),
                ))
            })
            .map(|transformed| transformed.data)
        };
        let rows = numbered_columns(right, right_schema, Behind::Time)?;
        let mut on = Vec::new();
        for (left, right) in &self.on {
            on.push((own(right.clone(), false)?, left.clone()));
        }
        let filter = self.filter.clone().map(|filter| own(filter, true)).transpose()?;
        let wanted = Wanted::of(session, &rows, &self.join.left, &on).await?;
        let left = wide(&self.join.left, None, wanted)?;
        let met = met(rows, left, on, filter, self.join.null_equality)?;
        let columns = left_schema.iter().map(Expr::from).chain([column(TIME)]).collect();
        Ok(chosen(met, columns)?)
    }
}

/// An inner join, the few touched rows first: they are the side that is held in memory.
pub(super) fn met(
    rows: LogicalPlan,
    other: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    nulls: NullEquality,
) -> QueryResult<LogicalPlan> {
    let constraint = JoinConstraint::On;
    let join =
        Join::try_new(rows.into(), other.into(), on, filter, JoinType::Inner, constraint, nulls, false)?;
    Ok(LogicalPlan::Join(join))
}

/// The rows of `plan` that are or were there, as far as they are wanted.
pub(super) fn wide(
    plan: &LogicalPlan,
    touched: Option<&LogicalPlan>,
    wanted: Option<Wanted>,
) -> QueryResult<LogicalPlan> {
    let now = match wanted {
        // The rows of a table as it stands are not compared twice.
        Some(wanted) if is_light(plan) => narrowed(plan, &wanted.by_spans())?,
        Some(wanted) => narrowed(plan, &wanted)?,
        None => plan.clone(),
    };
    let Some(touched) = touched else { return Ok(now) };
    let both = merged(vec![now.clone(), touched.clone()], plan.schema(), Behind::Nothing)?;
    Ok(both.unwrap_or(now))
}
