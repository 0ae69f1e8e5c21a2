//! Plans and arguments for tests of the jobs that plans become.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use kimball::{LoadRequest, Pipeline, Plan, load_project};

use super::BundleArgs;
use crate::fixture::table;

/// A dimension and a fact; what they hold does not matter to a job.
const CONFIGS: [(&str, &str); 2] = [
    (
        "dim.yml",
        "table_name: gold.dim\ntable_type: dimension\nkeys: {surrogate_key: sk, natural_keys: [id]}\n\
         sources: [{name: silver.d, alias: d}]\n",
    ),
    (
        "fact.yml",
        "table_name: gold.fact\ntable_type: fact\nmerge_keys: [id]\nsources: [{name: silver.f, alias: f}]\n",
    ),
];

/// Makes pipelines out of [`CONFIGS`].
struct Models {
    dimension: Pipeline,
    fact: Pipeline,
}

impl Models {
    fn load() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in CONFIGS {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let request = LoadRequest {
            configs: vec!["*.yml".to_owned()],
            working_dir: folder.path().to_path_buf(),
            ..LoadRequest::default()
        };
        let mut pipelines = load_project(&request).project.unwrap().pipelines.into_iter();
        let (dimension, fact) = (pipelines.next().unwrap(), pipelines.next().unwrap());
        Self { dimension, fact }
    }

    /// A fact when its name says so, else a dimension; its file is `configs/<table>.yml`.
    fn pipeline(&self, name: &str, needs: &[&str]) -> Pipeline {
        let name = table(name);
        let model = if name.table().starts_with("fact") { &self.fact } else { &self.dimension };
        let mut pipeline = model.clone();
        pipeline.config_path = format!("configs/{}.yml", name.table()).into();
        pipeline.depends_on = needs.iter().map(|need| table(need)).collect();
        pipeline.table = name;
        pipeline
    }
}

/// Pipelines with what they depend on.
pub fn plan(pipelines: &[(&str, &[&str])]) -> Plan {
    let models = Models::load();
    let pipelines: Vec<Pipeline> =
        pipelines.iter().map(|(name, needs)| models.pipeline(name, needs)).collect();
    Plan::of(&pipelines).unwrap()
}

/// The guide's dimensions and facts, one of which needs less than its wave.
pub fn shop() -> Plan {
    plan(&[
        ("gold.dim_customer", &[]),
        ("gold.dim_date", &[]),
        ("gold.fact_sales", &["gold.dim_customer", "gold.dim_date"]),
        ("gold.fact_stock", &["gold.dim_date"]),
        ("gold.fact_margin", &["gold.fact_sales"]),
    ])
}

/// As many dimensions, all in one wave.
pub fn wide(count: usize, length: usize) -> Plan {
    let models = Models::load();
    let pipelines: Vec<Pipeline> =
        (0..count).map(|number| models.pipeline(&format!("gold.d_{number:0length$}"), &[])).collect();
    Plan::of(&pipelines).unwrap()
}

/// One dimension in the file `path`.
pub fn lone(path: impl Into<PathBuf>) -> Plan {
    let mut pipeline = Models::load().pipeline("gold.dim_a", &[]);
    pipeline.config_path = path.into();
    Plan::of(&[pipeline]).unwrap()
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    bundle: BundleArgs,
}

/// The options in these words.
pub fn parse(words: &[&str]) -> Result<BundleArgs, clap::Error> {
    Line::try_parse_from([&["kimball"], words].concat()).map(|line| line.bundle)
}
