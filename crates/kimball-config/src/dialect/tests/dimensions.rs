use super::*;

fn settings(text: &str) -> Dimension {
    match pipeline(text).kind {
        TableKind::Dimension(dimension) => dimension,
        TableKind::Fact(_) => panic!("a fact"),
    }
}

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
fn a_durable_key_is_for_type_7_exactly() {
    assert_eq!(
        messages(&dimension("durable_key: dk")),
        ["`durable_key` is for type 7, this dimension is type 1"]
    );
    let seven = history("").replace("scd_type: 2", "scd_type: 7");
    assert_eq!(
        messages(&seven),
        ["a dimension needs `keys.durable_key`", "`scd_type: 7` is not supported yet"]
    );
    let with_key = seven.replace("natural_keys: [id]", "natural_keys: [id], durable_key: dk");
    assert_eq!(messages(&with_key), ["`scd_type: 7` is not supported yet"]);
}

#[test]
fn type_2_needs_its_time_and_its_tracked_columns() {
    assert_eq!(
        messages(&dimension("scd_type: 2")),
        ["type 2 needs `effective_at`", "type 2 needs `track_history_columns`"]
    );
    let Scd::Type2(all) = settings(&history("")).scd else { panic!("no history") };
    assert_eq!(all, History { effective_at: "changed_at".to_owned(), tracked: TrackedColumns::All });
    let named = settings(&dimension("scd_type: '2'\neffective_at: e\ntrack_history_columns: [a, b]"));
    let Scd::Type2(named) = named.scd else { panic!("no history") };
    assert_eq!(named.tracked, TrackedColumns::Named(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(
        messages(&dimension("scd_type: 2\neffective_at: e\ntrack_history_columns: []")),
        ["`track_history_columns` needs names, or `[\"*\"]` for all"]
    );
    assert_eq!(
        messages(&dimension("scd_type: 2\neffective_at: e\ntrack_history_columns: ['*', a]")),
        ["`\"*\"` tracks all columns: leave the other names out"]
    );
}

#[test]
fn history_settings_of_a_type_1_dimension_are_noted() {
    assert_eq!(
        read(&dimension("effective_at: e\ntrack_history_columns: [a]")).notes,
        [
            "effective_at has no effect on a type 1 dimension",
            "track_history_columns has no effect on a type 1 dimension"
        ]
    );
}

#[test]
fn keys_of_other_types_are_errors() {
    for (key, message) in [
        ("previous_columns: {a: b}", "`previous_columns` is for type 3, this dimension is type 1"),
        ("history_table: gold.h", "`history_table` is for type 4, this dimension is type 1"),
        ("current_value_columns: [a]", "`current_value_columns` is for type 6, this dimension is type 1"),
    ] {
        assert_eq!(messages(&dimension(key)), [message]);
    }
    assert_eq!(messages(&dimension("scd_type: 8")), ["`scd_type` must be 0 to 7, found 8"]);
    assert_eq!(messages(&dimension("scd_type: two")), ["`scd_type` must be a whole number, found `two`"]);
}

#[test]
fn types_that_are_not_built_are_checked_and_then_refused() {
    for (more, expected) in [
        ("scd_type: 0", vec!["`scd_type: 0` is not supported yet"]),
        ("scd_type: 3", vec!["type 3 needs `previous_columns`", "`scd_type: 3` is not supported yet"]),
        ("scd_type: 3\nprevious_columns: {city: previous_city}", vec!["`scd_type: 3` is not supported yet"]),
        (
            "scd_type: 3\nprevious_columns: {city: City}",
            vec!["`scd_type: 3` is not supported yet", "`city` cannot be its own previous column"],
        ),
        ("scd_type: 4", vec!["type 4 needs `history_table` or `mini_dimensions`"]),
        ("scd_type: 4\nhistory_table: gold.h", vec!["`scd_type: 4` is not supported yet"]),
        (
            "scd_type: 4\nhistory_table: gold.dim",
            vec!["`scd_type: 4` is not supported yet", "`history_table` must be another table"],
        ),
        ("scd_type: 5", vec!["type 5 needs `mini_dimensions`", "`scd_type: 5` is not supported yet"]),
        (
            "scd_type: 6\ntrack_history_columns: [a]",
            vec!["type 6 needs `current_value_columns`", "`scd_type: 6` is not supported yet"],
        ),
        (
            "scd_type: 6\ntrack_history_columns: [a]\ncurrent_value_columns: [a]",
            vec!["`scd_type: 6` is not supported yet"],
        ),
    ] {
        assert_eq!(messages(&dimension(more)), expected, "{more}");
    }
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
    let notes = read(&history("delete_strategy: hard\nremember_repeats: false")).notes;
    assert_eq!(notes, ["delete_strategy: hard has no effect on a history: a delete closes the version"]);
}
