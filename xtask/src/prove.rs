//! Histories and facts proven over many cases.

use std::process::Command;

use crate::process::{self, Binary, Failure, build};

/// Builds the prover and hands it what to prove, the number of cases and the seed, as far as they are given.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    // Some proofs start the command that lies beside the test kit.
    let [_, testkit] = build(&[Binary::Kimball, Binary::Testkit])?;
    process::run(Command::new(testkit).arg("prove").args(arguments))
}
