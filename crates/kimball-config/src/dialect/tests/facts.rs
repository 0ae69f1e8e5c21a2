use super::*;

fn settings(text: &str) -> Fact {
    match pipeline(text).kind {
        TableKind::Fact(fact) => fact,
        TableKind::Dimension(_) => panic!("a dimension"),
    }
}

/// A fact whose only foreign key has a lookup with more settings.
fn lookup(more: &str) -> String {
    fact(&format!(
        "foreign_keys: [{{column: c_sk, references: gold.dim_c, dimension_key: sk, lookup: {{source_columns: [a, b]{more}}}}}]"
    ))
}

fn read_lookup(more: &str) -> Lookup {
    settings(&lookup(more)).foreign_keys.remove(0).lookup.unwrap()
}

#[test]
fn a_fact_needs_merge_keys() {
    let text = fact("").replace("merge_keys: [order_id]\n", "");
    assert_eq!(messages(&text), ["a fact needs `merge_keys`"]);
    assert_eq!(messages(&fact("").replace("[order_id]", "[]")), ["`merge_keys` needs one name at least"]);
    assert_eq!(messages(&fact("").replace("[order_id]", "[a, A]")), ["`A` is in `merge_keys` twice"]);
}

#[test]
fn keys_of_dimensions_are_errors_but_the_default_type_is_not() {
    assert_eq!(
        messages(&fact("scd_type: 2\nkeys: {surrogate_key: sk}\neffective_at: e")),
        ["`scd_type` is for dimensions", "`keys` is for dimensions", "`effective_at` is for dimensions"]
    );
    assert_eq!(messages(&fact("scd_type: 1")), Vec::<String>::new());
}

#[test]
fn an_append_source_needs_append_only_and_append_only_needs_a_feed() {
    let appending = fact("").replace("{name: silver.t}", "{name: silver.t, cdc_strategy: append}");
    assert_eq!(messages(&appending), ["`cdc_strategy: append` needs `append_only: true`"]);
    assert_eq!(settings(&format!("{appending}append_only: true\n")).loading, FactLoading::Append);
    let full = fact("append_only: true").replace("{name: silver.t}", "{name: silver.t, cdc_strategy: full}");
    assert_eq!(
        messages(&full),
        ["`append_only` needs a source that is a feed: a snapshot does not say which rows are new"]
    );
}

#[test]
fn a_lookup_has_defaults() {
    assert_eq!(
        read_lookup(""),
        Lookup {
            source_columns: vec!["a".to_owned(), "b".to_owned()],
            dimension_columns: vec!["a".to_owned(), "b".to_owned()],
            event_time: None,
            not_applicable_when: None,
            invalid_action: InvalidAction::Error,
            identity_map: None,
            early_arriving: EarlyArriving::Default,
            detect_fanout: true,
            validate_resolution: false,
        }
    );
    let set = read_lookup(
        ", dimension_columns: [x, y], event_time: t, not_applicable_when: a IS NULL AND b > 1, invalid_action: default, \
         early_arriving: error, detect_fanout: no, validate_resolution: yes",
    );
    assert_eq!(set.dimension_columns, ["x", "y"]);
    assert_eq!(set.event_time.as_deref(), Some("t"));
    assert_eq!(set.not_applicable_when.as_deref(), Some("a IS NULL AND b > 1"));
    assert_eq!((set.invalid_action, set.early_arriving), (InvalidAction::Default, EarlyArriving::Error));
    assert_eq!((set.detect_fanout, set.validate_resolution), (false, true));
}

#[test]
fn a_lookup_is_checked() {
    assert_eq!(
        messages(&lookup(", dimension_columns: [x]")),
        ["`dimension_columns` has 1 names and `source_columns` has 2: they go in pairs"]
    );
    assert_eq!(
        messages(&lookup(", not_applicable_when: 'a = '")),
        ["`not_applicable_when` is no SQL expression: Expected: an expression, found: EOF"]
    );
    assert_eq!(
        messages(&lookup(", not_applicable_when: 'a = 1; DROP TABLE x'")),
        ["`not_applicable_when` is no SQL expression: unexpected `;` after the expression"]
    );
    assert_eq!(
        messages(&fact("foreign_keys: [{column: c, lookup: {source_columns: [a]}}]")),
        [
            "a lookup needs `references` of its foreign key",
            "a lookup needs `dimension_key` of its foreign key"
        ]
    );
    assert_eq!(
        messages(&fact("foreign_keys: [{column: c, references: g.d, dimension_key: sk, lookup: {}}]")),
        ["a lookup needs `source_columns`"]
    );
}

#[test]
fn an_identity_map_needs_one_column_and_an_event_time() {
    assert_eq!(
        messages(&lookup(", identity_map: silver.map")),
        [
            "`identity_map` maps one identity: `source_columns` needs exactly one column",
            "`identity_map` needs `event_time`: identities change over time",
        ]
    );
}

#[test]
fn type_7_relationships_need_all_their_parts() {
    assert_eq!(
        messages(&fact("foreign_keys: [{column: c, relationship: type7}]")),
        [
            "`relationship: type7` needs `lookup.event_time`",
            "`relationship: type7` needs `references`",
            "`relationship: type7` needs `dimension_key`",
            "`relationship: type7` needs `durable_column`",
            "`relationship: type7` needs `durable_dimension_key`",
        ]
    );
    assert_eq!(
        messages(&fact("foreign_keys: [{column: c, durable_column: d}]")),
        ["`d` is a durable key: that needs `relationship: type7`"]
    );
}

#[test]
fn foreign_keys_have_columns_and_roles_of_their_own() {
    assert_eq!(
        messages(&fact("foreign_keys: [{column: c, references: g.d}, {column: C}]")),
        ["the foreign key column `C` is there twice"]
    );
    assert_eq!(
        messages(&fact("foreign_keys: [{column: a, role_playing: true}]")),
        ["a role-playing foreign key needs `role`", "a role-playing foreign key needs `references`"]
    );
    assert_eq!(
        messages(&fact(
            "foreign_keys:\n- {column: a, references: g.d, role_playing: true, role: r}\n\
             - {column: b, references: g.d, role_playing: true, role: r}"
        )),
        ["the role `r` is there twice"]
    );
    let keys = settings(&fact("foreign_keys: [{column: a, references: g.d, role: order date}]")).foreign_keys;
    assert_eq!(keys[0].references.as_ref().unwrap().to_string(), "g.d");
    assert_eq!(
        messages(&fact("foreign_keys: [{references: g.d}, word]")),
        ["a foreign key needs `column`", "a foreign key is a mapping, found text"]
    );
}

#[test]
fn a_pattern_needs_its_grain_and_its_settings() {
    for (more, expected) in [
        ("fact_pattern: transaction\ngrain: one order", vec![]),
        ("fact_pattern: transaction", vec!["`fact_pattern` needs `grain`: say in words what one row is"]),
        ("fact_pattern: periodic_snapshot\ngrain: g", vec!["a periodic snapshot needs `snapshot_period`"]),
        ("snapshot_period: day", vec!["`snapshot_period` is for `fact_pattern: periodic_snapshot`"]),
        (
            "snapshot_period: hour",
            vec![
                "`snapshot_period` is for `fact_pattern: periodic_snapshot`",
                "`snapshot_period` must be `day`, `week`, `month`, `quarter` or `year`, found `hour`",
            ],
        ),
        (
            "fact_pattern: accumulating_snapshot\ngrain: g\nmilestones: [{name: a, column: b, order: 1}]",
            vec!["an accumulating snapshot needs two `milestones` at least"],
        ),
        (
            "milestones: [{name: a, column: b, order: 1}, {name: a, column: b, order: 1}, {order: 0}]",
            vec![
                "`milestones` are for `fact_pattern: accumulating_snapshot`",
                "the milestone `a` is there twice",
                "the milestone column `b` is there twice",
                "two milestones have the order 1",
                "a milestone needs `name`",
                "a milestone needs `column`",
                "`order` must be at least 1, found 0",
            ],
        ),
    ] {
        assert_eq!(messages(&fact(more)), expected, "{more}");
    }
}

#[test]
fn measures_are_declarations_that_are_checked_for_form() {
    assert_eq!(
        messages(&fact(
            "measures:\n- {name: m, additivity: semi_additive}\n\
             - {name: m, aggregation: median, additivity: additive, non_additive_dimensions: [d]}"
        )),
        [
            "a semi-additive measure needs `non_additive_dimensions`",
            "the measure `m` is there twice",
            "`aggregation` must be `sum`, `avg`, `min`, `max`, `count` or `count_distinct`, found `median`",
            "`non_additive_dimensions` is for `additivity: semi_additive`",
        ]
    );
}

#[test]
fn grain_validation_decides_what_a_repeated_merge_key_means() {
    assert_eq!(settings(&fact("")).grain_validation, Severity::Error);
    assert_eq!(settings(&fact("grain_validation: warn")).grain_validation, Severity::Warn);
    assert_eq!(read(&dimension("grain_validation: warn")).notes.len(), 1);
}
