//! The running pipelines below the lines of a run, as long as it goes on; on terminals only.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kimball::{ControlRow, Phase, PipelineExecutor, RunProgress, RunningPipeline};

/// How often the block is drawn.
const TICK: Duration = Duration::from_millis(100);
/// Batches of a pipeline whose median says how long it usually takes.
const PAST: usize = 20;
/// Columns of the overall bar.
const BAR_WIDTH: usize = 24;

/// The block below the lines.
pub struct Live {
    screen: MultiProgress,
    /// What is known of the run: events tell it.
    run: Arc<Mutex<Run>>,
    /// The thread that draws, and what ends it when it is dropped.
    drawing: Option<(JoinHandle<()>, Sender<()>)>,
}

struct Run {
    started: Instant,
    pipelines: usize,
    ended: usize,
    workers: usize,
    /// How long pipelines that have not ended usually take, by table.
    usual: BTreeMap<String, Duration>,
}

/// Whether a block may be drawn: both streams are the user's terminal, and nobody collects the output.
#[allow(clippy::disallowed_methods, reason = "the environment of the command comes in here")]
pub fn is_wanted() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && io::stderr().is_terminal() && !is_set("CI") && !is_dumb
}

impl Live {
    /// Begins to draw the pipelines that `executor` loads.
    pub fn start(executor: &PipelineExecutor) -> io::Result<Self> {
        let pipelines = executor.project().pipelines.len();
        // Without a past there is no estimate; a table that cannot be read is the run's to report.
        let past = kimball::control_rows(&executor.project().target).unwrap_or_default();
        let run = Run {
            started: now(),
            pipelines,
            ended: 0,
            workers: executor.settings().max_workers().get(),
            usual: usual(&past, executor),
        };
        let run = Arc::new(Mutex::new(run));
        let screen = MultiProgress::new();
        let (drawn, known, progress) = (screen.clone(), Arc::clone(&run), executor.progress());
        let (ends, ended) = channel();
        let drawing = thread::Builder::new()
            .name("kimball-live".to_owned())
            .spawn(move || draw(&drawn, &known, &progress, &ended))?;
        Ok(Self { screen, run, drawing: Some((drawing, ends)) })
    }

    /// A pipeline has ended, one way or another.
    pub fn ended(&self, table: &str) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.ended += 1;
        run.usual.remove(table);
    }

    /// Writes lines above the block.
    pub fn above(&self, write: impl FnOnce()) {
        self.screen.suspend(write);
    }

    /// Takes the block away.
    pub fn stop(&mut self) {
        if let Some((drawing, ends)) = self.drawing.take() {
            drop(ends);
            // Should drawing have failed, the lines above it are complete all the same.
            let _ = drawing.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

fn now() -> Instant {
    Instant::now()
}

fn draw(screen: &MultiProgress, run: &Mutex<Run>, progress: &RunProgress, ended: &Receiver<()>) {
    let line = || {
        let style =
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new_spinner().with_style(style)
    };
    let overall = screen.add(line());
    let mut bars: Vec<ProgressBar> = Vec::new();
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let running = progress.running();
        while bars.len() < running.len() {
            bars.push(screen.insert_before(&overall, line()));
        }
        while bars.len() > running.len() {
            if let Some(bar) = bars.pop() {
                bar.finish_and_clear();
                screen.remove(&bar);
            }
        }
        for (bar, pipeline) in bars.iter().zip(&running) {
            bar.set_message(line_of(pipeline));
            bar.tick();
        }
        {
            let run = run.lock().unwrap_or_else(PoisonError::into_inner);
            overall.set_message(run.line(&running));
        }
        overall.tick();
    }
    // An error of a terminal that went away is nobody's concern any more.
    let _ = screen.clear();
}

/// One running pipeline, in 80 columns: table, phase, rows, rows a second, seconds.
fn line_of(pipeline: &RunningPipeline) -> String {
    let RunningPipeline { table_name, phase, rows_read, rows_written, elapsed } = pipeline;
    let (word, rows) = match phase {
        Phase::Preparing => ("looking", 0),
        Phase::Reading => ("reading", *rows_read),
        Phase::Merging if *rows_written == 0 => ("matching", *rows_read),
        Phase::Merging => ("writing", *rows_written),
        Phase::Committing => ("committing", *rows_written),
    };
    let seconds = elapsed.as_secs_f64();
    let table = shortened(&table_name.to_string(), 28);
    match rows {
        0 => format!("  {table:<28} {word:<10} {:>29} {seconds:>6.1}s", ""),
        rows => {
            let rate = format!("{}/s", short_count(rows as f64 / seconds.max(0.1)));
            let rows = format!("{} rows", short_count(rows as f64));
            format!("  {table:<28} {word:<10} {rows:>16} {rate:>12} {seconds:>6.1}s")
        }
    }
}

impl Run {
    /// The whole run: a bar, how many pipelines have ended, the time, and how long it may still take.
    fn line(&self, running: &[RunningPipeline]) -> String {
        let filled = (BAR_WIDTH * self.ended).checked_div(self.pipelines).unwrap_or(BAR_WIDTH);
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR_WIDTH - filled));
        let elapsed = clock(now().saturating_duration_since(self.started));
        let left = match self.left(running) {
            Some(left) => format!(", about {} left", clock(left)),
            None => String::new(),
        };
        format!("  [{bar}] {}/{} pipelines, {elapsed}{left}", self.ended, self.pipelines)
    }

    /// What the pipelines that have not ended usually take, shared by the workers; at least what the longest of them
    /// does. `None` when one of them has no past.
    fn left(&self, running: &[RunningPipeline]) -> Option<Duration> {
        if self.usual.len() + self.ended < self.pipelines || self.usual.is_empty() {
            return None;
        }
        let spent = |table: &str| {
            let found = running.iter().find(|it| it.table_name.to_string() == table);
            found.map(|it| it.elapsed).unwrap_or_default()
        };
        let rest = self.usual.iter().map(|(table, usual)| usual.saturating_sub(spent(table)));
        let (sum, longest) = rest
            .fold((Duration::ZERO, Duration::ZERO), |(sum, longest), rest| (sum + rest, longest.max(rest)));
        let workers = u32::try_from(self.workers.max(1)).unwrap_or(1);
        Some((sum / workers).max(longest))
    }
}

/// How long each pipeline usually takes: the median of its last successful batches.
fn usual(rows: &[ControlRow], executor: &PipelineExecutor) -> BTreeMap<String, Duration> {
    let mut past: BTreeMap<&str, Vec<(i64, Duration)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.batch_status.as_deref() == Some("SUCCESS")) {
        let (Some(started), Some(ended)) = (row.batch_started_at, row.batch_completed_at) else { continue };
        let took = (ended - started).to_std().unwrap_or_default();
        past.entry(&row.target_table).or_default().push((started.timestamp_micros(), took));
    }
    let tables = executor.project().pipelines.iter().map(|pipeline| pipeline.table.to_string());
    tables
        .filter_map(|table| {
            let mut took = past.remove(table.as_str())?;
            took.sort_by_key(|(started, _)| std::cmp::Reverse(*started));
            took.truncate(PAST);
            took.sort_by_key(|(_, took)| *took);
            let median = took.get(took.len() / 2)?.1;
            Some((table, median))
        })
        .collect()
}

/// `0:07`, `12:05`, `1:00:00`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `950`, `12.3k`, `4.5M`.
fn short_count(count: f64) -> String {
    match count {
        count if count < 10_000.0 => format!("{count:.0}"),
        count if count < 1e6 => format!("{:.1}k", count / 1e3),
        count if count < 1e9 => format!("{:.1}M", count / 1e6),
        count => format!("{:.1}G", count / 1e9),
    }
}

/// The end of a long name, which tells more than its beginning.
fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    match length > most {
        true => format!("…{}", name.chars().skip(length + 1 - most).collect::<String>()),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use kimball::{Phase, RunningPipeline, TableName};

    use super::{Run, clock, line_of, now, short_count, shortened};

    fn running(table: &str, phase: Phase, seconds: u64) -> RunningPipeline {
        RunningPipeline {
            table_name: TableName::parse(table).unwrap(),
            phase,
            rows_read: 1_250_000,
            rows_written: 0,
            elapsed: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_running_pipeline_fits_into_eighty_columns() {
        let line = line_of(&running("gold.fact_sales", Phase::Reading, 4));
        assert_eq!(line, "  gold.fact_sales              reading           1.2M rows     312.5k/s    4.0s");
        let matching = line_of(&running("gold.fact_sales", Phase::Merging, 4));
        assert!(matching.contains("matching"), "{matching}");
        let long = line_of(&running("gold.a_table_with_a_name_that_is_far_too_long", Phase::Merging, 90_000));
        assert!(long.contains("…a_name_that_is_far_too_long") && long.chars().count() <= 80, "{long}");
    }

    #[test]
    fn the_rest_of_a_run_is_estimated_from_what_its_pipelines_usually_take() {
        let usual = [("gold.a", 10), ("gold.b", 20), ("gold.c", 6)];
        let usual = usual.map(|(table, seconds)| (table.to_owned(), Duration::from_secs(seconds)));
        let run = Run { started: now(), pipelines: 4, ended: 1, workers: 2, usual: usual.into() };
        let b = running("gold.b", Phase::Reading, 4);
        // 10, 16 and 6 seconds on two workers, of which none may be cut in two.
        assert_eq!(run.left(&[b]), Some(Duration::from_secs(16)));
        assert!(
            run.line(&[]).starts_with("  [######------------------] 1/4 pipelines, 0:00, about 0:20 left")
        );
        let without_past = Run { pipelines: 5, ..run };
        assert_eq!(without_past.left(&[]), None);
    }

    #[test]
    fn times_counts_and_names_are_short() {
        assert_eq!(
            [0, 65, 3_600].map(|seconds| clock(Duration::from_secs(seconds))),
            ["0:00", "1:05", "1:00:00"]
        );
        assert_eq!([950.0, 12_345.0, 4.5e6, 2e9].map(short_count), ["950", "12.3k", "4.5M", "2.0G"]);
        assert_eq!(shortened("gold.dim_customer", 8), "…ustomer");
    }
}
