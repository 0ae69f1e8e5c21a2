//! Keys of a pipeline whose effect is not built: checked, and refused unless they say what happens anyway.

use super::keys::OBSERVABILITY;
use crate::reader::MapReader;

/// Checks the keys that stand at the top of a pipeline.
pub(crate) fn check(reader: &MapReader<'_>) {
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
