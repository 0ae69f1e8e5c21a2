//! Runs that die at a call that changes the storage, at every one of them: after one more run all tables hold what
//! those of an undisturbed twin hold, and the control table is honest (semantics 9).

mod dying_store;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use kimball::Refresh;
use tokio::runtime::Runtime;

use self::dying_store::Calls;
use crate::error::{Result, TestkitError};
use crate::logical::{dishonesty, logical_rows};
use crate::project_run::{RunOutcome, RunRequest, run_project};
use crate::scenario::Scenario;
use crate::scenario::prepare::Workspace;
use crate::scenario::runner::run_request;

/// The control table of every story, and tables that say who did what when.
const CONTROL: &str = "etl.etl_control";
const OF_PROCESSES: [&str; 2] = [CONTROL, "etl.etl_leases"];
/// Changes that are remembered before their batch is committed: a set, to which a batch that is made again adds the same.
const REPEATS: &str = "etl.etl_repeats";
const TARGETS: &str = "kimball.targets.yml";
/// Stories that run at a time.
const WORKERS: usize = 2;
/// What stands before the count of calls that a child prints.
const CALLS: &str = "calls=";

/// What to crash.
#[derive(Debug, Clone)]
pub struct Crashes {
    /// Stories: scenario files, every run of which is crashed.
    pub stories: Vec<PathBuf>,
    /// The test kit, which is the process that dies.
    pub program: PathBuf,
    /// Of so many calls that change something one is fatal; 1 for all.
    pub every: usize,
}

/// How many crashes were made up for. Stories run side by side.
///
/// # Errors
/// [`TestkitError::Step`] with a difference between a story and its twin.
pub fn prove(crashes: &Crashes, tell: impl Fn(&str) + Sync) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut points = 0;
        while let Some(path) = crashes.stories.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scenario = Scenario::load(path)?;
            let found = crash_story(crashes, &scenario)
                .map_err(|error| TestkitError::Step(format!("{}: {error}", path.display())))?;
            tell(&format!("{found} crashes made up for: {}", scenario.name));
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

fn crash_story(crashes: &Crashes, scenario: &Scenario) -> Result<u64> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let mut workspace = runtime.block_on(Workspace::create(scenario))?;
    let mut points = 0;
    for (place, step) in scenario.steps.iter().enumerate() {
        runtime.block_on(workspace.prepare(step))?;
        let Some(args) = &step.run else { continue };
        let request = run_request(args, &mut workspace)?;
        let twin = Copied::of(workspace.root(), &workspace.warehouse())?;
        let calls = twin.run(crashes, &request)?;
        let wanted = runtime.block_on(twin.content())?;
        let first = place % crashes.every;
        for fatal in (1..=calls).skip(first).step_by(crashes.every) {
            let crashed = Copied::of(workspace.root(), &workspace.warehouse())?;
            crashed.die(crashes, &request, fatal)?;
            crashed.run(crashes, &request)?;
            let found = runtime.block_on(crashed.content())?;
            let when = format!("step {}, dead at call {fatal} of {calls}", place + 1);
            if let Some(difference) = difference(&wanted, &found) {
                return Err(TestkitError::Step(format!("{when}: {difference}")));
            }
            if let Some(lie) = runtime.block_on(dishonesty(&crashed.warehouse(), CONTROL))? {
                return Err(TestkitError::Step(format!("{when}: {lie}")));
            }
            points += 1;
        }
        twin.take_the_place_of(&workspace)?;
    }
    Ok(points)
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

    /// Runs to the end; gives how many calls changed something.
    fn run(&self, crashes: &Crashes, request: &RunRequest) -> Result<u64> {
        let ended = self.command(crashes, request, "never")?.output().map_err(TestkitError::io("a run"))?;
        let told = String::from_utf8_lossy(&ended.stdout);
        let calls = told.lines().find_map(|line| line.strip_prefix(CALLS)?.parse().ok());
        calls.filter(|_| ended.status.success()).ok_or_else(|| {
            TestkitError::Step(format!("a run failed: {told}{}", String::from_utf8_lossy(&ended.stderr)))
        })
    }

    fn die(&self, crashes: &Crashes, request: &RunRequest, fatal: u64) -> Result<()> {
        let mut command = self.command(crashes, request, &fatal.to_string())?;
        let ended = command.output().map_err(TestkitError::io("a run"))?;
        match ended.status.code() {
            None => Ok(()),
            Some(code) => {
                let told = String::from_utf8_lossy(&ended.stdout);
                Err(TestkitError::Step(format!(
                    "call {fatal} did not end the process, but code {code}: {told}"
                )))
            }
        }
    }

    fn command(&self, crashes: &Crashes, request: &RunRequest, fatal: &str) -> Result<Command> {
        let mut command = Command::new(&crashes.program);
        let refresh = match request.refresh {
            Refresh::Incremental => "incremental",
            Refresh::Reconcile => "reconcile",
            Refresh::Rebuild => "rebuild",
        };
        command.args(["dying", fatal]).arg(self.folder.path());
        command.args([&request.run_time.to_rfc3339(), refresh]);
        for config in &request.configs {
            // Files of the story's folder, or the folder of them all.
            let name = config.file_name().filter(|_| config.is_file());
            command.arg(name.map_or_else(|| Path::new("").to_path_buf(), PathBuf::from));
        }
        Ok(command)
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

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(TestkitError::io(to))?;
    for entry in fs::read_dir(from).map_err(TestkitError::io(from))? {
        let entry = entry.map_err(TestkitError::io(from))?;
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target)?,
            false => {
                fs::copy(entry.path(), &target).map_err(TestkitError::io(&target))?;
            }
        }
    }
    Ok(())
}

/// The process that dies: `FATAL|never FOLDER RUN_TIME REFRESH CONFIG...`. Prints how many calls it made when it ends.
///
/// # Errors
/// [`TestkitError::Step`] for arguments that it does not know and for a pipeline that does not succeed.
pub fn be_dying(arguments: &[String]) -> Result<String> {
    let unknown =
        || TestkitError::Step("usage: dying FATAL|never FOLDER RUN_TIME REFRESH CONFIG...".to_owned());
    let [fatal, folder, run_time, refresh, configs @ ..] = arguments else { return Err(unknown()) };
    let folder = Path::new(folder);
    let calls = Calls::watched(match fatal.as_str() {
        "never" => None,
        fatal => Some(fatal.parse().map_err(|_| unknown())?),
    });
    let request = RunRequest {
        configs: configs.iter().map(|name| folder.join("configs").join(name)).collect(),
        targets: folder.join(TARGETS),
        run_time: run_time.parse::<DateTime<Utc>>().map_err(|_| unknown())?,
        on_failure: crate::project_run::OnFailure::Stop,
        // One after the other: the calls come in the same order every time.
        workers: 1,
        refresh: match refresh.as_str() {
            "incremental" => Refresh::Incremental,
            "reconcile" => Refresh::Reconcile,
            "rebuild" => Refresh::Rebuild,
            _ => return Err(unknown()),
        },
    };
    let failed = match run_project(&request)? {
        RunOutcome::Refused(message) => Some(message),
        RunOutcome::Finished(results) => results.into_iter().find_map(|result| {
            (result.status != "SUCCESS").then(|| format!("{}: {:?}", result.table_name, result.message))
        }),
    };
    failed.map_or_else(|| Ok(format!("{CALLS}{}", calls.made())), |message| Err(TestkitError::Step(message)))
}
