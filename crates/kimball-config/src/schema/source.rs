//! Sources: what is read, and how much of it.

use serde_json::{Map, Value, json};

use super::contract::contract;
use super::rules::{excludes, is_one_of, needs, when};
use super::shape::{Key, Shape, choice, flag, integer_from, names, object, raw_text, text, texts};
use crate::dialect::keys::{SOURCE, STREAMING};

/// An item of `sources`.
pub(super) fn source() -> Shape {
    let files = ["csv", "parquet", "json"].map(|format| json!(format));
    object(&SOURCE, "A Delta table, or files.", &["name"], place_keys().into_iter().chain(reading_keys()))
        .rule(when(is_one_of("format", &files), needs(&["path"])))
        .rule(excludes("contract", "contract_ref"))
}

fn place_keys() -> [Key; 5] {
    [
        ("name", text("The name of the table; any name for files.")),
        (
            "alias",
            text(
                "The name in the SQL and of the watermark, unique in the pipeline; the last part of name if \
                 unset.",
            ),
        ),
        (
            "format",
            choice(
                &["delta", "csv", "parquet", "json"],
                "What the source is made of; JSON has one object a line.",
            )
            .or_by_default("delta"),
        ),
        (
            "path",
            text(
                "A path, glob or URL, which files need and a Delta table outside the warehouse has; relative \
                 ones start at the folder of the targets file, else at the working directory.",
            ),
        ),
        ("options", options()),
    ]
}

fn reading_keys() -> [Key; 6] {
    [
        (
            "cdc_strategy",
            choice(
                &["cdf", "full", "append"],
                "What a run reads: the change feed since the last one (Delta's default), the whole source \
                 whenever it changed (the default of files), or only its inserts.",
            ),
        ),
        ("primary_keys", names("The columns that identify a row of the source.")),
        (
            "starting_version",
            integer_from(0, "The first version of the feed to read; unset begins with a snapshot."),
        ),
        ("streaming", streaming()),
        ("contract", contract()),
        ("contract_ref", text("The file that holds the contract of the source, instead of contract.")),
    ]
}

/// The options of csv files are offered in Spark's spelling, and taken in any other case as well; those of others only
/// say what happens anyway.
fn options() -> Shape {
    let options: Map<String, Value> =
        csv_options().into_iter().map(|(option, shape)| (option.to_owned(), shape.into_schema())).collect();
    texts("How files are read, in the names of Spark; json and parquet files need none.")
        .limit("properties", options)
}

fn csv_options() -> [Key; 9] {
    [
        (
            "header",
            flag("Whether the first line names the columns; without it they are _c0, _c1, and so on.")
                .or_by_default(true),
        ),
        ("sep", text("The character between two values, or \\t.").or_by_default(",")),
        ("delimiter", text("The same as sep.").or_by_default(",")),
        ("quote", text("The character around values that hold special ones.")),
        ("escape", text("The character before a quote inside a value.")),
        ("comment", text("The character that begins a line of comment.")),
        ("multiLine", flag("Whether values in quotes may hold line breaks.")),
        ("nullValue", raw_text("The text that stands for NULL.")),
        (
            "inferSchema",
            flag("Whether types are inferred from all rows of all files; else everything is text.")
                .or_by_default(true),
        ),
    ]
}

fn streaming() -> Shape {
    let keys = [
        ("enabled", flag("Whether the source is followed as a stream.").or_by_default(false)),
        (
            "trigger",
            choice(
                &["available_now", "processing_time"],
                "When a batch is taken: a run reads what is there and ends, whatever this says.",
            ),
        ),
        (
            "trigger_interval",
            text(
                "The time between two batches, such as 30 seconds or 5m; no effect, as that of the trigger.",
            ),
        ),
        (
            "starting_version",
            integer_from(0, "The first version to read; not together with starting_timestamp."),
        ),
        (
            "starting_timestamp",
            text(
                "A time such as 2025-01-31 09:30:00, UTC without a zone: the first version to read is the one \
                 committed then or next; not together with starting_version.",
            ),
        ),
        ("ignore_deletes", flag("No effect: a change feed is followed, append takes inserts alone.")),
        ("ignore_changes", flag("No effect: a change feed is followed, append takes inserts alone.")),
    ];
    let description = "How a source is followed between runs: when batches are taken, and from where.";
    object(&STREAMING, description, &[], keys).rule(excludes("starting_version", "starting_timestamp"))
}
