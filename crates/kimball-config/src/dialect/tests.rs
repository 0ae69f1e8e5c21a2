#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::path::Path;

use super::*;
use crate::findings::Findings;
use crate::model::*;
use crate::name::TableName;
use crate::source_text::SourceFile;
use crate::yaml;

mod column_tests;
mod dimensions;
mod fact_patterns;
mod facts;
mod foreign_keys;
mod helps;
mod histories;
mod junk_dimensions;
mod measures;
mod mini_dimensions;
mod not_yet;
mod promises;
mod scd_types;
mod sources;

/// Problems (`line: message`), notes and the pipeline of one file.
struct Read {
    problems: Vec<String>,
    notes: Vec<String>,
    pipeline: Option<Pipeline>,
}

fn read(text: &str) -> Read {
    let file = SourceFile::new(Path::new("a.yml"), text.to_owned());
    let findings = Findings::new(&file);
    let root = yaml::parse(file.text()).unwrap().unwrap();
    let read = read_pipeline(&findings, &root, Path::new("/base"));
    let (problems, notes) = findings.finish();
    let problems = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.location.as_ref().unwrap().line, problem.message))
        .collect();
    Read { problems, notes, pipeline: read.pipeline }
}

/// The problems of a file, without their lines.
fn messages(text: &str) -> Vec<String> {
    read(text).problems.iter().map(|problem| problem.split_once(": ").unwrap().1.to_owned()).collect()
}

fn pipeline(text: &str) -> Pipeline {
    let read = read(text);
    read.pipeline.unwrap_or_else(|| panic!("{:?}", read.problems))
}

/// A type 1 dimension with more lines.
fn dimension(more: &str) -> String {
    format!(
        "table_name: gold.dim\ntable_type: dimension\nkeys: {{surrogate_key: sk, natural_keys: [id]}}\n\
         sources: [{{name: silver.t}}]\n{more}\n"
    )
}

/// A type 2 dimension with more lines.
fn history(more: &str) -> String {
    dimension(&format!("scd_type: 2\neffective_at: changed_at\ntrack_history_columns: ['*']\n{more}"))
}

/// The settings of a dimension.
fn settings(text: &str) -> Dimension {
    match pipeline(text).kind {
        TableKind::Dimension(dimension) => dimension,
        TableKind::Fact(_) => panic!("a fact"),
    }
}

/// A fact with more lines.
fn fact(more: &str) -> String {
    format!(
        "table_name: gold.fact\ntable_type: fact\nmerge_keys: [order_id]\nsources: [{{name: silver.t}}]\n{more}\n"
    )
}

/// The settings of a fact.
fn fact_settings(text: &str) -> Fact {
    match pipeline(text).kind {
        TableKind::Fact(fact) => fact,
        TableKind::Dimension(_) => panic!("a dimension"),
    }
}

#[test]
fn the_smallest_pipelines_are_read() {
    let dimension = pipeline(&dimension(""));
    assert_eq!(dimension.table_type(), "dimension");
    assert_eq!(dimension.sources[0].alias, "t");
    assert_eq!(dimension.delete_strategy, DeleteStrategy::Soft);
    assert_eq!(dimension.null_policy, NullPolicy::Kimball { substitutes: Default::default() });
    assert_eq!(
        dimension.missing,
        MissingRows { close: false, allow_full_close: false, max_close_ratio: None }
    );
    let fact = pipeline(&fact(""));
    assert_eq!(fact.table_type(), "fact");
    assert!(pipeline(&history("")).missing.close);
}

#[test]
fn a_root_that_is_no_mapping_is_refused() {
    assert_eq!(messages("- a\n"), ["a pipeline is a mapping, found a list"]);
    assert_eq!(messages("word\n"), ["a pipeline is a mapping, found text"]);
}

#[test]
fn required_keys_and_their_kinds_are_checked() {
    assert_eq!(
        messages("table_name:\ntable_type: [fact]\nsources: {}\n"),
        [
            "`table_name` needs a value",
            "`table_type` must be `dimension` or `fact`, found a list",
            "`sources` must be a list, found a mapping"
        ]
    );
    for (name, message) in [
        ("dim", "`dim` is not a table name: write `schema.table` or `catalog.schema.table`"),
        ("../x.dim", "`../x.dim` is not a table name: write `schema.table` or `catalog.schema.table`"),
        ("gold.di m", "`gold.di m` is not a table name: `di m` may hold letters, digits, `_` and `-` only"),
        ("gold./etc", "`gold./etc` is not a table name: `/etc` may hold letters, digits, `_` and `-` only"),
    ] {
        assert_eq!(messages(&dimension("").replace("gold.dim", name)), [message]);
    }
}

#[test]
fn unknown_keys_are_errors_at_every_level_with_the_nearest_key() {
    let text = fact(
        "merge_key: x\nforeign_keys:\n  - colum: a\n    column: b\n    lookup: {source_columns: [c], event_tme: d}\n\
         early_arriving_facts: []\nnull_policy: {mod: legacy}",
    );
    let file = SourceFile::new(Path::new("a.yml"), text);
    let findings = Findings::new(&file);
    let root = yaml::parse(file.text()).unwrap().unwrap();
    read_pipeline(&findings, &root, Path::new("/base"));
    let (problems, _) = findings.finish();
    let unknown: Vec<_> = problems
        .iter()
        .filter(|problem| problem.message.starts_with("unknown key"))
        .map(|problem| (problem.message.as_str(), problem.help.as_deref().unwrap()))
        .collect();
    assert_eq!(
        unknown,
        [
            ("unknown key `merge_key` in a pipeline", "did you mean `merge_keys`?"),
            ("unknown key `colum` in a foreign key", "did you mean `column`?"),
            ("unknown key `event_tme` in a lookup", "did you mean `event_time`?"),
            (
                "unknown key `early_arriving_facts` in a pipeline",
                "say it for each key: `foreign_keys[].lookup.early_arriving`"
            ),
            ("unknown key `mod` in `null_policy`", "did you mean `mode`?"),
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_is_an_error_at_the_second_place() {
    let read = read(&dimension("scd_type: 1\nscd_type: 2"));
    assert_eq!(read.problems, ["6: the key `scd_type` is there twice, first on line 5"]);
}

#[test]
fn booleans_of_yaml_1_1_are_booleans_only_where_one_is_wanted() {
    assert!(pipeline(&dimension("allow_full_close: yes")).missing.allow_full_close);
    assert!(!pipeline(&dimension("allow_full_close: Off")).missing.allow_full_close);
    let TableKind::Dimension(dim) = pipeline(&dimension("").replace("[id]", "[on, '010', 010_]")).kind else {
        panic!("no dimension")
    };
    assert_eq!(dim.natural_keys, ["on", "010", "010_"]);
    assert_eq!(
        messages(&dimension("allow_full_close: 'yes'")),
        ["`allow_full_close` must be true or false, found `yes`"]
    );
    assert_eq!(
        messages(&dimension("allow_full_close: 1")),
        ["`allow_full_close` must be true or false, found `1`"]
    );
}

#[test]
fn max_close_ratio_lies_above_0_and_up_to_1() {
    assert_eq!(pipeline(&history("max_close_ratio: 1")).missing.max_close_ratio, Some(1.0));
    assert_eq!(pipeline(&history("max_close_ratio: .25")).missing.max_close_ratio, Some(0.25));
    for (value, message) in [
        ("0", "`max_close_ratio` must be above 0 and at most 1, found 0"),
        ("1.5", "`max_close_ratio` must be above 0 and at most 1, found 1.5"),
        ("-1", "`max_close_ratio` must be above 0 and at most 1, found -1"),
        (".nan", "`max_close_ratio` must be a number, found `.nan`"),
        ("inf", "`max_close_ratio` must be a number, found `inf`"),
        ("half", "`max_close_ratio` must be a number, found `half`"),
    ] {
        assert_eq!(messages(&history(&format!("max_close_ratio: {value}"))), [message]);
    }
}

#[test]
fn on_missing_closes_by_default_in_histories_only() {
    assert!(pipeline(&history("")).missing.close);
    assert!(!pipeline(&history("on_missing: ignore")).missing.close);
    assert!(pipeline(&dimension("on_missing: close")).missing.close);
    assert!(!pipeline(&fact("")).missing.close);
    assert_eq!(
        messages(&fact("on_missing: closed")),
        ["`on_missing` must be `close` or `ignore`, found `closed`"]
    );
}

#[test]
fn the_null_policy_takes_substitutes_that_say_something() {
    let policy =
        pipeline(&dimension("null_policy: {attribute_substitutes: {zip: '00000', n: 7}}")).null_policy;
    let NullPolicy::Kimball { substitutes } = policy else { panic!("legacy") };
    assert_eq!(substitutes.get("zip").unwrap(), "00000");
    assert_eq!(pipeline(&dimension("null_policy: {mode: legacy}")).null_policy, NullPolicy::Legacy);
    assert_eq!(
        messages(&dimension("null_policy: {attribute_substitutes: {a: ' ', b: , c: [1]}}")),
        [
            "the substitute of `a` must not be blank",
            "`attribute_substitutes.b` needs a value",
            "`attribute_substitutes.c` must be text, found a list"
        ]
    );
    assert_eq!(
        messages(&dimension("null_policy: {mode: legacy, attribute_substitutes: {a: b}}")),
        ["`attribute_substitutes` needs `mode: kimball`"]
    );
}

#[test]
fn inert_keys_of_the_old_dialect_are_noted() {
    let notes = |more: &str| {
        let read = read(&dimension(more));
        assert_eq!(read.problems, Vec::<String>::new());
        read.notes
    };
    assert_eq!(notes("audit_columns: true"), Vec::<String>::new());
    assert_eq!(
        notes("enable_audit_columns: no"),
        ["enable_audit_columns: false has no effect; the audit columns are always written"]
    );
    assert_eq!(
        notes("declare_constraints: true"),
        ["declare_constraints has no effect; keys are checked on every load"]
    );
    assert_eq!(notes("enable_lineage_truncation: true"), ["enable_lineage_truncation has no effect here"]);
    assert_eq!(
        notes("conformed_dimension: {canonical_name: date, owner: bi, grain: a day}"),
        ["conformed_dimension is a label"]
    );
    assert_eq!(
        messages(&dimension("audit_columns: true\nenable_audit_columns: true")),
        ["`audit_columns` and `enable_audit_columns` are the same key"]
    );
}

#[test]
fn descriptions_are_read_and_must_say_something() {
    let pipeline = pipeline(&dimension("table_description: ' words '\ncolumn_descriptions: {id: the id}"));
    assert_eq!(pipeline.description.as_deref(), Some("words"));
    assert_eq!(pipeline.column_descriptions.get("id").unwrap(), "the id");
    assert_eq!(
        messages(&dimension("table_description: ''\ncolumn_descriptions: {id: ' '}")),
        ["`table_description` must not be empty", "the description of `id` must not be empty"]
    );
}

#[test]
fn a_table_takes_new_columns_only_when_the_file_says_so() {
    assert!(!pipeline(&dimension("")).schema_evolution);
    assert!(pipeline(&dimension("schema_evolution: true")).schema_evolution);
    assert!(pipeline(&fact("schema_evolution: on")).schema_evolution);
    assert_eq!(
        messages(&fact("schema_evolution: widen")),
        ["`schema_evolution` must be true or false, found `widen`"]
    );
}

#[test]
fn a_file_says_how_its_table_lies_on_disk() {
    assert!(!pipeline(&dimension("")).optimize_after_merge);
    assert!(pipeline(&fact("optimize_after_merge: on")).optimize_after_merge);
    assert_eq!(pipeline(&dimension("cluster_by: [b, a]")).cluster_by, ["b", "a"]);
    assert_eq!(messages(&dimension("cluster_by: [__is_current]")).len(), 1);
    assert_eq!(
        pipeline(&dimension("merge_strategy: copy_on_write")).merge_strategy,
        MergeStrategy::CopyOnWrite
    );
}

#[test]
fn depends_on_names_tables() {
    let tables = pipeline(&dimension("depends_on: [silver.a, cat.silver.b]")).depends_on;
    assert_eq!(tables.iter().map(ToString::to_string).collect::<Vec<_>>(), ["silver.a", "cat.silver.b"]);
    assert_eq!(
        messages(&dimension("depends_on: silver.a")),
        ["`depends_on` must be a list, found `silver.a`"]
    );
    assert_eq!(messages(&dimension("depends_on: [a]")).len(), 1);
}
