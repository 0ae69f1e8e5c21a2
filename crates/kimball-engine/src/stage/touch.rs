//! The rows of a query that changes can touch: a superset of those that are there another number of times than
//! before (semantics 8.2). Only their keys are looked at; what became of them is then computed anew.
//!
//! For each node of a plan in its [normal form](super::shape::normal) let *now* be its rows over the pinned
//! versions, *before* its rows over the versions that the last batch read, and *touched* a set of rows that holds
//! every row whose number differs between them. Then now and touched together (*wide*) hold every row of before:
//! a row of before that is not in now is touched. By the kind of node:
//!
//! - A source: the images in its feed.
//! - Projection, filter, union, `DISTINCT`: what they make of the touched rows of their inputs; each row of
//!   theirs comes of rows of the inputs one by one.
//! - Inner join: a pair whose number changed holds a row whose number changed, and a partner that is or was
//!   there. So: touched left with wide right, and touched right with left now. (A left row that is not there any
//!   more is touched itself, and wide right holds the touched right.)
//! - Outer join: its pairs, as before, and rows padded with NULL. A preserved row is padded or not by itself, which
//!   it is or was only if it is touched, or by its partners, which changed only if one of them is touched. So: the
//!   touched preserved rows, padded, and the preserved rows that meet a touched row of the other side, padded. Both
//!   are there whether or not a partner remains. A filter above the join, whatever it makes of NULL, sees the pair
//!   and the padded row, and so every row that it could have let through before or lets through now.
//! - `IN`, `EXISTS` and their negations are semi and anti joins: the touched left rows, and the left rows that
//!   meet a touched right row. For `NOT IN` that is not so: a NULL on the right decides for every left row.
//! - `GROUP BY`: the groups of touched rows, with their aggregates unknown.
//! - Window: every wide row of a partition that holds a touched row, with the function's value unknown.
//!
//! A column whose value is unknown holds NULL and is never looked at: a test of it is left out, which only lets
//! more rows through; what is computed from it is unknown as well. [`Followed`] says which columns are known, and
//! refuses plans in which a key is not, or in which leaving out tests would touch everything.

use std::collections::BTreeMap;

use datafusion::common::NullEquality;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Window,
};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::follow::{Followed, partition_of};
use super::meeting::{Meeting, Side, met, wide};
use super::narrow::Wanted;
use super::row_plans::{
    Behind, filtered, is_light, merged, named_columns, numbered_columns, padded, placed, projected, renamed,
    scan_of,
};
use super::{Numbering, Spool};
use crate::EngineError;
use crate::columns::TIME;
use crate::nulls::column;

/// Finds touched rows. A plan of touched rows has the columns of the node that it is for, and behind them [`TIME`]:
/// when the change was committed.
pub(super) struct Touch<'a> {
    pub(super) session: &'a SessionContext,
    pub(super) followed: Followed<'a>,
    /// For the alias of each changed source, its images: its columns and [`TIME`].
    pub(super) images: BTreeMap<String, LogicalPlan>,
    /// Touched rows that more than one plan reads.
    pub(super) kept: Vec<Spool>,
}

impl Touch<'_> {
    /// The touched rows of `plan`; `None` where there are none.
    pub(super) fn touched<'p>(
        &'p mut self,
        plan: &'p LogicalPlan,
    ) -> BoxFuture<'p, Result<Option<LogicalPlan>, EngineError>> {
        async move {
            let Some(known) = self.known(plan)? else { return Ok(None) };
            let touched = match plan {
                LogicalPlan::TableScan(scan) => {
                    let images = self.images.get(scan.table_name.table());
                    images.map(|images| placed(images.clone(), plan.schema())).transpose()?
                }
                LogicalPlan::Projection(projection) => {
                    let input = self.touched(&projection.input).await?;
                    input
                        .map(|input| projected(&projection.expr, &known, plan.schema(), input))
                        .transpose()?
                }
                LogicalPlan::Filter(filter) => {
                    let input_known = self.known(&filter.input)?.unwrap_or_default();
                    let input = self.touched(&filter.input).await?;
                    input.map(|input| filtered(filter, &input_known, input)).transpose()?
                }
                LogicalPlan::SubqueryAlias(aliased) => {
                    let input = self.touched(&aliased.input).await?;
                    input.map(|input| renamed(aliased, plan.schema(), input)).transpose()?
                }
                LogicalPlan::Distinct(Distinct::All(input)) => self.touched(input).await?,
                LogicalPlan::Sort(sort) => self.touched(&sort.input).await?,
                LogicalPlan::Union(union) => {
                    let mut parts = Vec::new();
                    for input in &union.inputs {
                        parts.extend(self.touched(input).await?);
                    }
                    merged(parts, plan.schema(), Behind::Time)?
                }
                LogicalPlan::Join(join) => self.joined(join).await?,
                LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate, &known).await?,
                LogicalPlan::Window(window) => self.windowed(window).await?,
                other => return Err(unfollowed(other)),
            };
            Ok(touched)
        }
        .boxed()
    }

    fn known(&self, plan: &LogicalPlan) -> Result<Option<Vec<bool>>, EngineError> {
        self.followed.known(plan).map_err(|reason| EngineError::Config(reason.to_string()))
    }

    fn known_or_all(&self, plan: &LogicalPlan) -> Result<Vec<bool>, EngineError> {
        Ok(self.known(plan)?.unwrap_or_else(|| vec![true; plan.schema().fields().len()]))
    }

    /// Touched rows as a table of their own where computing them costs, so that several plans can read them.
    async fn settled(
        &mut self,
        plan: &LogicalPlan,
        touched: Option<LogicalPlan>,
    ) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(touched) = touched else { return Ok(None) };
        if is_light(&touched) {
            return Ok(Some(touched));
        }
        let numbered = numbered_columns(touched, plan.schema(), Behind::Time)?;
        let frame = DataFrame::new(self.session.state(), numbered);
        let spool = Spool::fill(frame, Numbering::Plain).await?;
        if spool.rows() == 0 {
            return Ok(None);
        }
        let name = format!("__k_touched_{}", self.kept.len());
        let rows = scan_of(self.session, &spool, &name).await?;
        self.kept.push(spool);
        Ok(Some(named_columns(rows, plan.schema(), Behind::Time)?))
    }

    async fn settled_rows_of(&mut self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>, EngineError> {
        let touched = self.touched(plan).await?;
        self.settled(plan, touched).await
    }

    async fn joined(&mut self, join: &Join) -> Result<Option<LogicalPlan>, EngineError> {
        let left = self.settled_rows_of(&join.left).await?;
        let right = self.settled_rows_of(&join.right).await?;
        let (left_known, right_known) = (self.known_or_all(&join.left)?, self.known_or_all(&join.right)?);
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                let mut parts: Vec<LogicalPlan> = left.into_iter().collect();
                if let Some(right) = right {
                    let meeting = Meeting::of(join, &left_known, &right_known);
                    parts.push(meeting.left_rows(self.session, right).await?);
                }
                let mut marked = Vec::new();
                for part in parts {
                    let part = match join.join_type {
                        JoinType::LeftMark => padded(part, join.left.schema(), &join.schema, Side::Left)?,
                        _ => part,
                    };
                    marked.push(part);
                }
                return Ok(merged(marked, &join.schema, Behind::Time)?);
            }
            _ => {}
        }
        let meeting = Meeting::of(join, &left_known, &right_known);
        let mut parts = Vec::new();
        if let Some(rows) = &left {
            let other =
                wide(&join.right, right.as_ref(), meeting.wanted(self.session, rows, Side::Left).await?)?;
            parts.push(meeting.pairs(rows.clone(), Side::Left, other)?);
        }
        if let Some(rows) = &right {
            let other = wide(&join.left, None, meeting.wanted(self.session, rows, Side::Right).await?)?;
            parts.push(meeting.pairs(rows.clone(), Side::Right, other)?);
        }
        let pairs = merged(parts, &join.schema, Behind::Time)?;
        if join.join_type == JoinType::Inner {
            return Ok(pairs);
        }
        let pairs = self.settled(&LogicalPlan::Join(join.clone()), pairs).await?;
        let mut parts: Vec<LogicalPlan> = pairs.iter().cloned().collect();
        let sides = [
            (Side::Left, JoinType::Left, left, join.left.schema()),
            (Side::Right, JoinType::Right, right, join.right.schema()),
        ];
        for (side, preserving, rows, schema) in sides {
            if ![preserving, JoinType::Full].contains(&join.join_type) {
                continue;
            }
            for rows in rows.into_iter().chain(pairs.clone()) {
                parts.push(padded(rows, schema, &join.schema, side)?);
            }
        }
        Ok(merged(parts, &join.schema, Behind::Time)?)
    }

    async fn grouped(
        &mut self,
        aggregate: &Aggregate,
        known: &[bool],
    ) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(input) = self.touched(&aggregate.input).await? else { return Ok(None) };
        let values: Vec<Expr> = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).cloned().collect();
        let groups = projected(&values, known, &aggregate.schema, input)?;
        Ok(Some(LogicalPlanBuilder::from(groups).distinct()?.build()?))
    }

    async fn windowed(&mut self, window: &Window) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(rows) = self.settled_rows_of(&window.input).await? else { return Ok(None) };
        let mut partitions: Vec<&[Expr]> = window.window_expr.iter().filter_map(partition_of).collect();
        partitions.dedup();
        let mut parts = Vec::new();
        for partition in partitions {
            let name = |place: usize| format!("__k_p{place}");
            let mut values: Vec<Expr> =
                partition.iter().enumerate().map(|(place, expr)| expr.clone().alias(name(place))).collect();
            values.push(column(TIME));
            let touched = LogicalPlanBuilder::from(rows.clone()).project(values)?.distinct()?.build()?;
            let same = partition.iter().enumerate().map(|(place, expr)| (column(&name(place)), expr.clone()));
            let same: Vec<(Expr, Expr)> = same.collect();
            let wanted = Wanted::of(self.session, &touched, &window.input, &same).await?;
            let all = wide(&window.input, Some(&rows), wanted)?;
            let met = met(touched, all, same, None, NullEquality::NullEqualsNull)?;
            parts.push(padded(met, window.input.schema(), &window.schema, Side::Left)?);
        }
        Ok(merged(parts, &window.schema, Behind::Time)?)
    }
}

fn unfollowed(plan: &LogicalPlan) -> EngineError {
    EngineError::Config(format!("{} cannot be followed", plan.display()))
}
