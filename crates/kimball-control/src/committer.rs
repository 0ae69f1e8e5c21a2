//! One committer a table and process: what waits is written in one commit, so that pipelines that end
//! together do not race each other for the log.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use kimball_lake::{CommitOutcome, DataFile, DataFileWriter, LakeTable, Swap, TableId, Warehouse};
use tokio::sync::{mpsc, oneshot};

use crate::ControlError;

/// Attempts at one change before contention is reported; the log itself retries 15 times within each.
const ATTEMPTS: usize = 20;

/// A change of some partitions of a table.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// New rows.
    pub(crate) rows: RecordBatch,
    /// Files that go; the change fails as [`Written::Stale`] when one of them is not there any more.
    pub(crate) removed: Vec<DataFile>,
    /// The partitions touched, each as values of the partition columns.
    pub(crate) partitions: Vec<Vec<String>>,
    /// Whether the partitions may hold no other files than the removed ones.
    pub(crate) exclusive: bool,
}

/// How a change ended.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is in the log; these files hold the new rows.
    Committed(Vec<DataFile>),
    /// Somebody else changed the partitions; read them again.
    Stale,
}

type Answer = oneshot::Sender<Result<Written, ControlError>>;

/// Sends changes to the task that commits them.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    table: TableId,
    queue: mpsc::UnboundedSender<(Change, Answer)>,
}

/// The table a committer writes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) warehouse: Warehouse,
    pub(crate) table: TableId,
    pub(crate) partition_columns: &'static [&'static str],
}

impl Committer {
    /// Starts the task on the current runtime; it ends when the last sender is dropped.
    pub(crate) fn start(target: Target) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let table = target.table.clone();
        tokio::spawn(work(target, waiting));
        Self { table, queue }
    }

    /// Hands in a change and waits for its end.
    pub(crate) async fn commit(&self, change: Change) -> Result<Written, ControlError> {
        let stopped = || ControlError::Stopped { table: self.table.to_string() };
        let (answer, answered) = oneshot::channel();
        self.queue.send((change, answer)).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn work(target: Target, mut waiting: mpsc::UnboundedReceiver<(Change, Answer)>) {
    while let Some(first) = waiting.recv().await {
        let mut group = vec![first];
        while let Ok(next) = waiting.try_recv() {
            group.push(next);
        }
        commit_group(&target, group).await;
    }
}

/// Commits all changes at once where that works; those that lost a race are tried again one by one.
async fn commit_group(target: &Target, group: Vec<(Change, Answer)>) {
    let (changes, answers): (Vec<Change>, Vec<Answer>) = group.into_iter().unzip();
    if changes.len() > 1
        && let Ok(Some(written)) = attempt(target, &changes).await
    {
        for (written, answer) in written.into_iter().zip(answers) {
            let _abandoned = answer.send(Ok(written));
        }
        return;
    }
    for (change, answer) in changes.into_iter().zip(answers) {
        let _abandoned = answer.send(alone(target, change).await);
    }
}

async fn alone(target: &Target, change: Change) -> Result<Written, ControlError> {
    for _ in 0..ATTEMPTS {
        if let Some(mut written) = attempt(target, std::slice::from_ref(&change)).await?
            && let Some(written) = written.pop()
        {
            return Ok(written);
        }
    }
    Err(ControlError::Contention { table: target.table.to_string(), attempts: ATTEMPTS })
}

/// One commit for all changes; `None` when somebody else won the race for it. Changes that are stale are
/// left out of it.
async fn attempt(target: &Target, changes: &[Change]) -> Result<Option<Vec<Written>>, ControlError> {
    let Some(table) = target.warehouse.open(&target.table).await? else {
        return Err(ControlError::Stopped { table: target.table.to_string() });
    };
    let mut fresh = Vec::with_capacity(changes.len());
    for change in changes {
        fresh.push(is_fresh(target, &table, change).await?);
    }
    let current: Vec<&Change> =
        changes.iter().zip(&fresh).filter(|(_, fresh)| **fresh).map(|(c, _)| c).collect();
    let mut writer = DataFileWriter::new(&table)?;
    for change in &current {
        writer.write(change.rows.clone()).await?;
    }
    let files = writer.finish().await?;
    if !current.is_empty() {
        let blind = current.iter().all(|change| change.removed.is_empty() && !change.exclusive);
        let swap = Swap {
            files: files.clone(),
            removed: current.iter().flat_map(|change| change.removed.clone()).collect(),
            predicate: (!blind).then(|| predicate(target, &current)),
        };
        if table.swap(swap).await? == CommitOutcome::Conflict {
            return Ok(None);
        }
    }
    let ended = changes.iter().zip(fresh).map(|(change, fresh)| match fresh {
        true => Written::Committed(files_of(target, change, &files)),
        false => Written::Stale,
    });
    Ok(Some(ended.collect()))
}

/// Whether the files that a change takes away are still there, and alone where they have to be.
async fn is_fresh(target: &Target, table: &LakeTable, change: &Change) -> Result<bool, ControlError> {
    if change.removed.is_empty() && !change.exclusive {
        return Ok(true);
    }
    let mut active = BTreeSet::new();
    for partition in &change.partitions {
        let values: Vec<(&str, &str)> =
            target.partition_columns.iter().copied().zip(partition.iter().map(String::as_str)).collect();
        let files = table.files_of_partition(&values).await?;
        active.extend(files.iter().map(|file| file.path().to_owned()));
    }
    let removed: BTreeSet<String> = change.removed.iter().map(|file| file.path().to_owned()).collect();
    Ok(if change.exclusive { active == removed } else { removed.is_subset(&active) })
}

/// The new files that lie in a change's partitions.
fn files_of(target: &Target, change: &Change, files: &[DataFile]) -> Vec<DataFile> {
    let in_change = |file: &&DataFile| {
        change.partitions.iter().any(|partition| {
            let mut pairs = target.partition_columns.iter().zip(partition);
            pairs.all(|(column, value)| file.partition_value(column) == Some(value))
        })
    };
    files.iter().filter(in_change).cloned().collect()
}

/// SQL that covers every partition of the changes, so that commits to others do no harm.
fn predicate(target: &Target, changes: &[&Change]) -> String {
    let partitions: BTreeSet<&Vec<String>> = changes.iter().flat_map(|change| &change.partitions).collect();
    let one = |partition: &&Vec<String>| {
        let equal = |(column, value): (&&str, &String)| format!("{column} = '{}'", value.replace('\'', "''"));
        let all = target.partition_columns.iter().zip(partition.iter()).map(equal);
        format!("({})", all.collect::<Vec<_>>().join(" AND "))
    };
    partitions.iter().map(one).collect::<Vec<_>>().join(" OR ")
}
