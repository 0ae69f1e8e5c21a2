//! Hashes and keys: the functions that every row of a batch passes through.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput};
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion::scalar::ScalarValue;
use kimball_engine::{key_hash, row_hash};

use crate::members::{DAYS, rows};

const ROWS: [i64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// Rows of a batch: functions never see more at once.
const BATCH: i64 = 8_192;

pub fn hashing(criterion: &mut Criterion) {
    let batch = rows(0..BATCH, DAYS[0]);
    let (key, attributes) = (key_arguments(&batch), &batch.columns()[1..9]);
    let names = ["customer_id".to_owned(), "updated_at".to_owned()];
    let (version_key, hashdiff) = (key_hash("version_key", &names), row_hash());
    let mut group = criterion.benchmark_group("hashing");
    group.sample_size(10);
    for size in ROWS {
        group.throughput(Throughput::Elements(size.unsigned_abs()));
        group.bench_with_input(BenchmarkId::new("surrogate_key", size), &size, |bencher, size| {
            bencher.iter(|| (0..size / BATCH).for_each(|_| call(&version_key, &key, BATCH)));
        });
        group.bench_with_input(BenchmarkId::new("hashdiff", size), &size, |bencher, size| {
            let attributes: Vec<ColumnarValue> =
                attributes.iter().cloned().map(ColumnarValue::Array).collect();
            bencher.iter(|| (0..size / BATCH).for_each(|_| call(&hashdiff, &attributes, BATCH)));
        });
    }
    group.finish();
}

/// The seed, the natural key and the effective time.
fn key_arguments(batch: &RecordBatch) -> Vec<ColumnarValue> {
    let column = |place: usize| -> ArrayRef { Arc::clone(batch.column(place)) };
    vec![
        ColumnarValue::Scalar(ScalarValue::Int64(Some(42))),
        ColumnarValue::Array(column(0)),
        ColumnarValue::Array(column(9)),
    ]
}

fn call(function: &ScalarUDF, arguments: &[ColumnarValue], rows: i64) {
    let fields =
        arguments.iter().map(|argument| Arc::new(Field::new("argument", argument.data_type(), true)));
    let arguments = ScalarFunctionArgs {
        args: arguments.to_vec(),
        arg_fields: fields.collect(),
        number_rows: usize::try_from(rows).expect("a number of rows"),
        return_field: Arc::new(Field::new("hash", DataType::Int64, true)),
        config_options: Arc::new(ConfigOptions::default()),
    };
    black_box(function.invoke_with_args(arguments).expect("hashes"));
}
