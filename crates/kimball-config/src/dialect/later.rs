//! Keys of a pipeline whose effect is not built: checked, and refused unless they say what happens anyway.

use super::columns::columns;
use super::keys::OBSERVABILITY;
use super::pipeline::is_history;
use crate::model::TableKind;
use crate::reader::MapReader;

/// Checks the keys that stand at the top of a pipeline.
pub(crate) fn check(reader: &MapReader<'_>, kind: Option<&TableKind>) {
    let findings = reader.findings();
    for key in ["schema_evolution", "optimize_after_merge"] {
        if let Some(flag) = reader.flag(key).filter(|flag| flag.value) {
            findings.not_yet(flag.span, key);
        }
    }
    if columns(reader, "cluster_by").is_some_and(|columns| !columns.is_empty()) {
        findings.not_yet(reader.key_span("cluster_by"), "cluster_by");
    }
    if let Some(flag) = reader.flag("preserve_all_changes").filter(|flag| !flag.value)
        && is_history(kind)
    {
        findings.not_yet(flag.span, "preserve_all_changes: false");
    }
    let effects = [("commit", false), ("row", true)];
    if let Some(effect) = reader.choice("delete_effective", &effects).filter(|effect| effect.value)
        && is_history(kind)
    {
        findings.not_yet(effect.span, "delete_effective: row");
    }
    check_observability(reader);
}

fn check_observability(reader: &MapReader<'_>) {
    let Some(observability) = reader.mapping("observability", &OBSERVABILITY) else { return };
    for key in ["event_table", "temporal_state_table", "unresolved_key_table", "webhook_env"] {
        observability.text(key);
    }
    observability.choice("write_failure", &[("warn", ()), ("error", ())]);
    if let Some(levels) = observability.names("alert_on") {
        for level in levels.value.iter().filter(|level| !["warn", "error"].contains(&level.value.as_str())) {
            observability.findings().error(level.span, "`alert_on` takes `warn` and `error`");
        }
    }
    if observability.flag("enabled").is_none_or(|enabled| enabled.value) {
        reader.findings().not_yet(reader.key_span("observability"), "observability");
    }
}
