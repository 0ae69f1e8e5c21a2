//! Parts of dates, and dates some days or months away, as Spark has them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Timelike, Utc};
use datafusion::common::plan_err;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

fn array(value: &ColumnarValue, rows: usize, kind: &DataType) -> QueryResult<ArrayRef> {
    Ok(cast(&value.to_array(rows)?, kind)?)
}

fn date_of(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(days)
}

/// `year(time)`, `dayofweek(time)` and the like: INT; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DatePart {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

/// The functions, and what else they are called.
const PARTS: [(&str, &[&str]); 11] = [
    ("year", &[]),
    ("quarter", &[]),
    ("month", &[]),
    ("day", &["dayofmonth"]),
    ("dayofweek", &[]),
    ("weekday", &[]),
    ("dayofyear", &[]),
    ("weekofyear", &[]),
    ("hour", &[]),
    ("minute", &[]),
    ("second", &[]),
];

impl DatePart {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        PARTS.into_iter().map(|(name, aliases)| Self {
            name,
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            signature: Signature::any(1, Volatility::Immutable),
        })
    }

    fn of(&self, at: DateTime<Utc>) -> u32 {
        match self.name {
            // Before the common era only, which no table of ours holds.
            "year" => u32::try_from(at.year()).unwrap_or_default(),
            "quarter" => at.month0() / 3 + 1,
            "month" => at.month(),
            "day" => at.day(),
            // From Sunday, 1, to Saturday, 7; `weekday` from Monday, 0, to Sunday, 6.
            "dayofweek" => at.weekday().num_days_from_sunday() + 1,
            "weekday" => at.weekday().num_days_from_monday(),
            "dayofyear" => at.ordinal(),
            "weekofyear" => at.iso_week().week(),
            "hour" => at.hour(),
            "minute" => at.minute(),
            _ => at.second(),
        }
    }
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let [time] = arguments.args.as_slice() else { return plan_err!("{} takes one time", self.name) };
        let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let times = array(time, arguments.number_rows, &kind)?;
        let parts = times.as_primitive::<TimestampMicrosecondType>().iter().map(|micros| {
            let at = DateTime::from_timestamp_micros(micros?)?;
            i32::try_from(self.of(at)).ok()
        });
        Ok(ColumnarValue::Array(Arc::new(parts.collect::<Int32Array>())))
    }
}

/// `date_sub(date, days)`: DATE; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateSub {
    signature: Signature,
}

/// `add_months(date, months)`: DATE, the last day of a month where the day is not there; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AddMonths {
    signature: Signature,
}

impl Default for DateSub {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl Default for AddMonths {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// The dates of the first argument moved by the numbers of the second.
fn moved(
    arguments: &ScalarFunctionArgs,
    step: impl Fn(NaiveDate, i64) -> Option<NaiveDate>,
) -> QueryResult<ColumnarValue> {
    let [date, count] = arguments.args.as_slice() else { return plan_err!("a date and a number are wanted") };
    let dates = array(date, arguments.number_rows, &DataType::Date32)?;
    let counts = array(count, arguments.number_rows, &DataType::Int64)?;
    let moved = dates.as_primitive::<Date32Type>().iter().zip(counts.as_primitive::<Int64Type>());
    let moved = moved.map(|(date, count)| Some(step(date_of(date?)?, count?)?.to_epoch_days()));
    Ok(ColumnarValue::Array(Arc::new(moved.collect::<Date32Array>())))
}

impl ScalarUDFImpl for DateSub {
    fn name(&self) -> &str {
        "date_sub"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        moved(&arguments, |date, days| {
            let by = Days::new(days.unsigned_abs());
            if days < 0 { date.checked_add_days(by) } else { date.checked_sub_days(by) }
        })
    }
}

impl ScalarUDFImpl for AddMonths {
    fn name(&self) -> &str {
        "add_months"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        moved(&arguments, |date, months| {
            let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            if months < 0 { date.checked_sub_months(by) } else { date.checked_add_months(by) }
        })
    }
}

/// `dayname(time)`: `Mon` to `Sun`; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DayName {
    signature: Signature,
}

impl Default for DayName {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DayName {
    fn name(&self) -> &str {
        "dayname"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let [date] = arguments.args.as_slice() else { return plan_err!("dayname takes one date") };
        let dates = array(date, arguments.number_rows, &DataType::Date32)?;
        let names = dates.as_primitive::<Date32Type>().iter();
        let names = names.map(|days| Some(date_of(days?)?.weekday().to_string()));
        Ok(ColumnarValue::Array(Arc::new(names.collect::<StringArray>())))
    }
}

/// `months_between(later, earlier)`: DOUBLE, days being parts of a month of 31, to eight digits; whole where both are the
/// same day of a month, or its last; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MonthsBetween {
    signature: Signature,
}

impl Default for MonthsBetween {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MonthsBetween {
    fn name(&self) -> &str {
        "months_between"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let [later, earlier] = arguments.args.as_slice() else { return plan_err!("two times are wanted") };
        let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let later = array(later, arguments.number_rows, &kind)?;
        let earlier = array(earlier, arguments.number_rows, &kind)?;
        let pairs = later.as_primitive::<TimestampMicrosecondType>().iter();
        let pairs = pairs.zip(earlier.as_primitive::<TimestampMicrosecondType>());
        let months = pairs.map(|(later, earlier)| {
            let at = |micros: Option<i64>| DateTime::from_timestamp_micros(micros?);
            Some(months_between(at(later)?, at(earlier)?))
        });
        Ok(ColumnarValue::Array(Arc::new(months.collect::<Float64Array>())))
    }
}

fn months_between(later: DateTime<Utc>, earlier: DateTime<Utc>) -> f64 {
    const SECONDS_A_MONTH: f64 = 31.0 * 86_400.0;
    const DIGITS: f64 = 1e8;
    let months = |at: DateTime<Utc>| f64::from(at.year() * 12) + f64::from(at.month0());
    let is_last = |at: DateTime<Utc>| (at + TimeDelta::days(1)).day() == 1;
    let whole = months(later) - months(earlier);
    if later.day() == earlier.day() || (is_last(later) && is_last(earlier)) {
        return whole;
    }
    let seconds =
        |at: DateTime<Utc>| f64::from(at.day()) * 86_400.0 + f64::from(at.num_seconds_from_midnight());
    let rest = (seconds(later) - seconds(earlier)) / SECONDS_A_MONTH;
    ((whole + rest) * DIGITS).round() / DIGITS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::DateTime;

    use super::{DatePart, months_between};

    /// What Spark answers.
    #[test]
    fn months_are_whole_where_days_agree() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        for (later, earlier, expected) in [
            ("1997-02-28T10:30:00Z", "1996-10-30T00:00:00Z", 3.949_596_77),
            ("2024-03-05T00:00:00Z", "2024-01-05T12:00:00Z", 2.0),
            ("2024-02-29T00:00:00Z", "2024-01-31T00:00:00Z", 1.0),
            ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", -0.032_258_06),
        ] {
            let months = months_between(at(later), at(earlier));
            assert!((months - expected).abs() < 1e-9, "{later} {earlier}: {months}");
        }
    }

    /// What Spark answers for a Sunday that ISO counts to the week of the year before.
    #[test]
    fn parts_are_those_of_spark() {
        let at = DateTime::parse_from_rfc3339("2023-01-01T23:59:58Z").unwrap().to_utc();
        let parts: Vec<(&str, u32)> = DatePart::all().map(|part| (part.name, part.of(at))).collect();
        assert_eq!(
            parts,
            [
                ("year", 2023),
                ("quarter", 1),
                ("month", 1),
                ("day", 1),
                ("dayofweek", 1),
                ("weekday", 6),
                ("dayofyear", 1),
                ("weekofyear", 52),
                ("hour", 23),
                ("minute", 59),
                ("second", 58),
            ]
        );
    }
}
