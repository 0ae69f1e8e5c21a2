#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use kimball_config::{Location, Transformation};
use kimball_lake::{bad_value, in_words, with_sql_types};

use crate::stage::Relation;

const FILE: &str = "configs/fact_sales.yml";

/// `s` has `id`, `shop_id` and `channel`, `h` has `shop_id` and `city`.
fn session() -> (SessionContext, Vec<Relation>) {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let session = SessionContext::new_with_config(config);
    let mut relations = Vec::new();
    for (alias, columns) in [("s", ["id", "shop_id", "channel"].as_slice()), ("h", &["shop_id", "city"])] {
        let kind = |name: &str| if name.ends_with("id") { DataType::Int64 } else { DataType::Utf8 };
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, kind(name), true)).collect();
        let rows = MemTable::try_new(Arc::new(Schema::new(fields)), vec![Vec::new()]).unwrap();
        session.register_table(alias, Arc::new(rows)).unwrap();
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        relations.push(Relation { alias: alias.to_owned(), name: format!("silver.{alias}"), columns });
    }
    (session, relations)
}

/// The query as a literal block that begins on line 8.
fn written(sql: &str) -> Transformation {
    let place = |(number, line): (usize, &str)| Location {
        line: 8 + number,
        column: 3,
        width: 1,
        source_line: format!("  {line}"),
    };
    Transformation { sql: sql.to_owned(), line: 8, lines: sql.lines().enumerate().map(place).collect() }
}

/// What is said of a query.
async fn told(sql: &str) -> String {
    let (session, relations) = session();
    let resolved =
        crate::stage::Transformation::of_pipeline(&session, &written(sql), Path::new(FILE), &relations);
    match resolved {
        Ok(query) => query.plan(&session).await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

#[test]
fn a_column_that_no_source_has_is_pointed_at_and_the_columns_are_listed() {
    assert_eq!(
        run(told("SELECT id,\n  upper(chanel) AS channel\nFROM s")),
        "the query names `chanel`, which no source has\n \
         --> configs/fact_sales.yml:9:11\n  \
           |\n\
         9 |     upper(chanel) AS channel\n  \
           |           ^^^^^^\n  \
           = help: did you mean `channel`? s has id, shop_id, channel"
    );
}

#[test]
fn the_place_is_that_of_the_name_at_fault_and_not_of_the_first_one_that_is_spelled_so() {
    let told = run(told(
        "WITH c AS (SELECT id, channel FROM s)\nSELECT id, shop_id FROM c WHERE channel = 'shop_id'",
    ));
    assert!(
        told.starts_with(
            "the query names `shop_id`, which `c` does not have\n --> configs/fact_sales.yml:9:14"
        ),
        "{told}"
    );
}

#[test]
fn an_alias_that_is_not_there_and_an_ambiguous_column_say_what_to_write() {
    let alias = run(told("SELECT s.id, sh.city FROM s JOIN h ON h.shop_id = s.shop_id"));
    assert!(alias.contains("the query names `sh.city`, and there is no `sh` in its FROM"), "{alias}");
    assert!(alias.contains("8:16") && alias.contains("did you mean `h.city`?"), "{alias}");
    let ambiguous = run(told("SELECT s.id, shop_id FROM s JOIN h ON h.shop_id = s.shop_id"));
    assert!(
        ambiguous
            .starts_with("the query's `shop_id` is in `s` and in `h`: write `s.shop_id` or `h.shop_id`\n"),
        "{ambiguous}"
    );
    assert!(ambiguous.contains("8:16"), "{ambiguous}");
}

#[test]
fn a_function_that_is_not_there_has_one_nearest_or_one_that_does_the_same() {
    let near = run(told("SELECT id, coalesc(channel, 'a') AS c FROM s"));
    assert!(
        near.contains("there is no function `coalesc`") && near.contains("did you mean `coalesce`?"),
        "{near}"
    );
    let spark = run(told("SELECT id, percentile(channel, 0.5) AS c FROM s GROUP BY id"));
    assert!(spark.contains("percentile_cont(0.5)"), "{spark}");
    let window = run(told("SELECT id, rank() AS c FROM s"));
    assert!(window.contains("OVER"), "{window}");
}

#[test]
fn groups_arguments_and_operands_are_told_without_the_types_of_the_library() {
    let grouped = run(told("SELECT shop_id, channel FROM s GROUP BY shop_id"));
    assert!(grouped.starts_with("`channel` is neither grouped nor aggregated\n"), "{grouped}");
    let argument = run(told("SELECT id, sum(channel) OVER () AS c FROM s"));
    assert!(argument.starts_with("`sum` does not take a string\n"), "{argument}");
    let operands = run(told("SELECT id, channel + id AS c FROM s"));
    assert!(operands.starts_with("`+` does not take a string and a bigint\n"), "{operands}");
}

#[test]
fn a_column_of_the_output_needs_a_name_and_plain_columns_have_one() {
    let nameless = run(told("SELECT id, upper(channel) FROM s"));
    assert!(
        nameless.starts_with("column 2 of the query has no name: add `AS name` to `upper(channel)`\n"),
        "{nameless}"
    );
    let (session, relations) = session();
    for sql in [
        "SELECT id, (channel), s.shop_id FROM s",
        "SELECT * FROM s",
        "SELECT upper(channel) AS c FROM s",
        "SELECT id AS a FROM s UNION ALL SELECT id + 1 FROM s",
        "WITH c AS (SELECT max(id) FROM s) SELECT id FROM s",
    ] {
        let query =
            crate::stage::Transformation::of_pipeline(&session, &written(sql), Path::new(FILE), &relations);
        run(query.unwrap().plan(&session)).unwrap();
    }
}

#[test]
fn the_only_cast_to_a_type_is_pointed_at_as_a_whole() {
    let sql = "SELECT CAST(a AS DATE), CAST(trim(b, ' AS ') AS BIGINT) FROM t";
    let place = super::place_of(sql, Some(&super::Sought::OnlyCast("bigint".to_owned())), None).unwrap();
    assert_eq!((place.line, place.column, place.width), (1, 25, 31));
    let two = "SELECT CAST(a AS BIGINT), b::bigint FROM t";
    assert_eq!(super::place_of(two, Some(&super::Sought::OnlyCast("bigint".to_owned())), None), None);
}

#[test]
fn what_a_template_wrote_moves_the_caret_and_never_points_at_another_word() {
    let mut query = written("SELECT id, city, ctiy FROM s");
    query.lines[0].source_line = "  SELECT {{ x }}, ctiy FROM s".to_owned();
    let (session, relations) = session();
    let query =
        crate::stage::Transformation::of_pipeline(&session, &query, Path::new(FILE), &relations).unwrap();
    let told = run(query.plan(&session)).unwrap_err().to_string();
    // `city` comes first, which the template wrote: the line as a whole is meant.
    assert!(told.contains("8:3"), "{told}");
}

fn cast(message: &str) -> DataFusionError {
    DataFusionError::ArrowError(Box::new(ArrowError::CastError(message.to_owned())), None)
}

#[test]
fn a_value_that_cannot_be_cast_is_named_with_its_type_as_sql_has_it() {
    let decimal = cast("Cannot cast string 'n/a' to value of Decimal128(38, 10) type");
    assert_eq!(in_words(&decimal), "`n/a` is no decimal; `TRY_CAST` gives NULL where a value is none");
    let number = bad_value(&cast("Cannot cast string '12 g' to value of Int64 type")).unwrap();
    assert_eq!((number.value.as_str(), number.kind.as_str()), ("12 g", "bigint"));
    let large = bad_value(&cast("Can't cast value 300 to type Int8")).unwrap();
    assert_eq!((large.value.as_str(), large.kind.as_str()), ("300", "tinyint"));
    let message = "Error parsing timestamp from '31.12.2024': error parsing date".to_owned();
    let time = DataFusionError::ArrowError(Box::new(ArrowError::ParseError(message)), None);
    assert_eq!(in_words(&time), "`31.12.2024` is no timestamp; `TRY_CAST` gives NULL where a value is none");
}

#[test]
fn stages_types_trees_and_the_request_for_a_report_are_left_out() {
    let internal =
        DataFusionError::Internal("no way from Utf8 to Timestamp(Microsecond, Some(\"UTC\"))".to_owned());
    assert_eq!(in_words(&internal), "no way from string to timestamp");
    let tree = "Substring without for/from is not valid Substring { expr: Identifier(Ident { value: 1 }) }";
    assert_eq!(in_words(&DataFusionError::Plan(tree.to_owned())), "Substring without for/from is not valid");
    assert_eq!(with_sql_types("sum(Utf8, Decimal128(10, 2))"), "sum(string, decimal(10,2))");
    assert_eq!(with_sql_types("Dateline, MyUtf8, Int64x"), "Dateline, MyUtf8, Int64x");
}
