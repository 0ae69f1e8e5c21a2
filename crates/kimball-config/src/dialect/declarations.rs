//! Descriptions, labels and switches that change no row.

use std::collections::BTreeMap;

use super::keys::CONFORMED_DIMENSION;
use crate::model::TableKind;
use crate::name::is_identifier;
use crate::reader::{MapReader, clip};

/// Reads `table_description` and `column_descriptions`.
pub(crate) fn read_descriptions(reader: &MapReader<'_>) -> (Option<String>, BTreeMap<String, String>) {
    let description = reader.text("table_description").map(|text| text.value.trim().to_owned());
    let mut columns = BTreeMap::new();
    for (column, text) in reader.texts("column_descriptions").unwrap_or_default() {
        if text.value.trim().is_empty() {
            reader.findings().error(text.span, format!("the description of `{column}` must not be empty"));
        }
        columns.insert(column, text.value.trim().to_owned());
    }
    (description, columns)
}

/// Reads `tags`: words by which pipelines are selected together.
pub(crate) fn read_tags(reader: &MapReader<'_>) -> Vec<String> {
    let mut tags = Vec::new();
    for tag in reader.names("tags").map(|names| names.value).unwrap_or_default() {
        if !is_identifier(&tag.value) {
            let message =
                format!("`{}` is no tag: it may hold letters, digits, `_` and `-`", clip(&tag.value));
            reader.findings().error(tag.span, message);
        } else if !tags.contains(&tag.value) {
            tags.push(tag.value);
        }
    }
    tags
}

/// Checks switches of the old dialect that do nothing here, and says so.
pub(crate) fn check_inert(reader: &MapReader<'_>, kind: Option<&TableKind>) {
    let findings = reader.findings();
    if reader.node("audit_columns").is_some() && reader.node("enable_audit_columns").is_some() {
        let span = reader.key_span("enable_audit_columns");
        findings.error(span, "`audit_columns` and `enable_audit_columns` are the same key");
    }
    for key in ["audit_columns", "enable_audit_columns"] {
        if reader.flag(key).is_some_and(|flag| !flag.value) {
            findings.note(format!("{key}: false has no effect; the audit columns are always written"));
        }
    }
    if reader.flag("declare_constraints").is_some() {
        findings.note("declare_constraints has no effect; keys are checked on every load");
    }
    if reader.flag("enable_lineage_truncation").is_some() {
        findings.note("enable_lineage_truncation has no effect here");
    }
    if let Some(conformed) = reader.mapping("conformed_dimension", &CONFORMED_DIMENSION) {
        for key in ["canonical_name", "owner", "grain"] {
            conformed.text(key);
        }
        conformed.names("shared_attributes");
        findings.note("conformed_dimension is a label");
    }
    let is_fact = matches!(kind, Some(TableKind::Fact(_)));
    let validations = ["error", "warn", "skip"].map(|word| (word, ()));
    if kind.is_some() && !is_fact && reader.choice("grain_validation", &validations).is_some() {
        findings
            .note("grain_validation has no effect on a dimension; repeated natural keys are always an error");
    }
}
