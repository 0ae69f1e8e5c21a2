//! What Spark 3.5 answers, asked here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int32Array, StringArray};
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use chrono::DateTime;
use datafusion::prelude::SessionContext;

use crate::EngineRuntime;
use crate::stage::{Relation, Transformation};

/// One row of every type that a pipeline may meet.
fn session() -> (SessionContext, Relation) {
    let session = EngineRuntime::new(None, 2).unwrap().session(DateTime::UNIX_EPOCH);
    let time = DateTime::parse_from_rfc3339("2024-03-05T15:04:09.12Z").unwrap().timestamp_micros();
    let price = Decimal128Array::from(vec![1_000]).with_precision_and_scale(10, 2).unwrap();
    let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
        ("id", Arc::new(Int32Array::from(vec![7]))),
        ("name", Arc::new(StringArray::from(vec!["Ada Lovelace"]))),
        ("nothing", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("price", Arc::new(price)),
        ("rate", Arc::new(Float64Array::from(vec![1.5]))),
        ("day", Arc::new(Date32Array::from(vec![19_787]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC"))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, values)| (name, values, true)),
    )
    .unwrap();
    let names = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    session.register_batch("t", rows).unwrap();
    (session, Relation { alias: "t".to_owned(), name: "t".to_owned(), columns: names })
}

/// The value of an expression and its type, or the error.
fn answer(expression: &str) -> Result<(String, String), String> {
    let (session, relation) = session();
    let sql = format!("SELECT {expression} AS answer FROM t");
    let told = |error: &dyn std::error::Error| error.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let query = Transformation::resolve(&session, &sql, &[relation]).map_err(|error| told(&error))?;
        let plan = query.plan(&session).await.map_err(|error| told(&error))?;
        let rows = session.execute_logical_plan(plan).await.map_err(|error| told(&error))?;
        let batches = rows.collect().await.map_err(|error| told(&error))?;
        let column = batches.first().unwrap().column(0);
        let value = match column.is_null(0) {
            true => "NULL".to_owned(),
            false => array_value_to_string(column, 0).unwrap(),
        };
        Ok((value, column.data_type().to_string()))
    })
}

#[track_caller]
fn check(expected: &[(&str, &str)]) {
    let wrong = expected.iter().filter_map(|(expression, value)| {
        let answered = answer(expression).map(|(value, _)| value);
        (answered.as_deref() != Ok(*value)).then(|| format!("{expression}: {answered:?}, not {value}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[track_caller]
fn check_types(expected: &[(&str, &str, &str)]) {
    let wrong = expected.iter().filter_map(|(expression, value, kind)| {
        let answered = answer(expression);
        let right = Ok(((*value).to_owned(), (*kind).to_owned()));
        (answered != right).then(|| format!("{expression}: {answered:?}, not {right:?}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn divisions_are_those_of_spark() {
    check_types(&[
        ("id / 2", "3.5", "Float64"),
        ("7 / 2", "3.5", "Float64"),
        ("rate / 2", "0.75", "Float64"),
        ("price / 3", "3.333333", "Decimal128(14, 6)"),
        ("price / price", "1.0000000000000", "Decimal128(23, 13)"),
        ("price / CAST(3 AS DECIMAL(10, 2))", "3.3333333333333", "Decimal128(23, 13)"),
        ("CAST(2 AS DECIMAL(10, 2)) / 3", "0.666667", "Decimal128(14, 6)"),
        ("price / rate", "6.666666666666667", "Float64"),
        ("id % 2", "1", "Int64"),
        ("id / CAST(NULL AS INT)", "NULL", "Float64"),
        ("try_divide(id, 0)", "NULL", "Float64"),
    ]);
    for by_zero in ["id / 0", "rate / 0", "price / 0", "price / (rate - rate)"] {
        assert!(answer(by_zero).unwrap_err().to_lowercase().contains("by zero"), "{by_zero}");
    }
}

#[test]
fn money_stays_exact_beside_written_numbers() {
    check_types(&[
        ("price * 1.19", "11.9000", "Decimal128(14, 4)"),
        ("price * (1 - 0.25)", "7.5000", "Decimal128(15, 4)"),
        ("price + 1", "11.00", "Decimal128(11, 2)"),
        ("rate * 2", "3.0", "Float64"),
        ("price > 9.99", "true", "Boolean"),
    ]);
}

#[test]
fn texts_are_those_of_spark() {
    check(&[
        ("concat(name, nothing)", "NULL"),
        ("concat(name, '!')", "Ada Lovelace!"),
        ("concat_ws('-', name, nothing, 'x')", "Ada Lovelace-x"),
        ("substring(name, -8)", "Lovelace"),
        ("substring(name, 0, 3)", "Ada"),
        ("substr(name, 5, 4)", "Love"),
        ("locate('L', name)", "5"),
        ("locate('a', name, 4)", "10"),
        ("instr(name, 'L')", "5"),
        ("len(name)", "12"),
        ("ucase(name)", "ADA LOVELACE"),
        ("startswith(name, 'Ada')", "true"),
        ("name RLIKE '^Ada'", "true"),
        ("name NOT RLIKE '^Ada'", "false"),
        ("rlike(name, 'Love')", "true"),
        ("regexp_replace(name, '[aeiou]', '_')", "Ad_ L_v_l_c_"),
        ("regexp_replace(name, '(\\w+) (\\w+)', '$2, $1')", "Lovelace, Ada"),
        ("regexp_extract(name, '(\\w+) (\\w+)', 2)", "Lovelace"),
        ("regexp_extract(name, '(\\w+) (\\w+)')", "Ada"),
        ("regexp_extract(name, '\\w+', 0)", "Ada"),
        ("regexp_extract(name, '(\\d+)', 1)", ""),
        ("regexp_extract(nothing, '(\\d+)', 1)", "NULL"),
        ("split(name, ' ')[0]", "Ada"),
        ("split('a1b22c', '[0-9]+')[2]", "c"),
        ("split('a,b,c', ',', 2)[1]", "b,c"),
        ("split(name, ' ')[7]", "NULL"),
        ("split(name, ' ')[1]", "Lovelace"),
        ("sha2('a', 256)", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
        ("replace(name, ' ')", "AdaLovelace"),
        ("decode(id, 1, 'one', 7, 'seven', 'many')", "seven"),
        ("decode(nothing, NULL, 'none', 'some')", "none"),
        ("lpad(id, 3, '0')", "007"),
    ]);
}

#[test]
fn dates_are_those_of_spark() {
    check(&[
        ("date_format(day, 'yyyyMMdd')", "20240305"),
        ("CAST(date_format(at, 'yyyyMMdd') AS INT)", "20240305"),
        ("date_format(at, \"EEEE\")", "Tuesday"),
        ("to_date('05.03.2024', 'dd.MM.yyyy')", "2024-03-05"),
        ("to_date('2024-03-05')", "2024-03-05"),
        ("to_date(at)", "2024-03-05"),
        ("to_timestamp('05/03/2024 13:02', 'dd/MM/yyyy HH:mm') = TIMESTAMP '2024-03-05 13:02:00'", "true"),
        ("to_timestamp(0) = TIMESTAMP '1970-01-01 00:00:00'", "true"),
        ("try_to_timestamp('soon')", "NULL"),
        ("unix_timestamp(TIMESTAMP '1970-01-02 00:00:00')", "86400"),
        ("unix_timestamp('02.01.1970', 'dd.MM.yyyy')", "86400"),
        ("from_unixtime(86400)", "1970-01-02 00:00:00"),
        ("from_unixtime(86400, 'dd.MM.')", "02.01."),
        ("date_trunc('MONTH', day) = TIMESTAMP '2024-03-01 00:00:00'", "true"),
        ("date_trunc('MM', at) = TIMESTAMP '2024-03-01 00:00:00'", "true"),
        ("trunc(day, 'MM')", "2024-03-01"),
        ("trunc(at, 'YEAR')", "2024-01-01"),
        ("last_day(day)", "2024-03-31"),
        ("months_between(day, DATE '2024-01-05')", "2.0"),
        ("datediff(day, DATE '2024-03-01')", "4"),
        ("datediff(HOUR, at, TIMESTAMP '2024-03-06 15:04:09.12')", "24"),
        ("date_add(day, 30)", "2024-04-04"),
        ("date_sub(day, 5)", "2024-02-29"),
        ("add_months(day, -1)", "2024-02-05"),
        ("day + INTERVAL 1 DAY", "2024-03-06"),
        ("year(day) * 100 + month(day)", "202403"),
        ("dayofweek(day)", "3"),
        ("extract(DOW FROM day)", "3"),
        ("NOT !(day > DATE '2024-01-01')", "true"),
        ("element_at(array(1, 2, 3), -1)", "3"),
        ("sort_array(array(2, NULL, 1))[1]", "1"),
        ("CAST('A' AS BINARY) = x'41'", "true"),
        ("dayname(day)", "Tue"),
        ("quarter(at)", "1"),
        ("extract(YEAR FROM at)", "2024"),
        ("CAST(at AS STRING)", "2024-03-05 15:04:09.12"),
        ("at::string", "2024-03-05 15:04:09.12"),
        ("CAST(day AS STRING)", "2024-03-05"),
        ("CAST(at AS BIGINT)", "1709651049"),
        ("CAST(TIMESTAMP '1969-12-31 23:59:59.5' AS BIGINT)", "-1"),
        ("CAST(60 AS TIMESTAMP) = TIMESTAMP '1970-01-01 00:01:00'", "true"),
        ("CAST(rate AS STRING)", "1.5"),
        ("string(rate * 4)", "6.0"),
    ]);
    for wrong in
        ["to_date('31.02.2024', 'dd.MM.yyyy')", "to_timestamp('soon', 'yyyy')", "date_format(day, 'YYYY')"]
    {
        assert!(answer(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn numbers_and_conditions_are_those_of_spark() {
    check_types(&[
        ("ceil(rate)", "2", "Int64"),
        ("floor(rate)", "1", "Int64"),
        ("ceiling(price)", "10", "Decimal128(9, 0)"),
        ("int('12')", "12", "Int32"),
        ("sign(-rate)", "-1.0", "Float64"),
        ("if(id > 5, 'big', 'small')", "big", "Utf8"),
        ("iff(id > 5, 1, 2)", "1", "Int64"),
        ("isnull(nothing)", "true", "Boolean"),
        ("isnotnull(nothing)", "false", "Boolean"),
        ("nvl(nothing, 'x')", "x", "Utf8"),
        ("zeroifnull(CAST(NULL AS INT))", "0", "Int64"),
        ("nothing <=> NULL", "true", "Boolean"),
        ("pmod(-7, 3)", "2", "Int64"),
        ("array(1, 2)[0]", "1", "Int64"),
    ]);
}

#[test]
fn groups_are_those_of_spark() {
    check(&[
        ("count_if(id > 5)", "1"),
        ("count_if(id > 9)", "0"),
        ("max_by(name, id)", "Ada Lovelace"),
        ("first(name)", "Ada Lovelace"),
        ("last(nothing, true)", "NULL"),
        ("any_value(name)", "Ada Lovelace"),
        ("approx_count_distinct(id)", "1"),
        ("every(id > 5)", "true"),
        ("listagg(name, ',')", "Ada Lovelace"),
        ("size(collect_set(name))", "1"),
    ]);
}
