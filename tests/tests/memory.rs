//! `--memory-limit`: batches that do not fit come to what they come to with all the memory there is.

use crate::project::Project;
use crate::shop;

/// Rows of the source on the first day.
const ROWS: usize = 120_000;

/// Too little for a join that holds one side of these rows, and for keeping them all between steps.
const LITTLE: &str = "--memory-limit 64MiB";

/// Joins by a key with a time zone: not every way of joining knows that type.
const DIMENSION: &str = "\
table_name: gold.dim_device
table_type: dimension
scd_type: 2
keys: {surrogate_key: sk, natural_keys: [seen, id]}
effective_at: since
track_history_columns: [city, note]
sources: [{name: devices, format: csv, path: data/devices.csv}]
transformation_sql: |
  SELECT id, CAST(seen AS TIMESTAMP) AS seen, city, note, CAST(since AS TIMESTAMP) AS since FROM devices
";

const FACT: &str = "\
table_name: gold.fact_reading
table_type: fact
merge_keys: [seen, id]
sources: [{name: readings, format: csv, path: data/devices.csv}]
transformation_sql: |
  SELECT id, CAST(seen AS TIMESTAMP) AS seen, note, CAST(since AS TIMESTAMP) AS since FROM readings
foreign_keys:
  - column: device_sk
    references: gold.dim_device
    dimension_key: sk
    lookup: {source_columns: [seen, id], dimension_columns: [seen, id], event_time: since}
depends_on: [gold.dim_device]
";

const TABLES: [&str; 2] = ["gold.dim_device", "gold.fact_reading"];

fn project() -> Project {
    let project = Project::of(&shop::files());
    std::fs::remove_dir_all(project.root().join("configs")).unwrap();
    project.write("configs/dim_device.yml", DIMENSION);
    project.write("configs/fact_reading.yml", FACT);
    project
}

/// Writes the source of a day: on the second most rows have changed, some are gone and some are new.
fn write_day(project: &Project, day: usize) {
    let mut text = "id,seen,city,note,since\n".to_owned();
    for id in (0..ROWS + (day - 1) * 500).filter(|id| day == 1 || id % 400 != 3) {
        let is_changed = day == 2 && id % 3 != 0;
        let (city, since) = if is_changed { ("Oslo", 2) } else { ("Rome", 1) };
        // Many members share an instant, so that equal keys lie in many batches.
        let seen = format!("2020-01-01 00:{:02}:00", id % 3);
        text += &format!("{id},{seen},{city},note {} of {id},2024-01-0{since} 00:00:00\n", id * 31 % 1_000);
    }
    project.write("data/devices.csv", &text);
}

#[test]
fn batches_that_do_not_fit_into_memory_come_to_the_same_rows() {
    let (free, limited) = (project(), project());
    for day in 1..=2 {
        write_day(&free, day);
        std::fs::create_dir_all(limited.root().join("data")).unwrap();
        std::fs::copy(free.root().join("data/devices.csv"), limited.root().join("data/devices.csv")).unwrap();
        let run = format!("run --run-time 2024-02-0{day}T00:00:00Z");
        free.call(&run).with_code(0);
        let mut command = crate::command::command(limited.root(), &format!("{run} {LITTLE}"));
        command.env("RUST_LOG", "kimball_executor=info");
        let ended = crate::command::Ended::of(&mut command).with_code(0);
        // First loads stream, and fit; a snapshot that meets a table does not.
        let is_anew = ended.stderr.contains("computed anew with joins that spill");
        assert_eq!(is_anew, day == 2, "day {day}: {}", ended.stderr);
        for table in TABLES {
            let (ours, theirs) = (limited.logical_rows(table), free.logical_rows(table));
            assert!(ours == theirs, "day {day}: {table} has {} rows, its twin {}", ours.len(), theirs.len());
        }
    }
    limited.require_honest_control();
}
