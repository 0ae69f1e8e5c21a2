//! The keys of every mapping of the dialect: the one place to add one.

/// A mapping of the dialect.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// What it is called in a message, with its article.
    pub(crate) what: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [&'static str],
}

macro_rules! mappings {
    ($($name:ident = $what:literal: $($key:literal)+;)+) => {
        $(pub(crate) const $name: Mapping = Mapping { what: $what, keys: &[$($key),+] };)+
    };
}

mappings! {
    PIPELINE = "a pipeline":
        "table_name" "table_type" "scd_type" "keys" "surrogate_key" "natural_keys" "durable_key"
        "surrogate_key_strategy" "sources" "transformation_sql" "effective_at" "track_history_columns"
        "previous_columns" "history_table" "mini_dimensions" "current_value_columns" "delete_strategy"
        "delete_effective" "on_missing" "allow_full_close" "max_close_ratio" "preserve_all_changes"
        "remember_repeats" "merge_keys" "append_only" "replace_partitions" "partition_by" "fact_pattern"
        "grain" "snapshot_period" "measures" "milestones" "degenerate_dimensions" "foreign_keys"
        "junk_dimensions" "depends_on" "null_policy" "default_rows" "pii" "tests" "grain_validation"
        "schema_evolution" "merge_strategy" "cluster_by" "optimize_after_merge" "table_description" "column_descriptions"
        "tags" "observability" "audit_columns" "enable_audit_columns" "declare_constraints"
        "enable_lineage_truncation" "conformed_dimension";
    KEYS = "`keys`": "surrogate_key" "natural_keys" "durable_key";
    SOURCE = "a source":
        "name" "alias" "format" "path" "options" "cdc_strategy" "primary_keys" "starting_version"
        "streaming" "contract" "contract_ref";
    STREAMING = "`streaming`":
        "enabled" "trigger" "trigger_interval" "starting_version" "starting_timestamp" "ignore_deletes"
        "ignore_changes";
    FOREIGN_KEY = "a foreign key":
        "column" "references" "dimension_key" "role" "role_playing" "relationship" "durable_column"
        "durable_dimension_key" "restate_on_late_dimension" "lookup";
    LOOKUP = "a lookup":
        "source_columns" "dimension_columns" "event_time" "identity_map" "early_arriving"
        "not_applicable_when" "invalid_action" "validate_resolution" "detect_fanout";
    MEASURE = "a measure": "name" "aggregation" "additivity" "non_additive_dimensions";
    MILESTONE = "a milestone": "name" "column" "order" "lag_column";
    JUNK_DIMENSION = "a junk dimension": "dimension_table" "surrogate_key" "source_columns";
    MINI_DIMENSION = "a mini-dimension": "table" "surrogate_key" "columns";
    NULL_POLICY = "`null_policy`": "mode" "attribute_substitutes";
    PII = "`pii`": "columns";
    PII_COLUMN = "a pii column": "column" "strategy" "secret_ref" "reveal_prefix" "mask_char";
    COLUMN_TESTS = "an entry of `tests`": "column" "tests" "severity";
    TEST = "a test": "unique" "not_null" "accepted_values" "relationships" "expression";
    RELATIONSHIP_TEST = "`relationships`": "to" "field";
    ACCEPTED_VALUES = "`accepted_values`": "values";
    OBSERVABILITY = "`observability`":
        "enabled" "event_table" "temporal_state_table" "unresolved_key_table" "write_failure" "webhook_env"
        "alert_on";
    CONFORMED_DIMENSION = "`conformed_dimension`": "canonical_name" "owner" "grain" "shared_attributes";
    CONTRACT = "a contract":
        "id" "version" "owner" "compatibility" "schema" "cdc" "freshness" "quality" "temporal" "validation";
    CONTRACT_COLUMN = "a column of a contract": "type" "nullable";
    CONTRACT_CDC = "`cdc`": "required" "primary_key";
    CONTRACT_FRESHNESS = "`freshness`": "max_age";
    CONTRACT_RULE = "a quality rule":
        "name" "rule" "column" "columns" "max_ratio" "values" "expression" "severity";
    CONTRACT_TEMPORAL = "`temporal`":
        "event_time_column" "allowed_lateness" "late_event_severity" "out_of_order_severity";
    CONTRACT_VALIDATION = "`validation`":
        "mode" "sample_fraction" "sample_seed" "max_sample_rows" "max_failure_samples" "max_actions";
    TARGETS_FILE = "a targets file": "version" "targets";
    TARGET = "a target":
        "catalog" "silver_schema" "gold_schema" "etl_schema" "checkpoint_root" "warehouse" "storage_options"
        "control_history_days" "merge_strategy";
}

/// Keys of a pipeline that only a dimension has.
pub(crate) const DIMENSION_ONLY: &[&str] = &[
    "scd_type",
    "keys",
    "surrogate_key",
    "natural_keys",
    "durable_key",
    "surrogate_key_strategy",
    "effective_at",
    "track_history_columns",
    "previous_columns",
    "history_table",
    "mini_dimensions",
    "current_value_columns",
    "default_rows",
    "conformed_dimension",
];

/// Keys of a pipeline that only a fact has.
pub(crate) const FACT_ONLY: &[&str] = &[
    "merge_keys",
    "append_only",
    "replace_partitions",
    "partition_by",
    "fact_pattern",
    "grain",
    "snapshot_period",
    "measures",
    "milestones",
    "degenerate_dimensions",
    "foreign_keys",
    "junk_dimensions",
];

/// What to do about a key that older or other versions of the dialect know.
pub(crate) fn advice(key: &str) -> Option<&'static str> {
    Some(match key {
        "early_arriving_facts" | "early_arriving_dimensions" => {
            "say it for each key: `foreign_keys[].lookup.early_arriving`"
        }
        "identity_bridge" => "name the map in `foreign_keys[].lookup.identity_map`",
        "default_value" => "a missing key becomes -1 to -4 by itself; remove it",
        "checkpoint_location" => "the target's `checkpoint_root` decides; remove it",
        "join_on" => "write the join into `transformation_sql`",
        "state_table" => "only `temporal_state_table` is kept; remove it",
        "row_filter" | "abac_policies" => "access rules belong to the catalog; remove it",
        "generated_columns" => "compute the column in `transformation_sql`",
        "vacuum_after_merge" | "vacuum_retention_hours" => {
            "files that no version needs are left alone; remove it"
        }
        "modeling_exceptions" => "nothing reads it; remove it",
        _ => return None,
    })
}

/// What to write for a key that has to be there.
pub(crate) fn example(mapping: &Mapping, key: &str) -> Option<&'static str> {
    Some(match (mapping.what, key) {
        (_, "table_name") => "write `table_name: gold.dim_customer`",
        (_, "table_type") => "write `table_type: dimension` or `table_type: fact`",
        (_, "sources") => "write `sources: [{name: silver.customers}]`",
        ("a source", "name") => "write `name: silver.customers`",
        ("a foreign key", "column") => "write `column: customer_sk`",
        ("a lookup", "source_columns") => "write `source_columns: [customer_id]`",
        ("a mini-dimension", "table") => "write `table: gold.dim_customer_profile`",
        ("a junk dimension", "dimension_table") => "write `dimension_table: gold.dim_order_flags`",
        ("a pii column", "secret_ref") => {
            "write `secret_ref: env://NAME` for the environment variable that holds it"
        }
        ("a pii column", "strategy") => {
            "write `strategy: mask`, or `tokenize`, `fast_hash`, `null` or `drop`"
        }
        ("a targets file", "version") => "write `version: 1`",
        ("a targets file", "targets") => {
            "write `targets: {dev: {warehouse: ./warehouse, gold_schema: gold}}`"
        }
        _ => return None,
    })
}
