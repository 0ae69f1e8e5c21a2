//! Why a verb could not do its work.

use std::io;
use std::path::PathBuf;

use kimball::{
    Classify, ExecutorError, FaultKind, Problem, ProblemSeverity, SettingsError, SqlError, counted,
};
use thiserror::Error;

use crate::stderr;

/// Why a verb could not do its work; always exit code 2.
#[derive(Debug, Error)]
pub enum Failure {
    /// The library refused or gave up.
    #[error("{}", .0.message())]
    Executor(#[from] ExecutorError),
    /// A question that has no answer.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A file that was named cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder cannot be made.
    #[error("{} cannot be made: {source}", .path.display())]
    NotMade {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was asked for could not be written.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
    /// What was asked for cannot be done as things are; a line for each reason.
    #[error("{0}")]
    Obstacle(String),
}

impl Failure {
    /// Tells the user.
    pub fn report(&self) {
        match self {
            // Problems bring their own head, file and line.
            Self::Executor(ExecutorError::Config(problems)) => {
                for problem in problems {
                    stderr::line(format_args!("{}\n", problem.to_string().trim_end()));
                }
                stderr::error(format_args!(
                    "the configuration has {}",
                    counted(errors_in(problems), "error")
                ));
            }
            Self::Executor(ExecutorError::Plan(problems)) => {
                for problem in problems {
                    stderr::error(problem);
                }
            }
            // A paragraph for each dependency, with its file.
            Self::Executor(error @ (ExecutorError::Undeclared(_) | ExecutorError::MissingUpstream(_))) => {
                error.message().split("\n\n").for_each(stderr::error)
            }
            Self::Executor(ExecutorError::Settings(error)) => {
                stderr::error(format_args!("{}: {error}", option_of(error)));
            }
            Self::Executor(error) => {
                stderr::error(error.message());
                let kind = error.kind();
                if !matches!(kind, FaultKind::Config | FaultKind::Cancelled | FaultKind::MissingTable) {
                    stderr::note(kind.action().advice());
                }
            }
            Self::Sql(_)
            | Self::Input { .. }
            | Self::NotMade { .. }
            | Self::Output(_)
            | Self::Obstacle(_) => stderr::error(self),
        }
    }
}

/// The option that an error is about.
fn option_of(error: &SettingsError) -> &'static str {
    match error {
        SettingsError::Workers(_) => "--max-workers",
        SettingsError::Memory(_) => "--memory-limit",
        SettingsError::RunTime(_) => "--run-time",
    }
}

fn errors_in(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.severity == ProblemSeverity::Error).count()
}
