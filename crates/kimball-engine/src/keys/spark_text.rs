//! Values as Spark's `CAST(… AS STRING)` writes them, which is what keys are hashed from.

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, Timelike};

/// The values of a column as Spark writes them; NULL stays NULL. Timestamps are written in UTC,
/// `yyyy-MM-dd HH:mm:ss[.ffffff]` without trailing zeros of the fraction.
///
/// # Errors
/// [`ArrowError::CastError`] for types that have no text.
pub(crate) fn spark_text(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    match values.data_type() {
        DataType::Timestamp(_, _) => timestamps(values),
        DataType::Float32 => {
            let floats = values.as_primitive::<Float32Type>();
            Ok(floats.iter().map(|value| value.map(|v| java_float(&format!("{v:e}"), v.into()))).collect())
        }
        DataType::Float64 => {
            let floats = values.as_primitive::<Float64Type>();
            Ok(floats.iter().map(|value| value.map(|v| java_float(&format!("{v:e}"), v))).collect())
        }
        _ => Ok(cast(values, &DataType::Utf8)?.as_string::<i32>().clone()),
    }
}

fn timestamps(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let micros = cast(values, &zoned)?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let mut text = StringBuilder::with_capacity(micros.len(), micros.len() * 20);
    for micro in micros {
        match micro.and_then(DateTime::from_timestamp_micros) {
            Some(time) => {
                let fraction = time.nanosecond() / 1_000;
                let whole = time.format("%Y-%m-%d %H:%M:%S");
                if fraction == 0 {
                    text.append_value(whole.to_string());
                } else {
                    let fraction = format!("{fraction:06}");
                    text.append_value(format!("{whole}.{}", fraction.trim_end_matches('0')));
                }
            }
            None => text.append_null(),
        }
    }
    Ok(text.finish())
}

/// A floating-point number as `java.lang.Double.toString` writes it, from its shortest scientific form.
fn java_float(scientific: &str, value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if value == 0.0 {
        return format!("{sign}0.0");
    }
    if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent}");
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or_default() + 1;
    let padded = format!("{digits:0<whole$}");
    let (before, after) = padded.split_at(whole);
    format!("{sign}{before}.{}", if after.is_empty() { "0" } else { after })
}
