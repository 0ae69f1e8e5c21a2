//! Operators by which Spark means something else than DataFusion.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result as QueryResult;
use datafusion::functions_nested::extract::array_element;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, GetFieldAccess, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Most digits of a decimal.
const MAX_DIGITS: u8 = 38;
/// Digits behind the point that a quotient of decimals has at least.
const MIN_QUOTIENT_SCALE: i16 = 6;
/// Digits behind the point that a division of Arrow's adds to those of its left side.
const ADDED_SCALE: i16 = 4;

/// Plans divisions, numbers that are written beside decimals, parts of texts and elements of arrays.
#[derive(Debug)]
pub(super) struct SparkOperators;

impl ExprPlanner for SparkOperators {
    fn plan_binary_op(
        &self,
        raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> QueryResult<PlannerResult<RawBinaryExpr>> {
        let is_arithmetic = matches!(
            raw.op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        );
        if !is_arithmetic {
            return Ok(PlannerResult::Original(raw));
        }
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        let mut raw = raw;
        match (is_decimal(&left), is_decimal(&right)) {
            (true, false) => raw.right = beside_a_decimal(&raw.right).unwrap_or(raw.right),
            (false, true) => raw.left = beside_a_decimal(&raw.left).unwrap_or(raw.left),
            _ => {}
        }
        if raw.op != BinaryOperator::Divide || !left.is_numeric() || !right.is_numeric() {
            return Ok(PlannerResult::Original(raw));
        }
        let (left, right) = (raw.left.get_type(schema)?, raw.right.get_type(schema)?);
        let sides = (Digits::of(&left), Digits::of(&right));
        Ok(PlannerResult::Planned(match sides {
            (Some(over), Some(under)) if is_decimal(&left) || is_decimal(&right) => {
                decimal_quotient((raw.left, over), (raw.right, under))
            }
            _ => {
                let doubles = vec![cast(raw.left, DataType::Float64), cast(raw.right, DataType::Float64)];
                let division = Arc::new(ScalarUDF::from(Division::default()));
                Expr::ScalarFunction(ScalarFunction::new_udf(division, doubles))
            }
        }))
    }

    fn plan_substring(&self, arguments: Vec<Expr>) -> QueryResult<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(datafusion_spark::function::string::substring().call(arguments)))
    }

    /// Arrays are counted from 0.
    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> QueryResult<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { expr, field_access } = raw;
        match field_access {
            GetFieldAccess::ListIndex { key } if is_list(&expr.get_type(schema)?) => {
                Ok(PlannerResult::Planned(array_element(expr, *key + lit(1_i64))))
            }
            field_access => Ok(PlannerResult::Original(RawFieldAccessExpr { expr, field_access })),
        }
    }
}

/// The digits of an exact number: all of them, and those behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    precision: i16,
    scale: i16,
}

impl Digits {
    fn of(kind: &DataType) -> Option<Self> {
        let (precision, scale) = match kind {
            DataType::Decimal128(precision, scale) => (i16::from(*precision), i16::from(*scale)),
            DataType::Int8 => (3, 0),
            DataType::Int16 => (5, 0),
            DataType::Int32 => (10, 0),
            DataType::Int64 => (20, 0),
            _ => return None,
        };
        Some(Self { precision, scale })
    }

    /// Of a quotient, as Spark counts them; where there would be too many, those behind the point give way.
    fn of_quotient(over: Self, under: Self) -> Self {
        let scale = MIN_QUOTIENT_SCALE.max(over.scale + under.precision + 1);
        let precision = over.precision - over.scale + under.scale + scale;
        let most = i16::from(MAX_DIGITS);
        match precision <= most {
            true => Self { precision, scale },
            false => Self {
                precision: most,
                scale: (most - (precision - scale)).max(scale.min(MIN_QUOTIENT_SCALE)),
            },
        }
    }

    fn decimal(self) -> DataType {
        let precision = u8::try_from(self.precision).unwrap_or(MAX_DIGITS).min(MAX_DIGITS);
        DataType::Decimal128(precision, i8::try_from(self.scale).unwrap_or_default())
    }
}

/// The quotient of exact numbers, rounded half up to the digits that it has in Spark.
fn decimal_quotient((left, over): (Expr, Digits), (right, under): (Expr, Digits)) -> Expr {
    let quotient = Digits::of_quotient(over, under);
    // One digit more than there will be, to round by.
    let scale = over.scale.max(quotient.scale + 1 - ADDED_SCALE);
    let digits = over.precision - over.scale + scale + ADDED_SCALE + under.scale;
    let left = match digits <= i16::from(MAX_DIGITS) {
        true => cast(left, Digits { precision: MAX_DIGITS.into(), scale }.decimal()),
        // Numbers of so many digits leave no room: they are divided as they are.
        false => cast(left, over.decimal()),
    };
    cast(left / cast(right, under.decimal()), quotient.decimal())
}

fn is_decimal(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..))
}

fn is_list(kind: &DataType) -> bool {
    matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// A number that is written beside a decimal is a decimal with its own digits: `price * 1.19` stays exact. So are sums and
/// products of such numbers.
fn beside_a_decimal(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(number)), _) => decimal(&number.to_string()),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => decimal(&number.to_string()),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(beside_a_decimal(inner)?))),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply),
            right,
        }) => Some(Expr::BinaryExpr(BinaryExpr {
            left: Box::new(beside_a_decimal(left)?),
            op: *op,
            right: Box::new(beside_a_decimal(right)?),
        })),
        _ => None,
    }
}

/// A number in its shortest form, without exponent, as a decimal.
fn decimal(text: &str) -> Option<Expr> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    let value: i128 = digits.parse().ok()?;
    let precision = digits.trim_start_matches('-').trim_start_matches('0').len().max(fraction.len()).max(1);
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(fraction.len()).ok()?);
    (precision <= MAX_DIGITS).then_some(())?;
    Some(lit(ScalarValue::Decimal128(Some(value), precision, scale)))
}

/// `a / b` of numbers that are no decimals: a DOUBLE; by zero is an error, NULL makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Division {
    signature: Signature,
}

impl Default for Division {
    fn default() -> Self {
        let doubles = vec![DataType::Float64, DataType::Float64];
        Self { signature: Signature::exact(doubles, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Division {
    fn name(&self) -> &str {
        "divide"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> QueryResult<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else { return plan_err!("a division has two sides") };
        let sides: [ArrayRef; 2] =
            [left.to_array(arguments.number_rows)?, right.to_array(arguments.number_rows)?];
        let [left, right] = sides.each_ref().map(|side| side.as_primitive::<Float64Type>());
        let by_zero = |row: usize| right.value(row) == 0.0 && left.is_valid(row) && right.is_valid(row);
        if (0..right.len()).any(by_zero) {
            return Err(ArrowError::DivideByZero.into());
        }
        let quotients: Float64Array = arrow::compute::binary(left, right, |left, right| left / right)?;
        Ok(ColumnarValue::Array(Arc::new(quotients)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::lit;

    use super::{Digits, decimal};

    /// `DecimalPrecision` of Spark.
    #[test]
    fn quotients_have_the_digits_that_they_have_in_spark() {
        for (over, under, expected) in [
            ((10, 2), (10, 2), (23, 13)),
            ((15, 2), (15, 2), (33, 18)),
            ((18, 2), (18, 2), (38, 20)),
            ((38, 18), (38, 18), (38, 6)),
            ((10, 2), (1, 0), (14, 6)),
        ] {
            let digits = |(precision, scale)| Digits { precision, scale };
            assert_eq!(
                Digits::of_quotient(digits(over), digits(under)),
                digits(expected),
                "{over:?} {under:?}"
            );
        }
    }

    #[test]
    fn numbers_become_decimals_of_their_own_digits() {
        for (text, value, precision, scale) in [
            ("1", 1, 1, 0),
            ("1.19", 119, 3, 2),
            ("-0.05", -5, 2, 2),
            ("0", 0, 1, 0),
            ("1000000", 1_000_000, 7, 0),
        ] {
            let expected = lit(ScalarValue::Decimal128(Some(value), precision, scale));
            assert_eq!(decimal(text), Some(expected), "{text}");
        }
        assert_eq!(decimal(&f64::MAX.to_string()), None);
        assert_eq!(decimal("NaN"), None);
    }
}
