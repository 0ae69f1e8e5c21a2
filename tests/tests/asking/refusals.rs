//! Nothing is written, however it is spelled.

use crate::asking::{Asked, ask, with_input};
use crate::command::command;

const WRITING: &[&str] = &[
    "INSERT INTO gold.dim_product SELECT * FROM gold.dim_product",
    "INSERT OVERWRITE gold.dim_product SELECT * FROM gold.dim_product",
    "WITH p AS (SELECT 1) INSERT INTO gold.dim_product SELECT * FROM gold.dim_product",
    "UPDATE gold.dim_product SET price = 0",
    "DELETE FROM gold.dim_product",
    "MERGE INTO gold.dim_product t USING gold.dim_product s ON t.product_id = s.product_id WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE gold.dim_product",
    "DROP TABLE gold.dim_product",
    "ALTER TABLE gold.dim_product ADD COLUMN x INT",
    "CREATE TABLE gold.copied AS SELECT * FROM gold.dim_product",
    "CREATE VIEW gold.seen AS SELECT 1",
    "CREATE SCHEMA other",
    "SELECT * INTO gold.copied FROM gold.dim_product",
    "COPY (SELECT 1) TO 'written.csv'",
    "CREATE EXTERNAL TABLE written STORED AS PARQUET LOCATION 'written'",
    "EXPLAIN ANALYZE INSERT INTO gold.dim_product SELECT * FROM gold.dim_product",
    "EXPLAIN DELETE FROM gold.dim_product",
    "VACUUM gold.dim_product",
    "OPTIMIZE gold.dim_product",
    "RESTORE TABLE gold.dim_product TO VERSION AS OF 0",
    "SET x = 1",
    "BEGIN",
];

#[test]
fn whatever_writes_is_refused_and_changes_nothing() {
    let asked = Asked::shared();
    let before = asked.project.files();
    for statement in WRITING {
        let ended = ask(&asked.project, "", statement).with_code(2);
        assert!(ended.stderr.starts_with("error: ") && ended.stdout.is_empty(), "{statement}: {ended:?}");
        let typed = format!("{statement};\n");
        with_input(&mut command(asked.project.root(), "shell"), &typed).with_code(2);
    }
    assert!(asked.project.files() == before, "something was written");
}

#[test]
fn the_refusal_says_what_may_be_asked() {
    let asked = Asked::shared();
    let ended = ask(&asked.project, "", "DROP TABLE gold.dim_product").with_code(2);
    for word in ["only questions", "SELECT", "SHOW TABLES", "DESCRIBE HISTORY", "EXPLAIN"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[test]
fn questions_leave_nothing_behind_either() {
    let asked = Asked::shared();
    let before = asked.project.files();
    ask(
        &asked.project,
        "",
        "SELECT * FROM gold.dim_customer; SHOW TABLES; DESCRIBE HISTORY gold.etl_control",
    )
    .with_code(0);
    assert!(asked.project.files() == before, "something was written");
}
