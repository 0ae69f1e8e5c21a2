//! Keeping the log of a shared table short: checkpoints, and the end of what nobody can travel back to any more.

use datafusion::object_store::{Error, ObjectMeta, ObjectStoreExt};
use deltalake::kernel::Action;
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::{Path, checkpoints};
use futures::TryStreamExt;
use serde::Deserialize;

use crate::commit::now_millis;
use crate::scan::stored_at;
use crate::table::as_signed;
use crate::{LakeError, LakeTable, SharedTable};

const LOG: &str = "_delta_log";
const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";
/// Log files that one call deletes: others wait for the table meanwhile.
const EXPIRED_AT_A_TIME: usize = 300;
/// Digits of a version in the name of a log file (Delta protocol, "Delta Log Entries").
const VERSION_DIGITS: usize = 20;

/// What is needed of a checkpoint's hint.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

impl LakeTable {
    /// The version of the newest checkpoint, as the log tells it.
    pub(crate) async fn last_checkpoint(&self) -> Result<Option<u64>, LakeError> {
        let stored = LakeError::stored(&self.name);
        let found = match self.inner.object_store().get(&Path::from(LAST_CHECKPOINT)).await {
            Ok(found) => found.bytes().await.map_err(stored)?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(stored(source)),
        };
        // A hint that cannot be read is no hint (Delta protocol, "Last Checkpoint File").
        let hint = serde_json::from_slice::<LastCheckpoint>(&found);
        Ok(hint.ok().map(|hint| hint.version))
    }
}

impl SharedTable {
    /// Writes a checkpoint of the newest version and, where the table's properties allow it, deletes what was superseded
    /// longer ago than they keep it (`delta.logRetentionDuration`): log files before a checkpoint of that age, and the
    /// data files that they removed.
    ///
    /// Everything here can be cut off anywhere and done again, also by two processes at once: a data file goes before
    /// the log entry that names it, and no version within the retention needs either.
    ///
    /// # Errors
    /// Storage failures.
    pub async fn tidy_up(&mut self) -> Result<(), LakeError> {
        self.reopen().await?;
        checkpoints::create_checkpoint(&self.table.inner, None)
            .await
            .map_err(LakeError::delta(&self.table.name))?;
        let config = self.table.snapshot()?.table_config();
        if !config.enable_expired_log_cleanup() {
            return Ok(());
        }
        let kept = i64::try_from(config.log_retention_duration().as_millis()).unwrap_or(i64::MAX);
        self.expire(now_millis().saturating_sub(kept)).await
    }

    async fn expire(&self, before: i64) -> Result<(), LakeError> {
        let store = self.table.inner.object_store();
        let stored = LakeError::stored(&self.table.name);
        let mut log: Vec<ObjectMeta> =
            store.list(Some(&Path::from(LOG))).try_collect().await.map_err(stored)?;
        log.retain(|file| file.last_modified.timestamp_millis() < before);
        let checkpoints = log.iter().filter(|file| is_checkpoint(file)).filter_map(version_of);
        let Some(oldest_kept) = checkpoints.max() else { return Ok(()) };
        log.sort_by_key(version_of);
        let expired = log.iter().filter(|file| version_of(file).is_some_and(|version| version < oldest_kept));
        for file in expired.take(EXPIRED_AT_A_TIME) {
            if let Some(version) = version_of(file).filter(|_| is_entry(file)) {
                self.delete_removed_by(version).await?;
            }
            self.table.delete(&file.location).await?;
        }
        Ok(())
    }

    /// Deletes the data files that a version removed, and the newest one does not have: names are not used twice.
    async fn delete_removed_by(&self, version: u64) -> Result<(), LakeError> {
        let actions = self.table.actions_of(as_signed(version)).await?;
        // A file whose rows were only thinned lives on.
        let stays = |path: &str| {
            self.holds(path)
                || actions.iter().any(|action| matches!(action, Action::Add(add) if add.path == path))
        };
        for action in &actions {
            if let Action::Remove(remove) = action
                && !stays(&remove.path)
            {
                self.table.delete(&stored_at(&remove.path)).await?;
            }
        }
        Ok(())
    }
}

fn version_of(file: &ObjectMeta) -> Option<u64> {
    let (digits, _) = file.location.filename()?.split_at_checked(VERSION_DIGITS)?;
    digits.parse().ok()
}

fn is_checkpoint(file: &ObjectMeta) -> bool {
    file.location.filename().is_some_and(|name| name.ends_with(".checkpoint.parquet"))
}

fn is_entry(file: &ObjectMeta) -> bool {
    file.location.filename().is_some_and(|name| name.ends_with(".json") && name.len() == VERSION_DIGITS + 5)
}
