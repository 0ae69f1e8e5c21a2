//! What the end-to-end suites share: source tables written the way other tools write them, target tables
//! read the way other tools read them, and scenarios: YAML files that state a rule, the batches that
//! exercise it and the rows it demands.
//!
//! Nothing here looks at a table through the project's own storage crate: Delta tables are written and read
//! with `deltalake` and DataFusion alone, so that a fault of the storage crate cannot hide itself.

pub mod columns;
pub mod demo;
pub mod error;
pub mod file_tree;
pub mod foreign_reader;
pub mod golden;
pub mod logical;
pub mod project_run;
pub mod prove;
pub mod scenario;
pub mod source_table;
pub mod targets;
pub mod text_table;
