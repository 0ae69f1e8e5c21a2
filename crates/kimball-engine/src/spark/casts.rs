//! Casts that mean something else in Spark: a time as text is `2024-01-31 09:30:00`, and as a number so many seconds since
//! 1970.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, cast, lit};

use crate::keys::spark_text_function;

const MICROS_A_SECOND: i64 = 1_000_000;

/// Replaces them in a plan that is not yet optimised; the names and types of all columns stay.
pub(super) fn settle(plan: LogicalPlan) -> QueryResult<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let settled = expr.transform_up(|expr| settled(expr, &schema))?;
            Ok(settled.update_data(|expr| name.restore(expr)))
        })
    })?;
    settled.data.recompute_schema()
}

fn settled(expr: Expr, schema: &DFSchema) -> QueryResult<Transformed<Expr>> {
    let (inner, wanted) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field.data_type()),
        _ => return Ok(Transformed::no(expr)),
    };
    let Ok(given) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let is_time = matches!(given, DataType::Timestamp(..));
    let said = match wanted {
        DataType::Utf8 if is_time || given.is_floating() => {
            spark_text_function().call(vec![(**inner).clone()])
        }
        DataType::Int64 if is_time => seconds((**inner).clone()),
        DataType::Timestamp(..) if given.is_integer() => {
            let micros = cast((**inner).clone(), DataType::Int64) * lit(MICROS_A_SECOND);
            cast(micros, wanted.clone())
        }
        _ => return Ok(Transformed::no(expr)),
    };
    Ok(Transformed::yes(said))
}

/// Whole seconds since 1970, down.
fn seconds(time: Expr) -> Expr {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let seconds = DataType::Timestamp(TimeUnit::Second, Some(Arc::from("UTC")));
    let floored = datafusion::functions::datetime::expr_fn::date_trunc(lit("second"), cast(time, micros));
    cast(cast(floored, seconds), DataType::Int64)
}
