use super::*;

fn versions(text: &str) -> History {
    settings(text).scd.history().unwrap().clone()
}

#[test]
fn types_2_6_and_7_need_their_tracked_columns_and_2_and_7_their_time() {
    assert_eq!(
        messages(&dimension("scd_type: 2")),
        ["type 2 needs `effective_at`", "type 2 needs `track_history_columns`"]
    );
    assert_eq!(
        messages(&dimension("scd_type: 6\ncurrent_value_columns: [a]")),
        ["type 6 needs `track_history_columns`"]
    );
    assert_eq!(
        messages(&dimension("scd_type: 7\ndurable_key: dk")),
        ["type 7 needs `effective_at`", "type 7 needs `track_history_columns`"]
    );
}

#[test]
fn a_history_tracks_all_columns_or_the_named_ones() {
    let all = versions(&history(""));
    assert_eq!(
        all,
        History {
            effective_at: Some("changed_at".to_owned()),
            tracked: TrackedColumns::All,
            kept_changes: KeptChanges::All,
            delete_effective: DeleteEffective::Commit,
            remember_repeats: true,
        }
    );
    let named = versions(&dimension("scd_type: '2'\neffective_at: e\ntrack_history_columns: [a, b]"));
    assert_eq!(named.tracked, TrackedColumns::Named(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(
        messages(&dimension("scd_type: 2\neffective_at: e\ntrack_history_columns: []")),
        ["`track_history_columns` needs names, or `[\"*\"]` for all"]
    );
    assert_eq!(
        messages(&dimension("scd_type: 2\neffective_at: e\ntrack_history_columns: ['*', a]")),
        ["`\"*\"` tracks all columns: leave the other names out"]
    );
}

#[test]
fn a_natural_key_that_is_tracked_is_a_warning() {
    let read = read(&dimension("scd_type: 2\neffective_at: e\ntrack_history_columns: [a, ID]"));
    assert_eq!(read.problems, ["7: `ID` is a natural key: it never changes within a member"]);
    assert!(read.pipeline.is_some());
}

#[test]
fn a_history_says_which_changes_it_keeps() {
    let settings =
        versions(&history("preserve_all_changes: false\ndelete_effective: row\nremember_repeats: no"));
    assert_eq!(settings.kept_changes, KeptChanges::Last);
    assert_eq!(settings.delete_effective, DeleteEffective::Row);
    assert!(!settings.remember_repeats);
    assert_eq!(read(&history("preserve_all_changes: false")).notes, Vec::<String>::new());
    assert_eq!(
        messages(&history("delete_effective: now\npreserve_all_changes: some")),
        [
            "`delete_effective` must be `commit` or `row`, found `now`",
            "`preserve_all_changes` must be true or false, found `some`"
        ]
    );
}

#[test]
fn what_keeps_changes_is_noted_where_there_is_no_history() {
    let said = "preserve_all_changes: false\ndelete_effective: row\nremember_repeats: false";
    let notes = |table: &str| {
        ["preserve_all_changes: false", "delete_effective: row", "remember_repeats: false"]
            .map(|setting| format!("{setting} has no effect on a {table}"))
    };
    assert_eq!(read(&dimension(said)).notes, notes("type 1 dimension"));
    assert_eq!(
        read(&dimension(&format!("scd_type: 4\nhistory_table: gold.h\n{said}"))).notes,
        notes("type 4 dimension")
    );
    assert_eq!(read(&fact(said)).notes, notes("fact"));
    let defaults = "preserve_all_changes: true\ndelete_effective: commit\nremember_repeats: true";
    assert_eq!(read(&dimension(defaults)).notes, Vec::<String>::new());
    assert_eq!(read(&fact(defaults)).notes, Vec::<String>::new());
}

#[test]
fn a_delete_cannot_take_effect_at_a_time_that_the_row_does_not_have() {
    let six = "scd_type: 6\ntrack_history_columns: ['*']\ncurrent_value_columns: [a]\ndelete_effective: row";
    assert_eq!(messages(&dimension(six)), ["`delete_effective: row` needs `effective_at`"]);
    assert_eq!(messages(&dimension(&format!("{six}\neffective_at: e"))), Vec::<String>::new());
}

#[test]
fn missing_rows_are_closed_in_every_type_with_a_history() {
    for (more, closes) in [
        ("scd_type: 0", false),
        ("scd_type: 4\nhistory_table: gold.h", false),
        ("scd_type: 6\ntrack_history_columns: ['*']\ncurrent_value_columns: [a]", true),
        ("scd_type: 7\neffective_at: e\ntrack_history_columns: ['*']\ndurable_key: dk", true),
    ] {
        let pipeline = pipeline(&dimension(more));
        assert_eq!((pipeline.is_history(), pipeline.missing.close), (closes, closes), "{more}");
    }
}
