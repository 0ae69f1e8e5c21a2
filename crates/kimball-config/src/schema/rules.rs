//! Rules across the keys of a mapping, in the words of JSON Schema.

use serde_json::{Value, json};

/// Where `condition` holds, `consequence` has to.
pub(super) fn when(condition: Value, consequence: Value) -> Value {
    json!({"if": condition, "then": consequence})
}

/// Holds where `key` is there and is one of `values`.
pub(super) fn is_one_of(key: &str, values: &[Value]) -> Value {
    holds(key, json!({"enum": values}))
}

/// Holds where `key` is there and fits `schema`.
pub(super) fn holds(key: &str, schema: Value) -> Value {
    json!({"properties": {key: schema}, "required": [key]})
}

/// Holds where all keys are there.
pub(super) fn needs(keys: &[&str]) -> Value {
    json!({"required": keys})
}

/// Where `key` is `word`, the other keys have to be there.
pub(super) fn word_needs(key: &str, word: &str, keys: &[&str]) -> Value {
    when(is_one_of(key, &[json!(word)]), needs(keys))
}

/// Where the flag `key` is on, the other keys have to be there.
pub(super) fn flag_needs(key: &str, keys: &[&str]) -> Value {
    when(is_one_of(key, &[json!(true)]), needs(keys))
}

/// Of the two keys only one may have a value.
pub(super) fn excludes(key: &str, other: &str) -> Value {
    let message = format!("either {key} or {other}, not both");
    let absent = json!({"properties": {other: {"type": "null", "errorMessage": message}}});
    when(holds(key, json!({"not": {"type": "null"}})), absent)
}
