//! The merge hot path, end to end: one type 2 dimension over a change feed, from the source's log to the
//! target's commit, control rows included.
//!
//! Each size is measured twice: the first load of all members, and a second day that changes one member in a
//! hundred, scattered over the whole key range. Tables are made by the test kit, on local disk.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kimball::PipelineExecutor;
use kimball_tests::source_table::{ChangeFeed, SourceTable, TableLayout};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MEMBERS: [i64; 2] = [10_000, 100_000];
const ATTRIBUTES: [&str; 8] = ["first", "last", "email", "street", "city", "segment", "phone", "status"];
const DAY_1: i64 = 1_735_689_600_000_000;
const DAY_2: i64 = DAY_1 + 86_400_000_000;

const CONFIG: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 2
keys: {surrogate_key: customer_sk, natural_keys: [customer_id]}
effective_at: updated_at
track_history_columns: ['*']
sources: [{name: silver.customers, cdc_strategy: cdf}]
";

fn schema() -> SchemaRef {
    let mut fields = vec![Field::new("customer_id", DataType::Int64, true)];
    fields.extend(ATTRIBUTES.iter().map(|name| Field::new(*name, DataType::Utf8, true)));
    fields.push(Field::new(
        "updated_at",
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        true,
    ));
    Arc::new(Schema::new(fields))
}

/// Rows of the given members as they are on a day.
fn rows(members: impl Iterator<Item = i64> + Clone, day: i64) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(members.clone().collect::<Int64Array>())];
    for (place, name) in (0i64..).zip(ATTRIBUTES) {
        let values =
            members.clone().map(|member| Some(format!("{name}_{}", (member * (place + 3) + day) % 10_007)));
        columns.push(Arc::new(values.collect::<StringArray>()));
    }
    let times = members.map(|_| Some(day)).collect::<TimestampMicrosecondArray>();
    columns.push(Arc::new(times.with_timezone("UTC")));
    RecordBatch::try_new(schema(), columns).expect("columns fit the schema")
}

/// A project whose source holds `members` rows and was never loaded.
fn project(runtime: &Runtime, members: i64) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let configs = folder.path().join("configs");
    fs::create_dir(&configs).expect("a folder for configs");
    fs::write(configs.join("dim_customer.yml"), CONFIG).expect("a config");
    let source = source(folder.path());
    let layout = TableLayout { schema: schema(), partition_by: Vec::new(), change_feed: ChangeFeed::Enabled };
    runtime.block_on(async {
        source.create(&layout, None).await.expect("a source table");
        source.insert([rows(0..members, DAY_1)], None).await.expect("first rows");
    });
    folder
}

fn source(folder: &Path) -> SourceTable {
    SourceTable::at(&folder.join("warehouse"), "silver.customers").expect("a table name")
}

/// Changes one member in a hundred.
fn second_day(runtime: &Runtime, folder: &Path, members: i64) {
    let changed = rows((0..members).step_by(100), DAY_2);
    runtime.block_on(async {
        source(folder)
            .merge(&["customer_id".to_owned()], Some(changed), None, None)
            .await
            .expect("changed rows");
    });
}

fn load(folder: &Path) -> u64 {
    let executor = PipelineExecutor::builder()
        .config_paths([folder.join("configs").display().to_string()])
        .warehouse(folder.join("warehouse").display().to_string())
        .working_dir(folder)
        .build()
        .expect("a project that holds");
    let summary = executor.run().expect("a run");
    assert_eq!(summary.failed, 0, "{summary}");
    summary.total_rows_written
}

fn type_2(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("type_2");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    for members in MEMBERS {
        group.throughput(Throughput::Elements(members.unsigned_abs()));
        group.bench_with_input(BenchmarkId::new("first_load", members), &members, |bencher, members| {
            let fresh = || project(&runtime, *members);
            bencher.iter_batched(fresh, |folder| black_box(load(folder.path())), BatchSize::PerIteration);
        });
        group.throughput(Throughput::Elements(members.unsigned_abs() / 100));
        group.bench_with_input(BenchmarkId::new("one_percent_day", members), &members, |bencher, members| {
            let loaded = || {
                let folder = project(&runtime, *members);
                load(folder.path());
                second_day(&runtime, folder.path(), *members);
                folder
            };
            bencher.iter_batched(loaded, |folder| black_box(load(folder.path())), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, type_2);
criterion_main!(benches);
