//! The commit: one row in a hundred is retired, as many are added, in one version of the log.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use kimball_lake::{Commit, CommitOutcome, DataFileWriter, LakeTable, NewTable, TableId, Warehouse};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::members::{DAYS, rows, schema};

pub fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10);
    for size in [10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(u64::try_from(size / 100).expect("a number of rows")));
        group.bench_with_input(BenchmarkId::new("one_percent", size), &size, |bencher, size| {
            let prepared = || {
                let folder = TempDir::new().expect("a temporary folder");
                let table = runtime.block_on(filled(&folder, *size));
                (folder, table)
            };
            bencher.iter_batched(
                prepared,
                |(folder, table)| {
                    runtime.block_on(replace_some(&table, *size));
                    (folder, table)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A table of `size` rows with deletion vectors.
async fn filled(folder: &TempDir, size: i64) -> LakeTable {
    let root = folder.path().display().to_string();
    let warehouse = Warehouse::new(&root, &[].into()).expect("a warehouse");
    let table = TableId::new("gold", "dim_customer").expect("a table name");
    let new = NewTable {
        properties: [("delta.enableDeletionVectors".to_owned(), "true".to_owned())].into(),
        ..NewTable::default()
    };
    let table = warehouse.create(&table, &schema(), &new).await.expect("a table");
    append(&table, 0..size, Commit::default()).await;
    table.refreshed().await.expect("the table as it is")
}

/// The rows of the commit are rows of the table in their order.
async fn replace_some(table: &LakeTable, size: i64) {
    let mut removals = table.live_rows().await.expect("rows").addresses();
    for rows in removals.values_mut() {
        *rows = rows.iter().filter(|row| row % 100 == 0).collect();
    }
    append(table, size..size + size / 100, Commit { removals, ..Commit::default() }).await;
}

async fn append(table: &LakeTable, members: std::ops::Range<i64>, commit: Commit) {
    let mut writer = DataFileWriter::new(table).expect("a writer");
    writer.write(rows(members, DAYS[0])).await.expect("written rows");
    let files = writer.finish().await.expect("a file");
    let live = table.live_rows().await.expect("rows");
    let outcome = table.commit(&live, Commit { files, ..commit }).await.expect("a commit");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "nobody else commits");
}
