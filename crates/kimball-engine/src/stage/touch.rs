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
use std::sync::Arc;

use datafusion::common::{DFSchema, NullEquality, ScalarValue};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder,
    SubqueryAlias, Union, Window, cast, lit,
};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::follow::{Followed, partition_of, tells};
use super::narrow::{Wanted, narrowed};
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
        let spool = Spool::fill(frame.execute_stream().await?, Numbering::Plain).await?;
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
                    parts.push(Meeting::of(join, &left_known, &right_known).left_rows(right)?);
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
            let other = wide(&join.right, right.as_ref(), meeting.wanted(rows, Side::Left)?)?;
            parts.push(meeting.pairs(rows.clone(), Side::Left, other)?);
        }
        if let Some(rows) = &right {
            let other = wide(&join.left, None, meeting.wanted(rows, Side::Right)?)?;
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
            let wanted = Wanted::of(&touched, &window.input, &same)?;
            let all = wide(&window.input, Some(&rows), wanted)?;
            let met = met(touched, all, same, None, NullEquality::NullEqualsNull)?;
            parts.push(padded(met, window.input.schema(), &window.schema, Side::Left)?);
        }
        Ok(merged(parts, &window.schema, Behind::Time)?)
    }
}

/// The sides of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The condition of a join as far as it can be tested.
struct Meeting<'a> {
    join: &'a Join,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
}

impl<'a> Meeting<'a> {
    fn of(join: &'a Join, left: &[bool], right: &[bool]) -> Self {
        let testable = super::follow::Conditions::of(join, left, right);
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
    fn wanted(&self, rows: &LogicalPlan, touched: Side) -> QueryResult<Option<Wanted>> {
        let other = match touched {
            Side::Left => &self.join.right,
            Side::Right => &self.join.left,
        };
        Wanted::of(rows, other, &self.equal(touched))
    }

    /// Touched rows of one side with the rows of the other that they meet: the columns of both and [`TIME`].
    fn pairs(&self, rows: LogicalPlan, touched: Side, other: LogicalPlan) -> QueryResult<LogicalPlan> {
        let met = met(rows, other, self.equal(touched), self.filter.clone(), self.join.null_equality)?;
        let sides = self.join.left.schema().iter().chain(self.join.right.schema().iter());
        let columns = sides.map(Expr::from).chain([column(TIME)]).collect();
        chosen(met, columns)
    }

    /// The left rows that touched `right` rows meet. Both sides of a subquery can have columns of one name, so those
    /// of the right get names of their own.
    fn left_rows(&self, right: LogicalPlan) -> QueryResult<LogicalPlan> {
        let (left_schema, right_schema) = (self.join.left.schema(), self.join.right.schema());
        let own = |expr: Expr, may_be_left: bool| {
            use datafusion::common::tree_node::{Transformed, TreeNode};
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
        let wanted = Wanted::of(&rows, &self.join.left, &on)?;
        let left = wide(&self.join.left, None, wanted)?;
        let met = met(rows, left, on, filter, self.join.null_equality)?;
        let columns = left_schema.iter().map(Expr::from).chain([column(TIME)]).collect();
        chosen(met, columns)
    }
}

/// What a plan holds behind the columns of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Time,
    Nothing,
}

impl Behind {
    fn columns(self) -> Vec<Expr> {
        match self {
            Self::Time => vec![column(TIME)],
            Self::Nothing => Vec::new(),
        }
    }
}

/// An inner join, the few touched rows first: they are the side that is held in memory.
fn met(
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
fn wide(
    plan: &LogicalPlan,
    touched: Option<&LogicalPlan>,
    wanted: Option<Wanted>,
) -> QueryResult<LogicalPlan> {
    let now = match wanted {
        // What is a table as it stands is not looked through twice.
        Some(wanted) if !is_light(plan) => narrowed(plan, &wanted)?,
        _ => plan.clone(),
    };
    let Some(touched) = touched else { return Ok(now) };
    let both = merged(vec![now.clone(), touched.clone()], plan.schema(), Behind::Nothing)?;
    Ok(both.unwrap_or(now))
}

/// Some values over the rows of a plan.
fn chosen(rows: LogicalPlan, values: Vec<Expr>) -> QueryResult<LogicalPlan> {
    LogicalPlanBuilder::from(rows).project(values)?.build()
}

/// Rows of one side of a node's columns, NULL in the others.
fn padded(
    rows: LogicalPlan,
    side_schema: &DFSchema,
    schema: &DFSchema,
    side: Side,
) -> QueryResult<LogicalPlan> {
    let width = side_schema.fields().len();
    let first = match side {
        Side::Left => 0,
        Side::Right => schema.fields().len() - width,
    };
    let columns = schema.iter().enumerate().map(|(place, (qualifier, field))| {
        if (first..first + width).contains(&place) {
            return Ok(Expr::from((qualifier, field)));
        }
        Ok(lit(ScalarValue::try_new_null(field.data_type())?)
            .alias_qualified(qualifier.cloned(), field.name()))
    });
    let mut columns = columns.collect::<QueryResult<Vec<_>>>()?;
    columns.push(column(TIME));
    chosen(rows, columns)
}

/// The known ones of a node's values over touched rows of its input, NULL for the others.
fn projected(
    values: &[Expr],
    known: &[bool],
    schema: &DFSchema,
    input: LogicalPlan,
) -> QueryResult<LogicalPlan> {
    let columns = values.iter().zip(known).zip(schema.iter()).map(|((value, known), (qualifier, field))| {
        let value = match known {
            true => value.clone().unalias(),
            false => lit(ScalarValue::try_new_null(field.data_type())?),
        };
        Ok(match &value {
            Expr::Column(own) if own.relation.as_ref() == qualifier && own.name == *field.name() => value,
            _ => value.alias_qualified(qualifier.cloned(), field.name()),
        })
    });
    let mut columns = columns.collect::<QueryResult<Vec<_>>>()?;
    columns.push(column(TIME));
    chosen(input, columns)
}

fn filtered(filter: &Filter, known: &[bool], input: LogicalPlan) -> QueryResult<LogicalPlan> {
    let schema = filter.input.schema();
    let parts = split_conjunction(&filter.predicate).into_iter().filter(|part| tells(part, schema, known));
    match conjunction(parts.cloned()) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, input.into())?)),
        None => Ok(input),
    }
}

fn renamed(aliased: &SubqueryAlias, schema: &DFSchema, input: LogicalPlan) -> QueryResult<LogicalPlan> {
    let renamed = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input.into(), aliased.alias.clone())?);
    let time = Expr::Column(datafusion::common::Column::new(Some(aliased.alias.clone()), TIME)).alias(TIME);
    let columns = schema.iter().map(Expr::from).chain([time]).collect();
    chosen(renamed, columns)
}

/// The rows of a table of plain columns, under the names that a scan of `schema` gives them.
fn placed(images: LogicalPlan, schema: &DFSchema) -> QueryResult<LogicalPlan> {
    // A feed can hold text in another encoding than the table.
    let columns = schema.iter().map(|(qualifier, field)| {
        cast(column(field.name()), field.data_type().clone())
            .alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.chain([column(TIME).alias(TIME)]).collect();
    chosen(images, columns)
}

/// The rows of several plans with the columns of one node.
fn merged(parts: Vec<LogicalPlan>, schema: &DFSchema, behind: Behind) -> QueryResult<Option<LogicalPlan>> {
    if let [only] = parts.as_slice()
        && schema
            .iter()
            .zip(only.schema().iter())
            .all(|(wanted, own)| wanted.0 == own.0 && wanted.1.name() == own.1.name())
    {
        return Ok(parts.into_iter().next());
    }
    let width = schema.fields().len();
    let numbered = parts.into_iter().map(|part| {
        let own = DFSchema::clone(part.schema());
        let columns = own.iter().take(width).enumerate();
        let columns = columns.map(|(place, field)| Expr::from(field).alias(numbered_name(place)));
        chosen(part, columns.chain(behind.columns()).collect())
    });
    let mut numbered = numbered.collect::<QueryResult<Vec<_>>>()?;
    let all = match (numbered.pop(), numbered.is_empty()) {
        (None, _) => return Ok(None),
        (Some(only), true) => only,
        (Some(last), false) => {
            numbered.push(last);
            LogicalPlan::Union(Union::try_new(numbered.into_iter().map(Arc::new).collect())?)
        }
    };
    named_columns(all, schema, behind).map(Some)
}

fn numbered_name(place: usize) -> String {
    format!("__k_c{place}")
}

fn numbered_columns(rows: LogicalPlan, schema: &DFSchema, behind: Behind) -> QueryResult<LogicalPlan> {
    let columns = schema.iter().enumerate();
    let columns = columns.map(|(place, field)| Expr::from(field).alias(numbered_name(place)));
    let columns = columns.chain(behind.columns()).collect();
    chosen(rows, columns)
}

fn named_columns(rows: LogicalPlan, schema: &DFSchema, behind: Behind) -> QueryResult<LogicalPlan> {
    let columns = schema.iter().enumerate().map(|(place, (qualifier, field))| {
        column(&numbered_name(place)).alias_qualified(qualifier.cloned(), field.name())
    });
    let time = behind.columns().into_iter().map(|time| time.alias(TIME));
    let columns = columns.chain(time).collect();
    chosen(rows, columns)
}

/// Kept rows as a scan of a table of the session.
pub(super) async fn scan_of(
    session: &SessionContext,
    spool: &Spool,
    name: &str,
) -> Result<LogicalPlan, EngineError> {
    spool.register(session, name).await?;
    let table = datafusion::datasource::provider_as_source(session.table_provider(name).await?);
    Ok(LogicalPlanBuilder::scan(name, table, None)?.build()?)
}

/// Whether a plan is but a look at one table.
fn is_light(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(is_light)
        }
        _ => false,
    }
}

fn unfollowed(plan: &LogicalPlan) -> EngineError {
    EngineError::Config(format!("{} cannot be followed", plan.display()))
}
