//! What becomes of values of personal columns. NULL stays NULL.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use hmac::{Hmac, KeyInit, Mac};
use kimball_config::Secret;
use sha2::Sha256;
use xxhash_rust::xxh64::xxh64;

use super::{SEED, spark_text};

/// Mask characters behind what is revealed, however long the value was.
const MASKED: usize = 10;

/// How a value is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// Its HMAC-SHA-256 in lower-case hex.
    Token(Secret),
    /// `xxhash64` of it, then of the column's name.
    Hash {
        /// The column.
        column: String,
    },
    /// Its first characters, and a mask.
    Mask {
        /// Characters that stay.
        revealed: usize,
        /// The mask's character.
        mask: char,
    },
}

/// The function that replaces the values of an output column. It has a name of its own for each column: the optimizer tells
/// functions apart by their names alone, and two columns may be made of one.
pub(crate) fn protect(column: &str, replacement: Replacement) -> ScalarUDF {
    let kind = match replacement {
        Replacement::Token(_) => "tokenize",
        Replacement::Hash { .. } => "fast_hash",
        Replacement::Mask { .. } => "mask",
    };
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Protect { function: format!("{kind} {column}"), replacement, signature })
}

#[derive(Debug, PartialEq, Eq)]
struct Protect {
    function: String,
    replacement: Replacement,
    signature: Signature,
}

/// A secret is no part of the hash; equality tells functions apart.
impl Hash for Protect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Protect {
    fn name(&self) -> &str {
        &self.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.replacement {
            Replacement::Hash { .. } => DataType::Int64,
            Replacement::Token(_) | Replacement::Mask { .. } => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = values.first().map(spark_text).transpose()?.unwrap_or_else(|| StringArray::new_null(0));
        let replaced: ArrayRef = match &self.replacement {
            Replacement::Token(secret) => {
                let keyed = keyed(secret)?;
                Arc::new(
                    texts.iter().map(|text| text.map(|text| token(&keyed, text))).collect::<StringArray>(),
                )
            }
            Replacement::Hash { column } => {
                let hash =
                    |text: &str| xxh64(column.as_bytes(), xxh64(text.as_bytes(), SEED.cast_unsigned()));
                let hashes = texts.iter().map(|text| text.map(|text| hash(text).cast_signed()));
                Arc::new(hashes.collect::<Int64Array>())
            }
            Replacement::Mask { revealed, mask } => {
                let masked = |text: &str| -> String {
                    text.chars().take(*revealed).chain(std::iter::repeat_n(*mask, MASKED)).collect()
                };
                Arc::new(texts.iter().map(|text| text.map(masked)).collect::<StringArray>())
            }
        };
        debug_assert_eq!(replaced.len(), texts.len());
        Ok(ColumnarValue::Array(replaced))
    }
}

fn keyed(secret: &Secret) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| datafusion::common::DataFusionError::Execution(format!("the secret: {error}")))
}

fn token(keyed: &Hmac<Sha256>, text: &str) -> String {
    let mut keyed = keyed.clone();
    keyed.update(text.as_bytes());
    keyed.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use kimball_config::Secret;

    use super::{keyed, token};

    /// RFC 4231, test case 2.
    #[test]
    fn a_token_is_the_hmac_of_the_standard() {
        assert_eq!(
            token(&keyed(&Secret::new("Jefe")).unwrap(), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
