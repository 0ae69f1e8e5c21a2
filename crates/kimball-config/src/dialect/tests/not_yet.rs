use super::*;

#[test]
fn what_says_what_happens_anyway_is_fine() {
    let harmless = "mini_dimensions: []\ntests: []\npii: {columns: []}\n\
                    observability: {enabled: false, write_failure: warn}";
    assert_eq!(messages(&dimension(harmless)), Vec::<String>::new());
    assert_eq!(
        messages(&fact("partition_by: []\nreplace_partitions: false\njunk_dimensions: []")),
        Vec::<String>::new()
    );
}

#[test]
fn tests_are_checked_for_form() {
    assert_eq!(
        messages(&dimension(
            "tests:\n- {column: a, severity: fatal, tests: [unique, not_nul, {accepted_values: [1, 2]}, {relationships: {to: g.d}},\n\
             \x20   {expression: 'a >'}, accepted_values, {accepted_values: {values: [x]}}]}\n- {tests: [unique]}"
        )),
        [
            "`severity` must be `error` or `warn`, found `fatal`",
            "unknown test `not_nul`",
            "`relationships` needs `field`",
            "`expression` is no SQL expression: it ends too early, where an expression is expected",
            "the test `accepted_values` needs its settings: write a mapping",
            "an entry of `tests` needs `column`",
        ]
    );
}
