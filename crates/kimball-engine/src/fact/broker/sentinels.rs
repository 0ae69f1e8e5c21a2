//! Counting the sentinels that foreign keys get, in the pass that finds them.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::columns::OP;

/// How many rows have a sentinel for a key.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sentinels {
    /// −4: the identity is blank or has no event time.
    pub(crate) bad: u64,
    /// −3: there is no such member.
    pub(crate) not_yet: u64,
    /// −1, −2 or one of these.
    pub(crate) any: u64,
}

/// Counts the sentinels of several keys; streams that run side by side share it.
#[derive(Debug)]
pub(crate) struct SentinelCounts {
    keys: Vec<(String, Counters)>,
}

#[derive(Debug, Default)]
struct Counters {
    bad: AtomicU64,
    not_yet: AtomicU64,
    any: AtomicU64,
}

impl SentinelCounts {
    pub(crate) fn of(keys: impl IntoIterator<Item = String>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key, Counters::default())).collect() }
    }

    /// Counts the rows of a batch that write; one without [`OP`] writes them all.
    pub(crate) fn note(&self, rows: &RecordBatch) {
        let writes = rows.column_by_name(OP).and_then(|column| column.as_primitive_opt::<Int64Type>());
        for (key, counters) in &self.keys {
            if let Some(values) = keys_of(rows, key) {
                counters.note(values, writes);
            }
        }
    }

    /// Which rows of a batch have a sentinel for any of the keys; `None` when no row has.
    pub(crate) fn having_any(&self, rows: &RecordBatch) -> Option<BooleanArray> {
        let mut having = vec![false; rows.num_rows()];
        for values in self.keys.iter().filter_map(|(key, _)| keys_of(rows, key)) {
            for (has, value) in having.iter_mut().zip(values.iter()) {
                *has |= value.is_some_and(is_sentinel);
            }
        }
        having.contains(&true).then(|| having.into())
    }

    /// What was counted, key by key.
    pub(crate) fn total(&self) -> Vec<Sentinels> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let totals = self.keys.iter().map(|(_, of)| Sentinels {
            bad: count(&of.bad),
            not_yet: count(&of.not_yet),
            any: count(&of.any),
        });
        totals.collect()
    }
}

impl Counters {
    fn note(&self, values: &Int64Array, writes: Option<&Int64Array>) {
        let (mut bad, mut not_yet, mut any) = (0, 0, 0);
        for (row, value) in values.iter().enumerate() {
            let is_written = writes.is_none_or(|writes| writes.value(row) == 1);
            if let (Some(key), true) = (value.filter(|key| is_sentinel(*key)), is_written) {
                any += 1;
                bad += u64::from(key == -4);
                not_yet += u64::from(key == -3);
            }
        }
        self.bad.fetch_add(bad, Ordering::Relaxed);
        self.not_yet.fetch_add(not_yet, Ordering::Relaxed);
        self.any.fetch_add(any, Ordering::Relaxed);
    }
}

fn keys_of<'r>(rows: &'r RecordBatch, key: &str) -> Option<&'r Int64Array> {
    rows.column_by_name(key)?.as_primitive_opt::<Int64Type>()
}

fn is_sentinel(key: i64) -> bool {
    (-4..=-1).contains(&key)
}
