//! From the query's output to stored columns: types and the null policy (semantics 7).

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result as QueryResult;
use datafusion::functions::core::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::DataFrame;
use kimball_config::{NullPolicy, Pipeline, TableKind};

use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, literal};
use crate::layout::{Layout, Role, stored_value};

/// The query's output with stored types and without the NULLs that the policy replaces. Change columns
/// are passed on where the frame has them.
///
/// # Errors
/// [`EngineError::Config`] when a substitute does not fit its column's type.
pub(crate) fn conform(
    frame: DataFrame,
    pipeline: &Pipeline,
    layout: &Layout,
) -> Result<DataFrame, EngineError> {
    if let NullPolicy::Kimball { substitutes } = &pipeline.null_policy
        && let Some(unknown) = substitutes.keys().find(|name| {
            layout.output.iter().all(|f| f.name() != *name)
                && layout.computed.iter().all(|c| c.column != **name)
        })
    {
        let message =
            format!("attribute_substitutes names `{unknown}`, which is no column of the query's output");
        return Err(EngineError::Config(message));
    }
    let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut exprs = Vec::with_capacity(names.len());
    for field in &layout.output {
        let given = frame.schema().as_arrow().field_with_name(field.name()).map(Field::data_type);
        let given = given.unwrap_or_else(|_| field.data_type());
        let value = stored_value(field.name(), column(field.name()), given, field.data_type());
        let value = match is_partition_text(pipeline, field) {
            // Delta has no empty text in a partition: it reads back as NULL.
            true => nullif(value, lit("")),
            false => value,
        };
        let value = match substitute(pipeline, layout, field)? {
            Some(substitute) => coalesce(vec![value, lit(substitute)]),
            None => value,
        };
        exprs.push(value.alias(field.name()));
    }
    exprs.extend(
        names.iter().filter(|name| [OP, VERSION, TIME].contains(&name.as_str())).map(|name| column(name)),
    );
    Ok(frame.select(exprs)?)
}

fn is_partition_text(pipeline: &Pipeline, field: &Field) -> bool {
    matches!(&pipeline.kind, TableKind::Fact(fact) if fact.partition_by.contains(field.name()))
        && *field.data_type() == DataType::Utf8
}

/// A column by its exact name.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// What a NULL of this column becomes; `None` where NULL stays.
fn substitute(
    pipeline: &Pipeline,
    layout: &Layout,
    field: &Field,
) -> Result<Option<ScalarValue>, EngineError> {
    let (TableKind::Dimension(_), NullPolicy::Kimball { substitutes }) =
        (&pipeline.kind, &pipeline.null_policy)
    else {
        return Ok(None);
    };
    if !layout.attributes().any(|attribute| attribute == field.name()) {
        return Ok(None);
    }
    match substitutes.get(field.name()) {
        Some(written) => parse(written, field).map(Some),
        None => Ok(by_type(field.data_type())),
    }
}

/// What rows have in a column that is new to their table, as an SQL expression: what the policy makes of NULL.
///
/// # Errors
/// [`EngineError::Config`] when a substitute does not fit its column's type.
pub(crate) fn filler(pipeline: &Pipeline, layout: &Layout, field: &Field) -> Result<String, EngineError> {
    let kind = field.data_type();
    let null = format!("arrow_cast(NULL, '{kind}')");
    let is_attribute = layout.attributes().any(|attribute| attribute == field.name())
        || layout
            .computed
            .iter()
            .any(|new| new.column == *field.name() && matches!(new.role, Role::Previous(_)));
    let (TableKind::Dimension(_), NullPolicy::Kimball { substitutes }, true) =
        (&pipeline.kind, &pipeline.null_policy, is_attribute)
    else {
        return Ok(null);
    };
    let value = match substitutes.get(field.name()) {
        Some(written) => Some(parse(written, field)?),
        None => by_type(kind),
    };
    let text = value.map(|value| value.cast_to(&DataType::Utf8)).transpose()?;
    Ok(match text {
        Some(ScalarValue::Utf8(Some(text))) => format!("arrow_cast({}, '{kind}')", literal(&text)),
        _ => null,
    })
}

/// A value as written in the configuration, in a column's type.
///
/// # Errors
/// [`EngineError::Config`] when it is none.
pub(crate) fn parse(written: &str, field: &Field) -> Result<ScalarValue, EngineError> {
    ScalarValue::Utf8(Some(written.to_owned())).cast_to(field.data_type()).map_err(|_| {
        EngineError::Config(format!(
            "`{written}` is no value of column `{}` ({})",
            field.name(),
            field.data_type()
        ))
    })
}

fn by_type(kind: &DataType) -> Option<ScalarValue> {
    let epoch_1900 = || ScalarValue::Utf8(Some("1900-01-01".to_owned())).cast_to(kind).ok();
    match kind {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some("Missing".to_owned()))),
        DataType::Boolean => Some(ScalarValue::Boolean(Some(false))),
        DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => epoch_1900(),
        kind if kind.is_numeric() => zero(kind).ok(),
        _ => None,
    }
}

fn zero(kind: &DataType) -> QueryResult<ScalarValue> {
    ScalarValue::Int64(Some(0)).cast_to(kind)
}
