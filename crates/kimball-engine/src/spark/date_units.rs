//! `datediff` and `dateadd` with and without a unit, as Databricks SQL has them.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::common::plan_err;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Value, VisitMut,
    VisitorMut,
};

/// Functions whose first of three arguments is a unit, written as a word.
const WITH_UNIT: [&str; 6] =
    ["datediff", "date_diff", "timestampdiff", "dateadd", "date_add", "timestampadd"];

/// Quotes units that stand as words: `datediff(minute, a, b)` is `datediff('minute', a, b)`.
pub(super) fn settle(tree: &mut impl VisitMut) {
    let _: ControlFlow<()> = tree.visit(&mut Units);
}

struct Units;

impl VisitorMut for Units {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let called = name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.to_lowercase());
        let takes_unit = called.is_some_and(|called| WITH_UNIT.contains(&called.as_str()));
        if takes_unit
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(unit)), _, _] = list.args.as_mut_slice()
            && let Expr::Identifier(word) = unit
            && Unit::of(&word.value).is_some()
        {
            *unit = Expr::value(Value::SingleQuotedString(word.value.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many microseconds.
    Fixed(i64),
    /// So many months.
    Months(i64),
}

impl Unit {
    /// The unit of a word, in any case, singular or plural.
    pub(super) fn of(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        Some(match lower.strip_suffix('s').unwrap_or(&lower) {
            "microsecond" => Self::Fixed(1),
            "millisecond" => Self::Fixed(1_000),
            "second" => Self::Fixed(1_000_000),
            "minute" => Self::Fixed(60_000_000),
            "hour" => Self::Fixed(3_600_000_000),
            "day" | "dayofyear" => Self::Fixed(86_400_000_000),
            "week" => Self::Fixed(604_800_000_000),
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            _ => return None,
        })
    }

    /// Whole units from `start` to `end`, both in microseconds since 1970 (UTC).
    fn between(self, start: i64, end: i64) -> Option<i64> {
        match self {
            Self::Fixed(micros) => Some(end.checked_sub(start)? / micros),
            Self::Months(each) => Some(months_between(start, end)? / each),
        }
    }

    /// `count` units after `start`.
    fn after(self, start: i64, count: i64) -> Option<i64> {
        match self {
            Self::Fixed(micros) => start.checked_add(count.checked_mul(micros)?),
            Self::Months(each) => {
                let months = count.checked_mul(each)?;
                let from = DateTime::from_timestamp_micros(start)?;
                let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let moved =
                    if months < 0 { from.checked_sub_months(by) } else { from.checked_add_months(by) };
                Some(moved?.timestamp_micros())
            }
        }
    }
}

/// Whole months from `start` to `end`, towards zero.
fn months_between(start: i64, end: i64) -> Option<i64> {
    if end < start {
        return months_between(end, start).map(|months| -months);
    }
    let at = |micros: i64| -> Option<DateTime<Utc>> { DateTime::from_timestamp_micros(micros) };
    let (from, to) = (at(start)?, at(end)?);
    let month = |at: DateTime<Utc>| i64::from(at.year()) * 12 + i64::from(at.month());
    let within = |at: DateTime<Utc>| (at.day(), at.time());
    let months = month(to) - month(from);
    Some(if within(to) < within(from) { months - 1 } else { months })
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The unit that the first of three arguments names.
fn unit_of(value: &ColumnarValue) -> QueryResult<Unit> {
    let word = match value {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    };
    match word.and_then(Unit::of) {
        Some(unit) => Ok(unit),
        None => plan_err!(
            "the first of three arguments is a unit: microsecond, millisecond, second, minute, hour, day, week, \
             month, quarter or year"
        ),
    }
}

fn array(value: &ColumnarValue, rows: usize, kind: &DataType) -> QueryResult<ArrayRef> {
    Ok(cast(&value.to_array(rows)?, kind)?)
}

/// `datediff(end, start)`: days, INT; `datediff(unit, start, end)`: whole units, BIGINT. NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateDiff {
    signature: Signature,
    aliases: Vec<String>,
}

impl Default for DateDiff {
    fn default() -> Self {
        let aliases = ["date_diff", "timestampdiff"].map(str::to_owned).to_vec();
        Self { signature: Signature::variadic_any(Volatility::Immutable), aliases }
    }
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        "datediff"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> QueryResult<DataType> {
        match arguments.len() {
            2 => Ok(DataType::Int32),
            3 => Ok(DataType::Int64),
            _ => plan_err!("datediff takes (end, start) or (unit, start, end)"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let rows = arguments.number_rows;
        match arguments.args.as_slice() {
            [end, start] => {
                let days = |value| -> QueryResult<ArrayRef> { array(value, rows, &DataType::Date32) };
                let (end, start) = (days(end)?, days(start)?);
                let (end, start) = (end.as_primitive::<Date32Type>(), start.as_primitive::<Date32Type>());
                let apart = end.iter().zip(start).map(|(end, start)| end?.checked_sub(start?));
                Ok(ColumnarValue::Array(Arc::new(apart.collect::<Int32Array>())))
            }
            [unit, start, end] => {
                let unit = unit_of(unit)?;
                let times = |value| -> QueryResult<ArrayRef> { array(value, rows, &timestamp()) };
                let (start, end) = (times(start)?, times(end)?);
                let start = start.as_primitive::<TimestampMicrosecondType>();
                let end = end.as_primitive::<TimestampMicrosecondType>();
                let apart = start.iter().zip(end).map(|(start, end)| unit.between(start?, end?));
                Ok(ColumnarValue::Array(Arc::new(apart.collect::<Int64Array>())))
            }
            _ => plan_err!("datediff takes (end, start) or (unit, start, end)"),
        }
    }
}

/// `dateadd(date, days)`: DATE; `dateadd(unit, count, time)`: TIMESTAMP. NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateAdd {
    signature: Signature,
    aliases: Vec<String>,
}

impl Default for DateAdd {
    fn default() -> Self {
        let aliases = ["date_add", "timestampadd"].map(str::to_owned).to_vec();
        Self { signature: Signature::variadic_any(Volatility::Immutable), aliases }
    }
}

impl ScalarUDFImpl for DateAdd {
    fn name(&self) -> &str {
        "dateadd"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> QueryResult<DataType> {
        match arguments.len() {
            2 => Ok(DataType::Date32),
            3 => Ok(timestamp()),
            _ => plan_err!("dateadd takes (date, days) or (unit, count, time)"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let counts = |value| -> QueryResult<ArrayRef> { array(value, rows, &DataType::Int64) };
        match arguments.args.as_slice() {
            [date, days] => {
                let (date, days) = (array(date, rows, &DataType::Date32)?, counts(days)?);
                let moved = date.as_primitive::<Date32Type>().iter().zip(days.as_primitive::<Int64Type>());
                let moved =
                    moved.map(|(date, days)| i32::try_from(i64::from(date?).checked_add(days?)?).ok());
                Ok(ColumnarValue::Array(Arc::new(moved.collect::<arrow::array::Date32Array>())))
            }
            [unit, count, time] => {
                let (unit, count) = (unit_of(unit)?, counts(count)?);
                let time = array(time, rows, &timestamp())?;
                let moved = count.as_primitive::<Int64Type>().iter();
                let moved = moved.zip(time.as_primitive::<TimestampMicrosecondType>());
                let moved = moved.map(|(count, time)| unit.after(time?, count?));
                let moved = moved.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
                Ok(ColumnarValue::Array(Arc::new(moved)))
            }
            _ => plan_err!("dateadd takes (date, days) or (unit, count, time)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::Unit;

    fn micros(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    /// What Databricks SQL answers (`timestampdiff`): whole units, towards zero.
    #[test]
    fn units_count_when_they_are_whole() {
        for (unit, start, end, expected) in [
            ("minute", "2025-01-01T00:00:00Z", "2025-01-01T00:59:59Z", 59),
            ("HOURS", "2025-01-01T00:59:59Z", "2025-01-01T00:00:00Z", 0),
            ("day", "2025-01-02T00:00:00Z", "2025-01-01T00:00:00Z", -1),
            ("month", "2021-02-28T12:00:00Z", "2021-03-28T12:00:00Z", 1),
            ("month", "2021-02-28T12:00:00Z", "2021-03-28T11:59:59Z", 0),
            ("month", "2021-03-01T00:00:00Z", "2021-02-01T00:00:00Z", -1),
            ("quarter", "2021-01-31T00:00:00Z", "2021-10-31T00:00:00Z", 3),
            ("year", "2020-02-29T00:00:00Z", "2024-02-28T00:00:00Z", 3),
        ] {
            let unit_of = Unit::of(unit).unwrap();
            assert_eq!(unit_of.between(micros(start), micros(end)), Some(expected), "{unit} {start} {end}");
        }
        assert_eq!(Unit::of("fortnight"), None);
    }

    proptest! {
        #[test]
        fn adding_units_and_counting_them_are_inverse(start in 0_i64..4_000_000_000, count in -500_i64..500) {
            // The first of a month, so that no month is too short.
            let start = micros("2000-01-01T00:00:00Z") + start;
            for unit in ["second", "minute", "hour", "day", "week"].map(|word| Unit::of(word).unwrap()) {
                let moved = unit.after(start, count).unwrap();
                prop_assert_eq!(unit.between(start, moved), Some(count));
            }
            let first = micros("2000-01-01T00:00:00Z");
            for unit in ["month", "quarter", "year"].map(|word| Unit::of(word).unwrap()) {
                let moved = unit.after(first, count).unwrap();
                prop_assert_eq!(unit.between(first, moved), Some(count));
            }
        }
    }
}
