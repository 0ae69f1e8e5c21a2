//! `observability`: where findings about data are kept, and who is told.

use super::keys::OBSERVABILITY;
use crate::model::{Observability, SecretReference, Severity, UNRESOLVED_KEYS};
use crate::name::is_identifier;
use crate::reader::{MapReader, clip};
use crate::secret::is_variable;

/// Tables with rows of another kind, which loads depend on.
const RESERVED: [&str; 3] = ["etl_control", "etl_leases", "etl_repeats"];

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
    read.unresolved_key_table =
        table(&observability, "unresolved_key_table").unwrap_or(read.unresolved_key_table);
    check_that_tables_differ(&observability, &read);
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

fn check_that_tables_differ(observability: &MapReader<'_>, read: &Observability) {
    let tables = [
        ("event_table", &read.event_table),
        ("temporal_state_table", &read.temporal_state_table),
        ("unresolved_key_table", &read.unresolved_key_table),
    ];
    for (place, (key, name)) in tables.iter().enumerate() {
        let Some((other, _)) = tables.iter().take(place).find(|(_, earlier)| earlier == name) else {
            continue;
        };
        // One of the two may be a default.
        let said = if observability.node(key).is_some() { key } else { other };
        let message = format!("`{other}` and `{key}` are two tables");
        observability.findings().error(observability.key_span(said), message);
    }
}

/// A table, with a schema of its own or without; a catalog plays no part, as for other tables.
fn table(observability: &MapReader<'_>, key: &str) -> Option<String> {
    let name = observability.text(key)?;
    let mut parts: Vec<&str> = name.value.split('.').collect();
    let is_kept_for_others =
        |last: &&str| RESERVED.contains(last) || (*last == UNRESOLVED_KEYS && key != "unresolved_key_table");
    if parts.last().is_some_and(is_kept_for_others) {
        let message = format!("`{}` is a table of the engine's own; give another name", clip(&name.value));
        observability.findings().error(name.span, message);
        return None;
    }
    if parts.len() <= 3 && parts.iter().all(|part| is_identifier(part)) {
        let table = parts.split_off(parts.len().saturating_sub(2));
        return Some(table.join("."));
    }
    let message = format!("`{}` is no table: write `table` or `schema.table`", clip(&name.value));
    observability.findings().error(name.span, message);
    None
}
