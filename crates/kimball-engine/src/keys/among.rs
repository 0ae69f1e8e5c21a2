//! Whether a key is one of a few, for very many keys.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// Bits of the bitmap for each key: of other keys one in so many is looked up in the set.
const BITS_A_KEY: usize = 32;
const BITS_A_WORD: usize = 64;

/// Some keys, with a bitmap in front that most others do not pass: it fits into a cache, and is hardly ever wrong.
pub(crate) struct KeySet {
    keys: HashSet<i64>,
    bitmap: Vec<u64>,
}

impl FromIterator<i64> for KeySet {
    fn from_iter<I: IntoIterator<Item = i64>>(keys: I) -> Self {
        let keys: HashSet<i64> = keys.into_iter().collect();
        let bits = (keys.len() * BITS_A_KEY).next_power_of_two().max(BITS_A_WORD);
        let mut bitmap = vec![0; bits / BITS_A_WORD];
        for key in &keys {
            let (word, bit) = place_of(*key, bitmap.len());
            if let Some(word) = bitmap.get_mut(word) {
                *word |= bit;
            }
        }
        Self { keys, bitmap }
    }
}

impl KeySet {
    /// How many different keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn contains(&self, key: i64) -> bool {
        let (word, bit) = place_of(key, self.bitmap.len());
        self.bitmap.get(word).is_some_and(|word| word & bit != 0) && self.keys.contains(&key)
    }
}

/// Where the bit of a key is, in a power of two of words. Surrogate keys are hashes or count up, so that their low bits
/// are spread as they are.
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "low bits are all that is wanted"
)]
fn place_of(key: i64, words: usize) -> (usize, u64) {
    let bits = key as u64;
    ((bits as usize / BITS_A_WORD) & (words - 1), 1 << (bits % BITS_A_WORD as u64))
}

/// `name(key BIGINT)`: BOOLEAN, whether it is one of `keys`; NULL makes NULL.
pub(crate) fn is_one_of(name: &str, keys: KeySet) -> ScalarUDF {
    let look_up = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let found = arrays.first().and_then(|array| array.as_primitive_opt::<Int64Type>()).map(|array| {
            let values = array.values();
            let found = BooleanBuffer::collect_bool(values.len(), |row| {
                values.get(row).is_some_and(|value| keys.contains(*value))
            });
            BooleanArray::new(found, array.nulls().cloned())
        });
        Ok(ColumnarValue::Array(Arc::new(found.unwrap_or_else(|| BooleanArray::new_null(0)))))
    };
    create_udf(name, vec![DataType::Int64], DataType::Boolean, Volatility::Immutable, Arc::new(look_up))
}

#[cfg(test)]
mod tests {
    use super::KeySet;

    #[test]
    fn it_holds_its_keys_and_no_others() {
        let keys = [0, -1, i64::MIN, i64::MAX, 64, 65];
        let set: KeySet = keys.into_iter().collect();
        for key in keys {
            assert!(set.contains(key), "{key}");
        }
        for other in [1, -2, 63, 66, i64::MIN + 64, i64::MAX - 64] {
            assert!(!set.contains(other), "{other}");
        }
        assert!(!KeySet::from_iter([]).contains(0));
    }
}
