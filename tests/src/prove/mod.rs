//! Histories proven: the merge of the engine against the algebra of `kimball_engine::history`, and both against
//! the truth, which is a function of the set of changes.
//!
//! Thousands of cases are the members of one source table, so that they cost a few merges. Several dimensions
//! read that source, each in batches of its own; after every batch all rows of a dimension are compared with
//! the algebra's. A case that fails is cut down and written as a scenario file.

pub mod broker;
mod cases;
mod dimension;
mod scenario_text;
mod shrink;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use tokio::runtime::Runtime;

use self::cases::{Case, draw};
use self::dimension::{Dimension, dimensions, source_batch, source_layout};
use crate::columns::parse_schema;
use crate::error::{Result, TestkitError};
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};

/// Cases that one table holds at most.
const PACKED: usize = 10_000;
/// Commits of a source; every case has at most one change in each.
const COMMITS: u64 = 8;
const SOURCE: &str = "silver.changes";
const LETTERS: &str = "silver.letters";

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

/// A case for which the merge is not what the algebra says.
#[derive(Debug)]
pub struct Refuted {
    /// The difference, in words.
    pub difference: String,
    /// The scenario that shows it; `None` when the case by itself does not.
    pub scenario: Option<PathBuf>,
}

/// Draws cases and compares; `told` hears of every round.
///
/// # Errors
/// [`TestkitError`] when the proof could not be carried out.
pub fn prove(proof: &Proof, told: impl Fn(&str)) -> Result<Option<Refuted>> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let mut left = proof.cases;
    let mut round = 0;
    while left > 0 {
        let packed = left.min(PACKED);
        let seed = proof.seed.wrapping_add(round);
        let cases = draw(packed, COMMITS, seed);
        if let Some(found) = check_round(&runtime, &cases, seed)? {
            return shrink::report(&found, &proof.failures).map(Some);
        }
        left -= packed;
        round += 1;
        told(&format!("{} of {} cases hold (seed {})", proof.cases - left, proof.cases, proof.seed));
    }
    Ok(None)
}

/// A difference, and where it showed.
struct Found {
    case: Case,
    dimension: Dimension,
    difference: String,
}

/// One source with all cases, several dimensions over it, every batch compared.
fn check_round(runtime: &Runtime, cases: &[Case], seed: u64) -> Result<Option<Found>> {
    let folder = tempfile::tempdir().map_err(TestkitError::io("temporary folder"))?;
    let root = folder.path();
    let warehouse = root.join("warehouse");
    let mut dimensions = dimensions(seed, COMMITS, cases.len());
    write_project(root, &warehouse, &dimensions)?;
    let source = SourceTable::at(&warehouse, SOURCE)?;
    runtime.block_on(source.create(&source_layout()?, Some(cases::commit_time(0))))?;
    runtime.block_on(write_letters(&warehouse))?;
    // The commit behind the last repeats what was said last: a replay.
    for version in 1..=COMMITS + 1 {
        let (upserts, deletes) = source_batch(cases, version, COMMITS)?;
        let time = Some(cases::commit_time(version));
        runtime.block_on(source.merge(&["id".to_owned()], upserts, deletes, time))?;
        let due: Vec<usize> =
            (0..dimensions.len()).filter(|place| dimensions[*place].runs_after(version)).collect();
        let configs = due.iter().map(|place| dimensions[*place].config_file(root)).collect();
        run(configs, root, cases::commit_time(version))?;
        for place in due {
            let dimension = &mut dimensions[place];
            if let Some((member, difference)) =
                runtime.block_on(dimension.compare(&warehouse, cases, version, COMMITS))?
            {
                return Ok(Some(Found {
                    case: cases[member].clone(),
                    dimension: dimension.clone_for_report(),
                    difference,
                }));
            }
        }
    }
    Ok(None)
}

/// The table that the joining dimension reads besides the changes.
async fn write_letters(warehouse: &Path) -> Result<()> {
    let schema = parse_schema("letter string")?;
    let layout =
        TableLayout { schema: schema.clone(), partition_by: Vec::new(), change_feed: ChangeFeed::Enabled };
    let letters = SourceTable::at(warehouse, LETTERS)?;
    letters.create(&layout, Some(cases::commit_time(0))).await?;
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    letters.insert([RecordBatch::try_new(schema, vec![column])?], Some(cases::commit_time(0))).await?;
    Ok(())
}

fn write_project(root: &Path, warehouse: &Path, dimensions: &[Dimension]) -> Result<()> {
    std::fs::create_dir_all(root.join("configs")).map_err(TestkitError::io(root))?;
    let targets = format!(
        "version: 1\ntargets:\n  dev:\n    warehouse: {}\n    silver_schema: silver\n    gold_schema: gold\n    etl_schema: etl\n",
        warehouse.display()
    );
    std::fs::write(root.join("kimball.targets.yml"), targets).map_err(TestkitError::io(root))?;
    for dimension in dimensions {
        let file = dimension.config_file(root);
        std::fs::write(&file, dimension.config()).map_err(TestkitError::io(&file))?;
    }
    Ok(())
}

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
    };
    let failed = match run_project(&request)? {
        RunOutcome::Refused(message) => Some(message),
        RunOutcome::Finished(results) => results.into_iter().find_map(|result| {
            (result.status != "SUCCESS").then(|| format!("{}: {:?}", result.table_name, result.message))
        }),
    };
    failed.map_or(Ok(()), |message| Err(TestkitError::Step(message)))
}
