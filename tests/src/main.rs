//! `kimball-testkit`: what the suites can do, for the command line.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for developers")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use kimball_tests::demo::{self, DemoOptions};
use kimball_tests::error::TestkitError;
use kimball_tests::prove::stories::{self, Crashes, Faults, FullDisks, Kills};
use kimball_tests::prove::{
    Proof, Refuted, broker, configs, control, files, histories, races, simulation, stars,
};
use kimball_tests::scenario::{FailedFolder, Failure, find_scenarios, run_all};

const USAGE: &str = "usage: kimball-testkit scenarios [--keep] PATH...\n       \
    kimball-testkit prove [histories|stars|broker|configs|files|crashes|full|faults|kills|races|simulation|control] [CASES [SEED]]\n       kimball-testkit source SCALE|second-day|recent-day DIR";

/// Scenarios that run at a time.
const THREADS: usize = 2;

fn main() -> ExitCode {
    log_as_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, rest)) if verb == "scenarios" => match rest.split_first() {
            Some((flag, paths)) if flag == "--keep" && !paths.is_empty() => {
                scenarios(paths, FailedFolder::Keep)
            }
            Some(_) => scenarios(rest, FailedFolder::Delete),
            None => usage(),
        },
        Some((verb, arguments)) if verb == "demo" => demo(arguments),
        Some((verb, arguments)) if verb == "prove" => prove(arguments),
        Some((verb, arguments)) if verb == "disturbed" => disturbed(arguments),
        Some((verb, [folder, target])) if verb == "batches" => batches(Path::new(folder), target),
        Some((verb, [what, folder])) if verb == "source" => source(what, Path::new(folder)),
        _ => usage(),
    }
}

/// Logs on stderr what `RUST_LOG` (`kimball_engine=trace`) asks for: what a scenario that fails did.
#[allow(clippy::disallowed_methods, reason = "the environment of the test kit comes in here")]
fn log_as_asked() {
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Only a second start in one process could fail, and there is none.
    let _ = tracing_subscriber::registry().with(logs.with_filter(asked.unwrap_or_default())).try_init();
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}\n{}", demo::USAGE);
    ExitCode::from(2)
}

fn demo(arguments: &[String]) -> ExitCode {
    let options = match std::env::current_dir() {
        Ok(working_dir) => DemoOptions::parse(arguments, &working_dir),
        Err(error) => Err(format!("the working folder: {error}")),
    };
    let options = match options {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}\n{}", demo::USAGE);
            return ExitCode::from(2);
        }
    };
    match demo::demo(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process of a story that is disturbed.
fn disturbed(arguments: &[String]) -> ExitCode {
    match stories::be_disturbed(arguments) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `source SCALE DIR` makes the source of the demo, `source second-day DIR` and `source recent-day DIR` change it: what
/// benches load.
fn source(what: &str, folder: &Path) -> ExitCode {
    let made = match what {
        "second-day" => demo::second_day_of_source(folder),
        "recent-day" => demo::recent_day_of_source(folder),
        scale => match demo::parse_scale(scale) {
            Ok(scale) => demo::first_day_of_source(folder, scale),
            Err(message) => {
                eprintln!("error: {message}");
                return usage();
            }
        },
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `prove [PROOF] [CASES [SEED]]`: all of them without a word, by default with as many cases as each of them is worth and
/// a seed from the clock.
fn prove(arguments: &[String]) -> ExitCode {
    const PROOFS: [&str; 12] = [
        "histories",
        "stars",
        "broker",
        "configs",
        "files",
        "crashes",
        "full",
        "faults",
        "kills",
        "races",
        "simulation",
        "control",
    ];
    let (asked, numbers) = match arguments.split_first() {
        Some((word, rest)) if PROOFS.contains(&word.as_str()) => (Some(word.as_str()), rest),
        _ => (None, arguments),
    };
    let is_asked = |proof: &str| asked.is_none_or(|asked| asked == proof);
    let number =
        |place: usize| numbers.get(place).map(|text| text.replace('_', "").parse::<u64>()).transpose();
    let (Ok(cases), Ok(seed), true) = (number(0), number(1), numbers.len() <= 2) else { return usage() };
    let proof = |default: usize| Proof {
        cases: cases.map_or(default, |cases| usize::try_from(cases).unwrap_or(usize::MAX)),
        seed: seed.unwrap_or_else(clock_seed),
        failures: PathBuf::from("target").join("prove"),
    };
    let tell = |told: &str| println!("{told}");
    let mut holds = true;
    if is_asked("histories") {
        println!("histories against the algebra of their changes");
        holds &= told(histories::prove(&proof(100_000), tell));
    }
    if is_asked("stars") && holds {
        println!("facts against a full recomputation");
        holds &= told(stars::prove(&proof(20_000), tell));
    }
    if is_asked("broker") && holds {
        println!("the key broker against nested loops");
        holds &= told(broker::prove(&proof(5_000), tell));
    }
    if is_asked("configs") && holds {
        println!("configurations that nobody would write");
        holds &= told(configs::prove(&proof(1_000_000), tell));
    }
    if is_asked("files") && holds {
        println!("source files that are damaged");
        holds &= told(files::prove(&proof(2_000), tell));
    }
    if is_asked("crashes") && holds {
        println!("runs that die at any call to the storage against an undisturbed twin");
        holds &= disturbed_stories(&Crashes { every: 1 }, "crashes");
    }
    if is_asked("full") && holds {
        println!("runs whose disk fills up at any call to the storage against an undisturbed twin");
        holds &= disturbed_stories(&FullDisks { every: 1 }, "full disks");
    }
    if is_asked("faults") && holds {
        println!("runs whose calls to the storage fail by chance against an undisturbed twin");
        let faults = Faults { rounds: cases.unwrap_or(10), seed: proof(0).seed, ..Faults::default() };
        holds &= disturbed_stories(&faults, "disturbed runs");
        println!("{} calls failed; seed {}", faults.failed.into_inner(), faults.seed);
    }
    if is_asked("kills") && holds {
        println!("runs of the command that are killed against an undisturbed twin");
        let kills = Kills::new(command(), cases.unwrap_or(8), proof(0).seed);
        holds &= disturbed_stories(&kills, "kills");
    }
    if is_asked("races") && holds {
        println!("processes that race for one warehouse, and for one table");
        holds &= raced(usize::try_from(cases.unwrap_or(25)).unwrap_or(usize::MAX));
    }
    if is_asked("simulation") && holds {
        let seed = proof(0).seed;
        println!("schedules over a store in memory, from seed {seed} on");
        holds &= simulated(seed..seed.saturating_add(cases.unwrap_or(1_000)));
    }
    if is_asked("control") && holds {
        println!("the control table while it grows");
        holds &= control_load(cases.unwrap_or(10_000));
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command `kimball`, which is built beside the test kit.
fn command() -> PathBuf {
    let beside = format!("kimball{}", std::env::consts::EXE_SUFFIX);
    std::env::current_exe().unwrap_or_default().with_file_name(beside)
}

fn raced(rounds: usize) -> bool {
    match races::prove(&command(), rounds) {
        Ok(raced) => {
            println!(
                "{} processes, {} of them found their table busy, nothing lost",
                raced.processes, raced.busy
            );
            true
        }
        Err(error) => {
            println!("✗ {error}");
            false
        }
    }
}

fn simulated(seeds: std::ops::Range<u64>) -> bool {
    match simulation::prove(seeds) {
        Ok(simulated) => {
            println!(
                "{} runs, {} of them incomplete, {} failed calls, {} versions audited: nothing lost or doubled",
                simulated.runs, simulated.incomplete, simulated.failed_calls, simulated.audited
            );
            true
        }
        Err(error) => {
            println!("✗ {error}");
            false
        }
    }
}

/// Fills a control table.
fn control_load(batches: u64) -> bool {
    let program = std::env::current_exe().map_err(TestkitError::io("the test kit"));
    let load = program.and_then(|program| control::prove(batches, &program, |told| println!("{told}")));
    match &load {
        Ok(load) => println!("{} batches, each of them once", load.rows),
        Err(error) => println!("✗ {error}"),
    }
    load.is_ok()
}

/// One of the processes that fill a control table.
fn batches(warehouse: &Path, target: &str) -> ExitCode {
    match control::be_a_process(warehouse, target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Disturbs every run of every story.
fn disturbed_stories(disturbance: &impl stories::Disturbance, what: &str) -> bool {
    let found = find_scenarios(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("stories")]);
    let proof = found.and_then(|found| {
        let program = std::env::current_exe().map_err(TestkitError::io("the test kit"))?;
        stories::prove(&found, &program, disturbance, |told| println!("{told}"))
    });
    match &proof {
        Ok(points) => println!("{points} {what}, no difference"),
        Err(error) => println!("✗ {error}"),
    }
    proof.is_ok()
}

/// Says how a proof ended, and whether it held.
fn told(proof: kimball_tests::error::Result<Option<Refuted>>) -> bool {
    match proof {
        Ok(None) => return true,
        Ok(Some(refuted)) => {
            println!("✗ {}", refuted.difference);
            match refuted.scenario {
                Some(scenario) => println!("the smallest case that shows it: {}", scenario.display()),
                None => println!("the case alone does not show it: run again with the seed"),
            }
        }
        Err(error) => eprintln!("error: {error}"),
    }
    false
}

#[allow(clippy::disallowed_methods, reason = "a seed has to differ from run to run; it is printed")]
fn clock_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}

fn scenarios(paths: &[String], folder: FailedFolder) -> ExitCode {
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let found = match find_scenarios(&paths) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let failures = run_all(&found, THREADS, folder, |path: &Path, failure: Option<&Failure>| match failure {
        None => println!("✓ {}", path.display()),
        Some(failure) => print!("{failure}"),
    });
    println!("{} scenarios, {} failed", found.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
