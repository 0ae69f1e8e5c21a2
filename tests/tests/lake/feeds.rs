//! Change feeds of tables whose rows leave through deletion vectors.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};

use super::Lake;

fn numbers(count: i64) -> RecordBatch {
    let column = Int64Array::from_iter_values(0..count);
    RecordBatch::try_from_iter([("id", Arc::new(column) as _)]).unwrap()
}

const IDS: &str = "SELECT _change_type, _commit_version, id FROM t";

#[tokio::test]
async fn a_row_that_leaves_is_one_delete() {
    let mut lake = Lake::create(&numbers(4), &[]).await;
    lake.remove("id = 1").await;
    assert_eq!(lake.changes(2, IDS).await, ["delete|2|1"]);
}

#[tokio::test]
async fn a_file_that_loses_its_last_rows_gives_those_and_not_the_ones_lost_before() {
    let mut lake = Lake::create(&numbers(3), &[]).await;
    lake.remove("id = 1").await;
    lake.remove("id <> 1").await;
    assert_eq!(lake.changes(3, IDS).await, ["delete|3|0", "delete|3|2"]);
}

#[tokio::test]
async fn rows_leave_every_row_group_of_a_file() {
    let mut lake = Lake::create(&numbers(300_000), &[]).await;
    lake.remove("id IN (1, 2, 131071, 131072, 140000, 299999)").await;
    let expected = [
        "delete|2|1",
        "delete|2|131071",
        "delete|2|131072",
        "delete|2|140000",
        "delete|2|2",
        "delete|2|299999",
    ];
    assert_eq!(lake.changes(2, IDS).await, expected);
}
