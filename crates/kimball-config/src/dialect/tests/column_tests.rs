use super::*;

/// A dimension with these tests of the column `a`.
fn tested(tests: &str) -> String {
    dimension(&format!("tests:\n- {{column: a, tests: [{tests}]}}"))
}

/// What is to hold of that column.
fn holds(tests: &str) -> Vec<Test> {
    let mut read = pipeline(&tested(tests)).tests;
    assert_eq!(read.len(), 1);
    read.remove(0).tests
}

#[test]
fn dimensions_and_facts_have_tests() {
    let expected = [
        ColumnTest {
            column: "a".to_owned(),
            tests: vec![Test::Unique, Test::NotNull],
            severity: Severity::Error,
        },
        ColumnTest { column: "b".to_owned(), tests: vec![Test::NotNull], severity: Severity::Warn },
    ];
    let tests =
        "tests:\n- {column: a, tests: [unique, not_null]}\n- {column: b, tests: [not_null], severity: warn}";
    assert_eq!(pipeline(&dimension(tests)).tests, expected);
    assert_eq!(pipeline(&fact(tests)).tests, expected);
    assert_eq!(pipeline(&fact("tests: []")).tests, []);
    assert_eq!(pipeline(&fact("tests: [{column: a, tests: []}]")).tests, []);
}

#[test]
fn accepted_values_are_kept_as_they_are_written() {
    let values = ["010", "yes", "1.50", "", "null"].map(str::to_owned).to_vec();
    for form in ["[010, yes, 1.50, '', 'null']", "{values: [010, yes, 1.50, '', 'null']}"] {
        assert_eq!(holds(&format!("{{accepted_values: {form}}}")), [Test::AcceptedValues(values.clone())]);
    }
    for (form, message) in [
        ("[]", "`accepted_values` needs one value at least"),
        ("{values: []}", "`accepted_values` needs one value at least"),
        ("", "`accepted_values` needs a value"),
        ("{}", "`accepted_values` needs `values`"),
        ("open", "`accepted_values` must be a list, found `open`"),
        ("{value: [a]}", "unknown key `value` in `accepted_values`"),
        ("[a, null]", "NULL is always accepted: the test `not_null` refuses it"),
        ("[[a]]", "a value in `accepted_values` must be text, found a list"),
    ] {
        let found = messages(&tested(&format!("{{accepted_values: {form}}}")));
        assert_eq!(found.first().map(String::as_str), Some(message), "{form}");
    }
}

#[test]
fn a_relationship_names_a_column_of_a_table() {
    assert_eq!(
        holds("{relationships: {to: gold.dim_c, field: c_sk}}"),
        [Test::Relationships { to: TableName::parse("gold.dim_c").unwrap(), field: "c_sk".to_owned() }]
    );
    assert_eq!(
        messages(&tested("{relationships: {to: dim_c}}, {relationships: {field: __c}}")),
        [
            "`relationships` needs `field`",
            "`dim_c` is not a table name: write `schema.table` or `catalog.schema.table`",
            "`relationships` needs `to`",
            "`__c` is no name for a column: `__` is reserved for system columns",
        ]
    );
}

#[test]
fn an_expression_is_one_of_sql() {
    assert_eq!(holds("{expression: a > 0 OR a = -1}"), [Test::Expression("a > 0 OR a = -1".to_owned())]);
    assert_eq!(
        messages(&tested("{expression: a > 0; DROP TABLE x}")),
        ["`expression` is no SQL expression: expected the end of the expression, found `;`"]
    );
}

#[test]
fn a_mapping_may_hold_several_tests_and_a_name_may_have_a_colon() {
    assert_eq!(holds("{unique: , not_null: true}"), [Test::Unique, Test::NotNull]);
    assert_eq!(holds("{not_null: no, accepted_values: [x]}"), [Test::AcceptedValues(vec!["x".to_owned()])]);
    assert_eq!(
        messages(&tested("{unique: always}, {}, {uniqe: true}")),
        [
            "`unique` must be true or false, found `always`",
            "a test is a name, or a mapping with the name and its settings",
            "unknown key `uniqe` in a test",
        ]
    );
}

#[test]
fn unknown_and_bare_tests_are_errors() {
    assert_eq!(
        messages(&tested("not_nul, positive, relationships, [unique]")),
        [
            "unknown test `not_nul`",
            "unknown test `positive`",
            "the test `relationships` needs its settings: write a mapping",
            "a test is a mapping, found a list",
        ]
    );
    assert_eq!(
        messages(&dimension("tests: [{column: a}, {tests: [unique]}]")),
        ["an entry of `tests` needs `tests`", "an entry of `tests` needs `column`"]
    );
}
