#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::{SEED, key_hash, row_hash, spark_text};

fn call(function: &ScalarUDF, columns: &[ArrayRef]) -> Vec<i64> {
    let rows = columns.first().unwrap().len();
    let arg_fields =
        columns.iter().map(|column| Arc::new(Field::new("c", column.data_type().clone(), true))).collect();
    let args = ScalarFunctionArgs {
        args: columns.iter().cloned().map(ColumnarValue::Array).collect(),
        arg_fields,
        number_rows: rows,
        return_field: Arc::new(Field::new("r", arrow::datatypes::DataType::Int64, true)),
        config_options: Arc::new(ConfigOptions::new()),
    };
    let result = function.invoke_with_args(args).unwrap().into_array(rows).unwrap();
    result.as_primitive::<Int64Type>().values().to_vec()
}

fn key(parts: &[(&str, ArrayRef)]) -> i64 {
    let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![SEED]))];
    columns.extend(parts.iter().map(|(_, value)| Arc::clone(value)));
    call(&key_hash("k", &names), &columns)[0]
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

#[test]
fn keys_have_the_known_answers_of_the_semantics() {
    assert_eq!(key(&[("item_id", Arc::new(Int64Array::from(vec![10])))]), -7_830_622_655_558_288_800);
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_723]));
    let one: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    assert_eq!(key(&[("emp_id", one), ("eff", day)]), 2_751_119_441_650_566_127);
    let seven: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    assert_eq!(key(&[("region", text("EU")), ("emp_id", seven)]), 2_090_587_261_995_065_144);
    assert_eq!(key(&[("acct_id", text("A7"))]), -6_805_743_481_871_419_550);
}

#[test]
fn a_null_key_part_hashes_its_marker() {
    let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    assert_eq!(key(&[("a", null)]), key(&[("a", text("__KIMBALL_NULL__"))]));
}

#[test]
fn values_are_written_as_spark_casts_them() {
    let micros =
        |value| Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC")) as ArrayRef;
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(BooleanArray::from(vec![true])), "true"),
        (Arc::new(Decimal128Array::from(vec![1000]).with_precision_and_scale(10, 2).unwrap()), "10.00"),
        (Arc::new(Date32Array::from(vec![0])), "1970-01-01"),
        (micros(0), "1970-01-01 00:00:00"),
        (micros(1_500_000), "1970-01-01 00:00:01.5"),
        (micros(1), "1970-01-01 00:00:00.000001"),
        (Arc::new(Float64Array::from(vec![10.0])), "10.0"),
        (Arc::new(Float64Array::from(vec![-0.25])), "-0.25"),
        (Arc::new(Float64Array::from(vec![0.001])), "0.001"),
        (Arc::new(Float64Array::from(vec![1e7])), "1.0E7"),
        (Arc::new(Float64Array::from(vec![1.5e-5])), "1.5E-5"),
        (Arc::new(Float64Array::from(vec![123_456.789])), "123456.789"),
        (text("Zoë"), "Zoë"),
    ];
    for (values, expected) in cases {
        assert_eq!(spark_text(&values).unwrap().value(0), expected);
    }
}

#[test]
fn row_hashes_tell_null_from_empty_and_ignore_integer_width() {
    let hash = |columns: &[ArrayRef]| call(&row_hash(), columns)[0];
    let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    assert_ne!(hash(&[Arc::clone(&null)]), hash(&[text("")]));
    assert_ne!(hash(&[Arc::clone(&null), text("a")]), hash(&[text("a"), null]));
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    assert_eq!(hash(&[narrow]), hash(&[wide]));
    let zero: ArrayRef = Arc::new(Float64Array::from(vec![0.0]));
    let minus: ArrayRef = Arc::new(Float64Array::from(vec![-0.0]));
    assert_eq!(hash(&[zero]), hash(&[minus]));
}

#[test]
fn timestamps_are_written_as_chrono_writes_them_without_trailing_zeros() {
    let day = 86_400_000_000;
    let mut micros: Vec<i64> = (-50..50).map(|step: i64| step * 7 * day + step.pow(5) * 1_000).collect();
    micros.extend([0, 1, 100_000, 999_999, -1, -62_167_219_200_000_000, -62_167_219_200_000_001]);
    micros.extend([
        253_402_300_799_999_999,
        253_402_300_800_000_000,
        1_735_689_600_000_000,
        1_735_689_600_000_000,
    ]);
    let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros.clone()));
    let texts = spark_text(&column).unwrap();
    for (micros, text) in micros.iter().zip(&texts) {
        let time = chrono::DateTime::from_timestamp_micros(*micros).unwrap();
        let whole = time.format("%Y-%m-%d %H:%M:%S").to_string();
        let fraction = time.format("%6f").to_string();
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        assert_eq!(text.unwrap(), format!("{whole}{dot}{fraction}"));
    }
}
