//! The demo: a retail source made by the TPC-H generator, loaded by the command `kimball` as a user would load
//! it, changed as a day of business changes it, and loaded again.
//!
//! Nothing here goes through the project's own crates: the source is written with `deltalake`, the engine is a
//! child process, and what it made is read back with `deltalake` and DataFusion.
#![allow(clippy::print_stdout, reason = "it talks to the person who started it")]

mod calendar;
mod command;
mod first_day;
mod folder;
mod lake;
mod options;
mod proof;
mod recent_day;
mod retail;
mod second_day;
mod story;

pub use self::options::{DemoOptions, USAGE, parse_scale};

use std::path::Path;

use self::command::{Kimball, Usage};
use self::folder::DemoFolder;
use self::proof::RunResults;
use crate::error::{Result, TestkitError};

/// One run of the engine, for the table at the end.
struct Measured {
    what: &'static str,
    usage: Usage,
    results: RunResults,
}

/// Shows the whole demo.
///
/// # Errors
/// When the folder belongs to somebody else, the source cannot be made, a run fails, the run without changes
/// reads or writes anything, or the loaded tables do not agree with their sources.
pub fn demo(options: &DemoOptions) -> Result<()> {
    let folder = DemoFolder::prepare(&options.folder)?;
    let runtime = runtime()?;
    let kimball = Kimball::new(&options.kimball, &folder);

    heading(format!("Day 1: a retail source, TPC-H at scale {}", options.scale));
    runtime.block_on(first_day::write(&folder, options.scale))?;
    let first = load(&kimball, &folder, "day 1, everything is new")?;

    heading("Day 2: a day of business changes the source");
    runtime.block_on(second_day::apply(&folder))?;
    let second = load(&kimball, &folder, "day 2, the changes")?;

    heading("Once more, with nothing new");
    let before = proof::versions(&folder)?;
    let third = load(&kimball, &folder, "again, nothing is new")?;
    third.results.require_nothing_done()?;
    proof::require_same_versions(&before, &proof::versions(&folder)?)?;
    println!("No row was read, no row was written, and no table has a new version.");

    heading("What is there now");
    runtime.block_on(story::history_of_a_customer(&folder))?;
    runtime.block_on(story::agreement_with_the_source(&folder))?;
    kimball.run(&["status"])?;

    heading("Time and memory");
    println!("{}", measurements(&[first, second, third]));
    println!("{}", story::what_to_try_next(&options.kimball, &folder));
    Ok(())
}

/// Makes the demo's folder with the source of day 1, for measurements.
///
/// # Errors
/// When the folder belongs to somebody else or the source cannot be made.
pub fn first_day_of_source(folder: &Path, scale: f64) -> Result<()> {
    let folder = DemoFolder::prepare(folder)?;
    runtime()?.block_on(first_day::write(&folder, scale))
}

/// Applies the changes of day 2 to the source in a folder of the demo.
///
/// # Errors
/// When there is no such folder or a change is refused.
pub fn second_day_of_source(folder: &Path) -> Result<()> {
    runtime()?.block_on(second_day::apply(&DemoFolder::at(folder)?))
}

/// Applies changes of the newest orders to the source in a folder of the demo.
///
/// # Errors
/// As [`second_day_of_source`].
pub fn recent_day_of_source(folder: &Path) -> Result<()> {
    runtime()?.block_on(recent_day::apply(&DemoFolder::at(folder)?))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| TestkitError::Step(format!("no runtime: {error}")))
}

/// Runs all pipelines and demands that each succeeds.
fn load(kimball: &Kimball<'_>, folder: &DemoFolder, what: &'static str) -> Result<Measured> {
    RunResults::forget(folder)?;
    let usage = kimball.run(&["run"])?;
    let results = RunResults::of_last_run(folder)?;
    results.require_success()?;
    Ok(Measured { what, usage, results })
}

fn heading(text: impl std::fmt::Display) {
    let text = text.to_string();
    println!("\n\n{text}\n{}\n", "=".repeat(text.chars().count()));
}

fn measurements(runs: &[Measured]) -> String {
    let mut lines = format!(
        "{:<26}{:>10}{:>14}{:>14}{:>14}\n",
        "", "seconds", "peak memory", "rows read", "rows written"
    );
    for run in runs {
        let seconds = run.usage.elapsed.as_secs_f64();
        let memory =
            run.usage.peak_bytes.map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let (read, written) = (grouped(run.results.rows_read), grouped(run.results.rows_written));
        lines += &format!("{:<26}{seconds:>10.1}{memory:>14}{read:>14}{written:>14}\n", run.what);
    }
    lines
}

/// A number with a comma at every thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;
    use super::options::checkout;

    #[test]
    fn the_configs_of_the_demo_have_no_problem_and_no_warning() {
        let configs = checkout().join("configs");
        let executor =
            kimball::PipelineExecutor::builder().config_paths([configs.display().to_string()]).build();
        let executor = executor.unwrap();
        let warnings: Vec<String> = executor.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings, Vec::<String>::new());
        let tables: Vec<String> =
            executor.project().pipelines.iter().map(|it| it.table.to_string()).collect();
        assert_eq!(tables, super::proof::TARGETS);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 60_175, 1_234_567].map(grouped),
            ["0", "999", "1,000", "60,175", "1,234,567"]
        );
    }
}
