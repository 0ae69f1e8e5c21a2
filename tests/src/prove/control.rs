//! The control table under load: what a batch costs while the table grows, by many tasks of one process and by many
//! processes at once; every batch stands in it once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kimball_control::{BatchEnd, BatchStart, ControlStore, SourceProgress, Transition};
use kimball_lake::{TableId, Warehouse};
use tokio::runtime::Runtime;

use super::clock::now;
use crate::error::{Result, TestkitError};
use crate::file_tree::files_below;

/// Batches after which the cost is measured.
const MARKS: [u64; 3] = [100, 1_000, 10_000];
/// Tasks of one process that have batches at the same time.
const TASKS: u64 = 8;
/// Processes that have.
const PROCESSES: u64 = 4;
/// Batches of each of these.
const OF_A_PROCESS: u64 = 50;
/// Batches that are measured at a mark, and how often a table is opened.
const MEASURED: u64 = 96;
const OPENED: usize = 7;

/// What the load showed.
#[derive(Debug)]
pub struct Load {
    /// Rows of the control table at the end, one a batch.
    pub rows: u64,
    /// Lines to show.
    pub told: Vec<String>,
}

/// Writes `batches` batches, and as many again as four processes do at once.
///
/// # Errors
/// [`TestkitError::Step`] when a write fails, or a batch does not stand in the table exactly once.
pub fn prove(batches: u64, program: &Path, tell: impl Fn(&str)) -> Result<Load> {
    let folder = tempfile::tempdir().map_err(TestkitError::io("temp dir"))?;
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let mut told = Vec::new();
    let mut say = |line: String| {
        tell(&line);
        told.push(line);
    };
    let mut written = 0;
    for mark in MARKS.into_iter().filter(|mark| *mark < batches).chain([batches]) {
        let missing = mark.saturating_sub(written + MEASURED);
        runtime.block_on(by_tasks(folder.path(), written, missing))?;
        let started = now();
        runtime.block_on(by_tasks(folder.path(), written + missing, MEASURED))?;
        let each = started.elapsed().as_secs_f64() * 1_000.0 / MEASURED as f64;
        written += missing + MEASURED;
        let opened = runtime.block_on(opening(folder.path()))?;
        let size = Size::of(&folder.path().join("etl/etl_control"))?;
        say(format!(
            "{written:>6} batches: {each:>6.2} ms a batch by {TASKS} tasks, {:>6.2} ms to open, {size}",
            opened.as_secs_f64() * 1_000.0
        ));
    }
    let started = now();
    by_processes(folder.path(), program)?;
    let by_others = PROCESSES * OF_A_PROCESS;
    let each = started.elapsed().as_secs_f64() * 1_000.0 / by_others as f64;
    say(format!(
        "{:>6} more   : {each:>6.2} ms a batch by {PROCESSES} processes, start-up included",
        by_others
    ));
    let rows = runtime.block_on(every_batch_once(folder.path(), written + by_others))?;
    Ok(Load { rows, told })
}

/// One of the processes: batches of the target `name`, one after the other.
///
/// # Errors
/// [`TestkitError::Step`] when a write fails.
pub fn be_a_process(warehouse: &Path, name: &str) -> Result<()> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    runtime.block_on(async {
        let store = store(warehouse)?;
        for number in 0..OF_A_PROCESS {
            batch(&store, name, number).await?;
        }
        store.close().await;
        Ok(())
    })
}

fn store(warehouse: &Path) -> Result<ControlStore> {
    let lake = Warehouse::new(&warehouse.to_string_lossy(), &BTreeMap::new()).map_err(step)?;
    ControlStore::new(&lake, "etl").map_err(step)
}

fn step(error: impl std::fmt::Display) -> TestkitError {
    TestkitError::Step(error.to_string())
}

/// Writes `count` batches, whose numbers begin at `first`, by several tasks.
async fn by_tasks(warehouse: &Path, first: u64, count: u64) -> Result<()> {
    let store = store(warehouse)?;
    let of_task = async |task: u64| {
        for number in (first..first + count).filter(|number| number % TASKS == task) {
            batch(&store, &format!("gold.of_task_{task}"), number).await?;
        }
        Ok::<_, TestkitError>(())
    };
    futures::future::try_join_all((0..TASKS).map(of_task)).await?;
    store.close().await;
    Ok(())
}

async fn batch(store: &ControlStore, target: &str, number: u64) -> Result<()> {
    let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(i64::try_from(number).unwrap_or(i64::MAX));
    let version = i64::try_from(number).ok();
    let source = |rows_read| SourceProgress { source_table: "silver.s".to_owned(), version, rows_read };
    let start = BatchStart {
        batch_id: format!("{target} {number}"),
        target_table: target.to_owned(),
        sources: vec![source(None)],
        started_at: at,
    };
    let running = store.begin(start).await.map_err(step)?;
    let end = BatchEnd {
        event: Transition::Commit,
        completed_at: at,
        sources: vec![source(Some(number))],
        rows_written: Some(number),
        error_message: None,
    };
    store.finish(running, &end).await.map_err(step)
}

/// The median time that a process needs to open the table.
async fn opening(warehouse: &Path) -> Result<Duration> {
    let lake = Warehouse::new(&warehouse.to_string_lossy(), &BTreeMap::new()).map_err(step)?;
    let table = TableId::new("etl", "etl_control").map_err(step)?;
    let mut times = Vec::with_capacity(OPENED);
    for _ in 0..OPENED {
        let started = now();
        lake.open_shared(&table).await.map_err(step)?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[OPENED / 2])
}

fn by_processes(warehouse: &Path, program: &Path) -> Result<()> {
    let start = |number: u64| {
        let mut command = Command::new(program);
        command.arg("batches").arg(warehouse).arg(format!("gold.of_process_{number}"));
        command.stdin(Stdio::null()).spawn().map_err(TestkitError::io(program))
    };
    let processes = (0..PROCESSES).map(start).collect::<Result<Vec<_>>>()?;
    for mut process in processes {
        let ended = process.wait().map_err(TestkitError::io(program))?;
        if !ended.success() {
            return Err(step(format!("a process ended with {ended}")));
        }
    }
    Ok(())
}

async fn every_batch_once(warehouse: &Path, wanted: u64) -> Result<u64> {
    let rows = store(warehouse)?.rows().await.map_err(step)?;
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        if row.batch_status.as_deref() != Some("SUCCESS") || row.rows_written.is_none() {
            return Err(step(format!("a batch did not end: {row:?}")));
        }
        *times.entry(row.batch_id.as_deref().unwrap_or_default()).or_default() += 1;
    }
    if let Some((batch, times)) = times.iter().find(|(_, times)| **times != 1) {
        return Err(step(format!("`{batch}` stands there {times} times")));
    }
    match rows.len() as u64 {
        found if found == wanted => Ok(found),
        found => Err(step(format!("{found} rows of {wanted}"))),
    }
}

/// What a table's folder holds.
struct Size {
    log_files: u64,
    log_bytes: u64,
    data_files: u64,
    data_bytes: u64,
}

impl Size {
    fn of(table: &Path) -> Result<Self> {
        let mut size = Self { log_files: 0, log_bytes: 0, data_files: 0, data_bytes: 0 };
        for path in files_below([table.to_path_buf()])? {
            let bytes = path.metadata().map_err(TestkitError::io(&path))?.len();
            let is_log = path.parent().is_some_and(|folder| folder.ends_with("_delta_log"));
            let (files, all) = match is_log {
                true => (&mut size.log_files, &mut size.log_bytes),
                false => (&mut size.data_files, &mut size.data_bytes),
            };
            *files += 1;
            *all += bytes;
        }
        Ok(size)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1_000_000.0;
        write!(
            f,
            "log {} files {:.1} MB, data {} files {:.1} MB",
            self.log_files,
            megabytes(self.log_bytes),
            self.data_files,
            megabytes(self.data_bytes)
        )
    }
}
