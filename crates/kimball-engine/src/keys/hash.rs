//! The two hash functions, as SQL functions of the engine's queries.
//!
//! [`key_hash`] is Spark's `xxhash64` over the key payload of semantics 2.1. [`row_hash`] tells rows apart
//! whose typed values differ.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use xxhash_rust::xxh64::xxh64;

use super::spark_text;

const NULL_KEY: &str = "__KIMBALL_NULL__";
/// NULL in a junk dimension.
const NULL_VALUE: &str = "__NULL__";
/// Sets a NULL apart from an empty value.
const NULL_ROW: u64 = 0x9E37_79B9_7F4A_7C15;

/// Surrogate keys as a SQL function of that name, `function(seed, value…)`: BIGINT; the payload is `name:value` for each
/// of `names`, joined by U+0000. The seed of a key that nobody had is 42.
pub fn key_hash(function: &str, names: &[String]) -> ScalarUDF {
    ScalarUDF::from(KeyHash {
        function: function.to_owned(),
        names: names.to_vec(),
        signature: Signature::new(TypeSignature::VariadicAny, Volatility::Immutable),
    })
}

/// `row_hash(value…)`: BIGINT, never NULL, equal exactly for rows of equal typed values (NULL equals NULL).
pub fn row_hash() -> ScalarUDF {
    ScalarUDF::from(RowHash { signature: Signature::variadic_any(Volatility::Immutable) })
}

/// `junk_key(value…)`: BIGINT, `xxhash64` of the texts of the values, each the seed of the next; NULL as `__NULL__`
/// (semantics 8.6).
pub(crate) fn value_hash() -> ScalarUDF {
    ScalarUDF::from(ValueHash { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueHash {
    signature: Signature,
}

impl ScalarUDFImpl for ValueHash {
    fn name(&self) -> &'static str {
        "junk_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut hashes = vec![super::SEED.cast_unsigned(); args.number_rows];
        for values in ColumnarValue::values_to_arrays(&args.args)? {
            for (seed, text) in hashes.iter_mut().zip(spark_text(&values)?.iter()) {
                *seed = xxh64(text.unwrap_or(NULL_VALUE).as_bytes(), *seed);
            }
        }
        let hashes: Int64Array = hashes.into_iter().map(u64::cast_signed).collect::<Vec<_>>().into();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }
}

/// The payload of semantics 2.1: `name:value` for each of the columns, joined by U+0000.
pub(super) struct Payload<'n> {
    names: &'n [String],
    texts: Vec<StringArray>,
}

impl<'n> Payload<'n> {
    pub(super) fn of(names: &'n [String], columns: &[ArrayRef]) -> Result<Self> {
        let texts = columns.iter().map(spark_text).collect::<Result<Vec<StringArray>, _>>()?;
        Ok(Self { names, texts })
    }

    /// The payload of one row, in place of what `text` held.
    pub(super) fn write(&self, row: usize, text: &mut String) {
        text.clear();
        for (place, (name, values)) in self.names.iter().zip(&self.texts).enumerate() {
            if place > 0 {
                text.push('\0');
            }
            text.push_str(name);
            text.push(':');
            text.push_str(if values.is_valid(row) { values.value(row) } else { NULL_KEY });
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyHash {
    function: String,
    names: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for KeyHash {
    fn name(&self) -> &str {
        &self.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let mut arrays = ColumnarValue::values_to_arrays(&args.args)?.into_iter();
        let seeds = match arrays.next() {
            Some(seeds) => seeds.as_primitive::<Int64Type>().clone(),
            None => Int64Array::from(vec![super::SEED; rows]),
        };
        let columns: Vec<ArrayRef> = arrays.collect();
        let payload = Payload::of(&self.names, &columns)?;
        let mut text = String::new();
        let hashes: Int64Array = (0..rows)
            .map(|row| {
                payload.write(row, &mut text);
                xxh64(text.as_bytes(), seeds.value(row).cast_unsigned()).cast_signed()
            })
            .collect::<Vec<i64>>()
            .into();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowHash {
    signature: Signature,
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &'static str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut hashes = vec![super::SEED.cast_unsigned(); args.number_rows];
        for values in ColumnarValue::values_to_arrays(&args.args)? {
            chain(&values, &mut hashes)?;
        }
        let hashes: Int64Array = hashes.into_iter().map(u64::cast_signed).collect::<Vec<_>>().into();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }
}

/// Takes one more column into each row's hash. Integers of all widths hash alike, so that a column may widen.
fn chain(values: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    match values.data_type() {
        DataType::Utf8 => {
            each(values, hashes, values.as_string::<i32>().iter(), |v, seed| xxh64(v.as_bytes(), seed))
        }
        DataType::Binary => each(values, hashes, values.as_binary::<i32>().iter(), xxh64),
        DataType::Float32 | DataType::Float64 => {
            let wide = cast(values, &DataType::Float64)?;
            each(values, hashes, wide.as_primitive::<Float64Type>().iter(), |v, seed| {
                // Negative zero equals zero.
                xxh64(&(v + 0.0).to_bits().to_le_bytes(), seed)
            });
        }
        DataType::Decimal128(_, _) => {
            each(values, hashes, values.as_primitive::<Decimal128Type>().iter(), |v, seed| {
                xxh64(&v.to_le_bytes(), seed)
            });
        }
        kind if kind.is_integer() || kind.is_temporal() || *kind == DataType::Boolean => {
            let wide = if matches!(kind, DataType::Date32) {
                cast(values, &DataType::Int32)?
            } else {
                Arc::clone(values)
            };
            let wide = cast(&wide, &DataType::Int64)?;
            each(values, hashes, wide.as_primitive::<Int64Type>().iter(), |v, seed| {
                xxh64(&v.to_le_bytes(), seed)
            });
        }
        _ => {
            let options = FormatOptions::default().with_null("NULL");
            let shown = ArrayFormatter::try_new(values.as_ref(), &options)?;
            let texts: Vec<Option<String>> = (0..values.len())
                .map(|row| values.is_valid(row).then(|| shown.value(row).to_string()))
                .collect();
            each(values, hashes, texts.iter().map(Option::as_deref), |v, seed| xxh64(v.as_bytes(), seed));
        }
    }
    Ok(())
}

fn each<T>(
    values: &ArrayRef,
    hashes: &mut [u64],
    items: impl Iterator<Item = Option<T>>,
    hash: impl Fn(T, u64) -> u64,
) {
    debug_assert_eq!(values.len(), hashes.len());
    for (seed, item) in hashes.iter_mut().zip(items) {
        *seed = match item {
            Some(value) => hash(value, *seed),
            None => xxh64(&[], *seed ^ NULL_ROW),
        };
    }
}
