//! Application transactions of a table, whose log is read through for all of them at once.
//!
//! A load asks for a dozen of them. The library below reads the whole log since the last checkpoint for each, and to its
//! end for each that is not there.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde::Deserialize;

use crate::{LakeError, LakeTable};

/// Log entries that are read at a time.
const READ_AHEAD: usize = 8;

/// What the commits since the last checkpoint say.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    newest: BTreeMap<String, i64>,
    /// Whether these are all commits there are.
    is_complete: bool,
}

/// A line of a log entry, as far as it is about a transaction.
#[derive(Deserialize)]
struct Line {
    txn: Option<Transaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    app_id: String,
    version: i64,
}

impl LakeTable {
    /// The newest value of an application transaction, as of the pinned version.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn transaction(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        let known = self.transactions.get_or_try_init(|| self.recent_transactions()).await?;
        match known.newest.get(app_id) {
            Some(value) => Ok(Some(*value)),
            None if known.is_complete => Ok(None),
            None => self
                .snapshot()?
                .transaction_version(self.inner.log_store().as_ref(), app_id)
                .await
                .map_err(LakeError::delta(&self.name)),
        }
    }

    /// What lies behind a checkpoint, and behind an entry that cannot be read, is left to the library.
    async fn recent_transactions(&self) -> Result<Transactions, LakeError> {
        let newest = self.snapshot()?.version();
        let checkpoint = self.last_checkpoint().await?;
        if checkpoint.is_some_and(|checkpoint| checkpoint > newest) {
            // The library knows older checkpoints.
            return Ok(Transactions { newest: BTreeMap::new(), is_complete: false });
        }
        let oldest = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
        let store = self.inner.log_store();
        let mut entries = stream::iter((oldest..=newest).rev())
            .map(|version| {
                let store = store.clone();
                async move { store.read_commit_entry(version).await }
            })
            .buffered(READ_AHEAD);
        let mut found = Transactions { newest: BTreeMap::new(), is_complete: checkpoint.is_none() };
        while let Some(entry) = entries.next().await {
            let Some(transactions) = entry.ok().flatten().and_then(|entry| transactions_in(&entry)) else {
                found.is_complete = false;
                break;
            };
            for Transaction { app_id, version } in transactions {
                found.newest.entry(app_id).or_insert(version);
            }
        }
        Ok(found)
    }
}

/// The transactions of a log entry; `None` when it is damaged.
fn transactions_in(entry: &[u8]) -> Option<Vec<Transaction>> {
    let lines = entry.split(|byte| *byte == b'\n');
    // Most lines are about files, and long.
    let about_transactions = lines.filter(|line| line.windows(5).take(16).any(|part| part == b"\"txn\""));
    let read = about_transactions.map(|line| serde_json::from_slice::<Line>(line).ok());
    Some(read.collect::<Option<Vec<Line>>>()?.into_iter().filter_map(|line| line.txn).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::transactions_in;

    #[test]
    fn transactions_stand_among_other_lines_and_a_damaged_one_is_noticed() {
        let entry = br#"{"commitInfo":{"operation":"\"txn\""}}
{"txn":{"appId":"a","version":7,"lastUpdated":1}}
{ "txn" : {"appId":"b","version":-1}}
{"add":{"path":"x"}}
"#;
        let found: Vec<_> =
            transactions_in(entry).unwrap().into_iter().map(|it| (it.app_id, it.version)).collect();
        assert_eq!(found, [("a".to_owned(), 7), ("b".to_owned(), -1)]);
        assert!(transactions_in(b"{\"txn\":{\"appId\":").is_none());
    }
}
