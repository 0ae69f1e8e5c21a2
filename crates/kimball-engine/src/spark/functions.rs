//! Spark's functions.
//!
//! Where DataFusion has one of the same name it stays, unless Spark means something else by it: then Spark's goes first.

use std::sync::Arc;

use datafusion::error::Result as QueryResult;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::ScalarUDF;

use super::calendar::{AddMonths, DatePart, DateSub, DayName, MonthsBetween};
use super::date_texts::{DateFormat, FromUnixTime, ToDate, ToTimestamp, UnixTimestamp};
use super::date_units::{DateAdd, DateDiff};
use super::splitting::Split;

/// Functions by whose name Spark means something else than DataFusion, as Spark has them: a NULL makes a
/// concatenation NULL, places in a text are counted from its end when they are negative, whole numbers come of
/// rounding up and down, and `MM` is a month.
const OTHERWISE: [&str; 5] = ["ceil", "concat", "date_trunc", "floor", "substring"];

/// Makes them known.
pub(super) fn register(state: &mut SessionState) -> QueryResult<()> {
    for function in datafusion_spark::all_default_scalar_functions() {
        if OTHERWISE.contains(&function.name()) || state.udf(function.name()).is_err() {
            state.register_udf(function)?;
        }
    }
    for function in datafusion_spark::all_default_aggregate_functions() {
        if state.udaf(function.name()).is_err() {
            state.register_udaf(function)?;
        }
    }
    let own = [
        ScalarUDF::from(AddMonths::default()),
        ScalarUDF::from(DateAdd::default()),
        ScalarUDF::from(DateDiff::default()),
        ScalarUDF::from(DateFormat::default()),
        ScalarUDF::from(DateSub::default()),
        ScalarUDF::from(DayName::default()),
        ScalarUDF::from(FromUnixTime::default()),
        ScalarUDF::from(MonthsBetween::default()),
        ScalarUDF::from(Split::default()),
        ScalarUDF::from(ToDate::default()),
        ScalarUDF::from(ToTimestamp::strict()),
        ScalarUDF::from(ToTimestamp::lenient()),
        ScalarUDF::from(UnixTimestamp::default()),
    ];
    for function in own.into_iter().chain(DatePart::all().map(ScalarUDF::from)) {
        state.register_udf(Arc::new(function))?;
    }
    Ok(())
}
