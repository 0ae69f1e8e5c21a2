use super::*;

#[test]
fn the_key_fields_stand_under_keys_or_at_the_top() {
    let nested = settings(&dimension(""));
    let top = settings(
        "table_name: gold.dim\ntable_type: dimension\nsurrogate_key: sk\nnatural_keys: id\nsources: [{name: silver.t}]\n",
    );
    assert_eq!(nested, top);
    assert_eq!(
        messages(&dimension("surrogate_key: other")),
        ["`surrogate_key` is there twice: at the top and under `keys`"]
    );
}

#[test]
fn a_dimension_needs_its_keys() {
    let none = "table_name: gold.dim\ntable_type: dimension\nsources: [{name: silver.t}]\n";
    assert_eq!(
        messages(none),
        ["a dimension needs `keys.surrogate_key`", "a dimension needs `keys.natural_keys`"]
    );
    assert_eq!(
        messages(&format!("{none}keys: {{surrogate_key: , natural_keys: []}}\n")),
        ["a dimension needs `keys.surrogate_key`", "`natural_keys` needs one name at least"]
    );
}

#[test]
fn key_columns_must_not_clash_or_use_reserved_names() {
    let keys = |keys: &str| messages(&dimension("").replace("{surrogate_key: sk, natural_keys: [id]}", keys));
    assert_eq!(
        keys("{surrogate_key: id, natural_keys: [ID]}"),
        ["`ID` cannot be both the surrogate key and a natural key"]
    );
    assert_eq!(keys("{surrogate_key: sk, natural_keys: [a, b, a]}"), ["`a` is in `natural_keys` twice"]);
    assert_eq!(
        keys("{surrogate_key: __sk, natural_keys: [__id]}"),
        [
            "`__sk` is no name for a column: `__` is reserved for system columns",
            "`__id` is no name for a column: `__` is reserved for system columns"
        ]
    );
    assert_eq!(
        keys("{surrogate_key: s k, natural_keys: [id]}"),
        ["`s k` is no name for a column: it holds ' '"]
    );
}

#[test]
fn the_durable_key_is_a_column_of_its_own() {
    let seven = |durable: &str| {
        messages(
            &history("")
                .replace("scd_type: 2", "scd_type: 7")
                .replace("natural_keys: [id]", &format!("natural_keys: [id], durable_key: {durable}")),
        )
    };
    assert_eq!(seven("SK"), ["`SK` cannot be both the surrogate key and the durable key"]);
    assert_eq!(seven("Id"), ["`id` cannot be both the durable key and a natural key"]);
    assert_eq!(seven("__dk"), ["`__dk` is no name for a column: `__` is reserved for system columns"]);
}

#[test]
fn surrogate_keys_are_hashes_or_a_sequence() {
    let strategy = |more: &str| settings(&dimension(more)).key_strategy;
    assert_eq!(strategy(""), KeyStrategy::Hash);
    assert_eq!(strategy("surrogate_key_strategy: hash"), KeyStrategy::Hash);
    assert_eq!(strategy("surrogate_key_strategy: sequence"), KeyStrategy::Sequence);
    assert_eq!(strategy("surrogate_key_strategy: identity"), KeyStrategy::Sequence);
    assert_eq!(
        messages(&dimension("surrogate_key_strategy: uuid")),
        ["`surrogate_key_strategy` must be `hash`, `sequence` or `identity`, found `uuid`"]
    );
}

#[test]
fn default_rows_hold_values_of_columns_and_labels_of_members() {
    let dimension_settings =
        settings(&dimension("default_rows: {-1: Unknown, '-2': N/A, city: Nowhere, zip: 010}"));
    assert_eq!(dimension_settings.member_labels, [(-1, "Unknown".to_owned()), (-2, "N/A".to_owned())].into());
    assert_eq!(dimension_settings.default_rows.get("zip").unwrap(), "010");
    assert_eq!(messages(&dimension("default_rows: {-5: x}")), ["there is no default member -5"]);
    assert_eq!(messages(&dimension("default_rows: {1: x}")), ["there is no default member 1"]);
    assert_eq!(messages(&dimension("default_rows: {city: }")), ["`default_rows.city` needs a value"]);
}

#[test]
fn keys_of_facts_are_errors_unless_they_say_nothing() {
    assert_eq!(
        messages(&dimension("merge_keys: [a]\nappend_only: true\ngrain: a row")),
        ["`merge_keys` is for facts", "`append_only` is for facts", "`grain` is for facts"]
    );
    assert_eq!(messages(&dimension("append_only: false\nforeign_keys: []")), Vec::<String>::new());
    assert_eq!(
        messages(&dimension("").replace("{name: silver.t}", "{name: silver.t, cdc_strategy: append}")),
        ["`cdc_strategy: append` is for facts with `append_only: true`"]
    );
}

#[test]
fn a_hard_delete_has_no_effect_on_a_history() {
    assert_eq!(pipeline(&dimension("delete_strategy: hard")).delete_strategy, DeleteStrategy::Hard);
    let notes = read(&history("delete_strategy: hard")).notes;
    assert_eq!(notes, ["delete_strategy: hard has no effect on a history: a delete closes the version"]);
}
