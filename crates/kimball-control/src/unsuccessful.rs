//! Batches that have not succeeded, as `etl_control` shows them at one moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::{BatchStatus, ControlRow};

/// What there is to make good: batches that have begun and not ended, and those that failed.
#[derive(Debug, Default)]
pub struct Unsuccessful {
    running: BTreeSet<String>,
    /// The newest of each target and source.
    failed: BTreeMap<(String, String), ControlRow>,
}

impl Unsuccessful {
    /// Sorts rows that say anything but SUCCESS.
    pub(crate) fn of(rows: Vec<ControlRow>) -> Self {
        let mut found = Self::default();
        for row in rows {
            if row.is_running() {
                found.running.insert(row.target_table);
            } else if row.batch_status.as_deref() == Some(BatchStatus::Failed.as_str()) {
                let place = (row.target_table.clone(), row.source_table.clone());
                let is_newer = found.failed.get(&place).is_none_or(|known| row.order() > known.order());
                if is_newer {
                    found.failed.insert(place, row);
                }
            }
        }
        found
    }

    /// Whether a batch of a target has begun and not ended.
    pub fn is_running(&self, target_table: &str) -> bool {
        self.running.contains(target_table)
    }

    /// The newest batch of a target and source that failed, whatever came after it.
    pub fn failure(&self, target_table: &str, source_table: &str) -> Option<&ControlRow> {
        self.failed.get(&(target_table.to_owned(), source_table.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Unsuccessful;
    use crate::ControlRow;

    fn batch(source: &str, status: &str, minute: i64) -> ControlRow {
        let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minute);
        ControlRow {
            target_table: "gold.t".to_owned(),
            source_table: source.to_owned(),
            last_processed_version: Some(minute),
            batch_id: Some(format!("batch {minute}")),
            batch_started_at: Some(at),
            batch_completed_at: None,
            batch_status: Some(status.to_owned()),
            rows_read: None,
            rows_written: None,
            error_message: None,
            updated_at: at,
        }
    }

    #[test]
    fn the_newest_failure_of_each_source_counts_in_whatever_order_rows_are_read() {
        let rows = [("a", "FAILED", 2), ("a", "FAILED", 3), ("a", "FAILED", 1), ("b", "RUNNING", 9)];
        let found =
            Unsuccessful::of(rows.map(|(source, status, minute)| batch(source, status, minute)).into());
        let failed = |source| found.failure("gold.t", source).and_then(|row| row.last_processed_version);
        assert_eq!((failed("a"), failed("b")), (Some(3), None));
        assert!(found.is_running("gold.t") && !found.is_running("gold.u"));
    }
}
