//! Storage that is damaged, gone or full: every run ends with an error that says what and where, tells what to check,
//! and writes nothing; when the damage is mended, the next run goes on.

use std::fs;
use std::path::PathBuf;

use kimball_tests::file_tree::files_below;
use serde_json::Value;

use crate::command::result_of;
use crate::project::Project;
use crate::shop;

const TABLE: &str = "gold.dim_customer";
const SOURCE: &str = "silver.customers";

/// A project that has been loaded once, with a day of changes waiting.
fn loaded() -> Project {
    let project = shop::open();
    project.load(&format!("-s {TABLE} {}", shop::FIRST_RUN));
    shop::second_day(&project);
    project
}

/// The failure of the dimension's load: its class and message.
fn failure(project: &Project) -> (String, String) {
    let ended = project.call(&format!("run --format json -s {TABLE} {}", shop::SECOND_RUN)).with_code(1);
    assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
    let summary = ended.summary();
    let result = result_of(&summary, TABLE);
    assert_eq!(result["status"], "FAILED", "{result}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&result["error_class"]), text(&result["error_message"]))
}

/// Demands that the dimension's load fails for its storage; the message.
fn storage_error(project: &Project) -> String {
    let (class, message) = failure(project);
    assert_eq!(class, "StorageError", "{message}");
    message
}

/// Demands that the day is loaded now.
fn require_mended(project: &Project) {
    let twin = loaded();
    twin.load(&format!("-s {TABLE} {}", shop::SECOND_RUN));
    project.load(&format!("-s {TABLE} {}", shop::SECOND_RUN));
    assert_eq!(project.logical_rows(TABLE), twin.logical_rows(TABLE));
    project.require_honest_control();
}

fn data_files(project: &Project, table: &str) -> Vec<PathBuf> {
    let folder = project.commit_file(table, 0).parent().unwrap().parent().unwrap().to_path_buf();
    let mut found = files_below([folder]).unwrap();
    found.retain(|path| {
        let is_log = path.parent().is_some_and(|folder| folder.ends_with("_delta_log"));
        !is_log && path.extension().is_some_and(|kind| kind == "parquet")
    });
    found
}

#[test]
fn a_data_file_of_the_target_that_is_gone_is_named() {
    let project = loaded();
    let file = data_files(&project, TABLE).remove(0);
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let message = storage_error(&project);
    assert!(message.contains(file.file_name().unwrap().to_str().unwrap()), "{message}");
    fs::write(&file, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_data_file_of_the_target_that_is_cut_short_is_an_error() {
    let project = loaded();
    let file = data_files(&project, TABLE).remove(0);
    let kept = fs::read(&file).unwrap();
    fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    storage_error(&project);
    fs::write(&file, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_log_entry_of_the_target_that_is_damaged_is_an_error() {
    let project = loaded();
    let entry = project.commit_file(TABLE, 1);
    let kept = fs::read(&entry).unwrap();
    for damage in [&b"{\"add\": {"[..], b"\0\0\0\0", &kept[..kept.len() / 2]] {
        fs::write(&entry, damage).unwrap();
        storage_error(&project);
    }
    fs::write(&entry, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_log_entry_of_the_target_that_is_missing_is_an_error() {
    let project = loaded();
    project.load(&format!("-s {TABLE} {}", shop::SECOND_RUN));
    let entry = project.commit_file(TABLE, 1);
    let kept = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    storage_error(&project);
    project.call("status").with_code(3);
    fs::write(&entry, kept).unwrap();
    let summary = project.load(&format!("-s {TABLE} {}", shop::SECOND_RUN));
    assert_eq!(result_of(&summary, TABLE)["up_to_date"], true);
    // Nothing was to be loaded; that all is well again is told nevertheless.
    project.call("status").with_code(0);
    assert!(
        project.control().iter().any(|row| result_of(&summary, TABLE)["batch_id"] == row.batch_id.as_str())
    );
    project.require_honest_control();
}

#[test]
fn a_damaged_checkpoint_hint_is_no_matter() {
    let project = loaded();
    let hint = project.commit_file(TABLE, 0).with_file_name("_last_checkpoint");
    fs::write(hint, "not json").unwrap();
    require_mended(&project);
}

#[test]
fn a_source_whose_changes_were_vacuumed_names_the_way_out() {
    let project = loaded();
    for file in data_files(&project, SOURCE) {
        // Files of the change feed lie in a folder of their own.
        if file.components().any(|part| part.as_os_str() == "_change_data") {
            fs::remove_file(file).unwrap();
        }
    }
    let (class, message) = failure(&project);
    assert_eq!(class, "ConfigError", "{message}");
    assert!(message.contains("vacuumed") && message.contains("--full-refresh"), "{message}");
    let line = format!("-s {TABLE} --full-refresh {}", shop::SECOND_RUN);
    let summary = project.load(&line);
    assert_eq!(result_of(&summary, TABLE)["status"], "SUCCESS");
    project.require_honest_control();
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let project = shop::open();
    // A file where the folder of the schema should be, which no right can overcome.
    project.write("warehouse/gold", "in the way");
    let ended = project.call(&format!("run --format json -s {TABLE}"));
    assert!(ended.code == Some(1) || ended.code == Some(2), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("gold") && said.contains("folder"), "{said}");
    fs::remove_file(project.warehouse().join("gold")).unwrap();
    project.load(&format!("-s {TABLE} {}", shop::FIRST_RUN));
    project.require_honest_control();
}

#[test]
fn a_damaged_control_table_stops_the_run_before_anything_is_written() {
    let project = loaded();
    let entry = project.commit_file("gold.etl_control", 1);
    let kept = fs::read(&entry).unwrap();
    fs::write(&entry, b"nonsense").unwrap();
    let before = project.next_version(TABLE);
    let message = storage_error(&project);
    assert!(message.contains("etl_control"), "{message}");
    assert_eq!(project.next_version(TABLE), before);
    fs::write(&entry, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_load_that_cannot_even_begin_is_a_failure_in_the_control_table() {
    let project = loaded();
    let before = project.control();
    let [loaded] = before.as_slice() else { panic!("{before:?}") };
    let entry = project.commit_file(SOURCE, 0);
    let kept = fs::read(&entry).unwrap();
    fs::write(&entry, b"nonsense").unwrap();
    storage_error(&project);
    let mut control = project.control();
    control.retain(|row| row.batch_id != loaded.batch_id);
    let [failed] = control.as_slice() else { panic!("{control:?}") };
    assert_eq!(failed.status, "FAILED");
    assert_eq!(failed.last_processed_version, loaded.last_processed_version, "the watermark stays");
    let message = failed.error_message.as_deref().unwrap();
    assert!(message.starts_with("StorageError: ") && message.contains(SOURCE), "{message}");
    let told = project.call("status").with_code(3).stdout;
    assert!(told.contains("0 running, 1 failed"), "{told}");
    fs::write(&entry, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_lease_that_cannot_be_taken_is_a_failure_in_the_control_table() {
    let project = loaded();
    let before = project.control();
    let entry = project.commit_file("gold.etl_leases", 1);
    let kept = fs::read(&entry).unwrap();
    fs::write(&entry, b"nonsense").unwrap();
    let ended = project.call(&format!("run --format json -s {TABLE} {}", shop::SECOND_RUN)).with_code(1);
    let result = result_of(&ended.summary(), TABLE).clone();
    assert!(result["error_message"].as_str().unwrap().contains("etl_leases"), "{result}");
    let failed: Vec<_> = project.control().into_iter().filter(|row| !before.contains(row)).collect();
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!((failed.status.as_str(), &result["batch_id"]), ("FAILED", &failed.batch_id.as_str().into()));
    assert_eq!(failed.last_processed_version, before[0].last_processed_version, "the watermark stays");
    fs::write(&entry, kept).unwrap();
    require_mended(&project);
}

#[test]
fn a_clock_that_goes_back_changes_nothing_about_what_was_committed() {
    let project = loaded();
    // The second run is earlier than the first; versions, not times, say what is new.
    project.load(&format!("-s {TABLE} --run-time 2023-06-01T00:00:00Z"));
    let again = project.load(&format!("-s {TABLE} --run-time 2023-05-01T00:00:00Z"));
    assert_eq!(result_of(&again, TABLE)["up_to_date"], true);
    project.require_honest_control();
}
