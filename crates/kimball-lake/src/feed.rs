//! What changed in a table between two versions.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::PROTOCOL;
use deltalake::kernel::{Action, Add};

use crate::changes::{Change, ChangedRows};
use crate::rechecked::{Rechecked, with_empty_text};
use crate::table::CHANGE_FEED;
use crate::{LakeError, LakeTable};

/// Column of a feed: `insert`, `update_preimage`, `update_postimage` or `delete`.
pub const CHANGE_TYPE: &str = "_change_type";
/// Column of a feed: the version that made the change.
pub const COMMIT_VERSION: &str = "_commit_version";
/// Column of a feed: when that version was committed.
pub const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

impl LakeTable {
    /// The changes of the versions `from` to the pinned one, both included: the table's columns, then
    /// [`CHANGE_TYPE`] (text), [`COMMIT_VERSION`] (UInt64) and [`COMMIT_TIMESTAMP`] (milliseconds, UTC).
    ///
    /// # Errors
    /// [`LakeError::NoChangeFeed`] when the table records none, [`LakeError::StillToCome`] when `from`
    /// lies beyond the pinned version, [`LakeError::FeedGone`] when the log was cleaned up behind it,
    /// [`LakeError::Delta`] when a version in between recorded none.
    pub async fn changes(&self, from: i64) -> Result<Arc<dyn TableProvider>, LakeError> {
        if !self.has_change_feed()? {
            return Err(LakeError::NoChangeFeed { table: self.name.clone() });
        }
        if from < 0 || from > self.version() {
            return Err(LakeError::StillToCome {
                table: self.name.clone(),
                version: from,
                newest: self.version(),
            });
        }
        self.refuse_unreadable_feed()?;
        let mut changes = Vec::new();
        for version in from..=self.version() {
            let actions = self.actions_of(version).await?;
            if actions.is_empty() {
                return Err(LakeError::FeedGone { table: self.name.clone(), version });
            }
            self.refuse_unrecorded(&actions, version, from)?;
            let time = self.time_of(version, &actions);
            changes.extend(Change::of_commit(version, time, actions));
        }
        Ok(Arc::new(ChangedRows::read(self, changes).await?))
    }

    fn refuse_unreadable_feed(&self) -> Result<(), LakeError> {
        let failed = LakeError::delta(&self.name);
        let snapshot = self.snapshot()?.snapshot();
        match PROTOCOL.can_read_from(snapshot) {
            Err(source) => Err(failed(source.into())),
            Ok(()) if self.has_mapped_columns()? => Err(failed(DeltaTableError::Generic(
                "the changes of a table with mapped columns (`delta.columnMapping.mode`) cannot be read"
                    .to_owned(),
            ))),
            Ok(()) => Ok(()),
        }
    }

    /// A commit that turned the feed off, or the first of them that left it off, did not record its changes.
    fn refuse_unrecorded(&self, actions: &[Action], version: i64, from: i64) -> Result<(), LakeError> {
        let as_version = |version: i64| u64::try_from(version).unwrap_or_default();
        for action in actions {
            let Action::Metadata(metadata) = action else { continue };
            let recorded = metadata.configuration().get(CHANGE_FEED);
            let recorded = recorded.map(|value| value.eq_ignore_ascii_case("true"));
            if recorded == Some(false) || (recorded.is_none() && version == from) {
                return Err(LakeError::delta(&self.name)(DeltaTableError::ChangeDataNotRecorded {
                    version: as_version(version),
                    start: as_version(from),
                    end: as_version(self.version()),
                }));
            }
        }
        Ok(())
    }

    /// The rows that the versions `from` to the pinned one appended, for a table without a change feed.
    ///
    /// # Errors
    /// [`LakeError::NotAppendOnly`] when one of these versions also took rows away, [`LakeError::FeedGone`] when
    /// the log was cleaned up behind `from`.
    pub async fn appended(&self, from: i64) -> Result<Arc<dyn TableProvider>, LakeError> {
        self.refuse_cleaned_log(from).await?;
        let mut added: Vec<Add> = Vec::new();
        for version in from..=self.version() {
            for action in self.actions_of(version).await? {
                match action {
                    Action::Add(add) if add.data_change => added.push(add),
                    Action::Remove(remove) if remove.data_change => {
                        return Err(LakeError::NotAppendOnly { table: self.name.clone(), version });
                    }
                    _ => {}
                }
            }
        }
        let texts = self.text_partitions()?;
        let empty = added.iter().flat_map(|file| with_empty_text(&texts, file)).collect();
        let provider = self.inner.table_provider().with_adds(added);
        Ok(Arc::new(Rechecked { inner: Arc::new(provider.build().await?), empty }))
    }

    /// A log is cleaned up from its beginning: where the first commit is there, the others are. Readers pass over
    /// commits that are gone, and so would lose changes without a word.
    async fn refuse_cleaned_log(&self, from: i64) -> Result<(), LakeError> {
        match self.actions_of(from).await?.is_empty() && from <= self.version() {
            true => Err(LakeError::FeedGone { table: self.name.clone(), version: from }),
            false => Ok(()),
        }
    }
}
