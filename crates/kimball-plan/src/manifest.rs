//! A project as it stands, written down: what a later state of it is held against.

use std::collections::BTreeMap;

use kimball_config::{ColumnTest, Pipeline, Project, meaning};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// The version of the manifest's form; it rises when a reader would have to change.
pub const MANIFEST_VERSION: u32 = 1;

/// All pipelines of a project with everything that makes them what they are. Two manifests of one project are equal.
///
/// It holds names of secrets, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub manifest: u32,
    /// The target that templates were rendered for.
    pub target: String,
    /// The pipelines, by table.
    pub pipelines: BTreeMap<String, ManifestPipeline>,
}

/// One pipeline of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPipeline {
    /// `dimension` or `fact`.
    pub table_type: String,
    /// Its file.
    pub config_path: String,
    /// The wave it stands in, from 1.
    pub wave: usize,
    /// The tables that it needs.
    pub depends_on: Vec<String>,
    /// As batches record it.
    pub fingerprint: u64,
    /// What could change its rows, by name.
    pub meaning: BTreeMap<String, String>,
    /// What changes no row, by name.
    pub declarations: BTreeMap<String, String>,
}

impl Manifest {
    /// Writes down a project with its plan.
    pub fn of(project: &Project, plan: &Plan) -> Self {
        let pipelines = project.pipelines.iter().map(|pipeline| {
            let planned = plan.pipeline(&pipeline.table);
            let needed = plan.dependencies_of(&pipeline.table).iter();
            let described = ManifestPipeline {
                table_type: pipeline.table_type().to_owned(),
                config_path: pipeline.config_path.display().to_string(),
                wave: planned.map_or(0, |planned| planned.wave),
                depends_on: needed.map(|needed| needed.table.to_string()).collect(),
                fingerprint: pipeline.fingerprint,
                meaning: meaning(pipeline, &project.target.base_dir),
                declarations: declarations(pipeline),
            };
            (pipeline.table.to_string(), described)
        });
        Self {
            manifest: MANIFEST_VERSION,
            target: project.target.name.clone(),
            pipelines: pipelines.collect(),
        }
    }
}

/// What is said of a pipeline that changes no row of it.
fn declarations(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut say = |name: &str, value: String| {
        if !value.is_empty() {
            all.insert(name.to_owned(), value);
        }
    };
    say("table_description", pipeline.description.clone().unwrap_or_default());
    for (column, text) in &pipeline.column_descriptions {
        say(&format!("column_descriptions: {column}"), text.clone());
    }
    for tested in &pipeline.tests {
        say(&format!("tests: {}", tested.column), tests_of(tested));
    }
    for source in &pipeline.sources {
        if let Some(contract) = &source.contract {
            let text = format!("{} {}", contract.id, contract.version);
            say(&format!("source {}: contract", source.alias), text);
        }
    }
    say("tags", pipeline.tags.join(", "));
    say("depends_on", texts(&pipeline.depends_on));
    say("cluster_by", pipeline.cluster_by.join(", "));
    say("schema_evolution", flag(pipeline.schema_evolution));
    say("optimize_after_merge", flag(pipeline.optimize_after_merge));
    say("merge_strategy", format!("{:?}", pipeline.merge_strategy));
    let observability = &pipeline.observability;
    say("observability", format!("{} {}", flag(observability.enabled), observability.event_table));
    all
}

fn tests_of(tested: &ColumnTest) -> String {
    let tests = tested.tests.iter().map(|test| format!("{test:?}")).collect::<Vec<_>>().join(", ");
    format!("{tests} ({:?})", tested.severity)
}

fn texts<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn flag(on: bool) -> String {
    if on { "true".to_owned() } else { String::new() }
}
