//! Stories, told again under adverse conditions: scenario files, every run of which is disturbed in some way and then
//! made once more. All tables hold then what those of an undisturbed twin hold, and the control table is honest
//! (semantics 9).

mod crashes;
mod disturbed_store;
mod faults;
mod full;
mod kills;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use kimball::Refresh;
use tokio::runtime::Runtime;

use crate::error::{Result, TestkitError};
use crate::file_tree::copy;
use crate::logical::{dishonesty, logical_rows};
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::scenario::Scenario;
use crate::scenario::prepare::Workspace;
use crate::scenario::runner::run_request;

pub use self::crashes::Crashes;
pub use self::disturbed_store::Fate;
pub(crate) use self::disturbed_store::{Calls, DisturbedStore};
pub use self::faults::Faults;
pub use self::full::FullDisks;
pub use self::kills::Kills;

/// The control table of every story, and tables that say who did what when. Findings are evidence: a run that dies behind its
/// commit leaves none.
const CONTROL: &str = "etl.etl_control";
const OF_PROCESSES: [&str; 3] = [CONTROL, "etl.etl_leases", "etl.etl_data_quality_events"];
/// Changes that are remembered before their batch is committed: a set, to which a batch that is made again adds the same.
const REPEATS: &str = "etl.etl_repeats";
const TARGETS: &str = "kimball.targets.yml";
/// Stories that run at a time.
const WORKERS: usize = 2;
/// What stands before the count of calls, and of those that failed, that a child prints.
const CALLS: &str = "calls=";
const FAILED: &str = "failed=";
/// How often a pipeline is tried again whose storage fails.
const RETRIES: u32 = 5;

/// What is done to the runs of stories.
pub trait Disturbance: Sync {
    /// Disturbs copies of one run, each of which comes to what its twin came to; says how many there were.
    ///
    /// # Errors
    /// [`TestkitError::Step`] with a difference between a copy and the twin.
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64>;
}

/// A run of a story, before it is made, and its undisturbed twin.
pub struct StoryRun<'a> {
    runtime: &'a Runtime,
    workspace: &'a Workspace,
    /// Which step of the story it is, from 0.
    place: usize,
    request: RunRequest,
    /// The test kit, as the process that is disturbed.
    program: &'a Path,
    /// Calls of the twin that changed something.
    calls: u64,
    wanted: Content,
}

/// How many disturbances were made up for. Stories run side by side.
///
/// # Errors
/// [`TestkitError::Step`] with a difference between a story and its twin.
pub fn prove(
    stories: &[PathBuf],
    program: &Path,
    disturbance: &impl Disturbance,
    tell: impl Fn(&str) + Sync,
) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut points = 0;
        while let Some(path) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scenario = Scenario::load(path)?;
            let found = tell_again(&scenario, program, disturbance)
                .map_err(|error| TestkitError::Step(format!("{}: {error}", path.display())))?;
            tell(&format!("{found} times: {}", scenario.name));
            points += found;
        }
        Ok(points)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(TestkitError::Step("a story panicked".to_owned())))
        });
        ended.sum()
    })
}

fn tell_again(scenario: &Scenario, program: &Path, disturbance: &impl Disturbance) -> Result<u64> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let mut workspace = runtime.block_on(Workspace::create(scenario))?;
    let mut points = 0;
    for (place, step) in scenario.steps.iter().enumerate() {
        runtime.block_on(workspace.prepare(step))?;
        let Some(args) = &step.run else { continue };
        let request = run_request(args, &mut workspace)?;
        let twin = Copied::of(workspace.root(), &workspace.warehouse())?;
        let told = twin.run(program, &request, Fate::Calm)?;
        let run = StoryRun {
            runtime: &runtime,
            workspace: &workspace,
            place,
            request,
            program,
            calls: told.calls,
            wanted: runtime.block_on(twin.content())?,
        };
        points += disturbance.disturb(&run)?;
        twin.take_the_place_of(&workspace)?;
    }
    Ok(points)
}

impl StoryRun<'_> {
    fn copy(&self) -> Result<Copied> {
        Copied::of(self.workspace.root(), &self.workspace.warehouse())
    }

    /// Makes a run with a fate at one of `every` calls that change something, demands that it ends as such a run
    /// may, and makes up for it; says how many there were.
    fn at_calls(
        &self,
        every: usize,
        fate: impl Fn(u64) -> Fate,
        may_end: impl Fn(&Output) -> bool,
    ) -> Result<u64> {
        let mut points = 0;
        for call in (1..=self.calls).skip(self.place % every).step_by(every) {
            let copied = self.copy()?;
            let fate = fate(call);
            let how = format!("{fate:?} of {}", self.calls);
            let ended = copied.end_of(self.program, &self.request, fate)?;
            if !may_end(&ended) {
                return Err(TestkitError::Step(format!("step {}, {how}: {ended:?}", self.place + 1)));
            }
            copied.run(self.program, &self.request, Fate::Calm)?;
            self.compare(&copied, &how)?;
            points += 1;
        }
        Ok(points)
    }

    /// Demands that a copy came to what the twin came to.
    fn compare(&self, copied: &Copied, how: &str) -> Result<()> {
        let found = self.runtime.block_on(copied.content())?;
        let wrong = |what: String| TestkitError::Step(format!("step {}, {how}: {what}", self.place + 1));
        if let Some(difference) = difference(&self.wanted, &found) {
            return Err(wrong(difference));
        }
        match self.runtime.block_on(dishonesty(&copied.warehouse(), CONTROL))? {
            Some(lie) => Err(wrong(lie)),
            None => Ok(()),
        }
    }
}

/// What a run told at its end.
#[derive(Debug, Clone, Copy)]
struct Told {
    calls: u64,
    failed: u64,
}

/// Tables with their logical rows as text, by name.
type Content = Vec<(String, Vec<String>)>;

fn difference(wanted: &Content, found: &Content) -> Option<String> {
    let names = |content: &Content| content.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(wanted) != names(found) {
        return Some(format!("the tables are {:?}, the twin's {:?}", names(found), names(wanted)));
    }
    wanted.iter().zip(found).find(|(wanted, found)| wanted != found).map(|((name, wanted), (_, found))| {
        let only = |here: &[String], there: &[String]| {
            let rows: Vec<String> = here.iter().filter(|row| !there.contains(row)).take(3).cloned().collect();
            rows.join("\n    ")
        };
        format!(
            "{name} has {} rows, the twin's {}\n  + {}\n  - {}",
            found.len(),
            wanted.len(),
            only(found, wanted),
            only(wanted, found)
        )
    })
}

/// The folder of a story in another place.
struct Copied {
    folder: tempfile::TempDir,
}

impl Copied {
    fn of(root: &Path, warehouse: &Path) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("crash-").tempdir().map_err(TestkitError::io("temp dir"))?;
        copy(root, folder.path())?;
        let copied = Self { folder };
        let targets = copied.folder.path().join(TARGETS);
        let text = fs::read_to_string(&targets).map_err(TestkitError::io(&targets))?;
        let text = text.replace(&warehouse.display().to_string(), &copied.warehouse().display().to_string());
        fs::write(&targets, text).map_err(TestkitError::io(&targets))?;
        Ok(copied)
    }

    fn warehouse(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    /// Runs to the end.
    fn run(&self, program: &Path, request: &RunRequest, fate: Fate) -> Result<Told> {
        let ended = self.end_of(program, request, fate)?;
        let told = String::from_utf8_lossy(&ended.stdout);
        let number = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
        match (number(CALLS), number(FAILED)) {
            (Some(calls), Some(failed)) if ended.status.success() => Ok(Told { calls, failed }),
            _ => Err(TestkitError::Step(format!(
                "a run failed: {told}{}",
                String::from_utf8_lossy(&ended.stderr)
            ))),
        }
    }

    /// Runs until the process has ended in whatever way.
    fn end_of(&self, program: &Path, request: &RunRequest, fate: Fate) -> Result<Output> {
        self.command(program, request, fate).output().map_err(TestkitError::io("a run"))
    }

    fn command(&self, program: &Path, request: &RunRequest, fate: Fate) -> Command {
        let mut command = Command::new(program);
        let refresh = match request.refresh {
            Refresh::Incremental => "incremental",
            Refresh::Reconcile => "reconcile",
            Refresh::Rebuild => "rebuild",
        };
        let fate = match fate {
            Fate::Calm => "calm".to_owned(),
            Fate::DiesAt(call) => format!("dies:{call}"),
            Fate::FullAt(call) => format!("full:{call}"),
            Fate::Fails { seed } => format!("fails:{seed}"),
        };
        command.args(["disturbed", &fate]).arg(self.folder.path());
        command.args([&request.run_time.to_rfc3339(), refresh]);
        for config in &request.configs {
            // Files of the story's folder, or the folder of them all.
            let name = config.file_name().filter(|_| config.is_file());
            command.arg(name.map_or_else(|| Path::new("").to_path_buf(), PathBuf::from));
        }
        command
    }

    async fn content(&self) -> Result<Content> {
        let warehouse = self.warehouse();
        let mut content = Content::new();
        for schema in folders(&warehouse)? {
            for table in folders(&warehouse.join(&schema))? {
                let name = format!("{schema}.{table}");
                if OF_PROCESSES.contains(&name.as_str()) {
                    continue;
                }
                if let Some(mut rows) = logical_rows(&warehouse, &name).await? {
                    if name == REPEATS {
                        rows.dedup();
                    }
                    content.push((name, rows.iter().map(|row| format!("{row:?}")).collect()));
                }
            }
        }
        Ok(content)
    }

    /// Makes the story go on from here.
    fn take_the_place_of(self, workspace: &Workspace) -> Result<()> {
        let warehouse = workspace.warehouse();
        fs::remove_dir_all(&warehouse).map_err(TestkitError::io(&warehouse))?;
        copy(&self.warehouse(), &warehouse)
    }
}

fn folders(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(TestkitError::io(path))? {
        let entry = entry.map_err(TestkitError::io(path))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The process that is disturbed: `FATE FOLDER RUN_TIME REFRESH CONFIG...`, where FATE is `calm`, `dies:CALL`, `full:CALL` or
/// `fails:SEED`. Prints at its end how many calls it made that change something, and how many failed.
///
/// # Errors
/// [`TestkitError::Step`] for arguments that it does not know and for a pipeline that does not succeed.
pub fn be_disturbed(arguments: &[String]) -> Result<String> {
    let unknown = || TestkitError::Step("usage: disturbed FATE FOLDER RUN_TIME REFRESH CONFIG...".to_owned());
    let [fate, folder, run_time, refresh, configs @ ..] = arguments else { return Err(unknown()) };
    let number = |text: &str| text.parse::<u64>().map_err(|_| unknown());
    let fate = match fate.split_once(':') {
        None if fate == "calm" => Fate::Calm,
        Some(("dies", call)) => Fate::DiesAt(number(call)?),
        Some(("full", call)) => Fate::FullAt(number(call)?),
        Some(("fails", seed)) => Fate::Fails { seed: number(seed)? },
        _ => return Err(unknown()),
    };
    let folder = Path::new(folder);
    let calls = Calls::of_local_tables(fate);
    let request = RunRequest {
        configs: configs.iter().map(|name| folder.join("configs").join(name)).collect(),
        targets: folder.join(TARGETS),
        run_time: run_time.parse::<DateTime<Utc>>().map_err(|_| unknown())?,
        on_failure: OnFailure::Stop,
        // One after the other: the calls come in the same order every time.
        workers: 1,
        refresh: match refresh.as_str() {
            "incremental" => Refresh::Incremental,
            "reconcile" => Refresh::Reconcile,
            "rebuild" => Refresh::Rebuild,
            _ => return Err(unknown()),
        },
        retries: if matches!(fate, Fate::Fails { .. }) { RETRIES } else { 0 },
    };
    let failed = match run_project(&request)? {
        RunOutcome::Refused(message) => Some(message),
        RunOutcome::Finished(results) => results.into_iter().find_map(|result| {
            let told = || format!("{}: {:?} {:?}", result.table_name, result.error_class, result.message);
            (result.status != "SUCCESS").then(told)
        }),
    };
    match failed {
        None => Ok(format!("{CALLS}{}\n{FAILED}{}", calls.made(), calls.failed())),
        Some(message) => Err(TestkitError::Step(message)),
    }
}
