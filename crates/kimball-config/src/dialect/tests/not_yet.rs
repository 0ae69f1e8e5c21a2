use super::*;

#[test]
fn keys_of_later_issues_are_refused_at_their_place() {
    for (more, key) in [
        ("pii: {columns: [{column: a, strategy: drop}]}", "pii"),
        ("observability: {event_table: x}", "observability"),
    ] {
        let read = read(&dimension(more));
        assert_eq!(read.problems, [format!("5: `{key}` is not supported yet")], "{more}");
    }
}

#[test]
fn the_same_keys_are_fine_when_they_say_what_happens_anyway() {
    let harmless = "mini_dimensions: []\ntests: []\npii: {columns: []}\n\
                    observability: {enabled: false, write_failure: warn}";
    assert_eq!(messages(&dimension(harmless)), Vec::<String>::new());
    assert_eq!(
        messages(&fact("partition_by: []\nreplace_partitions: false\njunk_dimensions: []")),
        Vec::<String>::new()
    );
}

#[test]
fn tests_and_pii_are_checked_for_form() {
    assert_eq!(
        messages(&dimension(
            "tests:\n- {column: a, severity: fatal, tests: [unique, not_nul, {accepted_values: [1, 2]}, {relationships: {to: g.d}},\n\
             \x20   {expression: 'a >'}, accepted_values, {accepted_values: {values: [x]}}]}\n- {tests: [unique]}"
        )),
        [
            "`severity` must be `error` or `warn`, found `fatal`",
            "unknown test `not_nul`",
            "`relationships` needs `field`",
            "`expression` is no SQL expression: Expected: an expression, found: EOF",
            "the test `accepted_values` needs its settings: write a mapping",
            "an entry of `tests` needs `column`",
        ]
    );
    assert_eq!(
        messages(&dimension(
            "pii:\n  columns:\n  - {column: a, strategy: null}\n  - {column: b, strategy: tokenize}\n\
             \x20 - {column: c, strategy: tokenize, secret_ref: hunter2}\n  - {column: d, strategy: mask, mask_char: '**', secret_ref: 'env://A'}\n\
             \x20 - {column: e, strategy: tokenize, secret_ref: 'env://KEY'}"
        )),
        [
            "`pii` is not supported yet",
            "a pii column needs `secret_ref`",
            "`secret_ref` must be a reference, never the secret itself",
            "`mask_char` is one character",
            "`secret_ref` is for `strategy: tokenize`",
        ]
    );
}

#[test]
fn streaming_and_contracts_are_checked_for_form() {
    let with_source =
        |more: &str| dimension("").replace("{name: silver.t}", &format!("{{name: silver.t, {more}}}"));
    assert_eq!(
        messages(&with_source("streaming: {enabled: false, trigger: available_now}")),
        Vec::<String>::new()
    );
    assert_eq!(
        messages(&with_source(
            "streaming: {enabled: true, trigger: processing_time, starting_version: 1, starting_timestamp: x}"
        )),
        [
            "`streaming` is not supported yet",
            "`trigger: processing_time` needs `trigger_interval`",
            "either `starting_version` or `starting_timestamp`, not both",
        ]
    );
    assert_eq!(messages(&with_source("contract_ref: a.yaml")), ["`contract_ref` is not supported yet"]);
    let good = "contract: {id: c, version: 1.0.0, schema: {a: {type: bigint, nullable: no}}, freshness: {max_age: 2 hours}, \
                cdc: {required: true}, quality: [{rule: unique, columns: [a]}], temporal: {event_time_column: e}, \
                validation: {mode: sampled, sample_fraction: 0.1}}";
    assert_eq!(messages(&with_source(good)), ["`contract` is not supported yet"]);
    let bad = "contract: {schema: {a: {type: bgint}}, freshness: {max_age: soon}, quality: [{rule: null_rate}, \
               {rule: unique, column: a, columns: [b]}], validation: {mode: sampled}}";
    assert_eq!(
        messages(&with_source(bad)),
        [
            "`contract` is not supported yet",
            "a contract needs `id`",
            "a contract needs `version`",
            "`bgint` is no type",
            "`max_age` must be a duration such as `2 hours` or `30m`, found `soon`",
            "the rule `null_rate` needs `column`",
            "the rule `null_rate` needs `max_ratio`",
            "either `column` or `columns`, not both",
            "`mode: sampled` needs `sample_fraction`",
        ]
    );
}
