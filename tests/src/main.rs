//! `kimball-testkit`: what the suites can do, for the command line.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for developers")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kimball_tests::scenario::{Failure, find_scenarios, run_all};

const USAGE: &str = "usage: kimball-testkit scenarios PATH...";

/// Scenarios that run at a time.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, paths)) if verb == "scenarios" && !paths.is_empty() => scenarios(paths),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn scenarios(paths: &[String]) -> ExitCode {
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let found = match find_scenarios(&paths) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let failures = run_all(&found, THREADS, |path: &Path, failure: Option<&Failure>| match failure {
        None => println!("✓ {}", path.display()),
        Some(failure) => print!("{failure}"),
    });
    println!("{} scenarios, {} failed", found.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
