//! Tables written here, in the hands of other readers: Python's deltalake, Polars and DuckDB.

use std::fs;
use std::process::Command;

use kimball_tests::source_table::SourceTable;
use serde_json::{Value, json};

use crate::project::{CONTROL, Project};
use crate::python::python;
use crate::shop;

/// What the readers are; a change makes a new environment.
const PACKAGES: &[&str] = &[
    "deltalake==1.6.6",
    "polars==2.1.0",
    "duckdb==1.5.5",
    "duckdb-extension-delta==1.5.5",
    "pyarrow==26.0.1",
];

/// Reads every table with every reader and compares with `expected.json`.
const READERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/read_tables.py");

#[test]
fn other_readers_see_the_same_rows_deletion_vectors_included() {
    let project = shop::open();
    load_two_days(&project);
    for table in ["gold.dim_customer", "gold.dim_product", "gold.fact_sales"] {
        assert!(
            has_deletion_vector(&project, table),
            "{table} has no deletion vector, so that this proves little"
        );
    }
    read_everywhere(&project, &["deltalake", "polars", "duckdb"]);
    // Files that are written anew hold the same.
    project.call("optimize").with_code(0);
    read_everywhere(&project, &["deltalake", "polars", "duckdb"]);
}

#[test]
fn readers_that_know_no_deletion_vectors_see_the_rows_of_copy_on_write() {
    let project = shop::open();
    let targets = fs::read_to_string(project.root().join("kimball.targets.yml")).unwrap();
    let copying = targets.replace("./warehouse", "./warehouse, merge_strategy: copy_on_write");
    project.write("kimball.targets.yml", &copying);
    load_two_days(&project);
    assert!(shop::TABLES.iter().all(|table| !has_deletion_vector(&project, table)));
    read_everywhere(&project, &["deltalake", "polars", "duckdb", "pyarrow"]);
}

fn load_two_days(project: &Project) {
    project.load(shop::FIRST_RUN);
    shop::second_day(project);
    project.load(shop::SECOND_RUN);
}

/// Demands that each of `readers` sees the rows that the Rust reader sees.
fn read_everywhere(project: &Project, readers: &[&str]) {
    let Some(python) = python("interop-venv", PACKAGES) else { return };
    let tables: Vec<Value> =
        shop::TABLES.into_iter().chain([CONTROL]).map(|table| as_read(project, table)).collect();
    let expected = project.root().join("expected.json");
    let told = json!({ "readers": readers, "tables": tables, "facts": facts() });
    fs::write(&expected, told.to_string()).unwrap();
    let output = Command::new(python).arg(READERS).arg(&expected).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

/// A table as the Rust reader sees it.
fn as_read(project: &Project, name: &str) -> Value {
    let rows = project.rows(name);
    let folder = SourceTable::at(&project.warehouse(), name).unwrap().folder().to_path_buf();
    json!({ "name": name, "path": folder, "columns": rows.columns, "rows": rows.values })
}

/// What must hold after the second day by the making of the sources, as SQL and its one value.
fn facts() -> Value {
    let real = "__member_status = 'REAL'";
    let (moved, gone, new) = (10, 1, 5);
    let cancelled: f64 = (5 + 1) as f64 + 0.25 + (5 + 2) as f64 + 0.25;
    let amount: f64 = (1..=420).map(|order| f64::from(2 * order + 3) + 0.5).sum::<f64>() - cancelled;
    json!([
        [
            format!("SELECT count(*) FROM dim_customer WHERE {real}"),
            (shop::CUSTOMERS + moved + new).to_string()
        ],
        [
            format!("SELECT count(*) FROM dim_customer WHERE {real} AND __is_current"),
            (shop::CUSTOMERS - gone + new).to_string()
        ],
        [
            "SELECT count(*) FROM dim_customer WHERE NOT __is_current AND city = 'Rome' AND __valid_to = timestamptz '2023-07-01 00:00:00+00'",
            moved.to_string()
        ],
        ["SELECT price FROM dim_product WHERE product_id = 14", "15.50"],
        ["SELECT price FROM dim_product WHERE product_id = 15", "15.50"],
        ["SELECT count(*) FROM dim_product WHERE __is_deleted", "1"],
        [format!("SELECT count(*) FROM dim_date WHERE {real}"), shop::DAYS.to_string()],
        ["SELECT count(*) FROM fact_sales WHERE NOT __is_deleted", (shop::LINES - 2 + 40).to_string()],
        ["SELECT sum(amount) FROM fact_sales WHERE NOT __is_deleted", format!("{amount:.2}")],
        ["SELECT count(*) FROM fact_inventory", (3 * shop::PRODUCTS).to_string()],
        ["SELECT count(*) FROM etl_control WHERE batch_status = 'SUCCESS'", "11"],
    ])
}

fn has_deletion_vector(project: &Project, table: &str) -> bool {
    let commits = (0..project.next_version(table))
        .map(|version| fs::read_to_string(project.commit_file(table, version)));
    commits.map(Result::unwrap).any(|commit| commit.contains("\"deletionVector\":{"))
}
