use super::*;

/// A fact with these junk dimensions, each in a line, and more lines.
fn junk(items: &[&str], more: &str) -> String {
    let items = items.iter().map(|item| format!("\n  - {{{item}}}")).collect::<String>();
    fact(&format!("junk_dimensions:{items}\n{more}"))
}

const FLAGS: &str = "dimension_table: gold.flags, surrogate_key: flags_sk, source_columns: [rush, gift]";

#[test]
fn a_fact_may_have_junk_dimensions() {
    let pipeline = pipeline(&junk(&[FLAGS], ""));
    let TableKind::Fact(fact) = &pipeline.kind else { panic!("no fact") };
    assert_eq!(
        fact.junk_dimensions,
        [JunkDimension {
            table: TableName::parse("gold.flags").unwrap(),
            surrogate_key: "flags_sk".to_owned(),
            columns: vec!["rush".to_owned(), "gift".to_owned()],
        }]
    );
    assert_eq!(pipeline.companions(), [&TableName::parse("gold.flags").unwrap()]);
}

#[test]
fn a_junk_dimension_needs_its_table_its_key_and_its_columns() {
    assert_eq!(
        messages(&junk(&["dimension_table: flags", "surrogate_key: __k, source_columns: [a, A]"], "")),
        [
            "a junk dimension needs `surrogate_key`",
            "a junk dimension needs `source_columns`",
            "`flags` is not a table name: write `schema.table` or `catalog.schema.table`",
            "a junk dimension needs `dimension_table`",
            "`__k` is no name for a column: `__` is reserved for system columns",
            "`A` is in `source_columns` twice",
        ]
    );
    assert_eq!(
        messages(&junk(&[&FLAGS.replace("rush, gift", "")], "")),
        ["`source_columns` needs one name at least"]
    );
}

#[test]
fn a_junk_dimension_is_a_table_of_its_own() {
    let again = FLAGS.replace("gold.flags", "main.gold.flags").replace("flags_sk", "again_sk");
    let own = FLAGS.replace("gold.flags", "gold.fact").replace("flags_sk", "own_sk");
    assert_eq!(
        read(&junk(&[FLAGS, &again, &own], "")).problems,
        [
            "7: `main.gold.flags` is already a junk dimension of this fact",
            "8: a junk dimension must be another table than its fact",
        ]
    );
}

#[test]
fn a_junk_key_is_a_column_of_its_own() {
    let more = "degenerate_dimensions: [ticket]\n\
                foreign_keys: [{column: c_sk, references: gold.c, dimension_key: sk, relationship: type7, \
                durable_column: c_dk, durable_dimension_key: dk, lookup: {source_columns: [c], event_time: at}}]";
    for (column, role) in [
        ("Order_Id", "a merge key"),
        ("c_sk", "a foreign key"),
        ("c_dk", "a durable key"),
        ("c", "a column of a lookup"),
        ("ticket", "a degenerate dimension"),
    ] {
        assert_eq!(
            messages(&junk(&[&FLAGS.replace("flags_sk", column)], more)),
            [format!("`{column}` cannot be both {role} and a junk key")]
        );
    }
    assert_eq!(
        messages(&junk(
            &[FLAGS, &FLAGS.replace("gold.flags", "gold.more").replace("flags_sk", "FLAGS_SK")],
            ""
        )),
        ["the junk key `FLAGS_SK` is there twice"]
    );
}

#[test]
fn a_source_column_of_a_junk_dimension_is_no_junk_key() {
    assert_eq!(
        messages(&junk(&[&FLAGS.replace("rush", "Flags_SK")], "")),
        ["`Flags_SK` is a junk key: it cannot be a source column"]
    );
    let other = "dimension_table: gold.more, surrogate_key: more_sk, source_columns: [flags_sk]";
    assert_eq!(
        messages(&junk(&[FLAGS, other], "")),
        ["`flags_sk` is a junk key: it cannot be a source column"]
    );
    assert_eq!(
        messages(&junk(&[other, FLAGS], "")),
        ["`flags_sk` cannot be both a source column of a junk dimension and a junk key"]
    );
}

#[test]
fn a_fact_has_no_more_junk_dimensions_than_anyone_designs() {
    let items: Vec<String> = (0..5_000)
        .map(|number| {
            FLAGS.replace("gold.flags", &format!("gold.j{number}")).replace("flags_sk", &format!("k{number}"))
        })
        .collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    assert_eq!(messages(&junk(&items, "")), ["a fact has at most 100 junk dimensions"]);
    assert_eq!(fact_settings(&junk(&items[..100], "")).junk_dimensions.len(), 100);
}
