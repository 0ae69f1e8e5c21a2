//! Dates and times to and from text, by Spark's patterns: `date_format`, `to_date`, `to_timestamp` and their relatives.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringBuilder, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::DateTime;
use datafusion::common::{DataFusionError, plan_datafusion_err, plan_err};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::date_patterns::DatePattern;

const MICROS_A_SECOND: i64 = 1_000_000;
/// What texts are read by and written in where no pattern is given.
const USUAL: &str = "yyyy-MM-dd HH:mm:ss";

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn one_or_two() -> Signature {
    Signature::variadic_any(Volatility::Immutable)
}

/// The arguments of a call, one and perhaps a pattern, as columns.
fn value_and_pattern<'a>(
    name: &str,
    arguments: &'a ScalarFunctionArgs,
) -> QueryResult<(ArrayRef, Option<&'a ColumnarValue>)> {
    match arguments.args.as_slice() {
        [value] => Ok((value.to_array(arguments.number_rows)?, None)),
        [value, pattern] => Ok((value.to_array(arguments.number_rows)?, Some(pattern))),
        _ => plan_err!("`{name}` takes a value and perhaps a pattern"),
    }
}

/// The pattern of a call; it is the same for all rows.
fn pattern_of(name: &str, pattern: Option<&ColumnarValue>) -> QueryResult<Option<DatePattern>> {
    let Some(pattern) = pattern else { return Ok(None) };
    let text = match pattern {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    };
    let text =
        text.ok_or_else(|| plan_datafusion_err!("the pattern of `{name}` is a text such as 'yyyy-MM-dd'"))?;
    DatePattern::read(text).map(Some).map_err(|refused| DataFusionError::Plan(format!("`{name}`: {refused}")))
}

/// How a text that is no time is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Otherwise {
    /// It is an error.
    Error,
    /// It is NULL.
    Null,
}

/// The times that texts tell, by a pattern or else as a cast reads them; `wanted` is what a text that is none should be.
fn read(
    texts: &ArrayRef,
    pattern: Option<&DatePattern>,
    otherwise: Otherwise,
    wanted: &DataType,
) -> QueryResult<TimestampMicrosecondArray> {
    let Some(pattern) = pattern else {
        let options = CastOptions { safe: otherwise == Otherwise::Null, ..CastOptions::default() };
        let times = cast_with_options(texts, &timestamp(), &options)?;
        return Ok(times.as_primitive::<TimestampMicrosecondType>().clone());
    };
    let texts = cast(texts, &DataType::Utf8)?;
    let times = texts.as_string::<i32>().iter().map(|text| {
        let Some(text) = text else { return Ok(None) };
        match (pattern.parse(text), otherwise) {
            (Some(time), _) => Ok(Some(time.and_utc().timestamp_micros())),
            (None, Otherwise::Null) => Ok(None),
            (None, Otherwise::Error) => {
                Err(ArrowError::CastError(format!("Cannot cast string '{text}' to value of {wanted} type")))
            }
        }
    });
    let times: TimestampMicrosecondArray = times.collect::<Result<_, _>>()?;
    Ok(times.with_timezone("UTC"))
}

/// Times as a pattern writes them.
fn written(times: &TimestampMicrosecondArray, pattern: &DatePattern) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(times.len(), times.len() * 10);
    let mut text = String::new();
    for micros in times {
        match micros.and_then(DateTime::from_timestamp_micros) {
            Some(time) => {
                text.clear();
                pattern.write(time, &mut text);
                texts.append_value(&text);
            }
            None => texts.append_null(),
        }
    }
    Arc::new(texts.finish())
}

fn usual() -> QueryResult<DatePattern> {
    DatePattern::read(USUAL).map_err(DataFusionError::Internal)
}

/// `date_format(time, pattern)`: a text; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateFormat {
    signature: Signature,
}

impl Default for DateFormat {
    fn default() -> Self {
        Self { signature: one_or_two() }
    }
}

impl ScalarUDFImpl for DateFormat {
    fn name(&self) -> &str {
        "date_format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> QueryResult<DataType> {
        match arguments.len() {
            2 => Ok(DataType::Utf8),
            _ => plan_err!("`date_format` takes a time and a pattern"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let (times, pattern) = value_and_pattern(self.name(), &arguments)?;
        let pattern = pattern_of(self.name(), pattern)?
            .ok_or_else(|| plan_datafusion_err!("`date_format` takes a time and a pattern"))?;
        let times = cast(&times, &timestamp())?;
        Ok(ColumnarValue::Array(written(times.as_primitive(), &pattern)))
    }
}

/// `from_unixtime(seconds[, pattern])`: seconds since 1970 as a text of UTC; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromUnixTime {
    signature: Signature,
}

impl Default for FromUnixTime {
    fn default() -> Self {
        Self { signature: one_or_two() }
    }
}

impl ScalarUDFImpl for FromUnixTime {
    fn name(&self) -> &str {
        "from_unixtime"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let (seconds, pattern) = value_and_pattern(self.name(), &arguments)?;
        let pattern = pattern_of(self.name(), pattern)?.map_or_else(usual, Ok)?;
        let times = since_1970(&seconds)?;
        Ok(ColumnarValue::Array(written(&times, &pattern)))
    }
}

/// Seconds since 1970 as times.
fn since_1970(seconds: &ArrayRef) -> QueryResult<TimestampMicrosecondArray> {
    let seconds = cast(seconds, &DataType::Int64)?;
    let micros: TimestampMicrosecondArray = seconds.as_primitive::<Int64Type>().try_unary(|seconds| {
        seconds
            .checked_mul(MICROS_A_SECOND)
            .ok_or_else(|| ArrowError::ComputeError(format!("{seconds} seconds since 1970 are no time")))
    })?;
    Ok(micros.with_timezone("UTC"))
}

/// `to_date(value[, pattern])`: DATE; a text that is none is an error, NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToDate {
    signature: Signature,
}

impl Default for ToDate {
    fn default() -> Self {
        Self { signature: one_or_two() }
    }
}

impl ScalarUDFImpl for ToDate {
    fn name(&self) -> &str {
        "to_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let (values, pattern) = value_and_pattern(self.name(), &arguments)?;
        let pattern = pattern_of(self.name(), pattern)?;
        let dates = match pattern {
            Some(pattern) if is_text(values.data_type()) => {
                let times: ArrayRef =
                    Arc::new(read(&values, Some(&pattern), Otherwise::Error, &DataType::Date32)?);
                cast(&times, &DataType::Date32)?
            }
            _ => {
                let strict = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(&values, &DataType::Date32, &strict)?
            }
        };
        Ok(ColumnarValue::Array(dates))
    }
}

/// `to_timestamp(value[, pattern])`: TIMESTAMP, of a text, a date or seconds since 1970. A text that is none is an error, or
/// NULL for `try_to_timestamp`; NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToTimestamp {
    otherwise: Otherwise,
    signature: Signature,
}

impl ToTimestamp {
    /// `to_timestamp`.
    pub(super) fn strict() -> Self {
        Self { otherwise: Otherwise::Error, signature: one_or_two() }
    }

    /// `try_to_timestamp`.
    pub(super) fn lenient() -> Self {
        Self { otherwise: Otherwise::Null, signature: one_or_two() }
    }
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        match self.otherwise {
            Otherwise::Error => "to_timestamp",
            Otherwise::Null => "try_to_timestamp",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(timestamp())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let (values, pattern) = value_and_pattern(self.name(), &arguments)?;
        let pattern = pattern_of(self.name(), pattern)?;
        let times: ArrayRef = match values.data_type() {
            kind if is_text(kind) => Arc::new(read(&values, pattern.as_ref(), self.otherwise, &timestamp())?),
            kind if kind.is_integer() => Arc::new(since_1970(&values)?),
            _ => cast(&values, &timestamp())?,
        };
        Ok(ColumnarValue::Array(times))
    }
}

/// `unix_timestamp(value[, pattern])`: whole seconds since 1970, BIGINT; a text that is no time is an error, NULL makes
/// NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UnixTimestamp {
    signature: Signature,
}

impl Default for UnixTimestamp {
    fn default() -> Self {
        Self { signature: one_or_two() }
    }
}

impl ScalarUDFImpl for UnixTimestamp {
    fn name(&self) -> &str {
        "unix_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let (values, pattern) = value_and_pattern(self.name(), &arguments)?;
        let pattern = pattern_of(self.name(), pattern)?.map_or_else(usual, Ok)?;
        let times = match values.data_type() {
            kind if is_text(kind) => read(&values, Some(&pattern), Otherwise::Error, &timestamp())?,
            _ => cast(&values, &timestamp())?.as_primitive::<TimestampMicrosecondType>().clone(),
        };
        let seconds: Int64Array = times.unary(|micros| micros.div_euclid(MICROS_A_SECOND));
        Ok(ColumnarValue::Array(Arc::new(seconds)))
    }
}
