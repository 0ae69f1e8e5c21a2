//! What the tables of pipelines are made with, and are to have.

use std::collections::BTreeMap;

use kimball_config::{MergeStrategy, Pipeline};
use kimball_lake::NewTable;

use super::facts;

/// What the table of a pipeline is made with.
pub(super) fn new_table(pipeline: &Pipeline) -> NewTable {
    NewTable {
        partition_by: facts::fact_of(pipeline).map(|fact| fact.partition_by.clone()).unwrap_or_default(),
        properties: BTreeMap::from([
            ("delta.enableChangeDataFeed".to_owned(), "true".to_owned()),
            deletion_vectors(pipeline.merge_strategy),
        ]),
        description: pipeline.description.clone(),
        column_descriptions: pipeline.column_descriptions.clone(),
    }
}

/// The table property that tells commits how to take rows out.
pub(super) fn deletion_vectors(strategy: MergeStrategy) -> (String, String) {
    let is_on = strategy == MergeStrategy::MergeOnRead;
    ("delta.enableDeletionVectors".to_owned(), is_on.to_string())
}
