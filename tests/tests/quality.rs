//! Personal columns, contracts of sources, and what is recorded and told of checks: through the command, where secrets
//! come in by the environment and answers go out to other programs.

mod events;
mod personal;
mod secrets;
mod webhook;
mod write_failure;

use tempfile::tempdir;

use crate::command::{Ended, command};
use crate::project::Project;

const TARGETS: &str = "version: 1\ntargets:\n  dev: {catalog: main, silver_schema: silver, gold_schema: gold, \
                       etl_schema: gold, warehouse: ./warehouse}\n";

const EVENTS: &str = "gold.etl_data_quality_events";

/// The variable of the URL that is told of failures, where a pipeline does not name another.
const WEBHOOK: &str = "KIMBALL_ALERT_WEBHOOK_URL";

/// The variable of the key that tokens are made with.
const KEY: &str = "TOKEN_KEY";

/// A project with these pipelines by the names of their files.
fn open(pipelines: &[(&str, &str)]) -> Project {
    let nothing = tempdir().unwrap();
    let project = Project::of(nothing.path());
    project.write("kimball.targets.yml", TARGETS);
    for (name, text) in pipelines {
        project.write(&format!("configs/{name}.yml"), text);
    }
    project
}

/// Calls the command with these variables.
fn call(project: &Project, line: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = command(project.root(), line);
    command.env_remove(WEBHOOK).env_remove(KEY).envs(variables.iter().copied());
    Ended::of(&mut command)
}

/// Some columns of a table, a line a row, sorted.
fn lines(project: &Project, table: &str, columns: &[&str]) -> Vec<String> {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let rows = project.rows(table).select(&columns).unwrap();
    let line = |row: &Vec<Option<String>>| {
        row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" | ")
    };
    let mut lines: Vec<String> = rows.values.iter().map(line).collect();
    lines.sort();
    lines
}
