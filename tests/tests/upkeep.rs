//! Files are written anew where they are worn, or deleted where no version needs them, and nobody notices but those who
//! count them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use kimball_tests::foreign_reader::{read_feed, read_table_at};
use serde_json::Value;

use crate::command::result_of;
use crate::project::Project;
use crate::shop;

/// The data files that a table consists of, and how many of them have a deletion vector.
fn files(project: &Project, table: &str) -> (usize, usize) {
    let mut files: std::collections::BTreeMap<String, bool> = Default::default();
    for action in actions(project, table) {
        if let Some(remove) = action.get("remove") {
            files.remove(remove["path"].as_str().unwrap());
        }
        if let Some(add) = action.get("add") {
            files.insert(add["path"].as_str().unwrap().to_owned(), add.get("deletionVector").is_some());
        }
    }
    (files.len(), files.values().filter(|has_vector| **has_vector).count())
}

/// The actions of all commits, removals of a commit before its additions.
fn actions(project: &Project, table: &str) -> Vec<Value> {
    let commits = (0..project.next_version(table)).map(|version| {
        let text = fs::read_to_string(project.commit_file(table, version)).unwrap();
        let mut actions: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        actions.sort_by_key(|action| action.get("add").is_some());
        actions
    });
    commits.flatten().collect()
}

fn loaded_shop() -> Project {
    let project = shop::open();
    project.load(shop::FIRST_RUN);
    shop::second_day(&project);
    project.load(shop::SECOND_RUN);
    project
}

fn optimized(project: &Project) -> Vec<Value> {
    let ended = project.call("optimize --format json").with_code(0);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn optimize_changes_files_and_no_row_no_key_no_feed_and_no_past() {
    let project = loaded_shop();
    let before = shop::TABLES.map(|table| (table, project.logical_rows(table), project.next_version(table)));
    let (small, thinned) = files(&project, "gold.dim_customer");
    assert!(small > 1 && thinned > 0, "there is nothing to do: {small} files, {thinned} thinned");

    let told = optimized(&project);
    let names: BTreeSet<&str> = told.iter().map(|table| table["table_name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(shop::TABLES));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (table, rows, next) in &before {
        assert_eq!(project.logical_rows(table), *rows, "{table}");
        assert_eq!(files(&project, table), (1, 0), "{table}");
        let line = told.iter().find(|line| line["table_name"] == *table).unwrap();
        if project.next_version(table) == *next {
            assert_eq!(line["status"], "HEALTHY", "{line}");
            continue;
        }
        assert_eq!((&line["status"], &line["files_after"]), (&"OPTIMIZED".into(), &1.into()), "{line}");
        let feed = runtime.block_on(read_feed(&project.warehouse(), table, *next)).unwrap();
        assert_eq!(
            feed.unwrap().values,
            Vec::<Vec<Option<String>>>::new(),
            "{table} tells its feed of copies"
        );
        let past = runtime.block_on(read_table_at(&project.warehouse(), table, next - 1)).unwrap();
        assert_eq!(past.values.len(), rows.len(), "{table} has lost its past");
    }

    // What is healthy stays as it is, and the next batch goes on from the same watermarks and keys.
    let versions = shop::TABLES.map(|table| project.next_version(table));
    assert!(optimized(&project).iter().all(|table| table["status"] == "HEALTHY"));
    assert_eq!(shop::TABLES.map(|table| project.next_version(table)), versions);
    let summary = project.load("--run-time 2024-01-04T06:00:00Z");
    assert_eq!(result_of(&summary, "gold.dim_customer")["up_to_date"], true);
    assert_eq!(summary["total_rows_written"], 0, "{summary}");
    for (table, rows, _) in &before {
        assert_eq!(project.logical_rows(table), *rows, "{table}");
    }
    project.require_honest_control();
}

#[test]
fn optimize_says_of_each_table_what_it_did_and_of_a_project_without_tables_nothing() {
    let project = shop::open();
    let ended = project.call("optimize").with_code(0);
    assert!(ended.stdout.contains("gold.fact_sales      healthy"), "{}", ended.stdout);
    assert!(!project.warehouse().join("gold/fact_sales").exists(), "a table was made");
    project.load(shop::FIRST_RUN);
    shop::second_day(&project);
    project.load(shop::SECOND_RUN);
    let ended = project.call("optimize -s fact_sales").with_code(0);
    assert!(ended.stdout.contains("gold.fact_sales  optimized"), "{}", ended.stdout);
    assert!(files(&project, "gold.dim_customer").0 > 1, "a table that was not selected was written anew");
}

const SOURCE: &str = "id bigint, city string";

fn small_project(more: &str) -> Project {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("configs")).unwrap();
    let project = Project::of(folder.path());
    let config = "table_name: gold.dim_customer\ntable_type: dimension\nkeys: {surrogate_key: sk, natural_keys: [id]}\n\
                  sources: [{name: silver.customers}]\n";
    project.write("configs/dim.yml", &format!("{config}{more}\n"));
    project.write(
        "kimball.targets.yml",
        "version: 1\ntargets: {dev: {warehouse: warehouse, etl_schema: gold}}\n",
    );
    project.source("silver.customers", SOURCE).create();
    project
}

fn load_day(project: &Project, day: usize) {
    let source = project.source("silver.customers", SOURCE);
    source.insert("2024-01-01T00:00:00Z", &format!("id | city\n{day} | Rome\n"));
    if day > 1 {
        let moved = format!("id = {}", day - 1);
        source.update("2024-01-01T00:00:00Z", &moved, &[("city", "'Oslo'")]);
    }
    let summary = project.load("");
    assert_eq!(summary["total_rows_written"], if day > 1 { 2 } else { 1 }, "{summary}");
}

#[test]
fn with_optimize_after_merge_every_batch_leaves_one_file() {
    let project = small_project("optimize_after_merge: true");
    for day in 1..=4 {
        load_day(&project, day);
        assert_eq!(files(&project, "gold.dim_customer"), (1, 0), "day {day}");
    }
    assert_eq!(project.rows("gold.dim_customer").values.len(), 4 + 4);
}

#[test]
fn small_files_of_many_batches_are_written_anew_now_and_then() {
    let project = small_project("");
    let mut most = 0;
    for day in 1..=40 {
        load_day(&project, day);
        most = most.max(files(&project, "gold.dim_customer").0);
    }
    assert!((8..=10).contains(&most), "{most} files at a time");
    assert_eq!(project.rows("gold.dim_customer").values.len(), 40 + 4);
    let moved = project.rows("gold.dim_customer").select(&["city".to_owned()]).unwrap().values;
    assert_eq!(moved.iter().filter(|row| row[0].as_deref() == Some("Oslo")).count(), 39);
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longer ago than any table keeps anything.
const LONG_AGO: Duration = Duration::from_secs(1_700_000_000);
const CUSTOMERS: &str = "gold.dim_customer";

/// The files of a table, apart from its log.
fn stored_files(project: &Project) -> BTreeSet<PathBuf> {
    let folder = project.warehouse().join("gold/dim_customer");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

/// Makes all files of a table a month older, and its versions up to `version`.
fn age(project: &Project, version: u64) {
    for file in stored_files(project) {
        fs::File::open(&file).unwrap().set_modified(UNIX_EPOCH + LONG_AGO).unwrap();
    }
    let millis = i64::try_from(MONTH.as_millis()).unwrap();
    for version in 0..=version {
        let path = project.commit_file(CUSTOMERS, version);
        let text = fs::read_to_string(&path).unwrap();
        let aged = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(timestamp) = action.pointer_mut("/commitInfo/timestamp") {
                *timestamp = (timestamp.as_i64().unwrap() - millis).into();
            }
            format!("{action}\n")
        });
        fs::write(&path, aged.collect::<String>()).unwrap();
    }
}

/// The rows of a version, or why they cannot be read.
fn rows_at(project: &Project, version: u64) -> Result<usize, String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = runtime.block_on(read_table_at(&project.warehouse(), CUSTOMERS, version));
    read.map(|rows| rows.values.len()).map_err(|error| error.to_string())
}

fn vacuumed(project: &Project, options: &str) -> Value {
    let ended = project.call(&format!("vacuum --format json {options}")).with_code(0);
    serde_json::from_str(ended.stdout.trim()).unwrap()
}

#[test]
fn vacuum_leaves_all_that_a_version_of_the_last_week_consists_of() {
    let project = small_project("");
    let source = project.source("silver.customers", SOURCE);
    source.insert("2024-01-01T00:00:00Z", "id | city\n1 | Rome\n2 | Rome\n3 | Rome\n4 | Rome\n");
    project.load("");
    // Each day takes a row out of the file of the first one, with a deletion vector in the place of the one before.
    for day in 1..=4 {
        source.update("2024-01-01T00:00:00Z", &format!("id = {day}"), &[("city", "'Oslo'")]);
        project.load("");
    }
    let newest = project.next_version(CUSTOMERS) - 1;
    let rows: Vec<usize> = (0..=newest).map(|version| rows_at(&project, version).unwrap()).collect();
    let oldest_kept = newest - 1;
    age(&project, oldest_kept);
    let stray = project.warehouse().join("gold/dim_customer/part-stray.parquet");
    fs::write(&stray, "of a run that died").unwrap();
    let before = stored_files(&project);

    let found = vacuumed(&project, "--dry-run");
    assert_eq!((&found["status"], stored_files(&project)), (&"FOUND".into(), before.clone()));
    let told = vacuumed(&project, "");
    assert_eq!(told["status"], "VACUUMED", "{told}");
    let left = stored_files(&project);
    assert_eq!(before.len() - left.len(), usize::try_from(told["files"].as_u64().unwrap()).unwrap());
    assert_eq!(found["files"], told["files"]);
    assert!(left.contains(&stray), "a file that may be waiting for its commit was deleted");
    for version in oldest_kept..=newest {
        let place = usize::try_from(version).unwrap();
        assert_eq!(rows_at(&project, version), Ok(rows[place]), "version {version}");
    }
    assert!(rows_at(&project, oldest_kept - 1).is_err(), "nothing of an old version was deleted");

    fs::File::open(&stray).unwrap().set_modified(UNIX_EPOCH + LONG_AGO).unwrap();
    assert_eq!(vacuumed(&project, "")["files"], 1);
    assert_eq!(vacuumed(&project, "")["status"], "CLEAN");
    assert!(!stray.exists());
    source.update("2024-01-01T00:00:00Z", "id = 1", &[("city", "'Bern'")]);
    project.load("");
}

#[test]
fn vacuum_keeps_less_than_a_week_only_when_that_is_asked_for_twice() {
    let project = small_project("merge_strategy: copy_on_write");
    for day in 1..=4 {
        load_day(&project, day);
    }
    let before = stored_files(&project);
    let rows = project.logical_rows(CUSTOMERS);
    assert_eq!(vacuumed(&project, "")["status"], "CLEAN");
    let refused = project.call("vacuum --retain 1").with_code(1);
    assert!(refused.stdout.contains("keeps old versions for 168 hours"), "{}", refused.stdout);
    assert!(refused.stdout.contains("and 1 hour are asked for"), "{}", refused.stdout);
    assert_eq!(stored_files(&project), before);
    project.call("vacuum --retain never").with_code(2);

    let told = project.call("vacuum --retain 0 --allow-shorter").with_code(0);
    assert!(told.stdout.contains("gold.dim_customer  vacuumed"), "{}", told.stdout);
    assert_eq!(stored_files(&project).len(), files(&project, CUSTOMERS).0);
    assert_eq!(project.logical_rows(CUSTOMERS), rows);
    load_day(&project, 5);
    project.require_honest_control();
}

#[test]
fn vacuum_finds_the_files_of_partitions_whatever_their_values() {
    let project = small_project("");
    let config = "table_name: gold.fact_sales\ntable_type: fact\nmerge_keys: [id]\npartition_by: [place]\n\
                  sources: [{name: sales, format: csv, path: \"data/*.csv\"}]\n";
    project.write("configs/fact.yml", config);
    let load = |amount: &str| {
        let places = ["a b", "50% off", "ü/x=y", "%20", "a:b?c#d"];
        let rows = places.iter().enumerate().map(|(id, place)| format!("{id},{place},{amount}\n"));
        project.write("data/sales.csv", &format!("id,place,amount\n{}", rows.collect::<String>()));
        project.load("");
    };
    load("1");
    load("2");
    let rows = project.logical_rows("gold.fact_sales");
    let told = project.call("vacuum -s fact_sales --retain 0 --allow-shorter --format json").with_code(0);
    let told: Value = serde_json::from_str(told.stdout.trim()).unwrap();
    assert_eq!((&told["status"], &told["files"]), (&"VACUUMED".into(), &5.into()), "{told}");
    assert_eq!(project.logical_rows("gold.fact_sales"), rows);
}
