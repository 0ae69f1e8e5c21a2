//! Which types take the values of which others.

use arrow::datatypes::DataType::{
    self, Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp, Utf8,
};

/// Most digits of a decimal.
const DIGITS: u8 = 38;
/// Digits up to which a DOUBLE holds every decimal.
pub(super) const DOUBLE_DIGITS: u8 = 15;

/// Whether a column of type `stored` takes every value of type `staged` as it is.
pub(crate) fn stores(stored: &DataType, staged: &DataType) -> bool {
    if stored == staged {
        return true;
    }
    match (stored, staged) {
        (Int16, Int8) | (Int32, Int8 | Int16) | (Int64, Int8 | Int16 | Int32) => true,
        (Float64, Float32 | Int8 | Int16 | Int32) | (Float32, Int8 | Int16) => true,
        // Change detection compares typed values (semantics 1.3): 10.00 and 10.0 are one value.
        (Float64, Decimal128(precision, _)) => *precision <= DOUBLE_DIGITS,
        (Decimal128(precision, scale), Decimal128(other, other_scale)) => {
            scale >= other_scale && whole_digits(*precision, *scale) >= whole_digits(*other, *other_scale)
        }
        (Decimal128(precision, scale), whole) => {
            integer_digits(whole).is_some_and(|digits| whole_digits(*precision, *scale) >= i16::from(digits))
        }
        (Timestamp(_, _), Date32) => true,
        _ => false,
    }
}

/// The type that takes the values of both, if `stored` can be widened to one.
pub(super) fn widened(stored: &DataType, staged: &DataType) -> Option<DataType> {
    if stores(staged, stored) {
        return Some(staged.clone());
    }
    if stored.is_integer() && staged.is_integer() {
        return None;
    }
    let digits = |kind: &DataType| match kind {
        Decimal128(precision, scale) => Some((*precision, *scale)),
        kind => integer_digits(kind).map(|digits| (digits, 0)),
    };
    let ((precision, scale), (other, other_scale)) = (digits(stored)?, digits(staged)?);
    let wide_scale = scale.max(other_scale);
    let whole = whole_digits(precision, scale).max(whole_digits(other, other_scale));
    let wide = u8::try_from(whole + i16::from(wide_scale)).ok().filter(|wide| *wide <= DIGITS)?;
    Some(Decimal128(wide, wide_scale))
}

/// Whether a column whose type was guessed from a file's text may be read as the type that the table has: one
/// day's prices may all be whole, and an empty file has no types at all. A value that does not fit is an error.
pub(crate) fn takes_guessed(stored: &DataType, guessed: &DataType) -> bool {
    match guessed {
        Utf8 => stored.is_numeric() || stored.is_temporal() || *stored == Boolean,
        Int64 => matches!(stored, Float64 | Decimal128(_, _) | Utf8),
        Float64 | Boolean | Date32 | Timestamp(_, _) => *stored == Utf8,
        _ => false,
    }
}

/// Whether a column of type `stored` takes those values of type `staged` that it holds as they are: whether two decimals
/// are equal does not depend on how many digits their types have room for (semantics 1.3). Any other value is an error
/// ([`stored_value`](super::stored_value)).
pub(super) fn takes_by_value(stored: &DataType, staged: &DataType) -> bool {
    matches!((stored, staged), (Float64, Decimal128(_, _)))
}

fn integer_digits(kind: &DataType) -> Option<u8> {
    match kind {
        Int8 => Some(3),
        Int16 => Some(5),
        Int32 => Some(10),
        Int64 => Some(19),
        _ => None,
    }
}

fn whole_digits(precision: u8, scale: i8) -> i16 {
    i16::from(precision) - i16::from(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_widens_and_never_narrows() {
        assert_eq!(widened(&Int32, &Int64), Some(Int64));
        assert_eq!(widened(&Int64, &Int32), None);
        assert_eq!(widened(&Float32, &Float64), Some(Float64));
        assert_eq!(widened(&Date32, &Utf8), None);
        assert_eq!(widened(&Decimal128(10, 2), &Decimal128(10, 4)), Some(Decimal128(12, 4)));
        assert_eq!(widened(&Decimal128(38, 2), &Decimal128(38, 10)), None);
        assert_eq!(widened(&Decimal128(5, 2), &Int64), Some(Decimal128(21, 2)));
        assert_eq!(widened(&Decimal128(10, 2), &Float64), Some(Float64));
        assert_eq!(widened(&Decimal128(18, 2), &Float64), None);
        assert_eq!(widened(&Float64, &Decimal128(18, 2)), None);
    }
}
