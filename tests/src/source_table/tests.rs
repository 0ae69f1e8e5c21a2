#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use chrono::TimeZone;

use super::*;
use crate::columns::{batch_from_text, parse_schema};
use crate::foreign_reader::{latest_version, log_activity, read_feed, read_table};
use crate::scenario::matching::{Symbols, difference};
use crate::text_table::TextTable;

const NAME: &str = "silver.customers";

fn day(day: u32) -> CommitTime {
    Utc.with_ymd_and_hms(2024, 1, day, 0, 0, 0).single()
}

fn layout() -> TableLayout {
    let schema =
        parse_schema("id bigint, city string, at timestamp, local timestamp_ntz, price decimal(10,2)")
            .unwrap();
    TableLayout { schema, partition_by: Vec::new(), change_feed: ChangeFeed::Enabled }
}

fn rows(text: &str) -> RecordBatch {
    batch_from_text(&layout().schema, &TextTable::parse(text).unwrap()).unwrap()
}

fn same(expected: &str, actual: &crate::foreign_reader::Rows) {
    let difference = difference(&TextTable::parse(expected).unwrap(), actual, &mut Symbols::new()).unwrap();
    assert_eq!(difference, None, "{}", difference.as_deref().unwrap_or_default());
}

async fn customers(folder: &Path) -> SourceTable {
    let table = SourceTable::at(folder, NAME).unwrap();
    assert!(!table.exists());
    assert_eq!(table.create(&layout(), day(1)).await.unwrap(), 0);
    let inserted = "id | city | at | local | price\n\
                    1 | Rome | 2024-01-01T01:00:00+01:00 | 2024-01-01 | 1.5\n\
                    2 | Oslo | NULL | NULL | NULL\n\
                    3 | Bern | NULL | NULL | NULL";
    assert_eq!(table.insert([rows(inserted)], day(2)).await.unwrap(), 1);
    table
}

#[tokio::test]
async fn every_change_is_one_commit_with_its_feed_and_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let table = customers(folder.path()).await;
    table.update(Some("id = 1"), [("city", "'Kyiv'")], day(3)).await.unwrap();
    table.delete(Some("id = 2"), day(4)).await.unwrap();
    let upserts = rows("id | city\n1 | Bonn\n4 | Lima");
    table.merge(&["id".to_owned()], Some(upserts), Some(rows("id\n3")), day(5)).await.unwrap();
    let version = table.replace([rows("id | city\n1 | Bonn\n5 | Cork")], day(6)).await.unwrap();
    assert_eq!(version, 5);

    let feed = read_feed(folder.path(), NAME, 1).await.unwrap().unwrap();
    same(
        "_commit_version | _commit_timestamp | _change_type     | id | city
         1               | 2024-01-02        | insert           | 1  | Rome
         1               | 2024-01-02        | insert           | 2  | Oslo
         1               | 2024-01-02        | insert           | 3  | Bern
         2               | 2024-01-03        | update_preimage  | 1  | Rome
         2               | 2024-01-03        | update_postimage | 1  | Kyiv
         3               | 2024-01-04        | delete           | 2  | Oslo
         4               | 2024-01-05        | update_preimage  | 1  | Kyiv
         4               | 2024-01-05        | update_postimage | 1  | Bonn
         4               | 2024-01-05        | insert           | 4  | Lima
         4               | 2024-01-05        | delete           | 3  | Bern
         5               | 2024-01-06        | delete           | 1  | Bonn
         5               | 2024-01-06        | delete           | 4  | Lima
         5               | 2024-01-06        | insert           | 1  | Bonn
         5               | 2024-01-06        | insert           | 5  | Cork",
        &feed,
    );
}

#[tokio::test]
async fn rows_read_back_with_their_types() {
    let folder = tempfile::tempdir().unwrap();
    customers(folder.path()).await;
    let read = read_table(folder.path(), NAME).await.unwrap().unwrap();
    same(
        "id | city | at         | local      | price
         1  | Rome | 2024-01-01 | 2024-01-01 | 1.50
         2  | Oslo | NULL       | NULL       | NULL
         3  | Bern | NULL       | NULL       | NULL",
        &read,
    );
}

#[tokio::test]
async fn the_log_tells_commits_and_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let table = customers(folder.path()).await;
    assert_eq!(latest_version(folder.path(), NAME).unwrap(), Some(1));
    table.set_property("delta.appendOnly", "false", None).await.unwrap();
    table.insert([rows("id\n9")], None).await.unwrap();
    let activity = log_activity(folder.path(), NAME, Some(1)).unwrap();
    assert_eq!((activity.commits, activity.data_files_added), (2, 1));
    table.drop_table().unwrap();
    assert_eq!(latest_version(folder.path(), NAME).unwrap(), None);
    assert!(read_table(folder.path(), NAME).await.unwrap().is_none());
}
