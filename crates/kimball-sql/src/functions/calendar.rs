//! Parts of dates, and dates some days or months away, as Spark has them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Int32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Timelike, Utc};
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
pub(crate) struct DatePart {
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
    pub(crate) fn all() -> impl Iterator<Item = Self> {
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
pub(crate) struct DateSub {
    signature: Signature,
}

/// `add_months(date, months)`: DATE, the last day of a month where the day is not there; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddMonths {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::DateTime;

    use super::DatePart;

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
