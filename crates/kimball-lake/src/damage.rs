//! Which entry of a log cannot be read.

use datafusion::object_store::ObjectStore;
use deltalake::{DeltaTable, DeltaTableError, Path};
use futures::TryStreamExt;

use crate::LakeError;
use crate::table::as_signed;

const LOG: &str = "_delta_log";

/// The failure to load a table with the log entry at fault, where one cannot be read as JSON; else the failure as it is.
pub(crate) async fn blamed(table: &DeltaTable, name: &str, source: DeltaTableError) -> LakeError {
    // What the storage says is no damage.
    if !matches!(source, DeltaTableError::KernelError(_) | DeltaTableError::InvalidJsonLog { .. }) {
        return LakeError::delta(&name)(source);
    }
    match damaged_entry(table).await {
        Some((file, reason)) => LakeError::DamagedLog { table: name.to_owned(), file, reason },
        None => LakeError::delta(&name)(source),
    }
}

/// The newest entry that is no list of actions, and why.
async fn damaged_entry(table: &DeltaTable) -> Option<(String, String)> {
    let log = table.log_store();
    let entries: Vec<_> = log.object_store(None).list(Some(&Path::from(LOG))).try_collect().await.ok()?;
    let mut versions: Vec<u64> = entries
        .iter()
        .filter_map(|entry| entry.location.filename()?.strip_suffix(".json")?.parse().ok())
        .collect();
    versions.sort_unstable();
    for version in versions.into_iter().rev() {
        let Ok(Some(bytes)) = log.read_commit_entry(version).await else { continue };
        if let Err(source) = deltalake::logstore::get_actions(version, &bytes) {
            return Some((format!("{LOG}/{:020}.json", as_signed(version)), reason(&source)));
        }
    }
    None
}

/// What is wrong with an entry, without the entry itself.
fn reason(source: &DeltaTableError) -> String {
    match source {
        DeltaTableError::InvalidJsonLog { json_err, .. } => json_err.to_string(),
        other => other.to_string(),
    }
}
