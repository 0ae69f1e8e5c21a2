//! Plans for the rows of a node: with its columns under its names, and, for touched rows, [`TIME`] behind them.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, Filter, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, Union, cast, lit,
};
use datafusion::prelude::SessionContext;

use super::Spool;
use super::follow::tells;
use super::meeting::Side;
use crate::EngineError;
use crate::columns::TIME;
use crate::nulls::column;

/// What a plan holds behind the columns of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    Time,
    Nothing,
}

impl Behind {
    pub(super) fn columns(self) -> Vec<Expr> {
        match self {
            Self::Time => vec![column(TIME)],
            Self::Nothing => Vec::new(),
        }
    }
}

/// Some values over the rows of a plan.
pub(super) fn chosen(rows: LogicalPlan, values: Vec<Expr>) -> QueryResult<LogicalPlan> {
    LogicalPlanBuilder::from(rows).project(values)?.build()
}

/// Rows of one side of a node's columns, NULL in the others.
pub(super) fn padded(
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
pub(super) fn projected(
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

pub(super) fn filtered(filter: &Filter, known: &[bool], input: LogicalPlan) -> QueryResult<LogicalPlan> {
    let schema = filter.input.schema();
    let parts = split_conjunction(&filter.predicate).into_iter().filter(|part| tells(part, schema, known));
    match conjunction(parts.cloned()) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, input.into())?)),
        None => Ok(input),
    }
}

pub(super) fn renamed(
    aliased: &SubqueryAlias,
    schema: &DFSchema,
    input: LogicalPlan,
) -> QueryResult<LogicalPlan> {
    let renamed = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input.into(), aliased.alias.clone())?);
    let time = Expr::Column(Column::new(Some(aliased.alias.clone()), TIME)).alias(TIME);
    let columns = schema.iter().map(Expr::from).chain([time]).collect();
    chosen(renamed, columns)
}

/// The rows of a table of plain columns, under the names that a scan of `schema` gives them.
pub(super) fn placed(images: LogicalPlan, schema: &DFSchema) -> QueryResult<LogicalPlan> {
    // A feed can hold text in another encoding than the table.
    let columns = schema.iter().map(|(qualifier, field)| {
        cast(column(field.name()), field.data_type().clone())
            .alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.chain([column(TIME).alias(TIME)]).collect();
    chosen(images, columns)
}

/// The rows of several plans with the columns of one node.
pub(super) fn merged(
    parts: Vec<LogicalPlan>,
    schema: &DFSchema,
    behind: Behind,
) -> QueryResult<Option<LogicalPlan>> {
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

pub(super) fn numbered_name(place: usize) -> String {
    format!("__k_c{place}")
}

pub(super) fn numbered_columns(
    rows: LogicalPlan,
    schema: &DFSchema,
    behind: Behind,
) -> QueryResult<LogicalPlan> {
    let columns = schema.iter().enumerate();
    let columns = columns.map(|(place, field)| Expr::from(field).alias(numbered_name(place)));
    let columns = columns.chain(behind.columns()).collect();
    chosen(rows, columns)
}

pub(super) fn named_columns(
    rows: LogicalPlan,
    schema: &DFSchema,
    behind: Behind,
) -> QueryResult<LogicalPlan> {
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
pub(super) fn is_light(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(is_light)
        }
        _ => false,
    }
}
