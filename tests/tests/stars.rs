//! Facts against a full recomputation: random queries over sources that change, batch after batch.

use std::path::Path;

use kimball_tests::prove::{Proof, stars};

/// Cases of one run of the suite; `cargo xtask prove` draws many more.
const CASES: usize = 500;
/// The same cases every time: what `cargo xtask prove` finds with other seeds becomes a scenario.
const SEED: u64 = 4_711;

#[test]
fn after_every_run_a_fact_holds_what_a_full_recomputation_would_hold() {
    let failures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prove");
    let proof = Proof { cases: CASES, seed: SEED, failures };
    if let Some(refuted) = stars::prove(&proof, |told| println!("{told}")).unwrap() {
        panic!("seed {SEED}: {}\n{:?}", refuted.difference, refuted.scenario);
    }
}
