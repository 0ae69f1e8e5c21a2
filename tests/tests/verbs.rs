//! The verbs beside `run`: a project to begin with, what became of runs, doing the rest again, and what shells and
//! editors go by.

use std::fs;

use serde_json::Value;

use crate::command::{Ended, command};
use crate::project::Project;

mod alerts;
mod begin;
mod docs;
mod retry;
mod selectors;
mod texts;
mod validate;

/// The project that `kimball init` makes.
pub fn begun() -> Project {
    let folder = tempfile::tempdir().unwrap();
    Ended::of(&mut command(folder.path(), "init")).with_code(0);
    Project::of(folder.path())
}

/// Changes a file of the project.
pub fn edit(project: &Project, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(project.root().join(file)).unwrap();
    assert!(text.contains(from), "no {from} in {file}:\n{text}");
    project.write(file, &text.replace(from, to));
}

/// The objects that a command with `--format json` wrote, one a line.
pub fn objects(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The tables of a run's results with what became of each, sorted.
pub fn outcomes(summary: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let results = summary["results"].as_array().unwrap().iter();
    let mut outcomes: Vec<(String, String)> =
        results.map(|result| (text(&result["table_name"]), text(&result["status"]))).collect();
    outcomes.sort();
    outcomes
}

/// The same as [`outcomes`], to compare with.
pub fn expected(outcomes: &[(&str, &str)]) -> Vec<(String, String)> {
    outcomes.iter().map(|(table, status)| ((*table).to_owned(), (*status).to_owned())).collect()
}
