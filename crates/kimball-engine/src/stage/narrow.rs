//! Leaving out rows of sources that cannot lead to wanted rows of a query.
//!
//! A row is wanted when some of its columns have values of a list. The wish is handed down a plan as long as to
//! drop a row of an input drops nothing but rows that are not wanted: through projections, for columns that are
//! passed on as they are; through filters, unions and `DISTINCT`; to both sides of an inner join and to the
//! preserved side of an outer one; through a `GROUP BY` for its groups and through a window for its partition, so
//! that groups and partitions stay whole. What is joined by equal columns is wanted on both sides: rows of the
//! nullable side that are not wanted meet no preserved row that is. Where the wish cannot be handed down, all rows
//! are read; the query's own rows are tested again at its end.
//!
//! A table is narrowed twice: to the [`Spans`] of the values, by which it leaves out files, row groups and pages, and to
//! the values themselves.

use arrow::datatypes::DataType;
use datafusion::common::{Column, NullEquality};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{
    Distinct, Expr, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder, TableScan,
};
use datafusion::prelude::{DataFrame, SessionContext};

use super::follow::{partition_of, place_of};
use super::within::Within;
use crate::EngineError;
use crate::nulls::column;
use crate::spans::Spans;

/// Decimal digits that a 64-bit floating-point number holds, whatever they are.
const DIGITS_OF_DOUBLE: u8 = 15;
/// The name of the list of values in plans.
const WANTED: &str = "__k_wanted";

/// Which rows of a plan are wanted: those whose columns have the values of one row of a list.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    values: LogicalPlan,
    /// Pairs of places: of a column of the plan, and of a column of `values`.
    columns: Vec<(usize, usize)>,
    /// Of the columns of `values`.
    spans: Vec<Option<Spans>>,
    /// Whether a table is narrowed to the values themselves.
    exactly: bool,
}

impl Wanted {
    /// The rows of `plan` whose columns at some places have the values of the columns of `values` at others.
    ///
    /// # Errors
    /// Whatever looking through the values can bring.
    pub(super) async fn at(
        session: &SessionContext,
        values: LogicalPlan,
        columns: Vec<(usize, usize)>,
    ) -> Result<Self, EngineError> {
        let spans = match columns.is_empty() {
            true => Vec::new(),
            false => Spans::of_columns(DataFrame::new(session.state(), values.clone())).await?,
        };
        Ok(Self { values, columns, spans, exactly: true })
    }

    /// The rows of `plan` that rows of `list` can meet by equal values, those of `list` first; `None` where no
    /// column of `plan` is compared as it is.
    ///
    /// # Errors
    /// As for [`at`](Self::at).
    pub(super) async fn of(
        session: &SessionContext,
        list: &LogicalPlan,
        plan: &LogicalPlan,
        equal: &[(Expr, Expr)],
    ) -> Result<Option<Self>, EngineError> {
        let mut values = Vec::new();
        let mut columns = Vec::new();
        for (value, own) in equal {
            let Some(place) = plain_column(own).and_then(|column| place_of(column, plan.schema())) else {
                continue;
            };
            columns.push((place, values.len()));
            values.push(value.clone().alias(format!("__k_v{}", values.len())));
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let values = LogicalPlanBuilder::from(list.clone()).project(values)?.build()?;
        Ok(Some(Self::at(session, values, columns).await?))
    }

    /// The same for tables whose rows are compared with the values anyhow.
    pub(super) fn by_spans(self) -> Self {
        Self { exactly: false, ..self }
    }

    /// The same wish for another plan: each place of a column is mapped to that of the column it comes from.
    fn mapped(&self, place: impl Fn(usize) -> Option<usize>) -> Self {
        let columns = self.columns.iter().filter_map(|(own, value)| Some((place(*own)?, *value))).collect();
        Self { columns, ..self.clone() }
    }
}

/// `plan` without rows of its sources that cannot lead to wanted rows.
pub(super) fn narrowed(plan: &LogicalPlan, wanted: &Wanted) -> QueryResult<LogicalPlan> {
    if wanted.columns.is_empty() {
        return Ok(plan.clone());
    }
    match plan {
        LogicalPlan::TableScan(_) => scanned(plan, wanted),
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Distinct(Distinct::All(_)) => {
            rebuilt(plan, wanted)
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => rebuilt(plan, wanted),
        LogicalPlan::Union(_) => rebuilt(plan, wanted),
        LogicalPlan::Projection(projection) => {
            let schema = projection.input.schema();
            let origin = |place| {
                projection.expr.get(place).and_then(plain_column).and_then(|own| place_of(own, schema))
            };
            rebuilt(plan, &wanted.mapped(origin))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let schema = aggregate.input.schema();
            let is_plain = !aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
            let origin = |place: usize| {
                let group = aggregate.group_expr.get(place).filter(|_| is_plain)?;
                place_of(plain_column(group)?, schema)
            };
            rebuilt(plan, &wanted.mapped(origin))
        }
        LogicalPlan::Window(window) => {
            let schema = window.input.schema();
            let divides = |place: usize, expr: &Expr| {
                let partition = partition_of(expr).unwrap_or_default();
                partition
                    .iter()
                    .any(|own| plain_column(own).and_then(|own| place_of(own, schema)) == Some(place))
            };
            let origin = |place: usize| {
                let is_input = place < schema.fields().len();
                (is_input && window.window_expr.iter().all(|expr| divides(place, expr))).then_some(place)
            };
            rebuilt(plan, &wanted.mapped(origin))
        }
        LogicalPlan::Join(join) => joined(plan, join, wanted),
        _ => Ok(plan.clone()),
    }
}

/// The node over its inputs, from all of which the same is wanted.
fn rebuilt(plan: &LogicalPlan, wanted: &Wanted) -> QueryResult<LogicalPlan> {
    let inputs = plan.inputs().into_iter().map(|input| narrowed(input, wanted));
    plan.with_new_exprs(plan.expressions(), inputs.collect::<QueryResult<Vec<_>>>()?)
}

fn joined(plan: &LogicalPlan, join: &Join, wanted: &Wanted) -> QueryResult<LogicalPlan> {
    let width = join.left.schema().fields().len();
    let (mut left, mut right) = match join.join_type {
        JoinType::Inner => (
            wanted.mapped(|place| (place < width).then_some(place)),
            wanted.mapped(|place| place.checked_sub(width)),
        ),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (wanted.mapped(|place| (place < width).then_some(place)), wanted.mapped(|_| None))
        }
        JoinType::Right => (wanted.mapped(|_| None), wanted.mapped(|place| place.checked_sub(width))),
        _ => return Ok(plan.clone()),
    };
    let equal: Vec<(usize, usize)> = join
        .on
        .iter()
        .filter_map(|(l, r)| {
            let l = place_of(plain_column(l)?, join.left.schema())?;
            Some((l, place_of(plain_column(r)?, join.right.schema())?))
        })
        .collect();
    let from_left = join.join_type != JoinType::Right && !join.null_aware;
    let from_right = matches!(join.join_type, JoinType::Inner | JoinType::Right);
    let (own_left, own_right) = (left.columns.clone(), right.columns.clone());
    for (l, r) in &equal {
        if from_left {
            right.columns.extend(own_left.iter().filter(|(own, _)| own == l).map(|(_, value)| (*r, *value)));
        }
        if from_right {
            left.columns.extend(own_right.iter().filter(|(own, _)| own == r).map(|(_, value)| (*l, *value)));
        }
    }
    let inputs = vec![narrowed(&join.left, &left)?, narrowed(&join.right, &right)?];
    plan.with_new_exprs(plan.expressions(), inputs)
}

/// The wanted rows of a table. Values of another type than the column's are not compared.
fn scanned(table: &LogicalPlan, wanted: &Wanted) -> QueryResult<LogicalPlan> {
    let (schema, list) = (table.schema(), wanted.values.schema());
    let within = wanted.columns.iter().filter_map(|(place, value)| {
        let spans = wanted.spans.get(*value)?.as_ref()?;
        let own = schema.field(*place);
        let is_comparable = spans.kind() == own.data_type() && is_told_exactly(spans.kind());
        is_comparable.then(|| spans.hold(&column(own.name())))?
    });
    let plan = read_within(table, within.collect())?;
    if !wanted.exactly {
        return Ok(plan);
    }
    let mut values = Vec::new();
    let mut own = Vec::new();
    for (place, value) in &wanted.columns {
        if schema.field(*place).data_type() != list.field(*value).data_type() {
            continue;
        }
        let name = format!("__k_v{}", values.len());
        values.push(Expr::from(list.qualified_field(*value)).alias(name));
        own.push(Expr::from(schema.qualified_field(*place)));
    }
    if values.is_empty() {
        return Ok(plan);
    }
    let on = (0..values.len()).map(|place| Expr::Column(Column::new(Some(WANTED), format!("__k_v{place}"))));
    let on = on.zip(own).collect();
    let values = LogicalPlanBuilder::from(wanted.values.clone()).project(values)?.alias(WANTED)?.build()?;
    // The list is the side that is held in memory, and the table runs past it.
    Ok(LogicalPlan::Join(Join::try_new(
        values.into(),
        plan.into(),
        on,
        None,
        JoinType::RightSemi,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?))
}

/// Whether logs tell the least and the greatest value of a file as they are: decimals become floating-point numbers
/// there.
fn is_told_exactly(kind: &DataType) -> bool {
    !matches!(kind, DataType::Decimal128(digits, _) if *digits > DIGITS_OF_DOUBLE)
}

/// A scan of a table without what lies beyond some conditions.
fn read_within(plan: &LogicalPlan, conditions: Vec<Expr>) -> QueryResult<LogicalPlan> {
    let LogicalPlan::TableScan(scan) = plan else { return Ok(plan.clone()) };
    let table = Within::of(source_as_provider(&scan.source)?, conditions)?;
    Ok(LogicalPlan::TableScan(TableScan { source: provider_as_source(table), ..scan.clone() }))
}

fn plain_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(aliased) => plain_column(&aliased.expr),
        _ => None,
    }
}
