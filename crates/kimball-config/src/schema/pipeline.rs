//! A pipeline: the keys that every one has, and what hangs on the type of its table.

use serde_json::{Value, json};

use super::rules::{is_one_of, when};
use super::shape::{
    Key, Shape, choice, flag, list, names, nothing, nothing_or, object, properties, ratio, table, text, texts,
};
use super::{dimension, fact, quality, source};
use crate::dialect::keys::{DIMENSION_ONLY, FACT_ONLY, NULL_POLICY, OBSERVABILITY, PIPELINE};

/// The words of `merge_strategy`, also in a target.
pub(super) const MERGE_STRATEGIES: &[&str] = &["merge_on_read", "copy_on_write"];
const REQUIRED: &[&str] = &["table_name", "table_type", "sources"];

/// The schema of a pipeline file.
pub(super) fn schema() -> Value {
    let (dimension, fact) = (dimension::keys(), fact::keys());
    let mut keys = Vec::new();
    keys.extend(table_keys());
    keys.extend(loading_keys());
    keys.extend(storage_keys());
    keys.extend(declared_keys());
    // What a key of one type of table may hold stands with that type.
    keys.extend(dimension.iter().chain(&fact).map(|(key, shape)| (*key, shape.only_described())));
    let description = "One table and how it is loaded.";
    object(&PIPELINE, description, REQUIRED, keys)
        .rule(of_type("dimension", dimension, &[], FACT_ONLY, dimension::rules()))
        .rule(of_type("fact", fact, &["merge_keys"], DIMENSION_ONLY, fact::rules()))
        .into_document("kimball pipeline")
}

/// What holds for one type of table: its own keys with their rules, and that keys of the other say nothing.
fn of_type(table_type: &str, own: Vec<Key>, required: &[&str], foreign: &[&str], rules: Vec<Value>) -> Value {
    let mut properties = properties(required, own);
    for key in foreign {
        let message = format!("{key} is not for a {table_type}");
        let schema = match *key {
            // Files of the old dialect spell out the default of a key that means nothing to facts.
            "scd_type" => nothing_or(&[json!(1), json!("1")], &message),
            _ => nothing(&message),
        };
        properties.insert((*key).to_owned(), schema);
    }
    let consequence = json!({"properties": properties, "required": required, "allOf": rules});
    when(is_one_of("table_type", &[json!(table_type)]), consequence)
}

fn table_keys() -> [Key; 8] {
    [
        (
            "table_name",
            table(
                "The table that is written, as schema.table or catalog.schema.table; the catalog plays no \
                 part.",
            ),
        ),
        ("table_type", choice(&["dimension", "fact"], "Whether the table is a dimension or a fact.")),
        (
            "sources",
            list(source::source(), "What is read: Delta tables or files, one at least.").at_least_one(),
        ),
        (
            "transformation_sql",
            text(
                "One SELECT or WITH query over the sources, by alias or full name; needed with several \
                 sources, else the table gets all columns of the only one.",
            ),
        ),
        (
            "depends_on",
            list(
                table("A table that is loaded first."),
                "Tables that must be loaded first, added to those that sources, foreign keys, identity maps \
                 and tests imply.",
            ),
        ),
        ("tags", names("Labels by which pipelines are chosen, as with --select tag:NAME.")),
        ("table_description", text("What the table holds, written into the Delta metadata.")),
        (
            "column_descriptions",
            texts("What columns hold, as {column: text}, written into the Delta metadata."),
        ),
    ]
}

fn loading_keys() -> [Key; 8] {
    [
        (
            "delete_strategy",
            choice(
                &["soft", "hard"],
                "What a delete does outside histories: it marks the row, or removes it, which a dimension \
                 that a fact references does not allow.",
            )
            .or_by_default("soft"),
        ),
        (
            "delete_effective",
            choice(
                &["commit", "row"],
                "From when a delete counts in a history: its commit, or the deleted row's own effective_at.",
            )
            .or_by_default("commit"),
        ),
        (
            "on_missing",
            choice(
                &["close", "ignore"],
                "What becomes of rows that a full snapshot no longer holds; histories close them unless told \
                 otherwise, other tables ignore it.",
            ),
        ),
        ("allow_full_close", flag("Whether a snapshot may close every member.").or_by_default(false)),
        (
            "max_close_ratio",
            ratio("The largest share of the open members that one snapshot may close, above 0 and up to 1."),
        ),
        ("null_policy", null_policy()),
        (
            "preserve_all_changes",
            flag(
                "Whether every version inside a batch becomes history, or only the last one of each member.",
            )
            .or_by_default(true),
        ),
        (
            "remember_repeats",
            flag(
                "Whether a history remembers changes that repeat what holds already, so that a late one \
                 finds its place whatever the order.",
            )
            .or_by_default(true),
        ),
    ]
}

fn storage_keys() -> [Key; 4] {
    [
        (
            "schema_evolution",
            flag(
                "Whether the table takes new columns of the query's output, and wider types; never narrower \
                 ones.",
            )
            .or_by_default(false),
        ),
        (
            "merge_strategy",
            choice(
                MERGE_STRATEGIES,
                "How rows are taken out of data files: by a deletion vector beside the file, or by writing \
                 it anew. The target's, else merge_on_read.",
            ),
        ),
        (
            "cluster_by",
            names("Columns by which rows are sorted where files are written anew, before the keys."),
        ),
        (
            "optimize_after_merge",
            flag("Whether every batch leaves the table with as few files as it needs.").or_by_default(false),
        ),
    ]
}

/// Checks, what is kept from readers, what is reported, and switches of the old dialect.
fn declared_keys() -> [Key; 8] {
    [
        (
            "tests",
            list(
                quality::column_tests(),
                "What must hold of the rows of a batch before it is committed, column by column.",
            ),
        ),
        (
            "grain_validation",
            choice(
                &["error", "warn", "skip"],
                "What a repeated merge key in one batch of a fact means; in a dimension it is always an \
                 error.",
            )
            .or_by_default("error"),
        ),
        ("pii", quality::pii()),
        ("observability", observability()),
        ("audit_columns", flag("Of the old dialect: the audit columns are always written.")),
        ("enable_audit_columns", flag("The same as audit_columns.")),
        ("declare_constraints", flag("Of the old dialect, without effect: keys are checked on every load.")),
        ("enable_lineage_truncation", flag("Of the old dialect, without effect.")),
    ]
}

fn null_policy() -> Shape {
    let keys = [
        (
            "mode",
            choice(
                &["kimball", "legacy"],
                "kimball replaces NULL attributes of dimensions by a value that says so; legacy keeps them.",
            )
            .or_by_default("kimball"),
        ),
        (
            "attribute_substitutes",
            texts(
                "Values for NULL in single columns, as {column: value}, instead of Missing, 0, false or \
                 1900-01-01.",
            ),
        ),
    ];
    object(&NULL_POLICY, "What becomes of NULL attributes of dimensions.", &[], keys)
}

fn observability() -> Shape {
    let keys = [
        ("enabled", flag("Whether events are recorded and sent.").or_by_default(true)),
        ("event_table", text("The table that takes the results of tests and contracts.")),
        (
            "temporal_state_table",
            text("The table that remembers the newest event time of each business key."),
        ),
        ("unresolved_key_table", text("The table that lists foreign keys which found no member.")),
        (
            "write_failure",
            choice(&["warn", "error"], "What it means for a batch that an event cannot be written."),
        ),
        ("webhook_env", text("The environment variable that holds the address to which events are posted.")),
        (
            "alert_on",
            names("The severities that are posted to the webhook: warn, error.")
                .limit("items", choice(&["warn", "error"], "A severity.").into_schema()),
        ),
    ];
    object(&OBSERVABILITY, "Where the events of this pipeline are recorded, and who is told.", &[], keys)
}
