use super::*;

#[test]
fn a_fact_needs_merge_keys() {
    let text = fact("").replace("merge_keys: [order_id]\n", "");
    assert_eq!(messages(&text), ["a fact needs `merge_keys`"]);
    assert_eq!(messages(&fact("").replace("[order_id]", "[]")), ["`merge_keys` needs one name at least"]);
    assert_eq!(messages(&fact("").replace("[order_id]", "[a, A]")), ["`A` is in `merge_keys` twice"]);
}

#[test]
fn keys_of_dimensions_are_errors_but_the_default_type_is_not() {
    assert_eq!(
        messages(&fact("scd_type: 2\nkeys: {surrogate_key: sk}\neffective_at: e")),
        ["`scd_type` is for dimensions", "`keys` is for dimensions", "`effective_at` is for dimensions"]
    );
    assert_eq!(messages(&fact("scd_type: 1")), Vec::<String>::new());
}

#[test]
fn an_append_source_needs_append_only_and_append_only_needs_a_feed() {
    let appending = fact("").replace("{name: silver.t}", "{name: silver.t, cdc_strategy: append}");
    assert_eq!(messages(&appending), ["`cdc_strategy: append` needs `append_only: true`"]);
    assert_eq!(fact_settings(&format!("{appending}append_only: true\n")).loading, FactLoading::Append);
    let full = fact("append_only: true").replace("{name: silver.t}", "{name: silver.t, cdc_strategy: full}");
    assert_eq!(
        messages(&full),
        ["`append_only` needs a source that is a feed: a snapshot does not say which rows are new"]
    );
}

#[test]
fn grain_validation_decides_what_a_repeated_merge_key_means() {
    assert_eq!(fact_settings(&fact("")).grain_validation, Severity::Error);
    assert_eq!(fact_settings(&fact("grain_validation: warn")).grain_validation, Severity::Warn);
    assert_eq!(read(&dimension("grain_validation: warn")).notes.len(), 1);
}

#[test]
fn a_fact_that_says_nothing_else_is_merged() {
    let settings = fact_settings(&fact("append_only: false\nreplace_partitions: false"));
    assert_eq!(settings, fact_settings(&fact("")));
    assert_eq!(settings.loading, FactLoading::Upsert);
    assert_eq!(settings.pattern, FactPattern::Transaction);
    assert_eq!((settings.partition_by.len(), settings.degenerate_dimensions.len()), (0, 0));
}

#[test]
fn partitions_are_columns_once_each() {
    let settings = fact_settings(&fact("partition_by: [year, month]"));
    assert_eq!(settings.partition_by, ["year", "month"]);
    assert_eq!(settings.loading, FactLoading::Upsert);
    assert_eq!(fact_settings(&fact("partition_by: order_id")).partition_by, ["order_id"]);
    assert_eq!(messages(&fact("partition_by: [year, Year]")), ["`Year` is in `partition_by` twice"]);
    assert_eq!(
        messages(&fact("partition_by: [__year]")),
        ["`__year` is no name for a column: `__` is reserved for system columns"]
    );
}

#[test]
fn replaced_partitions_need_partitions_and_leave_no_room_for_appending() {
    let replacing = fact_settings(&fact("replace_partitions: yes\npartition_by: [day]"));
    assert_eq!(replacing.loading, FactLoading::ReplacePartitions);
    assert_eq!(
        messages(&fact("replace_partitions: true\npartition_by: []")),
        ["`replace_partitions` needs `partition_by`"]
    );
    assert_eq!(
        read(&fact("append_only: true\nreplace_partitions: true\npartition_by: [day]")).problems,
        ["6: either `append_only` or `replace_partitions`, not both"]
    );
}

#[test]
fn degenerate_dimensions_are_columns_once_each() {
    let settings = fact_settings(&fact("degenerate_dimensions: [order_number, line]"));
    assert_eq!(settings.degenerate_dimensions, ["order_number", "line"]);
    assert_eq!(messages(&fact("degenerate_dimensions: [a, A]")), ["`A` is in `degenerate_dimensions` twice"]);
}
