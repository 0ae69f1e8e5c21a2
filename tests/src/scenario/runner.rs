//! Runs scenarios, each in a folder of its own, and reports every one that does not hold.

use std::fmt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;

use kimball::Refresh;

use crate::error::{Result, TestkitError};
use crate::file_tree::files_below;
use crate::foreign_reader;
use crate::project_run::{OnFailure, RunRequest, run_project};
use crate::scenario::check::{Problem, Versions, check_outcome, check_tables};
use crate::scenario::format::{RunArgs, Scenario, Step};
use crate::scenario::matching::Symbols;
use crate::scenario::prepare::Workspace;

/// Workers a wave where a scenario does not say.
const WORKERS: usize = 2;

/// What becomes of the folder of a scenario that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailedFolder {
    /// It is deleted, as always.
    #[default]
    Delete,
    /// It stays, and the failure says where.
    Keep,
}

/// A scenario that does not hold, or could not be carried out.
#[derive(Debug)]
pub struct Failure {
    path: PathBuf,
    name: String,
    rule: Vec<String>,
    /// 1-based, with what the step is about; `None` when the file could not be read.
    step: Option<(usize, String)>,
    problems: Vec<Problem>,
    kept: Option<PathBuf>,
}

impl Failure {
    /// A failure of `path` that nothing is known of yet.
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            name: String::new(),
            rule: Vec::new(),
            step: None,
            problems: Vec::new(),
            kept: None,
        }
    }

    fn panicked(path: &Path) -> Self {
        Self {
            problems: vec!["the scenario panicked; its message stands above".to_owned()],
            ..Self::of(path)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "✗ {}", self.path.display())?;
        if !self.name.is_empty() {
            writeln!(f, "  {} [{}]", self.name, self.rule.join(", "))?;
        }
        if let Some((number, why)) = &self.step {
            writeln!(f, "  step {number}{}{why}", if why.is_empty() { "" } else { ": " })?;
        }
        for problem in &self.problems {
            for (index, line) in problem.lines().enumerate() {
                writeln!(f, "  {} {line}", if index == 0 { "•" } else { "   " })?;
            }
        }
        match &self.kept {
            Some(folder) => writeln!(f, "  kept in {}", folder.display()),
            None => Ok(()),
        }
    }
}

/// All scenario files below `paths` (files or folders), sorted.
///
/// # Errors
/// [`TestkitError::Io`] when a path cannot be read, [`TestkitError::Step`] when there is no scenario.
pub fn find_scenarios(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = files_below(paths.to_vec())?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    if found.is_empty() { Err(TestkitError::Step("no scenario file".to_owned())) } else { Ok(found) }
}

/// Runs the scenarios of `paths` over `threads` threads and returns those that failed, in the order of
/// their paths; `done` hears of every scenario as it ends.
pub fn run_all(
    paths: &[PathBuf],
    threads: usize,
    folder: FailedFolder,
    done: impl Fn(&Path, Option<&Failure>) + Sync,
) -> Vec<Failure> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // One scenario that panics must not hide what became of the others.
                    let outcome = catch_unwind(|| run_file(path, folder));
                    let failure = outcome.unwrap_or_else(|_| Err(Box::new(Failure::panicked(path)))).err();
                    done(path, failure.as_deref());
                    if let (Some(failure), Ok(mut failures)) = (failure, failures.lock()) {
                        failures.push(*failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_default();
    failures.sort_by(|a: &Failure, b| a.path.cmp(&b.path));
    failures
}

/// Runs one scenario file.
///
/// # Errors
/// The failure, when it does not hold or cannot be carried out.
pub fn run_file(path: &Path, folder: FailedFolder) -> std::result::Result<(), Box<Failure>> {
    let mut failure = Failure::of(path);
    let scenario = match Scenario::load(path) {
        Ok(scenario) => scenario,
        Err(error) => {
            failure.problems.push(error.to_string());
            return Err(Box::new(failure));
        }
    };
    failure.name.clone_from(&scenario.name);
    failure.rule.clone_from(&scenario.rule);
    if let Err(error) = run_steps(&scenario, folder, &mut failure) {
        failure.problems.push(error.to_string());
    }
    if failure.problems.is_empty() { Ok(()) } else { Err(Box::new(failure)) }
}

/// Runs step after step until one has problems, which are left in `failure`.
fn run_steps(scenario: &Scenario, folder: FailedFolder, failure: &mut Failure) -> Result<()> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let mut workspace = runtime.block_on(Workspace::create(scenario))?;
    let mut symbols = Symbols::new();
    for (index, step) in scenario.steps.iter().enumerate() {
        failure.step = Some((index + 1, step.why.clone().unwrap_or_default()));
        match run_step(step, &mut workspace, &runtime, &mut symbols) {
            Ok(problems) => failure.problems.extend(problems),
            Err(error) => failure.problems.push(error.to_string()),
        }
        if !failure.problems.is_empty() {
            if folder == FailedFolder::Keep {
                failure.kept = Some(workspace.keep());
            }
            return Ok(());
        }
    }
    Ok(())
}

fn run_step(
    step: &Step,
    workspace: &mut Workspace,
    runtime: &Runtime,
    symbols: &mut Symbols,
) -> Result<Vec<Problem>> {
    runtime.block_on(workspace.prepare(step))?;
    let warehouse = workspace.warehouse();
    let mut before = Versions::new();
    for table in step.feed.keys().chain(step.log.keys()) {
        before.insert(table.clone(), foreign_reader::latest_version(&warehouse, table)?);
    }
    let mut problems = Vec::new();
    if let Some(args) = &step.run {
        let outcome = run_project(&run_request(args, workspace)?)?;
        problems.extend(check_outcome(step, &outcome));
    }
    problems.extend(runtime.block_on(check_tables(step, &warehouse, &before, symbols))?);
    Ok(problems)
}

pub(crate) fn run_request(args: &RunArgs, workspace: &mut Workspace) -> Result<RunRequest> {
    let configs = workspace.configs();
    Ok(RunRequest {
        configs: match args.only.as_slice() {
            [] => vec![configs],
            files => files.iter().map(|file| configs.join(file)).collect(),
        },
        targets: workspace.targets(),
        run_time: workspace.tick(args.at.as_deref())?,
        on_failure: if args.keep_going { OnFailure::KeepGoing } else { OnFailure::Stop },
        workers: args.workers.unwrap_or(WORKERS),
        refresh: match (args.full_refresh, args.allow_history_loss) {
            (false, _) => Refresh::Incremental,
            (true, false) => Refresh::Reconcile,
            (true, true) => Refresh::Rebuild,
        },
        retries: 0,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    #[test]
    fn a_failure_tells_the_file_the_rule_the_step_and_the_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrong.yaml");
        let text = "name: n\nrule: [semantics 1]\nconfigs: {}\nsources: {silver.a: id bigint}\nsteps:\n  \
                    - {why: w, write: {silver.a: [{insert: \"id\\n1\"}]}, tables: {silver.a: \"id\\n2\"}}\n";
        fs::write(&path, text).unwrap();
        let told = run_file(&path, FailedFolder::Delete).unwrap_err().to_string();
        let lines =
            ["  n [semantics 1]", "  step 1: w", "  • silver.a:", "        id", "      - 2", "      + 1", ""];
        assert_eq!(told, format!("✗ {}\n{}", path.display(), lines.join("\n")));
    }

    #[test]
    fn scenarios_are_found_below_folders_and_nowhere_is_an_error() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let found = find_scenarios(&[root.join("history"), root.join("history")]).unwrap();
        assert!(found.iter().all(|path| path.extension().is_some_and(|extension| extension == "yaml")));
        assert!(found.len() > 10);
        assert!(find_scenarios(&[root.join("nowhere")]).is_err());
    }

    #[test]
    fn every_scenario_file_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for path in find_scenarios(&[root]).unwrap() {
            Scenario::load(&path).unwrap();
        }
    }
}
