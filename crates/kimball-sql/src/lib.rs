//! Questions to the tables of a warehouse, in Spark's SQL.
//!
//! Every table goes by its `schema.table`, whatever the case, also as it was (`VERSION AS OF`, `TIMESTAMP AS OF`). Backticks
//! quote, intervals are written as Spark writes them, and functions that Spark has are there. Nothing is ever written:
//! what a plan does is checked, not how it is spelled.

mod blocking;
mod catalog;
mod console;
mod error;
mod headings;
mod moment;
mod relations;
mod rows;
mod statement;

pub use blocking::{BlockingSqlConsole, BlockingSqlRows, Next};
pub use console::SqlConsole;
pub use error::SqlError;
pub use rows::SqlRows;
pub use statement::{Unfinished, split_statements};
