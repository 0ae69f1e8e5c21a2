//! Partitioned tables: their partition columns lie in the log and not in the files, and a query sees no difference.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use kimball_lake::{Commit, DataFileWriter, LakeTable, NewTable, RowRemovals, TableId};

use super::{Lake, lines, shown};

/// Rows with a partition column `p` between two others.
fn rows(first_id: i64, partitions: &[Option<&str>], kind: &DataType) -> RecordBatch {
    let count = i64::try_from(partitions.len()).unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first_id..first_id + count));
    let texts: ArrayRef = Arc::new(StringArray::from(partitions.to_vec()));
    let notes: ArrayRef = Arc::new(StringArray::from_iter((0..count).map(|note| Some(format!("n{note}")))));
    let fields = [("id", ids.data_type()), ("p", kind), ("note", notes.data_type())];
    let fields = fields.map(|(name, kind)| Field::new(name, kind.clone(), true));
    let columns = vec![ids, cast(&texts, kind).unwrap(), notes];
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).unwrap()
}

fn texts(first_id: i64, partitions: &[&str]) -> RecordBatch {
    let partitions: Vec<_> = partitions.iter().map(|&text| Some(text)).collect();
    rows(first_id, &partitions, &DataType::Utf8)
}

/// What every way of reading says of a table, compared with `expected`, rows as `id|p|note`.
async fn assert_reads(lake: &Lake, expected: &[String]) {
    const ALL: &str = "SELECT id, p, note FROM t";
    assert_eq!(lake.live(ALL).await, expected, "live rows");
    assert_eq!(lines(lake.table.rows().await.unwrap(), ALL).await, expected, "the snapshot");
    let feed = lake.table.changes(0).await.unwrap();
    let net = "SELECT id, p, note FROM t GROUP BY id, p, note \
               HAVING sum(CASE _change_type WHEN 'insert' THEN 1 ELSE -1 END) = 1";
    assert_eq!(lines(feed, net).await, expected, "the change feed");
}

async fn assert_survives(kind: DataType, values: &[&str]) {
    let mut partitions: Vec<Option<&str>> = values.iter().map(|&text| Some(text)).collect();
    partitions.push(None);
    let written = rows(0, &partitions, &kind);
    let mut expected = shown(&written);
    expected.sort();
    let mut lake = Lake::create(&written, &["p"]).await;
    assert_reads(&lake, &expected).await;

    // Each partition loses one of two rows through a deletion vector, then one partition its last.
    lake.commit(&[rows(100, &partitions, &kind)], RowRemovals::new()).await;
    let second: Vec<_> = shown(&rows(100, &partitions, &kind));
    lake.remove("id < 100").await;
    lake.remove("p IS NULL").await;
    let mut expected = second[..values.len()].to_vec();
    expected.sort();
    assert_reads(&lake, &expected).await;
}

#[tokio::test]
async fn texts_survive_whatever_they_hold() {
    let odd = [
        "plain",
        "a/b",
        "a=b",
        "100%",
        "%2F",
        "two words",
        " padded ",
        "Zürich",
        "東京",
        "a:b?c#d&e",
        "quote's \"",
        "back\\slash",
        "..",
        "null",
        "NULL",
        "line\nbreak",
        "{x}[y]^`|~",
        "+",
    ];
    assert_survives(DataType::Utf8, &odd).await;
}

#[tokio::test]
async fn integers_survive() {
    assert_survives(DataType::Int8, &["-128", "0", "127"]).await;
    assert_survives(DataType::Int16, &["-32768", "7", "32767"]).await;
    assert_survives(DataType::Int32, &["-2147483648", "20240131", "2147483647"]).await;
    assert_survives(DataType::Int64, &["-9223372036854775808", "0", "9223372036854775807"]).await;
}

#[tokio::test]
async fn booleans_and_dates_survive() {
    assert_survives(DataType::Boolean, &["true", "false"]).await;
    assert_survives(DataType::Date32, &["0001-01-01", "1969-12-31", "2024-02-29", "9999-12-31"]).await;
}

#[tokio::test]
async fn timestamps_survive_to_the_microsecond() {
    let times = [
        "1900-01-01T00:00:00Z",
        "2024-03-31T01:30:00Z",
        "2024-12-31T23:59:59.999999Z",
        "2024-01-01T12:00:00.5Z",
    ];
    assert_survives(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), &times).await;
}

#[tokio::test]
async fn decimals_and_floats_survive() {
    assert_survives(DataType::Decimal128(10, 2), &["-0.05", "0.00", "99999999.99", "-12345678.90"]).await;
    assert_survives(DataType::Decimal128(38, 0), &["-1", "99999999999999999999999999999999999999"]).await;
    assert_survives(DataType::Float64, &["-1.5", "0.1", "1e20", "2.5e-7", "NaN", "-inf"]).await;
    assert_survives(DataType::Float32, &["-1.5", "0.1", "16777216"]).await;
}

#[tokio::test]
async fn empty_text_becomes_null_in_the_partition_of_null() {
    let lake = Lake::create(&rows(0, &[Some(""), None, Some("a")], &DataType::Utf8), &["p"]).await;
    assert_reads(&lake, &["0|NULL|n0".to_owned(), "1|NULL|n1".to_owned(), "2|a|n2".to_owned()]).await;
    let live = lake.table.live_rows().await.unwrap();
    assert_eq!(live.addresses().len(), 2, "files");
    let missing = live.in_partitions(&[rows(0, &[Some("")], &DataType::Utf8)]).unwrap();
    assert_eq!(lines(Arc::new(live.at(missing)), "SELECT id FROM t").await, ["0", "1"]);
}

#[tokio::test]
async fn columns_keep_the_order_of_the_table() {
    let batch = texts(0, &["a", "b"]);
    let lake = Lake::create(&batch, &["p"]).await;
    let live = lake.table.live_rows().await.unwrap();
    let names: Vec<_> = live.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "p", "note", "__kimball_file", "__kimball_row"]);
    let types: Vec<_> = live.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[..3], [DataType::Int64, DataType::Utf8, DataType::Utf8]);
    assert_eq!(lake.live("SELECT * FROM t").await.len(), 2);
    assert_eq!(lake.live("SELECT note, p FROM t").await, ["n0|a", "n1|b"]);
    assert_eq!(lake.live("SELECT p FROM t").await, ["a", "b"]);
    assert_eq!(lake.live("SELECT __kimball_row, p, id FROM t").await, ["0|a|0", "0|b|1"]);
    assert_eq!(lake.live("SELECT count(*) FROM t").await, ["2"]);
    let feed = lake.table.changes(1).await.unwrap();
    let names: Vec<_> = feed.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "p", "note", "_change_type", "_commit_version", "_commit_timestamp"]);
    assert_eq!(lake.changes(1, "SELECT _change_type, p, id FROM t").await, ["insert|a|0", "insert|b|1"]);
}

#[tokio::test]
async fn columns_that_a_query_does_not_name_are_not_decoded() {
    let lake = Lake::create(&texts(0, &["a"]), &["p"]).await;
    let session = SessionContext::new();
    session.register_table("t", Arc::new(lake.table.live_rows().await.unwrap())).unwrap();
    let plan = session.sql("SELECT p, id FROM t").await.unwrap().create_physical_plan().await.unwrap();
    let plan = displayable(plan.as_ref()).one_line().to_string();
    assert!(plan.starts_with("DataSourceExec") && plan.contains("projection=[p, id]"), "{plan}");
}

#[tokio::test]
async fn conditions_on_partition_columns_hold() {
    let lake =
        Lake::create(&rows(0, &[Some("a"), Some("b"), None, Some("a")], &DataType::Utf8), &["p"]).await;
    assert_eq!(lake.live("SELECT id FROM t WHERE p = 'a'").await, ["0", "3"]);
    assert_eq!(lake.live("SELECT id FROM t WHERE p IS NULL").await, ["2"]);
    assert_eq!(lake.live("SELECT id FROM t WHERE p > 'a' OR id = 0").await, ["0", "1"]);
    assert_eq!(
        lake.changes(0, "SELECT id FROM t WHERE p = 'a' AND _change_type = 'insert'").await,
        ["0", "3"]
    );
}

#[tokio::test]
async fn single_rows_are_read_and_removed_by_their_address() {
    let mut lake = Lake::create(&texts(0, &["a/b", "c d", "a/b", "a/b"]), &["p"]).await;
    let live = lake.table.live_rows().await.unwrap();
    let mut chosen = RowRemovals::new();
    for line in lake.live("SELECT __kimball_file, __kimball_row FROM t WHERE id IN (1, 2)").await {
        let (file, row) = line.split_once('|').unwrap();
        chosen.entry(file.parse().unwrap()).or_default().insert(row.parse().unwrap());
    }
    let read = lines(Arc::new(live.at(chosen.clone())), "SELECT note, p, id FROM t").await;
    assert_eq!(read, ["n1|c d|1", "n2|a/b|2"]);

    lake.commit(&[texts(9, &["c d"])], chosen).await;
    assert_eq!(lake.live("SELECT id, p FROM t").await, ["0|a/b", "3|a/b", "9|c d"]);
    let changes = lake.changes(2, "SELECT _change_type, id, p FROM t").await;
    assert_eq!(changes, ["delete|1|c d", "delete|2|a/b", "insert|9|c d"]);

    lake.remove("p = 'a/b'").await;
    assert_eq!(lake.changes(3, "SELECT _change_type, id, p FROM t").await, ["delete|0|a/b", "delete|3|a/b"]);
    assert_eq!(lake.live("SELECT id, p FROM t").await, ["9|c d"]);
}

#[tokio::test]
async fn partitions_are_found_without_reading_rows() {
    let days = DataType::Date32;
    let all = rows(0, &[Some("2024-01-01"), Some("2024-01-02"), Some("2024-01-01"), None], &days);
    let mut lake = Lake::create(&all, &["p"]).await;
    lake.remove("id = 0").await;
    let live = lake.table.live_rows().await.unwrap();
    let of = async |wanted: RecordBatch| {
        let found = live.in_partitions(&[wanted]).unwrap();
        lines(Arc::new(live.at(found)), "SELECT id FROM t").await
    };
    assert_eq!(of(rows(0, &[Some("2024-01-01")], &days)).await, ["2"]);
    assert_eq!(of(rows(0, &[Some("2024-01-02"), None, Some("2030-01-01")], &days)).await, ["1", "3"]);
    // The same days as another type that holds them.
    assert_eq!(of(texts(0, &["2024-01-02"])).await, ["1"]);
    assert!(live.in_partitions(&[]).unwrap().is_empty());
    let without = all.project(&[0]).unwrap();
    assert!(live.in_partitions(&[without]).is_err());
}

#[tokio::test]
async fn a_table_has_several_partition_columns_in_an_order_of_its_own() {
    let days: ArrayRef = cast(
        &(Arc::new(StringArray::from(vec!["2024-01-01", "2024-01-02", "2024-01-02"])) as ArrayRef),
        &DataType::Date32,
    )
    .unwrap();
    let shops: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("x")]));
    let amounts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("shop", shops), ("amount", amounts), ("day", days)]).unwrap();
    let batch = nullable(&batch);
    let lake = Lake::create(&batch, &["day", "shop"]).await;
    let expected = ["NULL|2|2024-01-02", "x|1|2024-01-01", "x|3|2024-01-02"];
    assert_eq!(lake.live("SELECT shop, amount, day FROM t").await, expected);
    assert_eq!(lake.changes(0, "SELECT shop, amount, day FROM t").await, expected);
    let live = lake.table.live_rows().await.unwrap();
    let wanted = live.in_partitions(&[batch.slice(1, 1)]).unwrap();
    assert_eq!(lines(Arc::new(live.at(wanted)), "SELECT amount FROM t").await, ["2"]);
}

#[tokio::test]
async fn a_commit_gives_a_partitioned_table_columns() {
    let mut lake = Lake::create(&texts(0, &["a", "b"]), &["p"]).await;
    let fields = lake.table.schema().unwrap();
    let mut fields: Vec<_> = fields.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("extra", DataType::Int64, true)));
    let wider = Arc::new(Schema::new(fields));
    let old = texts(2, &["b", "c"]);
    let mut columns = old.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![7, 8])));
    let batch = RecordBatch::try_new(Arc::clone(&wider), columns).unwrap();

    let live = lake.table.live_rows().await.unwrap();
    let mut writer = DataFileWriter::with_columns(&lake.table, &wider).unwrap();
    writer.write(batch).await.unwrap();
    let files = writer.finish().await.unwrap();
    let mut partitions: Vec<_> = files.iter().map(|file| file.partition_value("p")).collect();
    partitions.sort();
    assert_eq!(partitions, [Some("b"), Some("c")]);
    let alteration = lake.table.alteration(&wider, &NewTable::default()).unwrap();
    assert!(alteration.is_some());
    lake.table.commit(&live, Commit { files, alteration, ..Commit::default() }).await.unwrap();
    lake.table = lake.table.refreshed().await.unwrap();

    let expected = ["0|a|NULL", "1|b|NULL", "2|b|7", "3|c|8"];
    assert_eq!(lake.live("SELECT id, p, extra FROM t").await, expected);
    assert_eq!(lake.changes(0, "SELECT id, p, extra FROM t").await, expected);
}

#[tokio::test]
async fn rows_appended_to_a_partitioned_table_are_found() {
    let mut lake = Lake::create(&texts(0, &["a/b"]), &["p"]).await;
    lake.commit(&[texts(5, &["a/b", "%20", "x y"])], RowRemovals::new()).await;
    let appended = lake.table.appended(2).await.unwrap();
    assert_eq!(lines(appended, "SELECT id, p FROM t").await, ["5|a/b", "6|%20", "7|x y"]);
}

#[tokio::test]
async fn a_table_partitioned_by_bytes_is_refused() {
    let lake = Lake::create(&texts(0, &["a"]), &[]).await;
    let schema =
        Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("p", DataType::Binary, true)]);
    let new = NewTable { partition_by: vec!["p".to_owned()], ..NewTable::default() };
    let name = TableId::new("gold", "bytes").unwrap();
    let table: LakeTable = lake.warehouse.create(&name, &schema, &new).await.unwrap();
    assert!(table.live_rows().await.unwrap_err().to_string().contains("partitioned by `p`"));
    assert!(DataFileWriter::new(&table).is_err());
}

fn nullable(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).unwrap()
}
