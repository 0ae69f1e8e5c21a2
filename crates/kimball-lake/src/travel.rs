//! Tables as they were: at a time, and commit by commit; and which tables there are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use datafusion::object_store::{ListResult, ObjectStore};
use deltalake::Path;
use deltalake::kernel::{Action, CommitInfo, DeletionVectorDescriptor, LogicalFileView};
use futures::TryStreamExt;

use crate::{LakeError, LakeTable, TableId, Warehouse};

/// What a table was at some time.
#[derive(Debug, Clone)]
pub enum AsOf {
    /// The newest version that was committed by then.
    Version(LakeTable),
    /// Nothing: its first version was committed later.
    Before {
        /// When the first version was committed.
        first: DateTime<Utc>,
    },
}

/// One commit of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// The version it made.
    pub version: i64,
    /// When it was made, if it says so.
    pub at: Option<DateTime<Utc>>,
    /// What it did, such as `WRITE` or `MERGE`.
    pub operation: Option<String>,
    /// With what, as JSON.
    pub parameters: Option<String>,
    /// What the writer added: the batch, for tables of this engine.
    pub user_metadata: Option<String>,
}

impl Warehouse {
    /// All tables below the root, sorted by name. Folders that are none are passed over.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the warehouse cannot be listed.
    pub async fn tables(&self) -> Result<Vec<TableId>, LakeError> {
        if self.root().to_file_path().is_ok_and(|folder| !folder.is_dir()) {
            return Ok(Vec::new());
        }
        let log_store = self.log_store(self.root()).map_err(LakeError::delta(self.root()))?;
        let store = log_store.object_store(None);
        let mut tables = Vec::new();
        for schema in self.folders(&store, None).await?.common_prefixes {
            for folder in self.folders(&store, Some(&schema)).await?.common_prefixes {
                let names = (schema.filename(), folder.filename());
                let (Some(schema), Some(table)) = names else { continue };
                let Ok(table) = TableId::new(schema, table) else { continue };
                let inside = self.folders(&store, Some(&folder)).await?.common_prefixes;
                if inside.iter().any(|inner| inner.filename() == Some("_delta_log")) {
                    tables.push(table);
                }
            }
        }
        tables.sort();
        Ok(tables)
    }

    async fn folders(&self, store: &dyn ObjectStore, below: Option<&Path>) -> Result<ListResult, LakeError> {
        store.list_with_delimiter(below).await.map_err(LakeError::stored(self.root()))
    }
}

impl LakeTable {
    /// The table as it was at `at`: its newest version that had been committed by then.
    ///
    /// # Errors
    /// [`LakeError::TooOld`] when the log no longer reaches back so far, [`LakeError::Delta`] when it cannot be read.
    pub async fn as_of(&self, at: DateTime<Utc>) -> Result<AsOf, LakeError> {
        // Versions below `low` are known to be older or gone, those from `high` on to be newer than `at`.
        let (mut low, mut high) = (0, self.version() + 1);
        let mut oldest_known = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.committed_at(middle).await? {
                Some(committed) if committed > at => {
                    oldest_known = Some((middle, committed));
                    high = middle;
                }
                _ => low = middle + 1,
            }
        }
        let found = low - 1;
        if found >= 0 && self.committed_at(found).await?.is_some() {
            return self.at_version(found).await.map(AsOf::Version);
        }
        match oldest_known {
            Some((0, first)) => Ok(AsOf::Before { first }),
            Some((version, committed)) => {
                Err(LakeError::TooOld { table: self.name.clone(), version, committed })
            }
            // Its log holds checkpoints alone: what it is now is all that is known.
            None => Ok(AsOf::Version(self.clone())),
        }
    }

    /// When a version was committed; `None` when its log entry is gone.
    async fn committed_at(&self, version: i64) -> Result<Option<DateTime<Utc>>, LakeError> {
        let actions = self.actions_of(version).await?;
        if actions.is_empty() {
            return Ok(None);
        }
        Ok(DateTime::from_timestamp_millis(self.time_of(version, &actions)))
    }

    /// Rows of the pinned version, as its files count them; `None` where one does not.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn counted_rows(&self) -> Result<Option<u64>, LakeError> {
        let files = self.inner.get_active_add_actions_by_predicate(None);
        let count = |sum: Option<i64>, file: LogicalFileView| async move {
            let rows = file.num_records().and_then(|rows| i64::try_from(rows).ok());
            let gone = file.deletion_vector_descriptor().map_or(0, |vector| vector.cardinality);
            Ok(sum.zip(rows).map(|(sum, rows)| sum + rows - gone))
        };
        let rows = files.try_fold(Some(0), count).await.map_err(LakeError::delta(&self.name))?;
        Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
    }

    /// About how many rows the commits from version `from` on up to the pinned one added, replaced or took out; `None`
    /// where the log does not tell.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn counted_changes(&self, from: i64) -> Result<Option<u64>, LakeError> {
        let mut sum = 0;
        for version in from..=self.version() {
            let Some(changed) = changes_of(&self.actions_of(version).await?) else { return Ok(None) };
            sum += changed;
        }
        Ok(u64::try_from(sum).ok())
    }

    /// The commits that the log still holds, newest first.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when it cannot be read.
    pub async fn history(&self) -> Result<Vec<CommitRecord>, LakeError> {
        let commits: Vec<CommitInfo> =
            self.inner.history(None).try_collect().await.map_err(LakeError::delta(&self.name))?;
        let newest = self.version();
        let record = |(back, commit): (i64, CommitInfo)| CommitRecord {
            version: newest - back,
            at: commit.in_commit_timestamp.or(commit.timestamp).and_then(DateTime::from_timestamp_millis),
            parameters: commit.operation_parameters.as_ref().and_then(|it| {
                let sorted: BTreeMap<_, _> = it.iter().collect();
                serde_json::to_string(&sorted).ok()
            }),
            user_metadata: commit
                .user_metadata
                .or_else(|| commit.info.get("userMetadata")?.as_str().map(str::to_owned)),
            operation: commit.operation,
        };
        Ok((0..).zip(commits).map(record).collect())
    }
}

/// Rows that one commit added or took out, by the statistics of its files; `None` where they do not tell.
fn changes_of(actions: &[Action]) -> Option<i64> {
    let gone = |vector: &Option<DeletionVectorDescriptor>| vector.as_ref().map_or(0, |it| it.cardinality);
    let removed: BTreeMap<&str, i64> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Remove(file) => Some((file.path.as_str(), gone(&file.deletion_vector))),
            _ => None,
        })
        .collect();
    let mut sum = 0;
    for action in actions {
        match action {
            // What was written anew beside it is not told apart from what changed.
            Action::Cdc(_) => return None,
            Action::Add(file) if file.data_change => {
                sum += match removed.get(file.path.as_str()) {
                    Some(before) => (gone(&file.deletion_vector) - before).abs(),
                    None => file.get_stats().ok()??.num_records - gone(&file.deletion_vector),
                };
            }
            _ => {}
        }
    }
    Some(sum)
}
