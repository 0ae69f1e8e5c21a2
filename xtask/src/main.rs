//! The tasks of the repository, as `cargo xtask VERB`.
//!
//! This program stays small, so that it is built in seconds: it runs cargo and reads text, and everything that
//! touches tables is left to the binary `kimball-testkit`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that talks to the developer")]

use std::process::ExitCode;

mod bench;
mod check;
mod demo;
mod layers;
mod process;
mod prove;
mod scenarios;
mod tidy;

const USAGE: &str = "\
Usage: cargo xtask VERB

  test [ARGS]                            every test of the workspace, examples in the documentation included;
                                         ARGS go to `cargo test`
  scenarios PATH...                      the scenario files below the paths
  prove [PROOF] [CASES [SEED]]           `histories` against the algebra of their changes (100,000 cases by default),
                                         `stars`: facts against a full recomputation (20,000), `broker`: foreign
                                         keys against nested loops (5,000), `configs` that nobody would write
                                         (1,000,000), `files` that are damaged (2,000), `crashes` and `full` disks
                                         at every call to the storage, `faults` (10 a run) and `kills` (8 a run) by chance, `races`
                                         (25 rounds), `simulation` (1,000 schedules), `control` (10,000 batches), or
                                         all; where a case can be cut down, it becomes a file
  demo [--scale S] [--dir DIR] [ARGS]    builds the engine and shows a whole project on generated retail tables
  bench CASE [ARGS]                      builds for release and measures `scd2`, `days`, `idle` or `fact_sales` in turn
                                         with the tools that a user would pick instead; needs python3; `guard` counts
                                         instructions and compares them with those that are kept; needs valgrind, too
  check                                  fmt, clippy, docs, tidy and layers
  tidy                                   the hygiene of the sources
  layers                                 which crate may know which
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match verb.as_deref() {
        Some("test") => check::test(&rest),
        Some("scenarios") => scenarios::run(&rest),
        Some("prove") => prove::run(&rest),
        Some("demo") => demo::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("check") if rest.is_empty() => check::everything(),
        Some("tidy") if rest.is_empty() => tidy::run(),
        Some("layers") if rest.is_empty() => layers::run(),
        Some("help" | "-h" | "--help") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}
