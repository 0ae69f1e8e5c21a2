//! Tables as they were.

use crate::asking::{Asked, CONTROL_ROWS, TABLE, ask, rows, value};
use crate::project::CONTROL;

fn control_at(time: &str) -> String {
    CONTROL_ROWS.replace(CONTROL, &format!("{CONTROL} TIMESTAMP AS OF {time}"))
}

#[test]
fn before_the_first_run_there_are_no_rows_and_a_note_says_why() {
    let asked = Asked::shared();
    for format in ["json", "csv", "table"] {
        let options = format!("--format {format}");
        let ended = ask(&asked.project, &options, &control_at("'2020-02-29 12:00:00'")).with_code(0);
        assert!(!ended.stdout.contains("SUCCESS"), "{}", ended.stdout);
        let note =
            format!("note: {CONTROL} did not exist at 2020-02-29 12:00:00 UTC: its first version is of ");
        assert!(ended.stderr.starts_with(&note) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    }
}

#[test]
fn between_two_runs_the_second_has_not_been_and_after_it_all_is_there() {
    let asked = Asked::shared();
    let between = rows(&asked.project, &control_at(&format!("'{}'", asked.first_ended)));
    assert_eq!(between, asked.first_control);
    assert_eq!(between.len(), 2);
    for after in ["'2999-01-01'", "current_timestamp()", "current_timestamp() + INTERVAL 1 DAY"] {
        assert_eq!(rows(&asked.project, &control_at(after)), rows(&asked.project, CONTROL_ROWS), "{after}");
    }
    assert_eq!(rows(&asked.project, CONTROL_ROWS).len(), 4);
}

#[test]
fn a_version_is_read_as_it_was_and_two_of_them_can_be_joined() {
    let asked = Asked::shared();
    let [first, second] = asked.versions;
    let count = |version: &str| value(&asked.project, &format!("SELECT count(*) FROM {TABLE}{version}"));
    assert_eq!(count(" VERSION AS OF 0"), 0);
    assert_eq!(count(&format!(" VERSION AS OF {second}")), count(""));
    assert_ne!(count(&format!(" VERSION AS OF {first}")), count(""));
    let moved = format!(
        "SELECT old.city AS was, new.city AS is, count(*) AS customers \
         FROM {TABLE} VERSION AS OF {first} AS old JOIN {TABLE} VERSION AS OF {second} new \
         ON old.customer_id = new.customer_id \
         WHERE old.__is_current AND new.__is_current AND old.city <> new.city GROUP BY old.city, new.city"
    );
    let moved = rows(&asked.project, &moved);
    assert_eq!(moved, [serde_json::json!({"was": "Rome", "is": "Oslo", "customers": 10})]);
}

#[test]
fn a_time_and_a_version_that_make_no_sense_are_told() {
    let asked = Asked::shared();
    let newest = asked.versions[1];
    for (clause, told) in [
        ("VERSION AS OF 99".to_owned(), format!("{TABLE} has no version 99; its newest is {newest}")),
        ("TIMESTAMP AS OF 'yesterday'".to_owned(), "`TIMESTAMP AS OF 'yesterday'`: ".to_owned()),
        ("TIMESTAMP AS OF NULL".to_owned(), "`TIMESTAMP AS OF NULL`: it is NULL".to_owned()),
    ] {
        let ended = ask(&asked.project, "", &format!("SELECT * FROM {TABLE} {clause}")).with_code(2);
        assert!(ended.stderr.contains(&told), "{clause}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{clause}");
    }
}
