//! Incremental means the same as full (semantics 8.2), proven: random queries over random sources that change, each
//! loaded as a fact, batch after batch, and compared after every batch with the query over the sources as they are.
//!
//! The sources of a round hold several worlds, and most queries keep to one: each of them is a case in every world.
//! A case that fails is cut down and written as a scenario file.

mod grammar;
mod report;
mod round;
mod source;

use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use self::grammar::Query;
use self::round::Round;
use self::source::History;
use crate::error::{Result, TestkitError};
use crate::prove::dice::Dice;
use crate::prove::{Proof, Refuted};

/// Queries over the sources of one round.
const QUERIES: usize = 16;
/// Worlds that the sources of a round hold.
const WORLDS: i64 = 30;
/// Batches behind the first.
const BATCHES: usize = 3;

/// Draws rounds until they hold as many cases as are asked for; `told` hears of every round.
///
/// # Errors
/// [`TestkitError`] when the proof could not be carried out.
pub fn prove(proof: &Proof, told: impl Fn(&str)) -> Result<Option<Refuted>> {
    let runtime = Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    let (mut proven, mut number) = (0, 0);
    let mut ways: BTreeMap<String, usize> = BTreeMap::new();
    while proven < proof.cases {
        let seed = proof.seed.wrapping_add(number);
        let mut round = draw(seed);
        runtime.block_on(round.leave_out_unplannable());
        if let Some(wrong) = round.check(&runtime, &mut ways)? {
            return report::report(&runtime, &round, wrong, seed, &proof.failures).map(Some);
        }
        proven += round.cases(WORLDS);
        number += 1;
        told(&format!("{proven} of {} cases hold (seed {})", proof.cases, proof.seed));
    }
    for (way, loads) in ways {
        told(&format!("{loads:>6} queries: {way}"));
    }
    Ok(None)
}

fn draw(seed: u64) -> Round {
    let mut dice = Dice::new(seed);
    let tables = 2 + dice.below(3);
    let history = History::draw(&mut dice, tables, WORLDS, BATCHES);
    let queries: Vec<Query> = (0..QUERIES).map(|_| grammar::draw(&mut dice, tables)).collect();
    Round { queries, history }
}
