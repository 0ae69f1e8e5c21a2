//! Decimals in a DOUBLE column: each as what it is, or not at all.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF, Volatility, cast, create_udf};

use super::types::DOUBLE_DIGITS;

/// The value of the query's column `name` in the type that it is stored in. In a DOUBLE column a decimal that it would
/// round is an error: the nearest that it holds is another value.
pub(crate) fn stored_value(name: &str, value: Expr, given: &DataType, stored: &DataType) -> Expr {
    let digits = match given {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    };
    match (digits, stored) {
        (Some((precision, scale)), DataType::Float64) if precision > DOUBLE_DIGITS => {
            let decimal = DataType::Decimal128(precision, scale);
            exact_double(name, &decimal, scale).call(vec![cast(value, decimal)])
        }
        _ => cast(value, stored.clone()),
    }
}

fn exact_double(name: &str, decimal: &DataType, scale: i8) -> ScalarUDF {
    let column = name.to_owned();
    let convert = move |arguments: &[ColumnarValue]| -> QueryResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let decimals = arrays.first().and_then(|array| array.as_primitive_opt::<Decimal128Type>());
        let decimals = decimals.ok_or_else(|| DataFusionError::Internal("no decimals".to_owned()))?;
        Ok(ColumnarValue::Array(Arc::new(doubles(&column, decimals, scale)?)))
    };
    let (given, double) = (vec![decimal.clone()], DataType::Float64);
    create_udf("exact_double", given, double, Volatility::Immutable, Arc::new(convert))
}

fn doubles(column: &str, decimals: &Decimal128Array, scale: i8) -> QueryResult<Float64Array> {
    let convert = |unscaled: i128| {
        nearest(unscaled, scale).ok_or_else(|| {
            DataFusionError::Execution(format!(
                "`{}` of column `{column}` has more digits than the table's double can hold: let the query round it, or \
                 give the nearest with `CAST({column} AS DOUBLE)`",
                written(unscaled, scale)
            ))
        })
    };
    decimals.try_unary::<_, Float64Type, DataFusionError>(convert)
}

/// The double that is nearest to a decimal; `None` where that is another value: one that is written otherwise, in as few
/// digits as it takes to tell it from other doubles and in as many as the decimal has.
fn nearest(unscaled: i128, scale: i8) -> Option<f64> {
    let (mut digits, mut exponent) = (unscaled, -i32::from(scale));
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    let double: f64 = format!("{digits}e{exponent}").parse().ok()?;
    let fewest = format!("{double:e}");
    let mantissa = fewest.split('e').next().unwrap_or_default();
    let told: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let is_told = told == digits.unsigned_abs().to_string()
        || format!("{double:.places$}", places = places(scale)) == written(unscaled, scale);
    is_told.then_some(double)
}

fn places(scale: i8) -> usize {
    usize::try_from(scale).unwrap_or_default()
}

fn written(unscaled: i128, scale: i8) -> String {
    let places = places(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_decimal_is_the_double_that_is_written_like_it() {
        for (unscaled, scale, double) in [
            (1_000, 2, 10.0),
            (-275, 2, -2.75),
            (0, 18, 0.0),
            (10_000_000_000_000_000_000, 18, 10.0),
            (10_000_000_000_000_000_000_000_000_000_000, 30, 10.0),
            (999_999_999_999_999, 2, 9_999_999_999_999.99),
            (1, 3, 0.001),
            (100_000_000_000_000_000_000_000_000_000, 30, 0.1),
            // More than fifteen digits that a double holds all the same.
            (123_456_789_012_345_600, 2, 1_234_567_890_123_456.0),
            (123_456_789_012_345_675, 2, 1_234_567_890_123_456.8),
        ] {
            assert_eq!(nearest(unscaled, scale), Some(double), "{unscaled}e-{scale}");
        }
        assert_eq!(nearest(123_456_789_012_345_678, 2), None);
        assert_eq!(nearest(9_007_199_254_740_993, 0), None);
    }

    #[test]
    fn a_decimal_of_too_many_digits_is_an_error_that_shows_it() {
        let kind = DataType::Decimal128(18, 2);
        let decimals = Decimal128Array::from(vec![Some(1_000), None]).with_data_type(kind.clone());
        let found = doubles("price", &decimals, 2).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [Some(10.0), None]);
        let decimals = Decimal128Array::from(vec![-123_456_789_012_345_678]).with_data_type(kind);
        let error = doubles("price", &decimals, 2).unwrap_err().to_string();
        assert!(error.contains("`-1234567890123456.78` of column `price`"), "{error}");
        assert_eq!(written(5, 3), "0.005");
        assert_eq!(written(-7, 0), "-7");
    }
}
