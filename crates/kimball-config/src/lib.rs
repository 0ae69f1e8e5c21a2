//! Reads the configuration dialect of kimball: YAML files become a [`Project`] that can be planned and run.
//!
//! [`load_project`] is the whole way: find the files, render the templates, read the YAML, check every rule, and
//! hand back either a project or *all* problems of all files, each with its line. No table is touched, nothing
//! global is read: the environment comes in with the [`LoadRequest`].
//!
//! Within the crate, text flows one way: `discover` and `read_file` find it, `template` renders it, `yaml` makes a
//! tree with places of it, `dialect` reads the tree into the [`model`], `project` holds the files against each other.

mod dialect;
mod discover;
mod findings;
mod fingerprint;
mod load;
mod location;
pub mod model;
mod name;
mod near_file;
mod problem;
mod project;
mod read_file;
mod reader;
mod schema;
mod secret;
mod source_text;
mod sql;
mod suggest;
mod targets;
mod template;
mod yaml;

pub use fingerprint::meaning;
pub use load::{LoadOutcome, LoadRequest, load_project, load_target};
pub use model::*;
pub use name::{InvalidTableName, TableName, is_identifier};
pub use problem::{Location, Problem, ProblemSeverity};
pub use schema::{pipeline_schema, targets_schema};
pub use suggest::nearest;
