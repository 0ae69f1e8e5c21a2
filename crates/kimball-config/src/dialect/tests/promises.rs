//! Personal columns, contracts, streaming and observability.

use std::time::Duration;

use super::*;
use crate::model::{
    Compatibility, Observability, PiiColumn, Protection, RuleCheck, SecretReference, Severity, ValidationMode,
};

fn with_source(more: &str) -> String {
    dimension("").replace("{name: silver.t}", &format!("{{name: silver.t, {more}}}"))
}

#[test]
fn personal_columns_are_read_with_their_strategies() {
    let read = read(&dimension(
        "pii:\n  columns:\n  - {column: a, strategy: null}\n  - {column: b, strategy: tokenize, secret_ref: 'env://KEY'}\n\
         \x20 - {column: c, strategy: mask, reveal_prefix: 2, mask_char: x}\n  - {column: d, strategy: hash}\n\
         \x20 - {column: e, strategy: drop}",
    ));
    assert_eq!(read.problems, Vec::<String>::new());
    let column = |name: &str, protection| PiiColumn { column: name.to_owned(), protection };
    let secret = SecretReference { name: "KEY".to_owned(), value: None };
    assert_eq!(
        read.pipeline.unwrap().pii,
        [
            column("a", Protection::Null),
            column("b", Protection::Tokenize { secret }),
            column("c", Protection::Mask { reveal_prefix: 2, mask_char: 'x' }),
            column("d", Protection::FastHash),
            column("e", Protection::Drop),
        ]
    );
}

#[test]
fn personal_columns_are_checked() {
    assert_eq!(
        messages(&dimension(
            "pii:\n  columns:\n  - {column: a, strategy: tokenize}\n  - {column: c, strategy: tokenize, secret_ref: hunter2}\n\
             \x20 - {column: d, strategy: mask, mask_char: '**', secret_ref: 'env://A'}\n  - {column: e, reveal_prefix: 1, strategy: drop}\n\
             \x20 - {column: E, strategy: drop}\n  - {column: f}\n  - {column: id, strategy: mask}\n  - {column: g, strategy: shred}"
        )),
        [
            "a pii column needs `secret_ref`",
            "`secret_ref` must be a reference, never the secret itself",
            "`mask_char` is one character",
            "`secret_ref` is for `strategy: tokenize`",
            "`reveal_prefix` is for `strategy: mask`",
            "`E` is in `pii` twice",
            "a pii column needs `strategy`",
            "`id` is a natural key and cannot be protected so",
            "`strategy` must be `tokenize`, `fast_hash`, `hash`, `mask`, `null` or `drop`, found `shred`",
        ]
    );
}

#[test]
fn streaming_is_what_a_run_does_anyway() {
    let fine = "streaming: {enabled: true, trigger: available_now, starting_version: 3}";
    let read_fine = read(&with_source(fine));
    assert_eq!(read_fine.problems, Vec::<String>::new());
    assert_eq!(read_fine.pipeline.unwrap().sources[0].starting_version, Some(3));
    assert_eq!(
        messages(&with_source("streaming: {enabled: false, ignore_deletes: true}")),
        Vec::<String>::new()
    );
    let timed = "streaming: {enabled: true, trigger: processing_time, trigger_interval: 5 minutes}";
    let timed = read(&with_source(timed));
    assert_eq!(timed.problems, Vec::<String>::new());
    assert_eq!(
        timed.notes,
        [
            "streaming: `trigger: processing_time` has no effect: a run reads what is there and ends; call `kimball run` as \
             often as you like"
        ]
    );
    assert_eq!(
        messages(&with_source("cdc_strategy: full, streaming: {enabled: true}")),
        ["`streaming` needs a feed: `cdc_strategy: cdf` or `append`"]
    );
}

#[test]
fn a_stream_starts_at_a_version_or_at_a_time() {
    let start = |streaming: &str| {
        let read = read(&with_source(&format!("streaming: {{{streaming}}}")));
        assert_eq!(read.problems, Vec::<String>::new());
        let source = read.pipeline.unwrap().sources.remove(0);
        (source.starting_version, source.starting_timestamp.map(|at| at.to_rfc3339()), read.notes)
    };
    let at = |time: &str| (None::<u64>, Some(time.to_owned()), Vec::<String>::new());
    assert_eq!(start("enabled: true, starting_timestamp: 2024-02-01"), at("2024-02-01T00:00:00+00:00"));
    assert_eq!(
        start("enabled: yes, starting_timestamp: '2024-02-01T01:00:00+02:00'"),
        at("2024-01-31T23:00:00+00:00")
    );
    let note = "streaming: starting_timestamp has no effect without `enabled: true`".to_owned();
    assert_eq!(start("starting_timestamp: 2024-02-01"), (None, None, vec![note]));
    assert_eq!(
        messages(&with_source(
            "starting_version: 2, streaming: {enabled: true, starting_timestamp: 2024-02-01}"
        )),
        ["either `starting_version` or `starting_timestamp`, not both"]
    );
    assert_eq!(
        messages(&with_source("streaming: {enabled: true, starting_version: 1, starting_timestamp: x}")),
        [
            "either `starting_version` or `starting_timestamp`, not both",
            "`starting_timestamp` must be a time such as `2025-01-31 09:30:00`, found `x`",
        ]
    );
}

#[test]
fn what_a_stream_is_to_ignore_is_followed_in_a_change_feed_and_left_out_by_append() {
    for key in ["ignore_deletes", "ignore_changes"] {
        let followed = read(&with_source(&format!("streaming: {{enabled: true, {key}: true}}")));
        let warning = format!(
            "4: `{key}: true` has no effect: deletes and changes of a change feed are followed; `cdc_strategy: append` takes \
             inserts alone"
        );
        assert_eq!(followed.problems, [warning]);
        assert!(followed.pipeline.is_some());
        let appended = fact("append_only: true").replace(
            "{name: silver.t}",
            &format!("{{name: silver.t, cdc_strategy: append, streaming: {{enabled: true, {key}: true}}}}"),
        );
        let appended = read(&appended);
        assert_eq!(appended.problems, Vec::<String>::new());
        let note = format!("streaming: {key} has no effect: `cdc_strategy: append` takes inserts alone");
        assert_eq!(appended.notes, [note]);
    }
}

#[test]
fn a_contract_is_read_in_full() {
    let good = "contract: {id: c, version: 1.0.0, owner: shop, compatibility: strict, \
                schema: {a: {type: BIGINT, nullable: no}, e: {type: timestamp}}, freshness: {max_age: 2 hours}, \
                cdc: {required: true, primary_key: [a]}, quality: [{rule: unique, columns: [a, e]}, \
                {rule: null_rate, column: e, max_ratio: 0, severity: warn, name: seldom}], \
                temporal: {event_time_column: e, allowed_lateness: 30m, out_of_order_severity: error}, \
                validation: {mode: sampled, sample_fraction: 0.1, max_failure_samples: 2, max_actions: 8}}";
    let read = read(&with_source(good));
    assert_eq!(read.problems, Vec::<String>::new());
    let contract = read.pipeline.unwrap().sources.remove(0).contract.unwrap();
    assert_eq!(
        (contract.compatibility, contract.max_age),
        (Compatibility::Strict, Some(Duration::from_secs(7_200)))
    );
    assert_eq!((contract.columns[0].type_name.as_str(), contract.columns[0].nullable), ("bigint", false));
    assert_eq!((contract.cdc_required, contract.primary_key), (true, vec!["a".to_owned()]));
    let rules: Vec<_> = contract.rules.iter().map(|rule| (rule.name.as_str(), rule.severity)).collect();
    assert_eq!(rules, [("unique:a,e", Severity::Error), ("seldom", Severity::Warn)]);
    assert_eq!(contract.rules[1].check, RuleCheck::NullRate { column: "e".to_owned(), max_ratio: 0.0 });
    let temporal = contract.temporal.unwrap();
    assert_eq!(
        (temporal.allowed_lateness, temporal.late),
        (Some(Duration::from_secs(1_800)), Severity::Warn)
    );
    assert_eq!(temporal.out_of_order, Severity::Error);
    let drawn = ValidationMode::Sampled { fraction: 0.1, seed: 17, most: None };
    assert_eq!((contract.validation.mode, contract.validation.failure_samples), (drawn, 2));
}

#[test]
fn contracts_are_checked() {
    let bad = "contract: {schema: {a: {type: bgint}}, freshness: {max_age: soon}, quality: [{rule: null_rate}, \
               {rule: unique, column: a, columns: [b]}], validation: {mode: sampled}}";
    assert_eq!(
        messages(&with_source(bad)),
        [
            "a contract needs `id`",
            "a contract needs `version`",
            "`bgint` is no type",
            "`max_age` must be a duration such as `2 hours` or `30m`, found `soon`",
            "the rule `null_rate` needs `column`",
            "the rule `null_rate` needs `max_ratio`",
            "either `column` or `columns`, not both",
            "`mode: sampled` needs `sample_fraction`",
        ]
    );
}

#[test]
fn observability_is_read_and_checked() {
    let read_fine = read(&dimension(
        "observability: {event_table: ops.events, unresolved_key_table: main.ops.waiting, write_failure: error, \
         webhook_env: HOOK, alert_on: [warn, error]}",
    ));
    assert_eq!(read_fine.problems, Vec::<String>::new());
    assert_eq!(
        read_fine.pipeline.unwrap().observability,
        Observability {
            event_table: "ops.events".to_owned(),
            unresolved_key_table: "ops.waiting".to_owned(),
            write_failure: Severity::Error,
            webhook: SecretReference { name: "HOOK".to_owned(), value: None },
            alert_on: vec![Severity::Warn, Severity::Error],
            ..Observability::default()
        }
    );
    assert_eq!(
        messages(&dimension(
            "observability: {event_table: a.b.c.d, webhook_env: 'https://example.com/x', alert_on: [fatal], unresolved_key_table: 'a b'}"
        )),
        [
            "`a.b.c.d` is no table: write `table` or `schema.table`",
            "`webhook_env` is the name of an environment variable",
            "`alert_on` takes `warn` and `error`",
            "`a b` is no table: write `table` or `schema.table`",
        ]
    );
    for (key, name) in [
        ("event_table", "etl_repeats"),
        ("temporal_state_table", "etl_unresolved_dimension_keys"),
        ("unresolved_key_table", "ops.etl_control"),
    ] {
        assert_eq!(
            messages(&dimension(&format!("observability: {{{key}: {name}}}"))),
            [format!("`{name}` is a table of the engine's own; give another name")]
        );
    }
    assert_eq!(
        messages(&dimension("observability: {event_table: events, temporal_state_table: events}")),
        ["`event_table` and `temporal_state_table` are two tables"]
    );
    assert_eq!(
        messages(&dimension("observability: {unresolved_key_table: etl_data_quality_events}")),
        ["`event_table` and `unresolved_key_table` are two tables"]
    );
    let said = "observability: {unresolved_key_table: ops.etl_unresolved_dimension_keys}";
    assert_eq!(
        pipeline(&dimension(said)).observability.unresolved_key_table,
        "ops.etl_unresolved_dimension_keys"
    );
}
