//! The key broker proven: the foreign keys that facts get against plain nested loops over the rows of their
//! dimensions.
//!
//! A round is one project: dimensions of several types over the histories of some hundred members, and facts that
//! look them up in many ways. After every run all rows of all tables are read by another reader. What the
//! dimensions hold is held against laws and against the changes of their members; what they inferred, the keys of
//! the facts and the evidence of those that wait against the model. A round that differs is cut down to the rows
//! that matter.

mod check;
mod draws;
mod laws;
mod model;
mod project;
mod report;
mod round;
mod scenario;
mod sources;
mod tables;

use tokio::runtime::Runtime;

use self::round::Horizon;
use super::{Proof, Refuted};
use crate::error::{Result, TestkitError};

/// Members of a round.
const PACKED: usize = 250;

/// Draws members with the rows that speak of them, each a case, and compares; `told` hears of every round.
///
/// # Errors
/// [`TestkitError`] when the proof could not be carried out.
pub fn prove(proof: &Proof, told: impl Fn(&str)) -> Result<Option<Refuted>> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let (mut left, mut number) = (proof.cases, 0);
    while left > 0 {
        let packed = left.min(PACKED);
        let seed = proof.seed.wrapping_add(number);
        // Every fourth round is one of announcements.
        let horizon = if number % 4 == 3 { Horizon::Future } else { Horizon::Past };
        let round = round::draw(packed, seed, horizon);
        if let Some(refuted) = check::check(&runtime, &round)? {
            told(&format!("seed {seed}: {}\n{}", refuted.0.told, report::story(&round, &refuted)));
            return report::report(&runtime, round, refuted.0, proof).map(Some);
        }
        left -= packed;
        number += 1;
        told(&format!("{} of {} cases hold (seed {})", proof.cases - left, proof.cases, proof.seed));
    }
    Ok(None)
}
