//! The key broker against plain nested loops: two hundred members, the rows that speak of them, every run.

use std::path::Path;

use kimball_tests::prove::{Proof, broker};

/// Cases of one run of the suite; `cargo xtask prove` draws many more.
const CASES: usize = 200;
/// The same cases every time: what `cargo xtask prove` finds with other seeds becomes a scenario.
const SEED: u64 = 4_711;

#[test]
fn the_keys_of_facts_are_those_of_nested_loops_over_their_dimensions() {
    let failures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prove");
    let proof = Proof { cases: CASES, seed: SEED, failures };
    if let Some(refuted) = broker::prove(&proof, |told| println!("{told}")).unwrap() {
        panic!("seed {SEED}: {}\n{:?}", refuted.difference, refuted.scenario);
    }
}
