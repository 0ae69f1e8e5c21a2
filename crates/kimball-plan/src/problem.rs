//! Why a set of pipelines cannot be planned, and what is doubtful in one that can.

use std::path::{Path, PathBuf};

use kimball_config::TableName;
use thiserror::Error;

use crate::reason::{Reason, comma_separated};

/// What to do about a circle.
const CUT: &str = "remove one of these dependencies";

/// Why a set of pipelines cannot be planned. `Display` shows the files, and for a circle a line for each of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanProblem {
    /// Several pipelines write one table, each as its own or besides its own.
    #[error("{table} is written by {} pipelines: {}; a table has one writer", config_paths.len(), listed(config_paths))]
    SeveralWriters {
        /// The table.
        table: TableName,
        /// The files of the pipelines, sorted; at least two.
        config_paths: Vec<PathBuf>,
    },
    /// Pipelines need each other in a circle, or one needs itself.
    #[error("{}{}\n  = help: {CUT}", arrows(path), steps(path, reasons, config_paths))]
    Cycle {
        /// The tables along the circle, each needing the next; the first and the last are the same.
        path: Vec<TableName>,
        /// For each step of the path why the first table needs the second; one fewer than tables.
        reasons: Vec<Vec<Reason>>,
        /// The files of the pipelines along the circle, in the order of the path.
        config_paths: Vec<PathBuf>,
    },
}

impl PlanProblem {
    /// The files to look at.
    pub fn config_paths(&self) -> &[PathBuf] {
        match self {
            Self::SeveralWriters { config_paths, .. } | Self::Cycle { config_paths, .. } => config_paths,
        }
    }

    /// The problem in one line, for programs that show files and advice in their own way.
    pub fn summary(&self) -> String {
        match self {
            Self::SeveralWriters { .. } => self.to_string(),
            Self::Cycle { path, reasons, .. } => {
                format!("{}; {}", arrows(path), explained(path, reasons).join(", "))
            }
        }
    }

    /// What to do about it, where that can be said.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::SeveralWriters { .. } => None,
            Self::Cycle { .. } => Some(CUT),
        }
    }
}

/// What is doubtful in a project that can be planned. Whether it is shown, or is an error (as in the target
/// `prod`), is for the caller to decide.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanWarning {
    /// A pipeline needs another one that its `depends_on` does not name.
    #[error(
        "{pipeline} needs {dependency} ({}), which its depends_on does not name",
        comma_separated(reasons)
    )]
    Undeclared {
        /// The table of the pipeline.
        pipeline: TableName,
        /// Its file.
        config_path: PathBuf,
        /// The table it needs.
        dependency: TableName,
        /// What implies the dependency; never empty, none of them from `depends_on` or a test.
        reasons: Vec<Reason>,
    },
}

impl PlanWarning {
    /// The file to look at.
    pub fn config_path(&self) -> &Path {
        match self {
            Self::Undeclared { config_path, .. } => config_path,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Undeclared { dependency, .. } => format!("add it: `depends_on: [{dependency}]`"),
        }
    }
}

/// `a.yml, b.yml and c.yml`.
fn listed(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// `cycle: gold.a → gold.b → gold.a`.
fn arrows(path: &[TableName]) -> String {
    format!("cycle: {}", path.iter().map(TableName::to_string).collect::<Vec<_>>().join(" → "))
}

/// `gold.a needs gold.b (source)` for each step.
fn explained(path: &[TableName], reasons: &[Vec<Reason>]) -> Vec<String> {
    let steps = path.windows(2).zip(reasons).filter_map(|(pair, reasons)| match pair {
        [from, to] if from == to => Some(format!("{from} needs itself ({})", comma_separated(reasons))),
        [from, to] => Some(format!("{from} needs {to} ({})", comma_separated(reasons))),
        _ => None,
    });
    steps.collect()
}

/// A line for each step, with its file; the files apart where several write one of the tables.
fn steps(path: &[TableName], reasons: &[Vec<Reason>], files: &[PathBuf]) -> String {
    let steps = explained(path, reasons);
    if steps.len() == files.len() {
        let lines = files.iter().zip(steps).map(|(file, step)| format!("\n --> {}: {step}", file.display()));
        return lines.collect();
    }
    let files: String = files.iter().map(|file| format!("\n --> {}", file.display())).collect();
    format!("; {}{files}", steps.join(", "))
}
