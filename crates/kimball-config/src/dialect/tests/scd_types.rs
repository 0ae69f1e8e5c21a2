use super::*;

#[test]
fn every_type_has_its_number() {
    let history = "effective_at: e\ntrack_history_columns: ['*']";
    for (number, more) in [
        (0, String::new()),
        (1, String::new()),
        (2, history.to_owned()),
        (3, "previous_columns: {city: old_city}".to_owned()),
        (4, "history_table: gold.h".to_owned()),
        (5, "mini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a]}]".to_owned()),
        (6, format!("{history}\ncurrent_value_columns: [a]")),
        (7, format!("{history}\ndurable_key: dk")),
    ] {
        let read = read(&dimension(&format!("scd_type: {number}\n{more}")));
        assert_eq!((read.problems, read.notes), (vec![], vec![]), "{number}");
        let TableKind::Dimension(dimension) = read.pipeline.unwrap().kind else { panic!("a fact") };
        assert_eq!(dimension.scd.number(), number);
    }
    assert_eq!(settings(&dimension("")).scd, Scd::Type1);
    assert_eq!(messages(&dimension("scd_type: 8")), ["`scd_type` must be 0 to 7, found 8"]);
    assert_eq!(messages(&dimension("scd_type: -1")), ["`scd_type` must be at least 0, found -1"]);
    assert_eq!(messages(&dimension("scd_type: two")), ["`scd_type` must be a whole number, found `two`"]);
}

#[test]
fn keys_of_other_types_are_errors_unless_they_say_nothing() {
    for (key, message) in [
        ("previous_columns: {a: b}", "`previous_columns` is for type 3, this dimension is type 1"),
        ("history_table: gold.h", "`history_table` is for type 4, this dimension is type 1"),
        ("current_value_columns: [a]", "`current_value_columns` is for type 6, this dimension is type 1"),
        ("durable_key: dk", "`durable_key` is for type 7, this dimension is type 1"),
    ] {
        assert_eq!(messages(&dimension(key)), [message]);
    }
    assert_eq!(messages(&dimension("previous_columns: {}\ncurrent_value_columns: []")), Vec::<String>::new());
}

#[test]
fn settings_of_histories_are_noted_on_types_without_one() {
    let said = "effective_at: e\ntrack_history_columns: [a]";
    for (more, table) in [
        ("scd_type: 0", "type 0 dimension"),
        ("scd_type: 1", "type 1 dimension"),
        ("scd_type: 3\nprevious_columns: {a: b}", "type 3 dimension"),
        (
            "scd_type: 4\nmini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a]}]",
            "type 4 dimension without history_table",
        ),
        (
            "scd_type: 5\nmini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a]}]",
            "type 5 dimension",
        ),
    ] {
        let expected =
            ["effective_at", "track_history_columns"].map(|key| format!("{key} has no effect on a {table}"));
        assert_eq!(read(&dimension(&format!("{more}\n{said}"))).notes, expected);
    }
    assert_eq!(read(&dimension(&format!("scd_type: 4\nhistory_table: gold.h\n{said}"))).notes, [""; 0]);
}

#[test]
fn type_3_has_a_previous_column_for_some_columns() {
    let Scd::Type3 { previous } =
        settings(&dimension("scd_type: 3\nprevious_columns: {city: old_city, zip: old_zip}")).scd
    else {
        panic!("no type 3")
    };
    let expected = [("city", "old_city"), ("zip", "old_zip")];
    assert_eq!(previous, expected.map(|(column, old)| (column.to_owned(), old.to_owned())).into());
    for nothing in ["", "\nprevious_columns: {}", "\nprevious_columns:"] {
        assert_eq!(
            messages(&dimension(&format!("scd_type: 3{nothing}"))),
            ["type 3 needs `previous_columns`"]
        );
    }
}

#[test]
fn previous_columns_are_columns_of_their_own() {
    let problems = |pairs: &str| messages(&dimension(&format!("scd_type: 3\nprevious_columns: {{{pairs}}}")));
    assert_eq!(problems("city: City"), ["`city` cannot be its own previous column"]);
    assert_eq!(problems("a: old, b: OLD"), ["`OLD` is already the previous column of `a`"]);
    assert_eq!(problems("a: b, b: c"), ["`b` is the previous column of `a`: it cannot have one itself"]);
    assert_eq!(
        problems("a: B, b: A"),
        [
            "`a` is the previous column of `b`: it cannot have one itself",
            "`b` is the previous column of `a`: it cannot have one itself"
        ]
    );
    assert_eq!(problems("a: ID"), ["`ID` is a natural key: it cannot hold previous values"]);
    assert_eq!(problems("a: sk"), ["`sk` is the surrogate key: it cannot hold previous values"]);
    assert_eq!(problems("Id: old_id"), ["`Id` is a natural key: it never changes within a member"]);
    assert_eq!(problems("sk: old_sk"), ["`sk` is the surrogate key: it never changes within a member"]);
    assert_eq!(problems("A: old, a: older"), ["`a` is in `previous_columns` twice"]);
    assert_eq!(problems("a: ''"), ["the name of a column must not be empty"]);
    assert_eq!(
        problems("a: __old, __b: old"),
        [
            "`__old` is no name for a column: `__` is reserved for system columns",
            "`__b` is no name for a column: `__` is reserved for system columns"
        ]
    );
}

#[test]
fn type_4_writes_a_history_table_of_all_fields_or_the_named_ones() {
    let history = |more: &str| {
        let Scd::Type4 { history } = settings(&dimension(&format!("scd_type: 4\n{more}"))).scd else {
            panic!("no type 4")
        };
        history.unwrap()
    };
    let table = TableName::parse("gold.dim_history").unwrap();
    assert_eq!(
        history("history_table: gold.dim_history"),
        FieldHistory { table: table.clone(), effective_at: None, tracked: TrackedColumns::All }
    );
    assert_eq!(
        history("history_table: gold.dim_history\neffective_at: e\ntrack_history_columns: [a]"),
        FieldHistory {
            table,
            effective_at: Some("e".to_owned()),
            tracked: TrackedColumns::Named(vec!["a".to_owned()])
        }
    );
    assert_eq!(messages(&dimension("scd_type: 4")), ["type 4 needs `history_table` or `mini_dimensions`"]);
}

#[test]
fn a_history_table_is_another_table_with_room_for_the_key() {
    assert_eq!(
        messages(&dimension("scd_type: 4\nhistory_table: main.gold.dim")),
        ["`history_table` must be another table"]
    );
    assert_eq!(
        messages(&dimension("scd_type: 4\nhistory_table: dim_history")),
        ["`dim_history` is not a table name: write `schema.table` or `catalog.schema.table`"]
    );
    let with_key = |key: &str| {
        messages(
            &dimension("scd_type: 4\nhistory_table: gold.h")
                .replace("surrogate_key: sk", &format!("surrogate_key: {key}")),
        )
    };
    assert_eq!(
        with_key("Value"),
        ["`Value` cannot be the surrogate key: `history_table` has a column of that name"]
    );
    assert_eq!(with_key("value_sk"), Vec::<String>::new());
}

#[test]
fn a_table_knows_what_it_writes_besides_its_own() {
    let minis = "mini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a]}]";
    let pipeline = pipeline(&dimension(&format!("scd_type: 4\nhistory_table: gold.h\n{minis}")));
    let companions: Vec<_> = pipeline.companions().into_iter().map(ToString::to_string).collect();
    assert_eq!(companions, ["gold.m", "gold.h"]);
}

/// A type 6 dimension with these current value columns.
fn six(columns: &str) -> String {
    dimension(&format!("scd_type: 6\ntrack_history_columns: [a]\ncurrent_value_columns: {columns}"))
}

#[test]
fn type_6_has_current_values_and_may_do_without_a_time() {
    let Scd::Type6 { history, current_values } = settings(&six("[a, b]")).scd else { panic!("no type 6") };
    assert_eq!(current_values, ["a", "b"]);
    assert_eq!(history.effective_at, None);
    let timed = settings(&format!("{}effective_at: e\n", six("[a]")));
    assert_eq!(timed.scd.history().unwrap().effective_at.as_deref(), Some("e"));
    assert_eq!(messages(&six("[]")), ["type 6 needs `current_value_columns`"]);
}

#[test]
fn current_value_columns_are_attributes_whose_newest_value_has_room() {
    assert_eq!(messages(&six("[a, A]")), ["`A` is in `current_value_columns` twice"]);
    assert_eq!(messages(&six("[sk]")), ["`sk` is the surrogate key: it is no attribute"]);
    let warned = read(&six("[id, a]"));
    assert_eq!(warned.problems, ["7: `id` is a natural key: it never changes within a member"]);
    assert!(warned.pipeline.is_some());
    assert_eq!(
        messages(&six("[a, current_a]")),
        ["the newest `a` would stand in `current_a`, which is in `current_value_columns` itself"]
    );
    assert_eq!(
        messages(&six("[a]").replace("[id]", "[Current_A]")),
        ["the newest `a` would stand in `current_a`, which is a natural key"]
    );
}

#[test]
fn type_7_has_a_durable_key_under_keys_or_at_the_top() {
    let seven = history("").replace("scd_type: 2", "scd_type: 7");
    assert_eq!(messages(&seven), ["a dimension needs `keys.durable_key`"]);
    let nested = seven.replace("natural_keys: [id]", "natural_keys: [id], durable_key: dk");
    let Scd::Type7 { durable_key, history } = settings(&nested).scd else { panic!("no type 7") };
    assert_eq!(durable_key, "dk");
    assert_eq!(history.effective_at.as_deref(), Some("changed_at"));
    assert_eq!(settings(&format!("{seven}durable_key: dk\n")), settings(&nested));
    assert_eq!(
        messages(&format!("{nested}durable_key: dk\n")),
        ["`durable_key` is there twice: at the top and under `keys`"]
    );
}
