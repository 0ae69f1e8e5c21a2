//! The end-to-end suites, one binary: every further one would link the whole engine again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "measurements and notices for whoever reads the output")]

mod asking;
mod bad_worlds;
mod bundle;
mod command;
mod companions;
mod compressed;
mod crash;
mod crashes;
mod effects;
mod errors;
mod fire;
mod guide;
mod histories;
mod interop;
mod keys;
mod lake;
mod leases;
mod memory;
mod project;
mod python;
mod quality;
mod scenarios;
mod shop;
mod stars;
mod stops;
mod time_zone;
mod upkeep;
mod verbs;
mod workers;
