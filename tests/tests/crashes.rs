//! Runs that die at calls to the storage, some of them every run; `cargo xtask prove crashes` takes all.

use std::path::{Path, PathBuf};

use kimball_tests::prove::crashes::{Crashes, prove};
use kimball_tests::scenario::find_scenarios;

/// One call in so many ends its process.
const EVERY: usize = 29;

#[test]
fn a_run_that_dies_at_a_call_to_the_storage_is_made_up_for_by_the_next() {
    let stories = find_scenarios(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes")]).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_kimball-testkit"));
    let points = prove(&Crashes { stories, program, every: EVERY }, |told| println!("{told}")).unwrap();
    assert!(points > 10, "only {points} crashes");
}
