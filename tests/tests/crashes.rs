//! Runs that are disturbed, some of them every run; `cargo xtask prove crashes`, `faults` and `kills` take more.

use std::path::{Path, PathBuf};

use kimball_tests::prove::stories::{Crashes, Disturbance, Faults, FullDisks, prove};
use kimball_tests::scenario::find_scenarios;

/// One call in so many ends its process.
const EVERY: usize = 29;

fn disturb(disturbance: &impl Disturbance) -> u64 {
    let stories = find_scenarios(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("stories")]).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_kimball-testkit"));
    prove(&stories, &program, disturbance, |told| println!("{told}")).unwrap()
}

#[test]
fn a_run_that_dies_at_a_call_to_the_storage_is_made_up_for_by_the_next() {
    let points = disturb(&Crashes { every: EVERY });
    assert!(points > 10, "only {points} crashes");
}

#[test]
fn a_run_whose_disk_fills_up_fails_and_is_made_up_for_by_the_next() {
    let points = disturb(&FullDisks { every: 3 * EVERY });
    assert!(points > 5, "only {points} full disks");
}

#[test]
fn runs_whose_calls_to_the_storage_fail_by_chance_end_right() {
    let faults = Faults { rounds: 1, seed: 7, ..Faults::default() };
    disturb(&faults);
    let failed = faults.failed.into_inner();
    assert!(failed > 100, "only {failed} calls failed");
}
