//! Keys of type 7 (semantics 2.1): fingerprints that tell members apart, and version keys made from them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh64::xxh64;

use super::hash::Payload;
use super::spark_text;

/// `member_fingerprint(value…)`: hex SHA-256 of the natural key's payload over the columns `names`.
pub(crate) fn member_fingerprint(names: &[String]) -> ScalarUDF {
    function("member_fingerprint", Durable::Member(names.to_vec()))
}

/// `row_fingerprint(fingerprint, effective)`: hex SHA-256 of fingerprint, U+0000 and the effective value.
pub(crate) fn row_fingerprint() -> ScalarUDF {
    function("row_fingerprint", Durable::Row)
}

/// `durable_version_key(seed, fingerprint, effective)`: `xxhash64` of the same text.
pub(crate) fn durable_version_key() -> ScalarUDF {
    function("durable_version_key", Durable::VersionKey)
}

/// `spark_text(value)`: the value as Spark's `CAST(… AS STRING)` writes it.
pub(crate) fn spark_text_function() -> ScalarUDF {
    function("spark_text", Durable::Text)
}

fn function(name: &'static str, result: Durable) -> ScalarUDF {
    let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Immutable);
    ScalarUDF::from(DurableFunction { name, result, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Durable {
    Member(Vec<String>),
    Row,
    VersionKey,
    Text,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DurableFunction {
    name: &'static str,
    result: Durable,
    signature: Signature,
}

impl ScalarUDFImpl for DurableFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.result {
            Durable::VersionKey => DataType::Int64,
            Durable::Member(_) | Durable::Row | Durable::Text => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let result: ArrayRef = match (&self.result, columns.as_slice()) {
            (Durable::Member(names), columns) => {
                let payload = Payload::of(names, columns)?;
                let mut text = String::new();
                let mut hex = StringBuilder::with_capacity(rows, rows * 64);
                for row in 0..rows {
                    payload.write(row, &mut text);
                    hex.append_value(sha256(&text));
                }
                Arc::new(hex.finish())
            }
            (Durable::Row, [fingerprint, effective]) => {
                let texts = row_payloads(fingerprint, effective)?;
                Arc::new(texts.iter().map(|text| text.as_deref().map(sha256)).collect::<StringArray>())
            }
            (Durable::VersionKey, [seed, fingerprint, effective]) => {
                let texts = row_payloads(fingerprint, effective)?;
                let seeds = seed.as_primitive::<Int64Type>();
                let hash = |(text, seed): (&Option<String>, &i64)| {
                    Some(xxh64(text.as_ref()?.as_bytes(), seed.cast_unsigned()).cast_signed())
                };
                Arc::new(texts.iter().zip(seeds.values()).map(hash).collect::<Int64Array>())
            }
            (Durable::Text, [value]) => Arc::new(spark_text(value)?),
            _ => return datafusion::common::plan_err!("{} has other arguments", self.name),
        };
        Ok(ColumnarValue::Array(result))
    }
}

fn row_payloads(fingerprint: &ArrayRef, effective: &ArrayRef) -> Result<Vec<Option<String>>> {
    let texts = spark_text(effective)?;
    let fingerprints = fingerprint.as_string::<i32>();
    let one = |row: usize| {
        let known = fingerprints.is_valid(row) && texts.is_valid(row);
        known.then(|| format!("{}\0{}", fingerprints.value(row), texts.value(row)))
    };
    Ok((0..texts.len()).map(one).collect())
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
