//! Scenarios: the YAML format, the runner and the comparison of rows.

pub mod check;
pub mod format;
pub mod matching;
pub mod prepare;
pub mod runner;

pub use format::Scenario;
pub use runner::{FailedFolder, Failure, find_scenarios, run_all, run_file};
