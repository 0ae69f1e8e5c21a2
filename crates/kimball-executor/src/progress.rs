//! How far a run is, for whoever draws it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kimball_config::TableName;
use kimball_engine::{Phase, Progress};

use crate::clock::Stopwatch;

/// How far the pipelines of a run are that are loading now; clones look at the same run.
///
/// What it tells is for people who wait: counts may be a little behind. What became of a pipeline stands in its events.
#[derive(Debug, Clone, Default)]
pub struct RunProgress(Arc<Mutex<BTreeMap<TableName, Watched>>>);

#[derive(Debug)]
struct Watched {
    progress: Arc<Progress>,
    stopwatch: Stopwatch,
}

/// A pipeline that is loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningPipeline {
    /// Its table.
    pub table_name: TableName,
    /// What it is doing.
    pub phase: Phase,
    /// Rows read of all its sources so far.
    pub rows_read: u64,
    /// Rows written into files so far.
    pub rows_written: u64,
    /// Since its attempt began.
    pub elapsed: Duration,
}

impl RunProgress {
    /// The pipelines that are loading, the longest first.
    pub fn running(&self) -> Vec<RunningPipeline> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running: Vec<RunningPipeline> = watched
            .iter()
            .map(|(table, it)| RunningPipeline {
                table_name: table.clone(),
                phase: it.progress.phase(),
                rows_read: it.progress.rows_read(),
                rows_written: it.progress.rows_written(),
                elapsed: it.stopwatch.elapsed(),
            })
            .collect();
        running.sort_by_key(|it| Reverse(it.elapsed));
        running
    }

    /// Watches a pipeline for as long as what is returned lives.
    pub(crate) fn watch(&self, table: &TableName) -> Watch {
        let progress = Arc::<Progress>::default();
        let watched = Watched { progress: Arc::clone(&progress), stopwatch: Stopwatch::start() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), watched);
        Watch { run: self.clone(), table: table.clone(), progress }
    }
}

/// One pipeline that is watched.
pub(crate) struct Watch {
    run: RunProgress,
    table: TableName,
    pub(crate) progress: Arc<Progress>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.run.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.table);
    }
}

#[cfg(test)]
mod tests {
    use kimball_engine::Phase;

    use super::RunProgress;
    use crate::fixture::table;

    #[test]
    fn a_pipeline_is_shown_as_long_as_it_is_watched() {
        let run = RunProgress::default();
        let watch = run.watch(&table("gold.dim_a"));
        watch.progress.enter(Phase::Merging);
        let shown: Vec<_> =
            run.running().into_iter().map(|it| (it.table_name.to_string(), it.phase)).collect();
        assert_eq!(shown, [("gold.dim_a".to_owned(), Phase::Merging)]);
        drop(watch);
        assert_eq!(run.running(), []);
    }
}
