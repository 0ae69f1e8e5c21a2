//! One committer a table and process: what waits is written in one commit, so that pipelines that end
//! together do not race each other for the log.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow::array::RecordBatch;
use kimball_lake::{
    CommitOutcome, DataFile, DataFileWriter, LakeError, SharedTable, Swap, TableId, Warehouse,
};
use kimball_retry::{Classify, Jitter, RetryPolicy};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::ControlError;
use crate::compaction::Compaction;

/// Attempts at one commit before contention is reported. Other processes commit to other partitions, so that a lost
/// race says nothing about the change: it is made again a moment later.
const ATTEMPTS: u32 = 200;
const FIRST_DELAY: Duration = Duration::from_millis(2);
const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// Commits from one checkpoint to the next: what a process that opens the table has to read at most.
const CHECKPOINT_EVERY: i64 = 100;

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

/// The files of a partition and their rows.
pub(crate) type PartitionRows = (Vec<DataFile>, Vec<RecordBatch>);

type Answer<T> = oneshot::Sender<Result<T, ControlError>>;

enum Request {
    Commit(Change, Answer<Written>),
    Read(Vec<String>, Answer<PartitionRows>),
}

/// Sends changes to the task that commits them.
#[derive(Debug)]
pub(crate) struct Committer {
    table: TableId,
    queue: mpsc::UnboundedSender<Request>,
    task: JoinHandle<()>,
}

/// The table a committer writes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) warehouse: Warehouse,
    pub(crate) table: TableId,
    pub(crate) partition_columns: &'static [&'static str],
    /// How small files are merged; `None` where every partition is one file.
    pub(crate) compaction: Option<Compaction>,
}

impl Committer {
    /// Starts the task on the current runtime; it ends when the committer is closed or dropped. `opened` is the table, where
    /// somebody has opened it already.
    pub(crate) fn start(target: Target, opened: Option<SharedTable>) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let table = target.table.clone();
        let task = tokio::spawn(Worker { target, table: opened }.work(waiting));
        Self { table, queue, task }
    }

    /// Hands in a change and waits for its end.
    pub(crate) async fn commit(&self, change: Change) -> Result<Written, ControlError> {
        self.ask(|answer| Request::Commit(change, answer)).await
    }

    /// The newest files of a partition, with their rows.
    pub(crate) async fn read(&self, partition: Vec<String>) -> Result<PartitionRows, ControlError> {
        self.ask(|answer| Request::Read(partition, answer)).await
    }

    /// Waits until everything that was handed in is done, upkeep of the table included.
    pub(crate) async fn close(self) {
        drop(self.queue);
        if let Err(error) = self.task.await {
            tracing::warn!(table = %self.table, %error, "the writer of the table ended unexpectedly");
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, ControlError> {
        let stopped = || ControlError::Stopped { table: self.table.to_string() };
        let (answer, answered) = oneshot::channel();
        self.queue.send(request(answer)).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

/// A change whose rows lie in files that no version refers to yet.
struct Pending {
    change: Change,
    files: Vec<DataFile>,
    /// Whether a commit was tried whose end may not have been seen: its files may belong to the table.
    is_tried: bool,
    answer: Option<Answer<Written>>,
}

impl Pending {
    fn end(self, result: Result<Written, ControlError>) {
        if let Some(answer) = self.answer {
            // Who asked may have been cancelled; the change stands all the same.
            let _abandoned = answer.send(result);
        }
    }
}

struct Worker {
    target: Target,
    table: Option<SharedTable>,
}

impl Worker {
    async fn work(mut self, mut waiting: mpsc::UnboundedReceiver<Request>) {
        while let Some(first) = waiting.recv().await {
            let mut group = vec![first];
            while let Ok(next) = waiting.try_recv() {
                group.push(next);
            }
            let (mut changes, mut reads) = (Vec::new(), Vec::new());
            for request in group {
                match request {
                    Request::Commit(change, answer) => changes.push((change, answer)),
                    Request::Read(partition, answer) => reads.push((partition, answer)),
                }
            }
            for (partition, answer) in reads {
                let _abandoned = answer.send(self.read(&partition).await);
            }
            if changes.is_empty() {
                continue;
            }
            let partitions = changes.iter().flat_map(|(change, _)| change.partitions.clone()).collect();
            // Where the table cannot be opened, each change is told why.
            let before = self.caught_up().await.map(|table| table.version()).ok();
            self.commit_all(changes).await;
            self.keep_up(partitions, before).await;
        }
    }

    /// The table with everything that others have committed.
    async fn caught_up(&mut self) -> Result<&mut SharedTable, ControlError> {
        if let Some(mut table) = self.table.take() {
            // A handle that could not follow is opened anew.
            if let Ok(()) = table.catch_up().await {
                return Ok(self.table.insert(table));
            }
        }
        match self.target.warehouse.open_shared(&self.target.table).await? {
            Some(table) => Ok(self.table.insert(table)),
            None => {
                let location = self.target.warehouse.locate(&self.target.table)?.to_string();
                Err(LakeError::Missing { table: self.target.table.to_string(), location }.into())
            }
        }
    }

    async fn read(&mut self, partition: &[String]) -> Result<PartitionRows, ControlError> {
        let columns = self.target.partition_columns;
        let table = self.caught_up().await?;
        let files = table.files_of(&values(columns, partition));
        let rows = table.read(&files).await?;
        Ok((files, rows))
    }

    async fn commit_all(&mut self, changes: Vec<(Change, Answer<Written>)>) {
        let mut pending = Vec::with_capacity(changes.len());
        for (change, answer) in changes {
            match self.write(&change).await {
                Ok(files) => pending.push(Pending { change, files, is_tried: false, answer: Some(answer) }),
                Err(error) => {
                    let _abandoned = answer.send(Err(error));
                }
            }
        }
        while !pending.is_empty() {
            pending = self.commit_some(pending).await;
        }
    }

    async fn write(&mut self, change: &Change) -> Result<Vec<DataFile>, ControlError> {
        let table = match &self.table {
            Some(table) => table,
            None => self.caught_up().await?,
        };
        let mut writer = DataFileWriter::new(table.table())?;
        writer.write(change.rows.clone()).await?;
        Ok(writer.finish().await?)
    }

    /// Commits those changes together that do not touch the same partitions; the others are left over.
    async fn commit_some(&mut self, pending: Vec<Pending>) -> Vec<Pending> {
        let mut touched = BTreeSet::new();
        let (mut chosen, mut left) = (Vec::new(), Vec::new());
        for next in pending {
            match next.change.partitions.iter().any(|partition| touched.contains(partition)) {
                true => left.push(next),
                false => {
                    touched.extend(next.change.partitions.clone());
                    chosen.push(next);
                }
            }
        }
        let seed = u64::from(std::process::id());
        let delays = RetryPolicy { max: LONGEST_DELAY, ..RetryPolicy::new(ATTEMPTS, FIRST_DELAY) }
            .with_jitter(Jitter::Full { seed });
        for attempt in 1..=ATTEMPTS {
            match self.attempt(&mut chosen).await {
                Ok(CommitOutcome::Committed { .. }) => {
                    for done in chosen {
                        let files = done.files.clone();
                        done.end(Ok(Written::Committed(files)));
                    }
                    return left;
                }
                Ok(CommitOutcome::Conflict) => sleep(delays.delay(attempt)).await,
                Err(error) => {
                    // An error has one owner; those who went along are told the same in words.
                    let (kind, told) = (error.kind(), error.to_string());
                    let mut first = Some(error);
                    for lost in chosen {
                        let table = self.target.table.to_string();
                        let error = first.take();
                        let error =
                            error.unwrap_or_else(|| ControlError::Group { table, told: told.clone(), kind });
                        lost.end(Err(error));
                    }
                    return left;
                }
            }
        }
        for lost in chosen {
            let table = self.target.table.to_string();
            lost.end(Err(ControlError::Contention { table, attempts: ATTEMPTS as usize }));
        }
        left
    }

    /// One attempt at all changes that still make sense; the others end as stale.
    async fn attempt(&mut self, chosen: &mut Vec<Pending>) -> Result<CommitOutcome, ControlError> {
        let columns = self.target.partition_columns;
        let table = self.caught_up().await?;
        let mut stale = Vec::new();
        for pending in std::mem::take(chosen) {
            let is_there = pending.is_tried && pending.files.iter().all(|file| table.holds(file.path()));
            if is_there {
                // An attempt that seemed to fail had succeeded.
                let files = pending.files.clone();
                pending.end(Ok(Written::Committed(files)));
            } else if is_fresh(columns, table, &pending.change) {
                chosen.push(pending);
            } else {
                stale.push(pending);
            }
        }
        for lost in stale {
            // The files of what was tried may be in the log, and merged with others since: they stay.
            if !lost.is_tried
                && let Err(error) = table.table().discard(lost.files.clone()).await
            {
                tracing::warn!(table = %table.table().name(), %error, "a file that nobody needs stays behind");
            }
            lost.end(Ok(Written::Stale));
        }
        if chosen.is_empty() {
            return Ok(CommitOutcome::Committed { version: table.version() });
        }
        chosen.iter_mut().for_each(|pending| pending.is_tried = true);
        let changes: Vec<&Change> = chosen.iter().map(|pending| &pending.change).collect();
        let blind = changes.iter().all(|change| change.removed.is_empty() && !change.exclusive);
        let swap = Swap {
            files: chosen.iter().flat_map(|pending| pending.files.clone()).collect(),
            removed: changes.iter().flat_map(|change| change.removed.clone()).collect(),
            predicate: (!blind).then(|| predicate(columns, &changes)),
        };
        match table.swap(&swap).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                // What seems to have failed may have happened: then the log names our files.
                let table = self.caught_up().await?;
                match swap.files.iter().all(|file| table.holds(file.path())) {
                    true => Ok(CommitOutcome::Committed { version: table.version() }),
                    false => Err(error.into()),
                }
            }
        }
    }

    /// Merges small files of `partitions` and writes a checkpoint when one is due. Nothing depends on either, so that
    /// a failure is a warning.
    async fn keep_up(&mut self, partitions: BTreeSet<Vec<String>>, before: Option<i64>) {
        for partition in partitions {
            if let Err(error) = self.compact(partition).await {
                tracing::warn!(table = %self.target.table, %error, "small files could not be merged");
            }
        }
        if let Some(table) = &mut self.table
            && before.is_some_and(|before| before / CHECKPOINT_EVERY < table.version() / CHECKPOINT_EVERY)
            && let Err(error) = table.tidy_up().await
        {
            tracing::warn!(table = %self.target.table, %error, "the log could not be tidied up");
        }
    }

    async fn compact(&mut self, partition: Vec<String>) -> Result<(), ControlError> {
        let Some(compaction) = self.target.compaction.clone() else { return Ok(()) };
        let columns = self.target.partition_columns;
        let Some(table) = &self.table else { return Ok(()) };
        let removed = compaction.due(table.files_of(&values(columns, &partition)));
        if removed.is_empty() {
            return Ok(());
        }
        let malformed = |source| ControlError::Columns { table: self.target.table.to_string(), source };
        let rows = compaction.merge(&table.read(&removed).await?).map_err(malformed)?;
        let change = Change { rows, removed, partitions: vec![partition], exclusive: false };
        let files = self.write(&change).await?;
        self.commit_some(vec![Pending { change, files, is_tried: false, answer: None }]).await;
        Ok(())
    }
}

fn values<'a>(columns: &'static [&'static str], partition: &'a [String]) -> Vec<(&'static str, &'a str)> {
    columns.iter().copied().zip(partition.iter().map(String::as_str)).collect()
}

/// Whether the files that a change takes away are still there, and alone where they have to be.
fn is_fresh(columns: &'static [&'static str], table: &SharedTable, change: &Change) -> bool {
    if !change.exclusive {
        return change.removed.iter().all(|file| table.holds(file.path()));
    }
    let in_partitions =
        change.partitions.iter().flat_map(|partition| table.files_of(&values(columns, partition)));
    let active: BTreeSet<String> = in_partitions.map(|file| file.path().to_owned()).collect();
    let removed: BTreeSet<String> = change.removed.iter().map(|file| file.path().to_owned()).collect();
    active == removed
}

/// SQL that covers every partition of the changes, so that commits to others do no harm.
fn predicate(columns: &[&str], changes: &[&Change]) -> String {
    let partitions: BTreeSet<&Vec<String>> = changes.iter().flat_map(|change| &change.partitions).collect();
    let one = |partition: &&Vec<String>| {
        let equal = |(column, value): (&&str, &String)| format!("{column} = '{}'", value.replace('\'', "''"));
        let all = columns.iter().zip(partition.iter()).map(equal);
        format!("({})", all.collect::<Vec<_>>().join(" AND "))
    };
    partitions.iter().map(one).collect::<Vec<_>>().join(" OR ")
}
