//! The merge hot path: its steps one by one, and whole loads.
//!
//! `hashing` and `commit` call a step by itself. `matching`, `chains` and `lookups` load a pipeline whose batch
//! leaves little else to do, so that what they take is that step and what every run costs: the size that follows
//! says what a row costs. Tables are made by the test kit, on local disk.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

mod chains;
mod commit;
mod hashing;
mod loads;
mod lookups;
mod matching;
mod members;
mod project;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    hashing::hashing,
    matching::matching,
    chains::chains,
    lookups::lookups,
    commit::commit,
    loads::loads
);
criterion_main!(benches);
