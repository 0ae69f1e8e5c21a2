//! What one fact writes besides its own table: wherever its process dies, the next run brings inferred members, junk
//! dimensions and the record of waiting rows to where an undisturbed run would have brought them (semantics 8, 9).

use crate::crash::killed_at;
use crate::project::Project;
use crate::shop;

const FACT: &str = "gold.fact_tracked";
const CUSTOMERS: &str = "gold.dim_customer";
const JUNK: &str = "gold.dim_flags";
const WAITING: &str = "gold.etl_unresolved_dimension_keys";

/// Customers who live in Oslo, which nobody does on the first day.
const OSLO: &str = "\
table_name: gold.dim_oslo
table_type: dimension
scd_type: 1
keys: {surrogate_key: oslo_key, natural_keys: [customer_id]}
sources: [{name: silver.customers}]
transformation_sql: SELECT id AS customer_id, name FROM customers WHERE city = 'Oslo'
";

const CONFIG: &str = "\
table_name: gold.fact_tracked
table_type: fact
merge_keys: [order_id]
sources: [{name: silver.orders}]
transformation_sql: |
  SELECT id AS order_id, customer_id, order_date, id % 2 = 0 AS is_even, id % 3 AS third FROM orders
junk_dimensions: [{dimension_table: gold.dim_flags, surrogate_key: flags_key, source_columns: [is_even, third]}]
foreign_keys:
  - column: customer_key
    references: gold.dim_customer
    dimension_key: customer_key
    lookup: {source_columns: [customer_id], event_time: order_date, early_arriving: skeleton}
  - column: oslo_key
    references: gold.dim_oslo
    dimension_key: oslo_key
    lookup: {source_columns: [customer_id], early_arriving: default}
depends_on: [gold.dim_customer, gold.dim_oslo]
";

const FILES: &str = "configs/dim_customer.yml configs/dim_oslo.yml configs/fact_tracked.yml";

fn opened() -> Project {
    let project = shop::open();
    project.write("configs/dim_oslo.yml", OSLO);
    project.write("configs/fact_tracked.yml", CONFIG);
    project
}

/// A commit of a table.
type Mark<'t> = (&'t str, u64);

/// Kills a run when one commit is there and another is not, and runs again.
fn interrupted_between(before: &Project, line: &str, done: Mark<'_>, awaited: Mark<'_>) -> Project {
    let is_there =
        |project: &Project, (table, version): Mark<'_>| project.commit_file(table, version).exists();
    let is_between = |project: &Project| is_there(project, done) && !is_there(project, awaited);
    let what = format!("between {done:?} and {awaited:?}");
    let (project, ()) =
        killed_at(before, line, &what, is_between, |project| is_between(project).then_some(()));
    project.call(line).with_code(0);
    project
}

fn require_same(project: &Project, twin: &Project, when: &str) {
    for table in [FACT, CUSTOMERS, JUNK] {
        assert_eq!(project.logical_rows(table), twin.logical_rows(table), "{when}: {table}");
    }
    let waiting = |project: &Project| {
        let columns = ["relationship", "fact_grain_json", "assigned_key", "status"].map(str::to_owned);
        let mut rows = project.rows(WAITING).select(&columns).unwrap().values;
        rows.sort();
        rows
    };
    assert!(waiting(project) == waiting(twin), "{when}: {WAITING}");
    project.require_honest_control();
}

#[test]
fn a_fact_and_all_that_it_writes_agree_after_a_crash_between_their_commits() {
    let first = format!("run {FILES} {}", shop::FIRST_RUN);
    let second = format!("run {FILES} {}", shop::SECOND_RUN);
    let before_first = opened();
    let after_first = before_first.copy();
    after_first.call(&first).with_code(0);
    let inferred = after_first.rows(CUSTOMERS);
    let is_inferred = |row: &Vec<Option<String>>| row.contains(&Some("INFERRED".to_owned()));
    assert!(inferred.values.iter().any(is_inferred), "no customer came early");
    // Version 0 makes a table; the dimension's own rows are version 1, what it infers version 2.
    for (done, awaited) in [((CUSTOMERS, 2), (JUNK, 1)), ((JUNK, 1), (WAITING, 1)), ((WAITING, 1), (FACT, 1))]
    {
        let project = interrupted_between(&before_first, &first, done, awaited);
        require_same(&project, &after_first, &format!("day 1, killed between {done:?} and {awaited:?}"));
    }
    let before_second = after_first.copy();
    shop::second_day(&before_second);
    let after_second = before_second.copy();
    after_second.call(&second).with_code(0);
    let (fact, waiting) = (before_second.next_version(FACT), before_second.next_version(WAITING));
    let marked = (WAITING, after_second.next_version(WAITING) - 1);
    assert!(marked.1 > waiting, "day 2 records new rows that wait and marks old ones");
    for (done, awaited) in [((WAITING, waiting), (FACT, fact)), ((FACT, fact), marked)] {
        let project = interrupted_between(&before_second, &second, done, awaited);
        require_same(&project, &after_second, &format!("day 2, killed between {done:?} and {awaited:?}"));
    }
}
