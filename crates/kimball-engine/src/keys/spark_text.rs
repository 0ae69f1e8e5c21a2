//! Values as Spark's `CAST(… AS STRING)` writes them, which is what keys are hashed from.

use std::fmt::{self, Write};

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, Datelike, Timelike, Utc};

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
    let mut texts = StringBuilder::with_capacity(micros.len(), micros.len() * 20);
    // Many rows of one load became true together.
    let (mut last, mut text) = (None, String::new());
    for micro in micros {
        let Some(time) = micro.and_then(DateTime::from_timestamp_micros) else {
            texts.append_null();
            continue;
        };
        if last != micro {
            last = micro;
            text.clear();
            write_timestamp(&mut text, time).map_err(|error| ArrowError::CastError(error.to_string()))?;
        }
        texts.append_value(&text);
    }
    Ok(texts.finish())
}

fn write_timestamp(text: &mut String, time: DateTime<Utc>) -> fmt::Result {
    match time.year() {
        // What chrono makes of a pattern, several times as fast.
        year @ 0..=9999 => write!(
            text,
            "{year:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?,
        _ => write!(text, "{}", time.format("%Y-%m-%d %H:%M:%S"))?,
    }
    let fraction = time.nanosecond() / 1_000;
    if fraction != 0 {
        write!(text, ".{fraction:06}")?;
        text.truncate(text.trim_end_matches('0').len());
    }
    Ok(())
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
