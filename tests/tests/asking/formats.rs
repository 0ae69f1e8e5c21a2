//! In which form answers come, from where questions come, and readers that go away.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::asking::{Asked, ask, asking, objects, with_input};
use crate::command::{Ended, command};

/// A row with a value of every kind, and one with a NULL wherever there may be one.
const VALUES: &str = "SELECT * FROM (VALUES \
    (1, 'x, \"y\"', DATE '2025-01-31', TIMESTAMP '2025-01-31 10:00:00', true, CAST(1.50 AS DECIMAL(5, 2))), \
    (2, NULL, NULL, NULL, NULL, NULL)) AS v (n, text, day, at, yes, price) ORDER BY n";

/// More rows than anybody waits for.
const ENDLESS: &str = "SELECT n.value AS n FROM generate_series(1, 1000000000000) AS n";

fn read_parquet(file: File) -> Vec<RecordBatch> {
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn csv_quotes_what_has_to_be_and_leaves_nulls_empty() {
    let asked = Asked::shared();
    assert_eq!(
        ask(&asked.project, "--format csv", VALUES).with_code(0).stdout,
        "n,text,day,at,yes,price\n\
         1,\"x, \"\"y\"\"\",2025-01-31,2025-01-31T10:00:00Z,true,1.50\n\
         2,,,,,\n"
    );
    let none = ask(&asked.project, "--format csv", "SELECT 1 AS n, 'a' AS text WHERE false").with_code(0);
    assert_eq!(none.stdout, "n,text\n");
}

#[test]
fn json_is_an_object_a_line_with_its_nulls() {
    let asked = Asked::shared();
    let ended = ask(&asked.project, "--format json", VALUES).with_code(0);
    let rows = objects(&ended.stdout);
    assert_eq!(
        (&rows[0]["n"], &rows[0]["text"], &rows[0]["yes"]),
        (&1.into(), &"x, \"y\"".into(), &true.into())
    );
    assert_eq!((&rows[0]["day"], &rows[0]["at"]), (&"2025-01-31".into(), &"2025-01-31T10:00:00Z".into()));
    assert_eq!(rows[1].as_object().unwrap().values().filter(|value| value.is_null()).count(), 5);
    assert_eq!(ask(&asked.project, "--format json", "SELECT 1 AS n WHERE false").with_code(0).stdout, "");
}

#[test]
fn a_table_has_its_columns_below_their_headings() {
    let asked = Asked::shared();
    let expected = " n | text   | day        | at                  | yes  | price\n\
                    ---+--------+------------+---------------------+------+-------\n \
                    1 | x, \"y\" | 2025-01-31 | 2025-01-31 10:00:00 | true |  1.50\n \
                    2 | NULL   | NULL       | NULL                | NULL |  NULL\n\
                    (2 rows)\n";
    for options in ["", "--format text", "--format table"] {
        assert_eq!(ask(&asked.project, options, VALUES).with_code(0).stdout, expected, "{options}");
    }
}

#[test]
fn parquet_can_be_read_by_others_from_a_file_and_from_the_standard_output() {
    let asked = Asked::shared();
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("answer.parquet");
    let mut question = asking(asked.project.root(), "--format parquet --output", named.to_str().unwrap());
    let ended =
        Ended::of(question.arg("SELECT customer_id, city FROM gold.dim_customer ORDER BY customer_id"));
    assert_eq!(ended.with_code(0).stdout, "");
    let piped = folder.path().join("piped.parquet");
    let mut question = asking(asked.project.root(), "--format parquet", VALUES);
    assert!(question.stdout(File::create(&piped).unwrap()).status().unwrap().success());

    let rows = read_parquet(File::open(named).unwrap());
    let ids: Vec<i64> =
        rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert!(ids.is_sorted() && ids.contains(&205), "{ids:?}");
    let rows = read_parquet(File::open(piped).unwrap());
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let schema = rows[0].schema();
    let kind = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    assert_eq!(
        (kind("n"), kind("day"), kind("price")),
        (DataType::Int64, DataType::Date32, DataType::Decimal128(5, 2))
    );
    assert!(matches!(kind("at"), DataType::Timestamp(_, Some(_))), "{schema:?}");
}

#[test]
fn a_format_that_does_not_fit_is_told_before_anything_is_asked() {
    let asked = Asked::shared();
    for (line, told) in [
        (&["sql", "--format", "parquet", "SELECT 1; SELECT 2"][..], "one statement only"),
        (&["sql", "--format", "dot", "SELECT 1"], "--format dot is for plans"),
        (&["shell", "--format", "parquet"], "use `sql` for Parquet"),
        (&["history", "--format", "csv"], "--format csv is for answers"),
        (&["sql", "--format", "xml", "SELECT 1"], "invalid value 'xml'"),
        (&["sql", "--file", "a.sql", "SELECT 1"], "cannot be used with"),
    ] {
        let ended = Ended::of(command(asked.project.root(), "").args(line)).with_code(2);
        assert!(ended.stderr.contains(told) && ended.stdout.is_empty(), "{line:?}: {ended:?}");
    }
}

#[test]
fn an_answer_can_be_written_to_a_file_and_an_error_leaves_the_file_alone() {
    let asked = Asked::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.csv");
    let options = format!("--format csv --output {}", file.display());
    let ended = ask(&asked.project, &options, "SELECT 1 AS n").with_code(0);
    assert_eq!((ended.stdout.as_str(), fs::read_to_string(&file).unwrap().as_str()), ("", "n\n1\n"));
    for wrong in ["SELECT * FROM gold.nothing", "SELECT * FROM", "DROP TABLE gold.dim_product"] {
        ask(&asked.project, &options, wrong).with_code(2);
        assert_eq!(fs::read_to_string(&file).unwrap(), "n\n1\n", "{wrong}");
    }
    let nowhere = format!("--output {}", folder.path().join("no/folder.csv").display());
    let ended = ask(&asked.project, &nowhere, "SELECT 1").with_code(2);
    assert!(ended.stderr.contains("cannot be written"), "{}", ended.stderr);
}

#[test]
fn several_statements_are_answered_in_turn_until_one_is_wrong() {
    let asked = Asked::shared();
    let both = "SELECT ';' AS a; -- a comment; no statement\n ; SELECT 2 AS b;";
    assert_eq!(ask(&asked.project, "--format csv", both).with_code(0).stdout, "a\n;\n\nb\n2\n");
    assert_eq!(ask(&asked.project, "--format json", both).with_code(0).stdout, "{\"a\":\";\"}\n{\"b\":2}\n");
    let ended = ask(&asked.project, "--format json", "SELECT 1 AS a; SELECT b; SELECT 3 AS c").with_code(2);
    assert_eq!(ended.stdout, "{\"a\":1}\n");
    assert!(ended.stderr.contains("error: ") && ended.stderr.contains('b'), "{}", ended.stderr);
}

#[test]
fn questions_come_from_a_file_and_from_the_standard_input_too() {
    let asked = Asked::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("questions.sql");
    fs::write(&file, "-- The first.\nSELECT 1 AS n;\nSELECT 2 AS n\n").unwrap();
    let line = format!("sql --format json --file {}", file.display());
    assert_eq!(asked.project.call(&line).with_code(0).stdout, "{\"n\":1}\n{\"n\":2}\n");
    for line in ["sql --format json", "sql --format json -"] {
        let ended = with_input(&mut command(asked.project.root(), line), "SELECT 3\n AS n");
        assert_eq!(ended.with_code(0).stdout, "{\"n\":3}\n", "{line}");
    }
    for (input, told) in [
        ("", "there is no statement"),
        ("-- nothing\n;", "there is no statement"),
        ("SELECT 'a", "ends within a quoted text"),
    ] {
        let ended = with_input(&mut command(asked.project.root(), "sql"), input).with_code(2);
        assert!(ended.stderr.contains(told), "{input}: {}", ended.stderr);
    }
    let ended = asked.project.call("sql --file not/there.sql").with_code(2);
    assert!(ended.stderr.contains("not/there.sql"), "{}", ended.stderr);
}

/// Reads the beginning of what a command writes, goes away, and waits until it notices.
fn gone_after_the_beginning(command: &mut Command, input: Option<&str>) -> Ended {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(input) = input {
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    }
    let mut beginning = [0; 4];
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_exact(&mut beginning).unwrap();
    assert!(beginning == *b"PAR1" || stdout.skip_until(b'\n').is_ok());
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Ended { code: output.status.code(), stdout: String::new(), stderr }
}

#[test]
fn answers_come_as_they_are_found_and_a_reader_that_goes_away_is_no_error() {
    let asked = Asked::shared();
    for format in ["text", "json", "csv"] {
        let options = format!("--format {format}");
        let ended = gone_after_the_beginning(&mut asking(asked.project.root(), &options, ENDLESS), None);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "sql {options}");
        let mut shell = command(asked.project.root(), &format!("shell {options}"));
        let ended = gone_after_the_beginning(&mut shell, Some(&format!("{ENDLESS}; SELECT 2;")));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "shell {options}");
    }
}

#[test]
fn a_reader_of_parquet_that_goes_away_is_no_error() {
    let asked = Asked::shared();
    let mut question = asking(asked.project.root(), "--format parquet", ENDLESS);
    let ended = gone_after_the_beginning(&mut question, None);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn no_configuration_is_needed() {
    let asked = Asked::shared();
    let elsewhere = tempfile::tempdir().unwrap();
    let warehouse = asked.project.warehouse();
    let options = format!("--format json --warehouse {}", warehouse.display());
    let mut question = asking(elsewhere.path(), &options, "SELECT count(*) AS n FROM silver.orders");
    assert_eq!(Ended::of(&mut question).with_code(0).stdout, "{\"n\":419}\n");
    let mut nothing_there = asking(elsewhere.path(), "--format json", "SHOW TABLES");
    assert_eq!(Ended::of(&mut nothing_there).with_code(0).stdout, "");
    let mut nothing_there = asking(elsewhere.path(), "", "SELECT * FROM gold.dim_customer");
    let ended = Ended::of(&mut nothing_there).with_code(2);
    assert!(ended.stderr.contains("the warehouse holds no table yet"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "something was written");
}
