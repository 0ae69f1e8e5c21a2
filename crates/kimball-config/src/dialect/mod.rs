//! From the tree of one file to the domain model: one module a part of the dialect.

pub(crate) mod columns;
mod contract;
mod declarations;
mod dimension;
mod duration;
mod fact;
mod fact_columns;
mod fact_pattern;
mod foreign_key;
mod history;
mod instant;
mod junk_dimensions;
mod key_columns;
pub(crate) mod keys;
mod measures;
mod mini_dimensions;
mod observability;
pub(crate) mod odcs;
mod options;
pub(crate) mod pii;
mod pipeline;
mod quality;
mod scd;
mod source;
mod sql_types;

pub(crate) use foreign_key::ForeignKeyMark;
pub(crate) use pipeline::{PipelineFile, read_merge_strategy, read_pipeline};

#[cfg(test)]
mod tests;
