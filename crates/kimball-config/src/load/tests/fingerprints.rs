use super::*;

fn fingerprint(text: &str) -> u64 {
    let (_folder, request) = project(&[("kimball.targets.yml", TARGETS), ("configs/a.yml", text)]);
    let outcome = load_project(&request);
    let problems = shown(&outcome);
    outcome.project.unwrap_or_else(|| panic!("{problems:?}")).pipelines[0].fingerprint
}

/// A dimension of a type, with more lines.
fn typed(number: u8, more: &str) -> String {
    let durable = if number == 7 { ", durable_key: member_key" } else { "" };
    format!(
        "table_name: gold.dim\ntable_type: dimension\nscd_type: {number}\n\
         keys: {{surrogate_key: sk, natural_keys: [id]{durable}}}\nsources: [{{name: silver.t}}]\n{more}\n"
    )
}

#[test]
fn the_fingerprint_follows_the_meaning_and_not_the_form() {
    for text in [DIM_CUSTOMER, DIM_DATE, FACT_SALES] {
        let first = fingerprint(text);
        assert!(first > 0 && i64::try_from(first).is_ok());
        assert_eq!(
            fingerprint(
                &format!("# a comment\n{text}\n\ntable_description: words\n")
                    .replace("table_description: >\n  One row a day.\n", "")
            ),
            first
        );
    }
    let customer = fingerprint(DIM_CUSTOMER);
    let reordered = DIM_CUSTOMER
        .replace("    c.customer_id,\n    c.first_name,", "    c.customer_id, c.first_name, -- both\n");
    assert_eq!(fingerprint(&reordered), customer);
    for (from, to) in [
        ("[customer_id]", "[customer_no]"),
        ("effective_at: updated_at", "effective_at: changed_at"),
        ("c.first_name,\n", "upper(c.first_name) AS first_name,\n"),
        ("cdc_strategy: cdf", "cdc_strategy: full"),
        ("first_name, last_name", "last_name"),
        ("-1: \"Unknown\"", "-1: \"Nobody\""),
        (".dim_customer", ".dim_client"),
    ] {
        assert_ne!(fingerprint(&DIM_CUSTOMER.replace(from, to)), customer, "{from}");
    }
}

/// Loaded tables remember these numbers: another one makes the next load process `full` sources again.
#[test]
fn the_fingerprints_of_types_1_and_2_and_of_facts_stay_what_they_were() {
    assert_eq!(fingerprint(DIM_CUSTOMER), 4_916_483_788_492_732_492);
    let all = DIM_CUSTOMER.replace("[first_name, last_name, email, address]", "['*']");
    assert_eq!(fingerprint(&all), 2_300_082_697_389_378_124);
    assert_eq!(fingerprint(DIM_PRODUCT), 1_389_647_741_727_275_528);
    assert_eq!(fingerprint(DIM_DATE), 8_476_970_502_778_208_986);
    assert_eq!(fingerprint(FACT_SALES), 1_911_081_963_564_898_825);
    assert_eq!(fingerprint(FACT_INVENTORY), 5_710_202_894_730_598_826);
}

#[test]
fn a_default_that_is_spelled_out_changes_no_fingerprint() {
    let spelled = format!(
        "{DIM_CUSTOMER}preserve_all_changes: true\ndelete_effective: commit\nremember_repeats: true\n\
         schema_evolution: false\nmini_dimensions: []\n"
    );
    assert_eq!(fingerprint(&spelled), fingerprint(DIM_CUSTOMER));
}

#[test]
fn the_fingerprint_leaves_out_what_changes_no_row() {
    let customer = fingerprint(DIM_CUSTOMER);
    for more in [
        "remember_repeats: false",
        "schema_evolution: true",
        "merge_strategy: copy_on_write",
        "optimize_after_merge: true",
    ] {
        assert_eq!(fingerprint(&format!("{DIM_CUSTOMER}{more}\n")), customer, "{more}");
    }
}

#[test]
fn where_a_feed_starts_is_in_the_fingerprint_as_the_instant_that_it_is() {
    let from = |time: &str| {
        let streaming = format!("streaming: {{enabled: true, starting_timestamp: '{time}'}}");
        fingerprint(&typed(1, "").replace("{name: silver.t}", &format!("{{name: silver.t, {streaming}}}")))
    };
    assert_ne!(from("2024-02-01"), fingerprint(&typed(1, "")));
    assert_ne!(from("2024-02-01"), from("2024-02-02"));
    assert_eq!(from("2024-02-01"), from("2024-02-01T01:00:00+01:00"));
}

#[test]
fn every_setting_of_a_dimension_that_changes_rows_changes_the_fingerprint() {
    let tracked = "track_history_columns: ['*']";
    let history = format!("effective_at: e\n{tracked}");
    let mini = "mini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a, b]}]";
    let texts = [
        typed(0, ""),
        typed(1, ""),
        typed(1, "surrogate_key_strategy: sequence"),
        typed(1, mini),
        typed(1, &mini.replace("gold.m,", "gold.n,")),
        typed(1, &mini.replace("m_sk", "n_sk")),
        typed(1, &mini.replace("[a, b]", "[a]")),
        typed(2, &history),
        typed(2, &format!("{history}\npreserve_all_changes: false")),
        typed(2, &format!("{history}\ndelete_effective: row")),
        typed(3, "previous_columns: {city: old_city}"),
        typed(3, "previous_columns: {city: older_city}"),
        typed(4, mini),
        typed(4, "history_table: gold.h"),
        typed(4, "history_table: gold.i"),
        typed(4, "history_table: gold.h\neffective_at: e"),
        typed(4, "history_table: gold.h\ntrack_history_columns: [a]"),
        typed(5, mini),
        typed(6, &format!("{tracked}\ncurrent_value_columns: [a]")),
        typed(6, &format!("{history}\ncurrent_value_columns: [a]")),
        typed(6, &format!("{history}\ncurrent_value_columns: [a, b]")),
        typed(7, &history),
        typed(7, &history).replace("member_key", "other_key"),
    ];
    let distinct: std::collections::BTreeSet<u64> = texts.iter().map(|text| fingerprint(text)).collect();
    assert_eq!(distinct.len(), texts.len());
}

/// A fact with one foreign key, which has more settings, and more lines.
fn fact(key: &str, lookup: &str, more: &str) -> String {
    format!(
        "table_name: gold.fact\ntable_type: fact\nmerge_keys: [id]\nsources: [{{name: silver.t}}]\n\
         foreign_keys: [{{column: d_sk, references: gold.d, dimension_key: sk{key}, lookup: {{source_columns: [d], \
         event_time: at{lookup}}}}}]\n{more}\n"
    )
}

#[test]
fn every_setting_of_a_fact_that_changes_rows_changes_the_fingerprint() {
    let process = |lag: &str| {
        format!(
            "fact_pattern: accumulating_snapshot\ngrain: an order\nmilestones: [{{name: a, column: a_at, order: 1}}, \
             {{name: b, column: b_at, order: 2{lag}}}]"
        )
    };
    let durable = ", relationship: type7, durable_column: d_dk, durable_dimension_key: dk";
    let junk = "junk_dimensions: [{dimension_table: gold.j, surrogate_key: j_sk, source_columns: [x, y]}]";
    let texts = [
        fact("", "", ""),
        fact("", "", "append_only: true"),
        fact("", "", "partition_by: [day]"),
        fact("", "", "partition_by: [day]\nreplace_partitions: true"),
        fact("", "", "partition_by: [month]\nreplace_partitions: true"),
        fact("", "", &process("")),
        fact("", "", &process(", lag_column: days")),
        fact("", "", &process(", lag_column: lag")),
        fact("", "", &process("").replace("b_at", "c_at")),
        fact(
            "",
            "",
            &process("")
                .replace("order: 2", "order: 0")
                .replace("order: 1", "order: 2")
                .replace("order: 0", "order: 1"),
        ),
        fact("", "", junk),
        fact("", "", &junk.replace("gold.j,", "gold.k,")),
        fact("", "", &junk.replace("j_sk", "k_sk")),
        fact("", "", &junk.replace("[x, y]", "[y, x]")),
        fact(durable, "", ""),
        fact(&durable.replace("d_dk", "e_dk"), "", ""),
        fact(&durable.replace(": dk", ": ek"), "", ""),
        fact(", restate_on_late_dimension: true", "", ""),
        fact("", ", identity_map: gold.map", ""),
        fact("", ", identity_map: gold.other_map", ""),
        fact("", ", early_arriving: error", ""),
    ];
    let distinct: std::collections::BTreeSet<u64> = texts.iter().map(|text| fingerprint(text)).collect();
    assert_eq!(distinct.len(), texts.len());
}

#[test]
fn another_table_of_rows_that_wait_is_in_the_fingerprint_of_facts_that_look_keys_up() {
    let kept = |table: &str| format!("observability: {{unresolved_key_table: {table}}}");
    let plain = fingerprint(&fact("", "", ""));
    assert_eq!(fingerprint(&fact("", "", &kept("etl_unresolved_dimension_keys"))), plain);
    for other in ["waiting", "ops.etl_unresolved_dimension_keys"] {
        assert_ne!(fingerprint(&fact("", "", &kept(other))), plain, "{other}");
    }
    assert_eq!(fingerprint(&typed(1, &kept("waiting"))), fingerprint(&typed(1, "")));
}

#[test]
fn what_only_speaks_of_the_rows_of_a_fact_is_not_in_its_fingerprint() {
    let plain = fingerprint(&fact("", "", ""));
    for more in [
        "measures: [{name: m, aggregation: sum}]",
        "degenerate_dimensions: [ticket]",
        "tests: [{column: id, tests: [unique]}]",
        "fact_pattern: transaction\ngrain: an order",
        "append_only: false\nreplace_partitions: false\npartition_by: []\njunk_dimensions: []",
    ] {
        assert_eq!(fingerprint(&fact("", "", more)), plain, "{more}");
    }
    for key in [", restate_on_late_dimension: false", ", relationship: standard", ", role: buyer"] {
        assert_eq!(fingerprint(&fact(key, "", "")), plain, "{key}");
    }
}
