use super::*;

/// A fact whose only foreign key has a lookup with more settings.
fn lookup(more: &str) -> String {
    fact(&format!(
        "foreign_keys: [{{column: c_sk, references: gold.dim_c, dimension_key: sk, lookup: {{source_columns: [a, b]{more}}}}}]"
    ))
}

fn read_lookup(more: &str) -> Lookup {
    fact_settings(&lookup(more)).foreign_keys.remove(0).lookup.unwrap()
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
        ["`not_applicable_when` is no SQL expression: it ends too early, where an expression is expected"]
    );
    assert_eq!(
        messages(&lookup(", not_applicable_when: 'a = 1; DROP TABLE x'")),
        ["`not_applicable_when` is no SQL expression: expected the end of the expression, found `;`"]
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
fn two_keys_that_map_one_column_agree_on_its_identity() {
    let keys = |event: &str, column: &str| {
        let lookup = |event: &str, column: &str| {
            format!(
                "lookup: {{source_columns: [{column}], dimension_columns: [id], event_time: {event}, identity_map: s.m}}"
            )
        };
        fact(&format!(
            "foreign_keys: [{{column: a, references: g.d, dimension_key: sk, {}}}, \
             {{column: b, references: g.d, dimension_key: sk, {}}}]",
            lookup("ordered", "id"),
            lookup(event, column)
        ))
    };
    assert!(messages(&keys("ordered", "id")).is_empty());
    assert!(messages(&keys("shipped", "other")).is_empty());
    assert_eq!(
        messages(&keys("shipped", "id")),
        [
            "another foreign key maps `id` by another map or event time, and a row keeps one canonical identity: give the \
          query a column for each"
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
    let keys =
        fact_settings(&fact("foreign_keys: [{column: a, references: g.d, role: order date}]")).foreign_keys;
    assert_eq!(keys[0].references.as_ref().unwrap().to_string(), "g.d");
    assert_eq!(
        messages(&fact("foreign_keys: [{references: g.d}, word]")),
        ["a foreign key needs `column`", "a foreign key is a mapping, found text"]
    );
}

/// A fact with one foreign key of these settings.
fn key(settings: &str) -> String {
    fact(&format!(
        "foreign_keys:\n  - {{column: c_sk, references: gold.dim_c, dimension_key: sk, {settings}}}"
    ))
}

#[test]
fn a_type_7_relationship_names_the_durable_key_of_both_sides() {
    let type7 = "relationship: type7, durable_column: c_dk, durable_dimension_key: dk, \
                 lookup: {source_columns: [a], event_time: t}";
    let read = fact_settings(&key(type7)).foreign_keys.remove(0);
    assert_eq!(
        read.durable,
        Some(DurableReference { column: "c_dk".to_owned(), dimension_key: "dk".to_owned() })
    );
    assert_eq!(fact_settings(&key("relationship: standard")).foreign_keys[0].durable, None);
    assert_eq!(
        messages(&key(&type7.replace(", event_time: t", ""))),
        ["`relationship: type7` needs `lookup.event_time`"]
    );
    assert_eq!(
        messages(&key(&type7.replace("durable_column: c_dk", "durable_column: C_SK"))),
        ["the foreign key column `c_sk` is there twice"]
    );
}

#[test]
fn a_restatement_needs_to_know_when_the_event_was() {
    let restated = |more: &str| key(&format!("restate_on_late_dimension: {more}"));
    let with_time = restated("true, lookup: {source_columns: [a], event_time: t}");
    assert!(fact_settings(&with_time).foreign_keys[0].restate_on_late_dimension);
    assert!(!fact_settings(&key("lookup: {source_columns: [a]}")).foreign_keys[0].restate_on_late_dimension);
    assert!(!fact_settings(&restated("false")).foreign_keys[0].restate_on_late_dimension);
    for without_time in ["true", "true, lookup: {source_columns: [a]}"] {
        assert_eq!(
            messages(&restated(without_time)),
            ["`restate_on_late_dimension` needs `lookup.event_time`"],
            "{without_time}"
        );
    }
}

#[test]
fn an_identity_map_is_a_table() {
    let map = "lookup: {source_columns: [a], event_time: t, identity_map: main.silver.customer_map}";
    let lookup = fact_settings(&key(map)).foreign_keys.remove(0).lookup.unwrap();
    assert_eq!(lookup.identity_map.unwrap().to_string(), "main.silver.customer_map");
    assert_eq!(
        messages(&key(&map.replace("main.silver.customer_map", "map"))),
        ["`map` is not a table name: write `schema.table` or `catalog.schema.table`"]
    );
}

#[test]
fn early_facts_do_what_the_file_says() {
    assert_eq!(read_lookup(", early_arriving: skeleton").early_arriving, EarlyArriving::Skeleton);
    assert_eq!(read_lookup(", early_arriving: default").early_arriving, EarlyArriving::Default);
    assert_eq!(
        messages(&lookup(", early_arriving: inferred")),
        ["`early_arriving` must be `skeleton`, `default` or `error`, found `inferred`"]
    );
}
