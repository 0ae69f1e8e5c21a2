//! Merging the small files of a partition of `etl_control`, so that what a batch costs does not grow with the number
//! of batches before it.
//!
//! Files are merged with others of their size, eight at a time: a row is rewritten once for every eightfold growth of
//! its partition, and a partition never has more than a few files of each size.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use chrono::TimeDelta;
use kimball_lake::DataFile;

use crate::row::{of_batches, to_batch};
use crate::{BatchStatus, ControlRow};

/// Files of about one size that are merged into one.
const FANOUT: u64 = 8;

/// From this many rows on a file is large enough.
const LARGE: u64 = 32 * 1024;

/// How the files of `etl_control` are merged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compaction {
    /// How long rows are kept; `None` keeps them for ever.
    pub(crate) history: Option<TimeDelta>,
}

impl Compaction {
    /// Which of the files of one partition are to be merged now; none when that would not pay.
    pub(crate) fn due(&self, files: Vec<DataFile>) -> Vec<DataFile> {
        let mut by_size: BTreeMap<u32, Vec<DataFile>> = BTreeMap::new();
        for file in files.iter().filter(|file| file.records().is_some_and(|rows| rows < LARGE)) {
            let size = file.records().unwrap_or_default().max(1).ilog(FANOUT);
            by_size.entry(size).or_default().push(file.clone());
        }
        let full = by_size.into_values().find(|files| files.len() as u64 >= FANOUT);
        match full {
            // Rows to be dropped may lie anywhere.
            Some(_) if self.history.is_some() => files,
            full => full.unwrap_or_default(),
        }
    }

    /// The rows of merged files, without those that are kept no longer.
    pub(crate) fn merge(&self, files: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        to_batch(&self.kept(of_batches(files)?))
    }

    /// Age is counted from the newest row, not from a clock. What a table has to know stays, however old: the newest
    /// success, which holds the watermark, and batches that have not ended.
    fn kept(&self, mut rows: Vec<ControlRow>) -> Vec<ControlRow> {
        let newest = rows.iter().map(|row| row.updated_at).max();
        let Some(before) = self.history.and_then(|kept| newest?.checked_sub_signed(kept)) else {
            return rows;
        };
        let is_success =
            |row: &&ControlRow| row.batch_status.as_deref() == Some(BatchStatus::Success.as_str());
        let last_success = rows.iter().filter(is_success).map(|row| row.updated_at).max();
        rows.retain(|row| {
            let is_last_success = is_success(&row) && Some(row.updated_at) == last_success;
            row.updated_at >= before || row.is_running() || is_last_success
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Compaction;
    use crate::ControlRow;

    fn row(day: i64, status: &str) -> ControlRow {
        let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day);
        ControlRow {
            target_table: "gold.t".to_owned(),
            source_table: "silver.s".to_owned(),
            last_processed_version: Some(day),
            batch_id: Some(format!("batch {day}")),
            batch_started_at: Some(at),
            batch_completed_at: Some(at),
            batch_status: Some(status.to_owned()),
            rows_read: None,
            rows_written: None,
            error_message: None,
            updated_at: at,
        }
    }

    fn days_kept(history: Option<TimeDelta>, rows: Vec<ControlRow>) -> Vec<i64> {
        let kept = Compaction { history }.kept(rows);
        kept.iter().filter_map(|row| row.last_processed_version).collect()
    }

    #[test]
    fn rows_are_kept_for_ever_where_nobody_says_otherwise() {
        let rows = vec![row(1, "SUCCESS"), row(5_000, "SUCCESS")];
        assert_eq!(days_kept(None, rows), [1, 5_000]);
    }

    #[test]
    fn rows_older_than_the_history_go() {
        let rows = vec![row(1, "SUCCESS"), row(2, "FAILED"), row(92, "SUCCESS"), row(100, "SUCCESS")];
        assert_eq!(days_kept(Some(TimeDelta::days(10)), rows), [92, 100]);
    }

    #[test]
    fn the_newest_success_and_open_batches_stay_however_old() {
        let rows = vec![row(1, "SUCCESS"), row(2, "SUCCESS"), row(3, "RUNNING"), row(100, "FAILED")];
        assert_eq!(days_kept(Some(TimeDelta::days(10)), rows), [2, 3, 100]);
    }
}
