use super::*;

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

/// An accumulating snapshot with these milestones, each in a line, and more lines.
fn process(milestones: &[&str], more: &str) -> String {
    let milestones = milestones.iter().map(|item| format!("\n  - {{{item}}}")).collect::<String>();
    fact(&format!("fact_pattern: accumulating_snapshot\ngrain: an order\nmilestones:{milestones}\n{more}"))
}

const ORDERED: &str = "name: ordered, column: ordered_at, order: 10";
const SHIPPED: &str = "name: shipped, column: shipped_at, order: 20";

#[test]
fn a_periodic_snapshot_says_its_period() {
    let periodic =
        fact("fact_pattern: periodic_snapshot\ngrain: an account and month\nsnapshot_period: month");
    assert_eq!(fact_settings(&periodic).pattern, FactPattern::PeriodicSnapshot);
    let transaction = fact("fact_pattern: transaction\ngrain: an order");
    assert_eq!(fact_settings(&transaction).pattern, FactPattern::Transaction);
}

#[test]
fn milestones_come_in_their_order_whatever_the_order_of_the_file() {
    let shipped = format!("{SHIPPED}, lag_column: days_to_ship");
    let milestones = [
        Milestone { name: "ordered".to_owned(), column: "ordered_at".to_owned(), lag_column: None },
        Milestone {
            name: "shipped".to_owned(),
            column: "shipped_at".to_owned(),
            lag_column: Some("days_to_ship".to_owned()),
        },
    ];
    assert_eq!(
        fact_settings(&process(&[&shipped, ORDERED], "")).pattern,
        FactPattern::AccumulatingSnapshot { milestones: milestones.to_vec() }
    );
}

#[test]
fn the_first_milestone_has_no_lag() {
    let ordered = format!("{ORDERED}, lag_column: days");
    assert_eq!(
        read(&process(&[SHIPPED, &ordered], "")).problems,
        ["9: `lag_column` takes the days since the milestone before: `ordered` is the first"]
    );
}

#[test]
fn two_lags_need_two_columns() {
    let shipped = format!("{SHIPPED}, lag_column: days");
    let paid = "name: paid, column: paid_at, order: 30, lag_column: Days";
    assert_eq!(
        read(&process(&[ORDERED, &shipped, paid], "")).problems,
        ["10: the lag column `Days` is there twice"]
    );
}

#[test]
fn a_lag_column_is_none_of_the_columns_that_a_fact_names() {
    let more = "degenerate_dimensions: [ticket]\npartition_by: [day]\n\
                measures: [{name: amount}, {name: stock, additivity: semi_additive, non_additive_dimensions: [week]}]\n\
                junk_dimensions: [{dimension_table: gold.j, surrogate_key: flags_sk, source_columns: [rush]}]\n\
                foreign_keys: [{column: c_sk, references: gold.c, dimension_key: sk, relationship: type7, \
                durable_column: c_dk, durable_dimension_key: dk, lookup: {source_columns: [c], event_time: at}}]";
    for (column, role) in [
        ("order_id", "a merge key"),
        ("c_sk", "a foreign key"),
        ("c_dk", "a durable key"),
        ("c", "a column of a lookup"),
        ("at", "a column of a lookup"),
        ("ticket", "a degenerate dimension"),
        ("flags_sk", "a junk key"),
        ("rush", "a source column of a junk dimension"),
        ("day", "a partition column"),
        ("amount", "a measure"),
        ("week", "a dimension of a measure"),
        ("Ordered_At", "the column of a milestone"),
        ("shipped_at", "the column of a milestone"),
    ] {
        let shipped = format!("{SHIPPED}, lag_column: {column}");
        assert_eq!(
            messages(&process(&[ORDERED, &shipped], more)),
            [format!("`{column}` is already {role}: a lag column is one of its own")]
        );
    }
    let shipped = format!("{SHIPPED}, lag_column: days_to_ship");
    assert_eq!(messages(&process(&[ORDERED, &shipped], more)), Vec::<String>::new());
    let system = format!("{SHIPPED}, lag_column: __lag");
    assert_eq!(
        messages(&process(&[ORDERED, &system], more)),
        ["`__lag` is no name for a column: `__` is reserved for system columns"]
    );
}

#[test]
fn an_accumulating_snapshot_is_merged() {
    let shown = |more: &str| messages(&process(&[ORDERED, SHIPPED], more));
    assert_eq!(shown(""), Vec::<String>::new());
    assert_eq!(
        shown("append_only: true"),
        ["an accumulating snapshot fills in rows that are there: `append_only` does not"]
    );
    assert_eq!(
        shown("replace_partitions: true\npartition_by: [day]"),
        ["an accumulating snapshot fills in rows that are there: `replace_partitions` does not"]
    );
}
