//! The schemas against the readers, which decide.

use super::*;
use crate::schema::targets::SECRET_MARKS;
use crate::{LoadRequest, load_project};

const TARGETS: &str = "version: 1\ntargets: {dev: {etl_schema: etl}}\n";

/// What the readers have against a project of one pipeline. What they know and do not support yet has the right form.
fn errors(targets: &str, pipeline: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kimball.targets.yml"), targets).unwrap();
    fs::write(folder.path().join("a.yml"), pipeline).unwrap();
    let request = LoadRequest {
        configs: vec!["a.yml".to_owned()],
        target: Some("dev".to_owned()),
        working_dir: folder.path().to_path_buf(),
        ..LoadRequest::default()
    };
    let outcome = load_project(&request);
    let messages = outcome.errors().map(|problem| problem.message.clone());
    messages.filter(|message| !message.ends_with("is not supported yet")).collect()
}

/// A type 1 dimension with more lines.
fn dimension(more: &str) -> String {
    format!(
        "table_name: gold.dim\ntable_type: dimension\nkeys: {{surrogate_key: sk, natural_keys: [id]}}\n\
         sources: [{{name: silver.t}}]\n{more}\n"
    )
}

/// A fact with more lines.
fn fact(more: &str) -> String {
    format!(
        "table_name: gold.fact\ntable_type: fact\nmerge_keys: [order_id]\nsources: [{{name: silver.t}}]\n{more}\n"
    )
}

/// A dimension whose source has more keys.
fn source(more: &str) -> String {
    dimension("").replace("{name: silver.t}", &format!("{{name: silver.t, {more}}}"))
}

fn target(more: &str) -> String {
    format!("version: 1\ntargets: {{dev: {{{more}}}}}\n")
}

/// A file for every choice of the dialect, with a word that is none of it.
fn wrong_words() -> Vec<(&'static str, String)> {
    let lookup = |more: &str| fact(&format!("foreign_keys: [{{column: a, lookup: {{{more}}}}}]"));
    let contract = |more: &str| source(&format!("contract: {{{more}}}"));
    vec![
        ("table_type", dimension("").replace("table_type: dimension", "table_type: zzz")),
        ("delete_strategy", dimension("delete_strategy: zzz")),
        ("delete_effective", dimension("delete_effective: zzz")),
        ("on_missing", dimension("on_missing: zzz")),
        ("mode", dimension("null_policy: {mode: zzz}")),
        ("merge_strategy", dimension("merge_strategy: zzz")),
        ("severity", dimension("tests: [{column: a, tests: [unique], severity: zzz}]")),
        ("strategy", dimension("pii: {columns: [{column: a, strategy: zzz}]}")),
        ("write_failure", dimension("observability: {write_failure: zzz}")),
        ("surrogate_key_strategy", dimension("surrogate_key_strategy: zzz")),
        ("grain_validation", fact("grain_validation: zzz")),
        ("fact_pattern", fact("fact_pattern: zzz")),
        ("snapshot_period", fact("snapshot_period: zzz")),
        ("aggregation", fact("measures: [{name: a, aggregation: zzz}]")),
        ("additivity", fact("measures: [{name: a, additivity: zzz}]")),
        ("relationship", fact("foreign_keys: [{column: a, relationship: zzz}]")),
        ("invalid_action", lookup("invalid_action: zzz")),
        ("early_arriving", lookup("early_arriving: zzz")),
        ("format", source("format: zzz")),
        ("cdc_strategy", source("cdc_strategy: zzz")),
        ("trigger", source("streaming: {trigger: zzz}")),
        ("compatibility", contract("compatibility: zzz")),
        ("rule", contract("quality: [{rule: zzz}]")),
        ("severity", contract("quality: [{rule: unique, severity: zzz}]")),
        ("late_event_severity", contract("temporal: {late_event_severity: zzz}")),
        ("out_of_order_severity", contract("temporal: {out_of_order_severity: zzz}")),
        ("mode", contract("validation: {mode: zzz}")),
    ]
}

/// The words that the readers name when they see another one.
fn words_of_reader(key: &str, text: &str) -> BTreeSet<String> {
    let messages = errors(TARGETS, text);
    let start = format!("`{key}` must be ");
    let offered = messages.iter().find_map(|message| message.strip_prefix(&start)?.split_once(", found"));
    let (offered, _) = offered.unwrap_or_else(|| panic!("{key} takes any word: {messages:?}"));
    offered.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of a property, where it has a choice of them.
fn words_of_property(property: &Value) -> Option<BTreeSet<String>> {
    let words = property.get("anyOf")?[0].get("enum")?.as_array()?;
    words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

#[test]
fn the_schemas_offer_the_words_that_the_readers_take() {
    let read: BTreeSet<(String, BTreeSet<String>)> =
        wrong_words().iter().map(|(key, text)| ((*key).to_owned(), words_of_reader(key, text))).collect();
    let schemas = both_schemas();
    let mut offered = BTreeSet::new();
    for schema in &schemas {
        visit(schema, &mut |value| {
            for (key, property) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
                offered.extend(words_of_property(property).map(|words| (key.clone(), words)));
            }
        });
    }
    assert_eq!(offered, read);
}

#[test]
fn the_schema_accepts_what_the_readers_accept() {
    let validator = validator(&pipeline_schema());
    for text in accepted_dimensions().into_iter().chain(accepted_facts()).chain(accepted_sources()) {
        assert_eq!(errors(TARGETS, &text), [""; 0], "{text}");
        assert_eq!(refusals(&validator, &as_edited(&text)), [""; 0], "{text}");
    }
}

fn accepted_dimensions() -> Vec<String> {
    let lines = [
        "",
        "allow_full_close: yes\nschema_evolution: Off\npreserve_all_changes: y\nremember_repeats: TRUE",
        "scd_type: '1'",
        "scd_type: +01",
        "max_close_ratio: .25",
        "max_close_ratio: '0.5'",
        "cluster_by: name",
        "cluster_by: [on, 010, 7.5, 'a']\ntags: nightly",
        "tags: [nightly, 7]\ndepends_on: [silver.a, 'cat.silver.b']",
        "delete_strategy:\nnull_policy:\ntests:\npii:\nobservability:\nscd_type:\ndurable_key:\ntags: ~",
        "merge_keys: []\nappend_only: no\nforeign_keys: {}\nmeasures: false\nfact_pattern: Off\ngrain:",
        "default_rows:\n  -1: Unknown\n  city: 5\n  is_vip: no",
        "null_policy: {mode: kimball, attribute_substitutes: {zip: 0, is_vip: yes}}",
        "table_description: 5\ncolumn_descriptions: {id: the id}\naudit_columns: yes\ndeclare_constraints: n",
        "tests: [{column: a, severity: warn, tests: [unique, {not_null: }, {unique: yes, expression: 'a > 1'}]}]",
        "tests: [{column: a, tests: [{accepted_values: [1, a, true, '']}, {accepted_values: {values: [x]}}]}]",
        "tests: [{column: a, tests: [{relationships: {to: gold.b, field: id}}]}, {column: b, tests: []}]",
        "pii: {columns: [{column: a, strategy: null}, {column: b, strategy: drop}]}",
        "observability: {enabled: no, alert_on: warn, write_failure: error}",
        "conformed_dimension: {owner: bi, shared_attributes: [a]}",
        "scd_type: 0",
        "scd_type: 2\neffective_at: changed_at\ntrack_history_columns: '*'",
        "scd_type: '2'\neffective_at: changed_at\ntrack_history_columns: ['*']\ndelete_effective: row",
        "scd_type: 3\nprevious_columns: {city: previous_city}",
        "scd_type: 4\nhistory_table: gold.dim_history",
        "scd_type: 4\nmini_dimensions: [{table: gold.mini, surrogate_key: mini_sk, columns: [a, b]}]",
        "scd_type: 5\nmini_dimensions: [{table: gold.mini, surrogate_key: mini_sk, columns: a}]",
        "scd_type: 6\ntrack_history_columns: [a]\ncurrent_value_columns: [a]",
        "scd_type: 7\ndurable_key: dk\neffective_at: changed_at\ntrack_history_columns: ['*']",
        "mini_dimensions: []\nprevious_columns: {}\ncurrent_value_columns: []",
    ];
    let mut texts: Vec<String> = lines.iter().map(|more| dimension(more)).collect();
    let nested = "keys: {surrogate_key: sk, natural_keys: [id]}";
    texts.push(dimension("").replace(nested, "surrogate_key: sk\nnatural_keys: id"));
    texts.push(
        dimension("").replace(nested, "surrogate_key: sk\nkeys: {natural_keys: [id], surrogate_key: }"),
    );
    texts
}

fn accepted_facts() -> Vec<String> {
    let type_7 = "references: gold.d, dimension_key: d_sk, relationship: type7, durable_column: d_dk, \
                  durable_dimension_key: dk, restate_on_late_dimension: yes";
    let type_7 =
        format!("foreign_keys: [{{column: a, {type_7}, lookup: {{source_columns: b, event_time: c}}}}]");
    let lines = [
        "",
        "scd_type: 1\nkeys: {}\neffective_at: off\ndefault_rows: []\nhistory_table: false\nnatural_keys:",
        "scd_type: no\nmini_dimensions: []",
        "fact_pattern:\ngrain: one row an order",
        "fact_pattern: periodic_snapshot\ngrain: a day\nsnapshot_period: day\nmilestones: []",
        "fact_pattern: accumulating_snapshot\ngrain: an order\n\
         milestones: [{name: a, column: a, order: '1'}, {name: b, column: b, order: 2, lag_column: days}]",
        "replace_partitions: true\npartition_by: day",
        "replace_partitions: false\nappend_only: no\ngrain_validation: skip",
        "measures: [{name: a, aggregation: sum}, {name: b, additivity: semi_additive, non_additive_dimensions: day}]",
        "degenerate_dimensions: [order_number]\nforeign_keys: [{column: a}, {column: b, lookup: , role: billing}]",
        "foreign_keys: [{column: a, references: gold.d, dimension_key: sk, role: x, role_playing: on}]",
        type_7.as_str(),
        "junk_dimensions: [{dimension_table: gold.junk, surrogate_key: junk_sk, source_columns: [a, b]}]",
    ];
    lines.iter().map(|more| fact(more)).collect()
}

fn accepted_sources() -> Vec<String> {
    [
        "alias: t1, cdc_strategy: full, primary_keys: id",
        "starting_version: '3', options: , streaming: , contract: ",
        "format: csv, path: data/*.csv, options: {header: 'true', INFERSCHEMA: no, sep: '|', nullValue: '', mode: x}",
        "format: parquet, path: data",
        "streaming: {enabled: false, trigger: processing_time, starting_version: 0}",
        "streaming: {enabled: true, trigger: processing_time, starting_timestamp: 2024-02-01}",
        "contract: {id: c, version: 1.0, schema: {a: {type: bigint, nullable: no}}, freshness: {max_age: 2 hours}, \
         cdc: {required: true}, quality: [{rule: unique, columns: [a]}, {rule: null_rate, column: a, max_ratio: 1}], \
         temporal: {event_time_column: e}, validation: {mode: sampled, sample_fraction: 0.1, sample_seed: -1}}",
    ]
    .map(source)
    .to_vec()
}

#[test]
fn the_schema_refuses_what_the_readers_refuse_as_far_as_it_can() {
    let validator = validator(&pipeline_schema());
    for text in refused() {
        assert_ne!(errors(TARGETS, &text), [""; 0], "{text}");
        assert_ne!(refusals(&validator, &as_edited(&text)), [""; 0], "{text}");
    }
}

fn refused() -> Vec<String> {
    let dimensions = [
        "scd_typ: 2",
        "scd_type: 8",
        "scd_type: two",
        "scd_type: 2\neffective_at: changed_at",
        "scd_type: '2'\ntrack_history_columns: ['*']",
        "scd_type: 3",
        "scd_type: 4",
        "scd_type: 5",
        "scd_type: 6\ntrack_history_columns: [a]",
        "scd_type: 7\neffective_at: changed_at\ntrack_history_columns: ['*']",
        "merge_keys: [a]",
        "allow_full_close: maybe",
        "allow_full_close: 1",
        "max_close_ratio: 2",
        "delete_strategy: softly",
        "depends_on: silver.a",
        "table_description: ''",
        "null_policy: {mod: legacy}",
        "tests: [{column: a, tests: [not_nul]}]",
        "tests: [{column: a, tests: [{accepted_values: []}]}]",
        "tests: [{column: a, tests: [{}]}]",
        "pii: {columns: [{column: a, strategy: tokenize}]}",
        "observability: {alert_on: [fatal]}",
    ]
    .map(dimension);
    let facts = [
        "surrogate_key: a",
        "scd_type: 2",
        "fact_pattern: transaction",
        "fact_pattern: periodic_snapshot\ngrain: a day",
        "fact_pattern: accumulating_snapshot\ngrain: an order\nmilestones: [{name: a, column: a, order: 1}]",
        "replace_partitions: true",
        "measures: [{name: a, additivity: semi_additive}]",
        "foreign_keys: [{column: a, lookup: {source_columns: [b]}}]",
        "foreign_keys: [{column: a, role_playing: true}]",
        "foreign_keys: [{column: a, references: gold.d, dimension_key: k, restate_on_late_dimension: true}]",
        "junk_dimensions: [{dimension_table: gold.junk, surrogate_key: k}]",
    ]
    .map(fact);
    let sources = [
        "format: csv",
        "starting_version: -1",
        "streaming: {starting_version: 1, starting_timestamp: 2026-01-01}",
        "contract_ref: a.yml, contract: {id: c, version: 1, schema: {}}",
        "contract: {id: c, version: 1, schema: {a: {}}}",
    ]
    .map(source);
    let mut texts: Vec<String> = dimensions.into_iter().chain(facts).chain(sources).collect();
    texts.push(dimension("").replace("gold.dim", "dim"));
    texts.push(dimension("").replace(", natural_keys: [id]", ""));
    texts.push(dimension("").replace("[id]", "[]"));
    texts.push(dimension("").replace("{name: silver.t}", ""));
    texts.push(fact("").replace("merge_keys: [order_id]\n", ""));
    texts
}

#[test]
fn the_schema_of_targets_judges_as_their_reader_does() {
    let validator = validator(&targets_schema());
    for (text, is_right) in [
        (TARGETS.to_owned(), true),
        ("version: '1'\ntargets:\n  dev:\n".to_owned(), true),
        (target("catalog: 5, warehouse: , merge_strategy: copy_on_write, control_history_days: '30'"), true),
        (target("storage_options: {allow_http: true, port: 9000, aws_secret_access_key: 'env://KEY'}"), true),
        (TARGETS.replace("version: 1", "version: 2"), false),
        ("version: 1\ntargets: {}\n".to_owned(), false),
        ("version: 1\ntargets: {dev: [a]}\n".to_owned(), false),
        (target("gold_shema: g"), false),
        (target("control_history_days: 0"), false),
        (target("control_history_days: 4294967296"), false),
        (target("merge_strategy: rewrite"), false),
        (target("storage_options: {port: }"), false),
    ] {
        assert_eq!(errors(&text, &dimension("")).is_empty(), is_right, "{text}");
        assert_eq!(refusals(&validator, &as_edited(&text)).is_empty(), is_right, "{text}");
    }
}

#[test]
fn what_the_schema_takes_for_a_secret_is_one_for_the_reader() {
    let validator = validator(&targets_schema());
    for name in SECRET_MARKS.iter().flat_map(|mark| [format!("x_{mark}_y"), mark.to_uppercase()]) {
        for (value, is_right) in [("hunter2", false), ("'env://KEY'", true)] {
            let text = target(&format!("storage_options: {{{name}: {value}}}"));
            assert_eq!(errors(&text, &dimension("")).is_empty(), is_right, "{text}");
            assert_eq!(refusals(&validator, &as_edited(&text)).is_empty(), is_right, "{text}");
        }
    }
}
