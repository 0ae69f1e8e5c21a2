//! The one commit: data files, row removals and application transactions, on the snapshot they were
//! computed from, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, PostCommit, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::DeltaOperation;
use deltalake::table::config::TablePropertiesExt as _;
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::alter::Alteration;
use crate::live::LiveFile;
use crate::table::{DELETION_VECTORS, as_signed, is_true};
use crate::write::DataFile;
use crate::{LakeError, LakeTable, LiveRows};

/// Name of the application transaction that fences writers (semantics 9).
pub(crate) const LEASE: &str = "lease";

/// Rows to take out of a table: file number of a [`LiveRows`] → row numbers in that file.
pub type RowRemovals = BTreeMap<u32, RoaringTreemap>;

/// One change of a table that a single writer at a time may make.
#[derive(Debug, Default)]
pub struct Commit {
    /// Files with new rows.
    pub files: Vec<DataFile>,
    /// Rows that no longer count.
    pub removals: RowRemovals,
    /// Application transactions: id and new value.
    pub transactions: Vec<(String, i64)>,
    /// The writer's lease epoch; a higher one in the log refuses the commit.
    pub lease: Option<i64>,
    /// Written as `userMetadata`.
    pub user_metadata: String,
    /// What becomes of the table's columns, descriptions and properties.
    pub alteration: Option<Alteration>,
}

/// How a commit ended, short of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The change is in the log.
    Committed {
        /// The version it made.
        version: i64,
    },
    /// Somebody else committed first; nothing of this change is visible. Read again and recompute.
    Conflict,
}

impl LakeTable {
    /// Commits on the pinned version of `rows`, which is the one the removals were found in.
    ///
    /// Any commit by somebody else since then is a [`CommitOutcome::Conflict`].
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] when the log holds a higher epoch; storage failures.
    pub async fn commit(&self, rows: &LiveRows, commit: Commit) -> Result<CommitOutcome, LakeError> {
        if let Some(held) = commit.lease {
            self.require_lease(held).await?;
        }
        let removals = self.removal_actions(rows, &commit).await?;
        let mut actions: Vec<Action> = commit.alteration.map(Alteration::into_actions).unwrap_or_default();
        actions.extend(removals);
        actions.extend(commit.files.into_iter().map(|file| Action::Add(file.0)));
        let transactions =
            commit.transactions.into_iter().chain(commit.lease.map(|epoch| (LEASE.to_owned(), epoch)));
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_metadata([("userMetadata".to_owned(), commit.user_metadata.clone().into())])
            .with_application_transactions(
                transactions.map(|(id, value)| Transaction::new(id, value)).collect(),
            );
        self.submit(actions, properties, merge_of(None), &commit.user_metadata).await
    }

    /// # Errors
    /// [`LakeError::LeaseLost`] when the log holds a higher epoch than `held`.
    pub(crate) async fn require_lease(&self, held: i64) -> Result<(), LakeError> {
        match self.transaction(LEASE).await? {
            Some(found) if found > held => {
                Err(LakeError::LeaseLost { table: self.name.clone(), held, found })
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn submit(
        &self,
        actions: Vec<Action>,
        properties: CommitProperties,
        operation: DeltaOperation,
        tag: &str,
    ) -> Result<CommitOutcome, LakeError> {
        let prepared = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(self.snapshot()?), self.inner.log_store(), operation)
            .into_prepared_commit_future()
            .await
            .map_err(LakeError::delta(&self.name))?;
        match prepared.await {
            Ok(done) => {
                let version = done.version;
                self.tidy_up(done).await;
                Ok(CommitOutcome::Committed { version: as_signed(version) })
            }
            Err(error) if is_conflict(&error) => Ok(CommitOutcome::Conflict),
            Err(error) => self.verify(error, tag).await,
        }
    }

    /// What became of a commit that seemed to fail: the log tells, if it can be read and the commit has a tag.
    async fn verify(&self, error: DeltaTableError, tag: &str) -> Result<CommitOutcome, LakeError> {
        let source = Box::new(error);
        let failed = |source| LakeError::Delta { table: self.name.clone(), source };
        if tag.is_empty() {
            return Err(failed(source));
        }
        let look = async || self.reopened().await?.commit_after(self.version(), tag).await;
        match look().await {
            Ok(Some(version)) => Ok(CommitOutcome::Committed { version }),
            Ok(None) => Err(failed(source)),
            Err(_) => Err(LakeError::Unverified { table: self.name.clone(), source }),
        }
    }

    /// Every so many commits a checkpoint, so that opening the table stays quick. The commit stands, whatever becomes
    /// of this.
    async fn tidy_up(&self, done: PostCommit) {
        let interval =
            self.inner.snapshot().map_or(u64::MAX, |state| state.table_config().checkpoint_interval().get());
        if (done.version + 1).is_multiple_of(interval)
            && let Err(error) = done.await
        {
            tracing::warn!(table = %self.name, %error, "no checkpoint was written");
        }
    }

    /// The actions that take rows out, in the way that the table's properties ask for.
    async fn removal_actions(&self, rows: &LiveRows, commit: &Commit) -> Result<Vec<Action>, LakeError> {
        let vectors = match &commit.alteration {
            Some(alteration) => alteration.property(DELETION_VECTORS),
            None => self.property(DELETION_VECTORS)?,
        };
        if vectors.is_some_and(is_true) {
            return self.thinning_actions(rows, &commit.removals).await;
        }
        let columns = match &commit.alteration {
            Some(alteration) => Arc::clone(&alteration.columns),
            None => self.schema()?,
        };
        self.rewriting_actions(rows, &commit.removals, &commit.files, &columns).await
    }

    /// The actions that take rows out with deletion vectors: a file that loses its last row goes, any other gets a
    /// vector that unites the rows it had lost with those it loses now.
    async fn thinning_actions(
        &self,
        rows: &LiveRows,
        removals: &RowRemovals,
    ) -> Result<Vec<Action>, LakeError> {
        let touched: Vec<(&LiveFile, RoaringTreemap)> = removals
            .iter()
            .filter(|(_, removed)| !removed.is_empty())
            .filter_map(|(number, removed)| Some((rows.file(*number)?, removed)))
            .map(|(file, removed)| (file, &file.deleted | removed))
            .collect();
        let emptied = |file: &LiveFile, deleted: &RoaringTreemap| deleted.len() >= file.records;
        let thinned: Vec<RoaringTreemap> = touched
            .iter()
            .filter(|(file, deleted)| !emptied(file, deleted))
            .map(|(_, deleted)| deleted.clone())
            .collect();
        let described =
            if thinned.is_empty() { Vec::new() } else { self.write_deleted_rows(&thinned).await? };
        let mut described = described.into_iter();
        let now = now_millis();
        let mut actions = Vec::with_capacity(touched.len() * 2);
        for (file, deleted) in touched {
            actions.push(Action::Remove(file.file.removal(Some(now))));
            if !emptied(file, &deleted)
                && let Some(vector) = described.next()
            {
                let mut add = file.file.0.clone();
                add.deletion_vector = Some(vector);
                add.data_change = true;
                add.stats = add.stats.map(|stats| loosen(&stats));
                actions.push(Action::Add(add));
            }
        }
        Ok(actions)
    }
}

/// Statistics of a file with a deletion vector: the bounds still hold but are no longer reached by a row.
fn loosen(stats: &str) -> String {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(stats) {
        Ok(mut parsed) => {
            parsed.insert("tightBounds".to_owned(), false.into());
            serde_json::Value::Object(parsed).to_string()
        }
        Err(_) => stats.to_owned(),
    }
}

/// The operation of a commit that takes rows out: one that deltalake checks against commits by others to the
/// partitions of `predicate`, or to any.
pub(crate) fn merge_of(predicate: Option<String>) -> DeltaOperation {
    DeltaOperation::Merge {
        predicate,
        merge_predicate: None,
        matched_predicates: Vec::new(),
        not_matched_predicates: Vec::new(),
        not_matched_by_source_predicates: Vec::new(),
    }
}

fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
                | TransactionError::VersionAlreadyExists(_)
        ),
        _ => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "names of new files must be unique, not reproducible")]
pub(crate) fn fresh_id() -> Uuid {
    Uuid::new_v4()
}

#[expect(clippy::disallowed_methods, reason = "the protocol's deletion time is the wall clock of the commit")]
pub(crate) fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
