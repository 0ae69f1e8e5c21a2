//! Proofs over many drawn cases: the engine against a plain statement of what it promises. A case that fails is
//! cut down and written as a scenario file.

pub mod broker;
mod clock;
pub mod configs;
pub mod control;
mod dice;
pub mod files;
pub mod histories;
pub mod races;
pub mod simulation;
pub mod stars;
pub mod stories;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::error::{Result, TestkitError};
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::targets::targets_file;

/// What to prove.
#[derive(Debug, Clone)]
pub struct Proof {
    /// How many cases are drawn.
    pub cases: usize,
    /// What they are drawn from; the same seed draws the same.
    pub seed: u64,
    /// Where the scenario of a failing case is written.
    pub failures: PathBuf,
}

/// A case for which the engine does not keep its promise.
#[derive(Debug)]
pub struct Refuted {
    /// The difference, in words.
    pub difference: String,
    /// The scenario that shows it; `None` when the case by itself does not.
    pub scenario: Option<PathBuf>,
}

/// Writes the targets file and makes the folder of the configurations.
fn write_project(root: &Path, warehouse: &Path) -> Result<()> {
    std::fs::create_dir_all(root.join("configs")).map_err(TestkitError::io(root))?;
    let targets = targets_file(&warehouse.display().to_string());
    std::fs::write(root.join("kimball.targets.yml"), targets).map_err(TestkitError::io(root))
}

/// Runs the pipelines of some files; every one has to succeed.
fn run(configs: Vec<PathBuf>, root: &Path, run_time: DateTime<Utc>) -> Result<()> {
    if configs.is_empty() {
        return Ok(());
    }
    let request = RunRequest {
        configs,
        targets: root.join("kimball.targets.yml"),
        run_time,
        on_failure: OnFailure::KeepGoing,
        workers: 2,
        refresh: kimball::Refresh::Incremental,
        retries: 0,
    };
    let failed = match run_project(&request)? {
        RunOutcome::Refused(message) => Some(message),
        RunOutcome::Finished(results) => results.into_iter().find_map(|result| {
            (result.status != "SUCCESS").then(|| format!("{}: {:?}", result.table_name, result.message))
        }),
    };
    failed.map_or(Ok(()), |message| Err(TestkitError::Step(message)))
}
