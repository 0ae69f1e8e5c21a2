//! Decimals in a DOUBLE column: each as what it is, or not at all.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF, Volatility, cast, create_udf};

use super::types::DOUBLE_DIGITS;

/// The value of the query's column `name` in the type that it is stored in. A decimal of more digits than a DOUBLE tells
/// apart is an error in a DOUBLE column: the nearest that it holds is another value.
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
                "`{}` of column `{column}` has more digits than the table's double tells apart: let the query round it, or \
                 give the nearest with `CAST({column} AS DOUBLE)`",
                written(unscaled, scale)
            ))
        })
    };
    decimals.try_unary::<_, Float64Type, DataFusionError>(convert)
}

/// The double that a decimal is written as, `None` for one of too many digits.
fn nearest(unscaled: i128, scale: i8) -> Option<f64> {
    let (mut digits, mut scale) = (unscaled, i32::from(scale));
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    let is_told = digits.unsigned_abs() < 10u128.pow(u32::from(DOUBLE_DIGITS));
    if is_told { format!("{digits}e{}", -scale).parse().ok() } else { None }
}

fn written(unscaled: i128, scale: i8) -> String {
    let places = usize::try_from(scale).unwrap_or_default();
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
        ] {
            assert_eq!(nearest(unscaled, scale), Some(double), "{unscaled}e-{scale}");
        }
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
