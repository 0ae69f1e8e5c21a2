//! What changed in a table between two versions.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake::delta_datafusion::DeltaCdfTableProvider;
use deltalake::kernel::{Action, Add};

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
    /// [`LakeError::NoChangeFeed`] when the table records none, [`LakeError::NoSuchVersion`] when `from`
    /// lies beyond the pinned version, [`LakeError::FeedGone`] when the log was cleaned up behind it.
    pub async fn changes(&self, from: i64) -> Result<Arc<dyn TableProvider>, LakeError> {
        if !self.has_change_feed()? {
            return Err(LakeError::NoChangeFeed { table: self.name.clone() });
        }
        let no_version =
            || LakeError::NoSuchVersion { table: self.name.clone(), version: from, newest: self.version() };
        let start = u64::try_from(from).map_err(|_| no_version())?;
        if from > self.version() {
            return Err(no_version());
        }
        let end = u64::try_from(self.version()).map_err(|_| no_version())?;
        self.refuse_cleaned_log(from).await?;
        let feed = self
            .inner
            .clone()
            .scan_cdf()
            .with_starting_version(start)
            .with_ending_version(end)
            .with_allow_out_of_range();
        let provider = DeltaCdfTableProvider::try_new(feed).map_err(LakeError::delta(&self.name))?;
        Ok(Arc::new(provider))
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
        let paths: Vec<String> = added.into_iter().map(|add| add.path).collect();
        let provider = self.inner.table_provider().with_file_paths(paths);
        Ok(Arc::new(provider.build().await?))
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
