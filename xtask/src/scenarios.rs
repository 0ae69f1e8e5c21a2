//! Scenario files, run without writing Rust.

use std::process::Command;

use crate::process::{self, Binary, Failure, build};

/// Builds the runner and runs the scenario files named, or found below the folders named.
pub fn run(paths: &[String]) -> Result<(), Failure> {
    if paths.is_empty() {
        let message = "scenarios needs a PATH: a scenario file or a folder of them".to_owned();
        return Err(Failure { message, exit_code: 2 });
    }
    let [testkit] = build(&[Binary::Testkit])?;
    process::run(Command::new(testkit).arg("scenarios").args(paths))
}
