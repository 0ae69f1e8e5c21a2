//! Golden cases: files that hold a project with a mistake in it, and what the command says about it to the letter.
//! `errors/README.md` explains the format to those who write one.

pub mod diff;
pub mod format;
pub mod settled;

pub use diff::diff;
pub use format::{Case, Ending, Step, Table};
pub use settled::settled;
