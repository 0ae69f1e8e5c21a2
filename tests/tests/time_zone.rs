//! The zone of the machine plays no part (semantics 1.1).

use crate::command::{Ended, command};
use crate::project::Project;
use crate::shop;

/// Versions that begin at a date as text, from a file; the file tells no zone either.
const STORES: &str = "
table_name: gold.dim_store
table_type: dimension
scd_type: 2
keys: {surrogate_key: store_key, natural_keys: [store_id]}
effective_at: opened
track_history_columns: [name]
sources: [{name: stores, format: csv, path: data/stores.csv, options: {header: \"true\"}}]
transformation_sql: |
  SELECT CAST(id AS BIGINT) AS store_id, name, opened, CAST(checked AS TIMESTAMP) AS checked FROM stores
";

fn run_in(zone: &str, project: &Project, line: &str) {
    Ended::of(command(project.root(), &format!("run {line}")).env("TZ", zone)).with_code(0);
}

#[test]
fn keys_and_intervals_are_the_same_in_every_zone_of_the_machine() {
    let sources = shop::open();
    sources.write("configs/dim_store.yml", STORES);
    let stores = "id,name,opened,checked\n1,North,2023-03-12 02:30:00,2023-11-05 01:30:00\n2,South,2023-01-01,2023-01-01\n";
    sources.write("data/stores.csv", stores);
    let (utc, new_york) = (sources.copy(), sources);
    for (zone, project) in [("UTC", &utc), ("America/New_York", &new_york)] {
        run_in(zone, project, shop::FIRST_RUN);
        shop::second_day(project);
        // A store that closes: its version ends at the time of the run.
        project.write("data/stores.csv", stores.split_inclusive("2023-11-05 01:30:00\n").next().unwrap());
        run_in(zone, project, shop::SECOND_RUN);
    }
    for table in shop::TABLES.into_iter().chain(["gold.dim_store"]) {
        assert_eq!(new_york.logical_rows(table), utc.logical_rows(table), "{table}");
    }
    let stores = new_york.rows("gold.dim_store").without("__key_origin", "default");
    let columns = ["store_id", "checked", "__valid_from", "__valid_to"].map(str::to_owned);
    let mut stores = stores.select(&columns).unwrap().values;
    stores.sort();
    let told =
        |row: &[Option<String>]| row.iter().map(|cell| cell.clone().unwrap()).collect::<Vec<_>>().join(" | ");
    let stores: Vec<String> = stores.iter().map(|row| told(row)).collect();
    assert_eq!(
        stores,
        [
            "1 | 2023-11-05 01:30:00 | 2023-03-12 02:30:00 | 9999-12-31 23:59:59.999999",
            "2 | 2023-01-01 00:00:00 | 2023-01-01 00:00:00 | 2024-01-03 06:00:00",
        ]
    );
}
