//! The targets file: where tables live.

use serde_json::{Map, Value};

use super::pipeline::MERGE_STRATEGIES;
use super::shape::{Key, Shape, choice, integer, integer_from, map_of, object, raw_text, text};
use crate::dialect::keys::{TARGET, TARGETS_FILE};

/// What the name of a storage option holds that is a secret, as `targets` knows it.
pub(super) const SECRET_MARKS: &[&str] =
    &["secret", "password", "token", "account_key", "sas_key", "shared_access"];

/// The schema of a targets file.
pub(super) fn schema() -> Value {
    let version = integer("The version of this format: 1.").limit("minimum", 1).limit("maximum", 1);
    let keys = [("version", version.without_template()), ("targets", targets())];
    let description = "Where the tables of a project live, for each of its targets.";
    object(&TARGETS_FILE, description, &["version", "targets"], keys).into_document("kimball targets")
}

fn targets() -> Shape {
    let keys = schema_keys().into_iter().chain(place_keys()).chain(upkeep_keys());
    let target = object(&TARGET, "A target; none of its keys is required.", &[], keys).or_nothing();
    map_of(target, "The targets by name; without --target the only one is taken, else dev.")
        .limit("minProperties", 1)
}

fn schema_keys() -> [Key; 4] {
    [
        ("catalog", setting("The catalog that templates name; it plays no part in where a table lies.")),
        ("silver_schema", setting("The schema of the sources, as {{ target.silver_schema }}.")),
        ("gold_schema", setting("The schema of the tables that are loaded, as {{ target.gold_schema }}.")),
        (
            "etl_schema",
            setting(
                "The schema of the control tables; --etl-schema goes before, KIMBALL_ETL_SCHEMA after it.",
            ),
        ),
    ]
}

fn place_keys() -> [Key; 3] {
    [
        ("checkpoint_root", setting("The folder or URL of the checkpoints of streams.")),
        (
            "warehouse",
            setting(
                "The folder or object-store URL below which tables lie, as warehouse/schema/table; a \
                 relative one starts at the folder of this file.",
            ),
        ),
        ("storage_options", storage_options()),
    ]
}

fn upkeep_keys() -> [Key; 2] {
    [
        (
            "control_history_days",
            integer_from(
                1,
                "Rows of etl_control that are older than so many days are dropped when its files are merged; \
                 without it all are kept.",
            )
            .limit("maximum", u32::MAX)
            .without_template(),
        ),
        (
            "merge_strategy",
            choice(
                MERGE_STRATEGIES,
                "How rows are taken out of data files, for pipelines that do not say: by a deletion vector, \
                 or by writing the file anew.",
            )
            .or_by_default("merge_on_read")
            .without_template(),
        ),
    ]
}

/// A text of a target, which is no template: templates are where it is used.
fn setting(description: &str) -> Shape {
    text(description).without_template()
}

/// Secrets are references, never values; the usual spellings of their names are caught here.
fn storage_options() -> Shape {
    let message = "a secret must be a reference such as env://NAME";
    let reference = raw_text("A secret, as env://NAME.").without_template().matching("^env://");
    let reference = reference.limit("errorMessage", message).into_schema();
    let patterns: Map<String, Value> = SECRET_MARKS
        .iter()
        .flat_map(|mark| [(*mark).to_owned(), mark.to_uppercase()])
        .map(|mark| (mark, reference.clone()))
        .collect();
    let value = raw_text("A value, as it is written.").without_template();
    map_of(value, "Options of the object store, as {name: value}; secrets are references such as env://NAME.")
        .limit("patternProperties", patterns)
}
