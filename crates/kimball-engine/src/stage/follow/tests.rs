#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use futures::executor::block_on;

use super::super::shape::{self, Fickle};
use super::{Followed, WholeReason};

fn session() -> SessionContext {
    let session = SessionContext::new();
    for table in ["o", "c"] {
        let columns = ["id", "k", "n"].map(|name| Field::new(name, DataType::Int64, true));
        let table_rows = MemTable::try_new(Arc::new(Schema::new(columns.to_vec())), vec![vec![]]).unwrap();
        session.register_table(table, Arc::new(table_rows)).unwrap();
    }
    session
}

/// Which columns of a query's touched rows are known when these sources change.
fn known(sql: &str, changed: &[&str]) -> Result<Option<Vec<bool>>, WholeReason> {
    let session = session();
    let written = block_on(session.sql(sql)).unwrap().into_unoptimized_plan();
    let changed: BTreeSet<String> = changed.iter().map(|it| (*it).to_owned()).collect();
    Followed { changed: &changed }.known(&shape::normal(&session, written).unwrap())
}

#[test]
fn columns_of_sources_are_known_through_joins_groups_and_windows_and_what_these_compute_is_not() {
    let outer = "SELECT o.id, c.n, coalesce(c.n, o.n) FROM o LEFT JOIN c ON c.id = o.k WHERE c.n IS NULL";
    assert_eq!(known(outer, &["c"]), Ok(Some(vec![true; 3])));
    let groups =
        "SELECT c.k, sum(o.n), sum(o.n) + c.k FROM o JOIN c ON c.id = o.k GROUP BY c.k HAVING count(*) > 1";
    assert_eq!(known(groups, &["o"]), Ok(Some(vec![true, false, false])));
    let window = "SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) FROM o";
    assert_eq!(known(window, &["o"]), Ok(Some(vec![true, false])));
    let subquery = "SELECT id FROM o WHERE EXISTS (SELECT 1 FROM c WHERE c.k = o.k)";
    assert_eq!(known(subquery, &["c"]), Ok(Some(vec![true])));
    assert_eq!(known(subquery, &[]), Ok(None));
}

#[test]
fn a_query_that_cannot_be_followed_says_why() {
    for (sql, reason) in [
        ("SELECT id FROM o ORDER BY id LIMIT 1", WholeReason::Limit),
        ("SELECT 1 AS id, sum(n) FROM o", WholeReason::GlobalAggregate),
        ("SELECT k, sum(n) FROM o GROUP BY ROLLUP (k)", WholeReason::GroupingSets),
        ("SELECT id, sum(n) OVER () FROM o", WholeReason::WholeWindow),
        (
            "SELECT k, sum(s) OVER (PARTITION BY s) FROM (SELECT k, sum(n) AS s FROM o GROUP BY k) x",
            WholeReason::ComputedWindow,
        ),
        (
            "SELECT c.id FROM c JOIN (SELECT max(n) AS n FROM o GROUP BY k) x ON x.n = c.n",
            WholeReason::ComputedJoin,
        ),
        ("SELECT id FROM c WHERE k NOT IN (SELECT k FROM o)", WholeReason::NotIn),
        ("SELECT DISTINCT ON (k) k, id FROM o ORDER BY k, id", WholeReason::DistinctOn),
    ] {
        assert_eq!(known(sql, &["o"]), Err(reason), "{sql}");
    }
}

#[test]
fn what_is_not_followed_does_no_harm_over_sources_that_did_not_change() {
    let sql =
        "SELECT o.id, x.top FROM o JOIN (SELECT k, max(n) AS top FROM c GROUP BY k LIMIT 5) x ON x.top = o.n";
    assert_eq!(known(sql, &["o"]), Ok(Some(vec![true, true])));
    assert_eq!(known(sql, &["c"]), Err(WholeReason::Limit));
}

#[test]
fn the_clock_and_functions_that_give_another_value_every_time_are_told_apart() {
    let session = session();
    for (sql, expected) in [
        ("SELECT id FROM o", None),
        ("SELECT id, current_date FROM o", Some(Fickle::Clock)),
        ("SELECT id FROM o WHERE n IN (SELECT n FROM c WHERE now() > '2020-01-01')", Some(Fickle::Clock)),
        ("SELECT id, now(), random() FROM o", Some(Fickle::Volatile)),
    ] {
        let plan = block_on(session.sql(sql)).unwrap().into_unoptimized_plan();
        assert_eq!(shape::fickle(&plan), expected, "{sql}");
    }
}
