//! Every scenario below `scenarios/` holds, whichever way rows are taken out of files.

use std::path::Path;
use std::process::Command;

use kimball_tests::scenario::{FailedFolder, find_scenarios, run_all};
use kimball_tests::targets::STRATEGY_VARIABLE;

/// Scenarios that run at a time.
const THREADS: usize = 2;

/// Part of a path: only the scenarios whose path holds it are run.
const FILTER_VARIABLE: &str = "KIMBALL_SCENARIO";

#[test]
#[allow(clippy::disallowed_methods, reason = "a filter for the developer at the terminal")]
fn every_scenario_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let filter = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let mut scenarios = find_scenarios(&[root]).unwrap();
    scenarios.retain(|path| path.to_string_lossy().contains(&filter));
    assert!(!scenarios.is_empty(), "no scenario's path holds `{filter}`");
    let failures = run_all(&scenarios, THREADS, FailedFolder::Delete, |_, _| {});
    let report: String = failures.iter().map(|failure| format!("\n{failure}")).collect();
    assert!(
        failures.is_empty(),
        "{} of {} scenarios do not hold:\n{report}",
        failures.len(),
        scenarios.len()
    );
}

#[test]
fn every_scenario_holds_with_copy_on_write() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kimball-testkit"));
    command.env(STRATEGY_VARIABLE, "copy_on_write").arg("scenarios");
    let ended = command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}
