//! `observability`: where findings about data are kept, and who is told.

use super::keys::OBSERVABILITY;
use crate::model::{Observability, SecretReference, Severity};
use crate::name::is_identifier;
use crate::reader::{MapReader, clip};
use crate::secret::is_variable;

/// The only name of the table of unresolved keys: all facts of a run share it.
const UNRESOLVED_KEYS: &str = "etl_unresolved_dimension_keys";
/// Tables with rows of another kind, which loads depend on.
const RESERVED: [&str; 4] = ["etl_control", "etl_leases", "etl_repeats", UNRESOLVED_KEYS];

/// Reads `observability`; defaults where it is not there.
pub(crate) fn read(reader: &MapReader<'_>) -> Observability {
    let mut read = Observability::default();
    let Some(observability) = reader.mapping("observability", &OBSERVABILITY) else { return read };
    if let Some(enabled) = observability.flag("enabled") {
        read.enabled = enabled.value;
    }
    read.event_table = table(&observability, "event_table").unwrap_or(read.event_table);
    read.temporal_state_table =
        table(&observability, "temporal_state_table").unwrap_or(read.temporal_state_table);
    if read.event_table == read.temporal_state_table {
        let span = observability.key_span("event_table");
        observability.findings().error(span, "`event_table` and `temporal_state_table` are two tables");
    }
    if let Some(other) = observability.text("unresolved_key_table")
        && other.value.rsplit('.').next() != Some(UNRESOLVED_KEYS)
    {
        observability.findings().error(
            other.span,
            format!("`unresolved_key_table` is always `{UNRESOLVED_KEYS}` in the ETL schema; remove it"),
        );
    }
    let severities = [("warn", Severity::Warn), ("error", Severity::Error)];
    if let Some(failure) = observability.choice("write_failure", &severities) {
        read.write_failure = failure.value;
    }
    if let Some(variable) = observability.text("webhook_env") {
        if is_variable(&variable.value) {
            read.webhook = SecretReference { name: variable.value, value: None };
        } else {
            observability.findings().error_with_help(
                variable.span,
                "`webhook_env` is the name of an environment variable",
                "write its name, such as `webhook_env: ALERTS_URL`: the URL is a secret, which the variable holds",
            );
        }
    }
    if let Some(levels) = observability.names("alert_on") {
        read.alert_on.clear();
        for level in levels.value {
            match severities.iter().find(|(word, _)| *word == level.value) {
                Some((_, severity)) => read.alert_on.push(*severity),
                None => observability.findings().error(level.span, "`alert_on` takes `warn` and `error`"),
            }
        }
    }
    read
}

/// A table, with a schema of its own or without.
fn table(observability: &MapReader<'_>, key: &str) -> Option<String> {
    let name = observability.text(key)?;
    let parts: Vec<&str> = name.value.split('.').collect();
    if parts.last().is_some_and(|last| RESERVED.contains(last)) {
        let message = format!("`{}` is a table of the engine's own; give another name", clip(&name.value));
        observability.findings().error(name.span, message);
        return None;
    }
    if parts.len() <= 2 && parts.iter().all(|part| is_identifier(part)) {
        return Some(name.value);
    }
    let message = format!("`{}` is no table: write `table` or `schema.table`", clip(&name.value));
    observability.findings().error(name.span, message);
    None
}
