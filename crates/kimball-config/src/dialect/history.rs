//! Settings of histories: since when a row is true, which columns are tracked, which changes are kept.

use super::columns::{self, column, plain};
use super::key_columns::KeyColumns;
use super::pipeline::is_history;
use crate::model::{DeleteEffective, History, KeptChanges, TableKind, TrackedColumns};
use crate::reader::{Located, MapReader};

/// The settings as far as they stand in the file; what a type does with them is for `scd` to say.
pub(super) struct HistorySettings {
    pub(super) effective_at: Option<Located<String>>,
    pub(super) tracked: Option<TrackedColumns>,
    changes: ChangeSettings,
}

impl HistorySettings {
    pub(super) fn read(reader: &MapReader<'_>, keys: &KeyColumns) -> Self {
        Self {
            effective_at: column(reader, "effective_at"),
            tracked: tracked_columns(reader, keys),
            changes: ChangeSettings::read(reader),
        }
    }

    /// The settings of versions; `None` without tracked columns, which every history needs.
    pub(super) fn versions(self, reader: &MapReader<'_>) -> Option<History> {
        if self.changes.delete_effective == DeleteEffective::Row && reader.node("effective_at").is_none() {
            let span = reader.key_span("delete_effective");
            reader.findings().error(span, "`delete_effective: row` needs `effective_at`");
        }
        Some(History {
            effective_at: self.effective_at.map(|column| column.value),
            tracked: self.tracked?,
            kept_changes: self.changes.kept,
            delete_effective: self.changes.delete_effective,
            remember_repeats: self.changes.remember_repeats,
        })
    }
}

/// What becomes of the changes of a batch.
struct ChangeSettings {
    kept: KeptChanges,
    delete_effective: DeleteEffective,
    remember_repeats: bool,
}

impl ChangeSettings {
    fn read(reader: &MapReader<'_>) -> Self {
        let keeps_all = reader.flag("preserve_all_changes").is_none_or(|flag| flag.value);
        let effects = [("commit", DeleteEffective::Commit), ("row", DeleteEffective::Row)];
        Self {
            kept: if keeps_all { KeptChanges::All } else { KeptChanges::Last },
            delete_effective: reader
                .choice("delete_effective", &effects)
                .map_or(DeleteEffective::Commit, |effect| effect.value),
            remember_repeats: reader.flag("remember_repeats").is_none_or(|flag| flag.value),
        }
    }
}

/// Checks what a file says about changes, and notes what does nothing on a table without history.
pub(super) fn check_changes(reader: &MapReader<'_>, kind: Option<&TableKind>) {
    let changes = ChangeSettings::read(reader);
    let table = match kind {
        Some(TableKind::Dimension(dimension)) if !is_history(kind) => {
            format!("type {} dimension", dimension.scd.number())
        }
        Some(TableKind::Fact(_)) => "fact".to_owned(),
        _ => return,
    };
    for (said, setting) in [
        (changes.kept == KeptChanges::Last, "preserve_all_changes: false"),
        (changes.delete_effective == DeleteEffective::Row, "delete_effective: row"),
        (!changes.remember_repeats, "remember_repeats: false"),
    ] {
        if said {
            reader.findings().note(format!("{setting} has no effect on a {table}"));
        }
    }
}

fn tracked_columns(reader: &MapReader<'_>, keys: &KeyColumns) -> Option<TrackedColumns> {
    let names = reader.names("track_history_columns")?;
    if names.value.is_empty() {
        reader.findings().error(names.span, "`track_history_columns` needs names, or `[\"*\"]` for all");
        return None;
    }
    if names.value.iter().any(|name| name.value == "*") {
        if names.value.len() > 1 {
            reader.findings().error(names.span, "`\"*\"` tracks all columns: leave the other names out");
        }
        return Some(TrackedColumns::All);
    }
    for name in &names.value {
        columns::check(reader.findings(), name);
        if keys.is_natural(&name.value) {
            let message = format!("`{}` is a natural key: it never changes within a member", name.value);
            reader.findings().warning(name.span, message);
        }
    }
    Some(TrackedColumns::Named(plain(names.value)))
}
