//! JSON Schemas of the dialect, for editors that check and complete YAML while it is written.
//!
//! A schema never refuses what the readers of `dialect` and `targets` accept. Where JSON Schema says a rule badly
//! (a name that is there twice, a query that does not parse), it stays silent: `kimball validate` has the last word.
//! The keys of every mapping come from `dialect::keys`, and the tests hold the schemas against the readers.

mod contract;
mod dimension;
mod fact;
mod foreign_key;
mod pipeline;
mod quality;
mod rules;
mod shape;
mod source;
mod targets;

use serde_json::Value;

/// The JSON Schema (draft-07) of a pipeline file.
///
/// Draft-07, as that is what the YAML language server of the editors knows best. Besides the keywords of the draft
/// it holds `errorMessage` and `patternErrorMessage`, which editors show and validators ignore. It checks a file as it
/// is written, before its template is rendered.
pub fn pipeline_schema() -> Value {
    pipeline::schema()
}

/// The JSON Schema (draft-07) of a targets file, `kimball.targets.yml`.
///
/// As [`pipeline_schema`], except that a targets file is no template.
pub fn targets_schema() -> Value {
    targets::schema()
}

#[cfg(test)]
mod tests;
