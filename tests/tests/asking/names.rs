//! How tables and columns may be called.

use crate::asking::{Asked, TABLE, ask, rows, value};

#[test]
fn a_table_goes_by_its_name_whatever_the_case_the_quotes_and_the_catalog() {
    let asked = Asked::shared();
    let count = |table: &str| value(&asked.project, &format!("SELECT count(*) FROM {table}"));
    let expected = count(TABLE);
    for table in [
        "GOLD.Dim_Customer",
        "`gold`.`dim_customer`",
        "`Gold`.DIM_CUSTOMER",
        "main.gold.dim_customer",
        "`spark_catalog`.`gold`.`dim_customer`",
        "dim_customer",
        "`DIM_CUSTOMER`",
        "dim_customer AS gold",
    ] {
        assert_eq!(count(table), expected, "{table}");
    }
}

#[test]
fn a_column_goes_by_its_name_alone_and_behind_any_name_of_its_table() {
    let asked = Asked::shared();
    for column in [
        "City",
        "`city`",
        "dim_customer.city",
        "gold.dim_customer.CITY",
        "`gold`.`dim_customer`.`city`",
        "main.gold.dim_customer.city",
    ] {
        let question = format!(
            "SELECT {column} AS town FROM main.gold.dim_customer WHERE {column} = 'Oslo' ORDER BY {column} LIMIT 1"
        );
        assert_eq!(value(&asked.project, &question), "Oslo", "{column}");
    }
}

#[test]
fn a_name_of_the_statement_goes_before_a_table() {
    let asked = Asked::shared();
    let with = "WITH dim_customer AS (SELECT 7 AS n) SELECT n FROM dim_customer";
    assert_eq!(value(&asked.project, with), 7);
    // A name with its schema is the table all the same.
    let both = "WITH dim_customer AS (SELECT 7 AS n) SELECT count(*) FROM gold.dim_customer";
    assert_eq!(value(&asked.project, both), value(&asked.project, &format!("SELECT count(*) FROM {TABLE}")));
}

#[test]
fn a_name_that_means_several_tables_or_none_is_told_with_those_there_are() {
    let asked = Asked::shared();
    for (question, told) in [
        (
            "SELECT * FROM customers",
            "`customers` is in several schemas: write one of bronze.customers, silver.customers",
        ),
        (
            "SELECT * FROM gold.dim_custmer",
            "there is no table `gold.dim_custmer`; did you mean `gold.dim_customer`?",
        ),
        (
            "SELECT * FROM nothing_like_it",
            "there is no table `nothing_like_it`; SHOW TABLES lists what there is",
        ),
        ("SELECT * FROM `data/calendar.csv`", "there is no table `data/calendar.csv`"),
        ("SELECT citi FROM gold.dim_customer", "city"),
        ("DESCRIBE gold.dim_custmer", "did you mean `gold.dim_customer`?"),
        ("DESCRIBE HISTORY customers", "is in several schemas"),
    ] {
        let ended = ask(&asked.project, "", question).with_code(2);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains(told),
            "{question}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{question}");
    }
}

#[test]
fn what_there_is_can_be_asked_for() {
    let asked = Asked::shared();
    let texts = |question: &str, column: &str| -> Vec<String> {
        let rows = rows(&asked.project, question);
        rows.iter().map(|row| row[column].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts("SHOW TABLES IN gold LIKE 'dim*'", "table"), ["dim_customer", "dim_product"]);
    assert_eq!(texts("SHOW SCHEMAS", "schema"), ["bronze", "gold", "silver"]);
    let tables = texts("SHOW TABLES", "table");
    assert!(
        ["customers", "etl_control", "stock"].iter().all(|name| tables.contains(&(*name).to_owned())),
        "{tables:?}"
    );

    let columns = texts("DESCRIBE silver.stock", "column");
    assert_eq!(columns, ["counted_on", "product_id", "quantity"]);
    assert_eq!(texts("SHOW COLUMNS IN silver.stock", "column"), columns);

    let history = rows(&asked.project, "DESCRIBE HISTORY gold.dim_customer");
    let versions: Vec<u64> = history.iter().map(|commit| commit["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (0..=asked.versions[1]).rev().collect::<Vec<_>>());
    assert!(history[0]["userMetadata"].as_str().unwrap().contains("batch_id"), "{}", history[0]);

    let plan = ask(&asked.project, "", "EXPLAIN SELECT city FROM gold.dim_customer").with_code(0);
    assert!(plan.stdout.contains("gold.dim_customer"), "{}", plan.stdout);
}
