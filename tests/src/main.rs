//! `kimball-testkit`: what the suites can do, for the command line.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for developers")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use kimball_tests::demo::{self, DemoOptions};
use kimball_tests::prove::{self, Proof, Refuted, broker};
use kimball_tests::scenario::{FailedFolder, Failure, find_scenarios, run_all};

const USAGE: &str =
    "usage: kimball-testkit scenarios [--keep] PATH...\n       kimball-testkit prove [broker] [CASES [SEED]]";

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
        Some((verb, rest)) if verb == "prove" => match rest.split_first() {
            Some((kind, arguments)) if kind == "broker" => proven(arguments, 5_000, broker::prove),
            _ => proven(rest, 100_000, prove::prove),
        },
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

/// `[CASES [SEED]]`: `all` of them and a seed from the clock by default.
fn proven(
    arguments: &[String],
    all: u64,
    prove: impl Fn(&Proof, fn(&str)) -> kimball_tests::error::Result<Option<Refuted>>,
) -> ExitCode {
    let number =
        |place: usize| arguments.get(place).map(|text| text.replace('_', "").parse::<u64>()).transpose();
    let (Ok(cases), Ok(seed), true) = (number(0), number(1), arguments.len() <= 2) else { return usage() };
    let proof = Proof {
        cases: usize::try_from(cases.unwrap_or(all)).unwrap_or(usize::MAX),
        seed: seed.unwrap_or_else(clock_seed),
        failures: PathBuf::from("target").join("prove"),
    };
    println!("seed {}", proof.seed);
    match prove(&proof, |told| println!("{told}")) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(refuted)) => {
            println!("✗ {}", refuted.difference);
            match refuted.scenario {
                Some(scenario) => println!("the smallest case that shows it: {}", scenario.display()),
                None => println!("what is concerned does not show it alone: run again with the seed"),
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
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
