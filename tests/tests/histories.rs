//! Histories against the algebra that states what they are: two thousand members, seven dimensions, every batch.

use std::path::Path;

use kimball_tests::prove::{Proof, histories};

/// Cases of one run of the suite; `cargo xtask prove` draws many more.
const CASES: usize = 2_000;
/// The same cases every time: what `cargo xtask prove` finds with other seeds becomes a scenario.
const SEED: u64 = 4_711;

#[test]
fn the_merge_of_histories_is_what_the_algebra_says() {
    let failures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prove");
    let proof = Proof { cases: CASES, seed: SEED, failures };
    if let Some(refuted) = histories::prove(&proof, |told| println!("{told}")).unwrap() {
        panic!("seed {SEED}: {}\n{:?}", refuted.difference, refuted.scenario);
    }
}
