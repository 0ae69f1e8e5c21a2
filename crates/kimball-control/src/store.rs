//! `etl_control`: one row a batch and source, RUNNING when it starts, ended in place.

use chrono::{DateTime, TimeDelta, Utc};
use kimball_lake::{DataFile, LakeError, Warehouse};

use crate::committer::{Change, Written};
use crate::compaction::Compaction;
use crate::etl_table::{Design, EtlTable};
use crate::row::{control_schema, of_batches, to_batch};
use crate::{BatchState, BatchStatus, ControlError, ControlRow, Transition, Unsuccessful};

const DESIGN: Design = Design {
    name: "etl_control",
    schema: control_schema,
    partition_columns: &["target_table", "source_table"],
    log_kept: "interval 30 days",
};
/// Characters of an error message that are kept.
const MESSAGE_CHARS: usize = 4_000;

/// The control table of a warehouse.
#[derive(Debug)]
pub struct ControlStore {
    table: EtlTable,
}

/// A source of a batch and how far it was read.
#[derive(Debug, Clone)]
pub struct SourceProgress {
    /// As it stands in `source_table`.
    pub source_table: String,
    /// The watermark before the batch, or the version it read up to.
    pub version: Option<i64>,
    /// Rows read; `None` while the batch runs, and where nobody knows any more.
    pub rows_read: Option<u64>,
}

/// What is known when a batch begins.
#[derive(Debug, Clone)]
pub struct BatchStart {
    /// The batch.
    pub batch_id: String,
    /// The table it writes.
    pub target_table: String,
    /// Its sources with their watermarks.
    pub sources: Vec<SourceProgress>,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

/// How a batch ended.
#[derive(Debug, Clone)]
pub struct BatchEnd {
    /// Success, failure, or one of the two found out by another process.
    pub event: Transition,
    /// When.
    pub completed_at: DateTime<Utc>,
    /// Sources with the versions read, for a success; else the watermarks stay.
    pub sources: Vec<SourceProgress>,
    /// Rows that the target gained or that changed; `None` where nobody knows any more.
    pub rows_written: Option<u64>,
    /// What went wrong, class first.
    pub error_message: Option<String>,
}

/// A batch whose rows say RUNNING.
#[derive(Debug)]
pub struct RunningBatch {
    rows: Vec<ControlRow>,
    files: Vec<DataFile>,
}

impl RunningBatch {
    /// The batch.
    pub fn batch_id(&self) -> &str {
        self.rows.first().and_then(|row| row.batch_id.as_deref()).unwrap_or_default()
    }
}

impl ControlStore {
    /// The control table of `etl_schema`; nothing is read or made before it is needed.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when the schema is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str) -> Result<Self, LakeError> {
        let table = EtlTable::new(warehouse, etl_schema, &DESIGN)?;
        Ok(Self { table: table.compacted(Compaction::default()) })
    }

    /// The same table, whose rows are dropped some time after they are older than `history`. Watermarks and batches
    /// that have not ended stay.
    #[must_use]
    pub fn with_history(self, history: TimeDelta) -> Self {
        Self { table: self.table.compacted(Compaction { history: Some(history) }) }
    }

    /// All rows; none before the first batch.
    ///
    /// # Errors
    /// Read failures.
    pub async fn rows(&self) -> Result<Vec<ControlRow>, ControlError> {
        self.rows_where("true").await
    }

    /// Rows of batches that have begun and not ended.
    ///
    /// # Errors
    /// Read failures.
    pub async fn running(&self) -> Result<Vec<ControlRow>, ControlError> {
        self.rows_where("batch_status = 'RUNNING'").await
    }

    /// Batches that have not succeeded: what has begun and not ended, and what failed.
    ///
    /// # Errors
    /// Read failures.
    pub async fn unsuccessful(&self) -> Result<Unsuccessful, ControlError> {
        Ok(Unsuccessful::of(self.rows_where("batch_status <> 'SUCCESS'").await?))
    }

    /// When the last batch of a target failed, as its rows of `source_tables` tell; `None` when it did not.
    ///
    /// # Errors
    /// Read failures.
    pub async fn failed_last(
        &self,
        target_table: &str,
        source_tables: &[String],
    ) -> Result<Option<DateTime<Utc>>, ControlError> {
        let mut failed: Option<DateTime<Utc>> = None;
        for source_table in source_tables {
            let rows = self.rows_of(target_table, source_table).await?;
            let last = rows.into_iter().max_by_key(ControlRow::order);
            let last = last.filter(|row| row.batch_status.as_deref() == Some(BatchStatus::Failed.as_str()));
            failed = failed.max(last.map(|row| row.updated_at));
        }
        Ok(failed)
    }

    /// The version up to which the last successful batch of a target read a source; `None` before the first.
    ///
    /// # Errors
    /// Read failures.
    pub async fn last_success(
        &self,
        target_table: &str,
        source_table: &str,
    ) -> Result<Option<i64>, ControlError> {
        let mut rows = self.rows_of(target_table, source_table).await?;
        rows.retain(|row| row.batch_status.as_deref() == Some(BatchStatus::Success.as_str()));
        Ok(rows.into_iter().max_by_key(ControlRow::order).and_then(|row| row.last_processed_version))
    }

    /// Writes a RUNNING row for every source of a batch.
    ///
    /// # Errors
    /// Write failures.
    pub async fn begin(&self, start: BatchStart) -> Result<RunningBatch, ControlError> {
        let rows = begun(start)?;
        let files = self.add(&rows).await?;
        Ok(RunningBatch { rows, files })
    }

    /// Writes the rows of a batch that ends where it begins, in one commit: nobody ever sees it running. It could not
    /// begin, or had nothing to do.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin) and [`finish`](Self::finish).
    pub async fn record(&self, start: BatchStart, end: &BatchEnd) -> Result<(), ControlError> {
        self.add(&ended(&begun(start)?, end)?).await.map(|_| ())
    }

    /// Ends a batch in place.
    ///
    /// # Errors
    /// [`ControlError::Illegal`] when the event cannot end a running batch, write failures.
    pub async fn finish(&self, running: RunningBatch, end: &BatchEnd) -> Result<(), ControlError> {
        let rows = ended(&running.rows, end)?;
        let change = Change {
            rows: self.batch(&rows)?,
            removed: running.files,
            partitions: partitions(&rows),
            exclusive: false,
        };
        match self.table.committer().await?.commit(change).await? {
            Written::Committed(_) => Ok(()),
            Written::Stale => self.rewrite(&running.rows, end).await,
        }
    }

    /// Ends a batch of another process: rewrites the rows of this batch wherever they lie now.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub async fn settle(&self, rows: &[ControlRow], end: &BatchEnd) -> Result<(), ControlError> {
        self.rewrite(rows, end).await
    }

    async fn add(&self, rows: &[ControlRow]) -> Result<Vec<DataFile>, ControlError> {
        let change = Change {
            rows: self.batch(rows)?,
            removed: Vec::new(),
            partitions: partitions(rows),
            exclusive: false,
        };
        match self.table.committer().await?.commit(change).await? {
            Written::Committed(files) => Ok(files),
            Written::Stale => Err(self.table.contention()),
        }
    }

    async fn rewrite(&self, rows: &[ControlRow], end: &BatchEnd) -> Result<(), ControlError> {
        for row in rows {
            while !self.rewrite_partition(row, end).await? {}
        }
        Ok(())
    }

    /// Rewrites the partition of one row; false when somebody else changed it meanwhile.
    async fn rewrite_partition(&self, row: &ControlRow, end: &BatchEnd) -> Result<bool, ControlError> {
        let partition = vec![row.target_table.clone(), row.source_table.clone()];
        let (files, rows) = self.table.committer().await?.read(partition).await?;
        let all = of_batches(&rows).map_err(|source| self.table.malformed(source))?;
        let (mine, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|found| found.batch_id == row.batch_id && found.is_running());
        if mine.is_empty() {
            return Ok(true);
        }
        let mut rows = ended(&mine, end)?;
        rows.extend(others);
        let change = Change {
            rows: self.batch(&rows)?,
            removed: files,
            partitions: partitions(&rows),
            exclusive: true,
        };
        Ok(matches!(self.table.committer().await?.commit(change).await?, Written::Committed(_)))
    }

    async fn rows_where(&self, condition: &str) -> Result<Vec<ControlRow>, ControlError> {
        match self.table.open().await? {
            Some(table) => {
                of_batches(&table.read(condition).await?).map_err(|source| self.table.malformed(source))
            }
            None => Ok(Vec::new()),
        }
    }

    /// All rows of a target and source.
    async fn rows_of(&self, target_table: &str, source_table: &str) -> Result<Vec<ControlRow>, ControlError> {
        let partition = vec![target_table.to_owned(), source_table.to_owned()];
        let (_, rows) = self.table.committer().await?.read(partition).await?;
        of_batches(&rows).map_err(|source| self.table.malformed(source))
    }

    /// Waits until everything is written, upkeep of the table included.
    pub async fn close(self) {
        self.table.close().await;
    }

    fn batch(&self, rows: &[ControlRow]) -> Result<arrow::array::RecordBatch, ControlError> {
        to_batch(rows).map_err(|source| self.table.malformed(source))
    }
}

fn partitions(rows: &[ControlRow]) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> =
        rows.iter().map(|row| vec![row.target_table.clone(), row.source_table.clone()]).collect();
    all.sort();
    all.dedup();
    all
}

/// Rows of a batch as they stand when it begins.
fn begun(start: BatchStart) -> Result<Vec<ControlRow>, ControlError> {
    BatchState::Planned.after(Transition::Begin)?;
    let row = |source: SourceProgress| ControlRow {
        target_table: start.target_table.clone(),
        source_table: source.source_table,
        last_processed_version: source.version,
        batch_id: Some(start.batch_id.clone()),
        batch_started_at: Some(start.started_at),
        batch_completed_at: None,
        batch_status: Some(BatchStatus::Running.as_str().to_owned()),
        rows_read: None,
        rows_written: None,
        error_message: None,
        updated_at: start.started_at,
    };
    Ok(start.sources.into_iter().map(row).collect())
}

/// Rows of a running batch as they stand after its end.
fn ended(rows: &[ControlRow], end: &BatchEnd) -> Result<Vec<ControlRow>, ControlError> {
    let BatchState::Ended(status) = BatchState::Running.after(end.event)? else {
        return Err(crate::IllegalTransition { state: BatchState::Running, event: end.event }.into());
    };
    let count = |rows: Option<u64>| rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
    let finish = |row: &ControlRow| {
        let progress = end.sources.iter().find(|source| source.source_table == row.source_table);
        ControlRow {
            last_processed_version: match (status, progress) {
                (BatchStatus::Success, Some(progress)) => progress.version,
                _ => row.last_processed_version,
            },
            batch_completed_at: Some(end.completed_at),
            batch_status: Some(status.as_str().to_owned()),
            rows_read: progress.map_or(row.rows_read, |progress| count(progress.rows_read)),
            rows_written: count(end.rows_written),
            error_message: end.error_message.as_ref().map(|text| text.chars().take(MESSAGE_CHARS).collect()),
            updated_at: end.completed_at,
            ..row.clone()
        }
    };
    Ok(rows.iter().map(finish).collect())
}
