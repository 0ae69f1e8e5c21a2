//! What can go wrong with one pipeline, and with a whole run.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

use kimball_config::{Problem, TableName};
use kimball_control::ControlError;
use kimball_engine::EngineError;
use kimball_lake::LakeError;
use kimball_plan::{ExternalTable, PlanProblem, PlanWarning};
use kimball_retry::{Classify, FaultKind};
use thiserror::Error;

use crate::selection::SelectionError;
use crate::settings::SettingsError;
use crate::summary::PipelineResult;

/// Why one attempt at one pipeline failed.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The run was told to stop before the pipeline had done its work.
    #[error("the run was interrupted")]
    Cancelled,
    /// The load stopped in a defect of the program; nothing was committed by it.
    #[error("the load of this pipeline stopped unexpectedly: {message}")]
    Panicked {
        /// What the defect said of itself.
        message: String,
    },
    /// A table, or the storage it lies in.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Staging or merging rows.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The control table or a lease.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Work on a table failed, with what the executor knows about it.
    #[error("{table}: {message}")]
    Failed {
        /// What kind of failure it is.
        kind: FaultKind,
        /// The table that was worked on.
        table: String,
        /// What was wrong with it.
        message: String,
        /// The error behind it, where there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl PipelineError {
    /// A failure found by the executor itself.
    pub fn failed(kind: FaultKind, table: &TableName, message: impl Into<String>) -> Self {
        Self::Failed { kind, table: table.to_string(), message: message.into(), source: None }
    }

    /// Whether it is not known if the commit of the batch happened.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(self, Self::Lake(LakeError::Unverified { .. }))
    }

    /// The error as one text for the user of the pipeline of `table`: without that table's name in front,
    /// and with every cause that the text does not tell already.
    pub fn message_for(&self, table: &TableName) -> String {
        let told = chain(self);
        match told.strip_prefix(&format!("{table}: ")) {
            Some(rest) => rest.to_owned(),
            None => told,
        }
    }
}

impl Classify for PipelineError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Cancelled => FaultKind::Cancelled,
            Self::Panicked { .. } => FaultKind::Internal,
            Self::Lake(source) => source.kind(),
            Self::Engine(source) => source.kind(),
            Self::Control(source) => source.kind(),
            Self::Failed { kind, .. } => *kind,
        }
    }
}

/// Why a run could not be made, or could not be brought to its end. A pipeline that fails is no such error:
/// it stands in the [`ExecutionSummary`](crate::ExecutionSummary).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The configuration is wrong; all problems of all files, warnings included.
    #[error("{}", paragraphs(.0))]
    Config(Vec<Problem>),
    /// The pipelines cannot be brought into an order, or two write one table.
    #[error("{}", paragraphs(.0))]
    Plan(Vec<PlanProblem>),
    /// Dependencies that the target `prod` wants declared.
    #[error("{}", undeclared(.0))]
    Undeclared(Vec<PlanWarning>),
    /// An option cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A selector is wrong, or nothing is left to run.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// Tables that a pipeline reads or points at, that no pipeline writes and that do not exist; nothing was written.
    #[error("{}", missing(.0))]
    MissingUpstream(Vec<ExternalTable>),
    /// An [`Orchestrator`](crate::Orchestrator) was given no pipeline, or several.
    #[error("one pipeline was expected, {0} were found: use a PipelineExecutor for a project")]
    NotOnePipeline(usize),
    /// The one pipeline of an [`Orchestrator`](crate::Orchestrator) failed or was not started.
    #[error("{}", unsuccessful(.0))]
    PipelineFailed(Box<PipelineResult>),
    /// The warehouse could not be opened, or a table not be looked up; nothing was written.
    #[error("the warehouse cannot be used")]
    Warehouse(#[source] PipelineError),
    /// The operating system gave no thread.
    #[error("no thread could be started")]
    Threads(#[source] io::Error),
}

impl ExecutorError {
    /// The error as one text with every cause that it does not tell already.
    pub fn message(&self) -> String {
        chain(self)
    }
}

impl Classify for ExecutorError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Config(_)
            | Self::Plan(_)
            | Self::Undeclared(_)
            | Self::Settings(_)
            | Self::Selection(_)
            | Self::NotOnePipeline(_) => FaultKind::Config,
            Self::MissingUpstream(_) => FaultKind::MissingTable,
            Self::PipelineFailed(result) => result.error_class.unwrap_or(FaultKind::Cancelled),
            Self::Warehouse(source) => source.kind(),
            Self::Threads(_) => FaultKind::Internal,
        }
    }
}

/// An error and every cause that the text so far does not tell.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

/// Problems with their files and source lines, an empty line between each two.
fn paragraphs<T: Display>(problems: &[T]) -> String {
    let problems = problems.iter().map(|problem| problem.to_string().trim_end().to_owned());
    problems.collect::<Vec<_>>().join("\n\n")
}

/// A paragraph for each dependency that nobody declared.
fn undeclared(warnings: &[PlanWarning]) -> String {
    let described = warnings.iter().map(|warning| {
        let (file, help) = (warning.config_path().display(), warning.help());
        format!(
            "{warning}; the target `prod` wants every dependency in depends_on\n --> {file}\n  = help: {help}"
        )
    });
    paragraphs(&described.collect::<Vec<_>>())
}

/// A paragraph for each table that is missing.
pub(crate) fn missing(tables: &[ExternalTable]) -> String {
    let described = tables.iter().map(|ExternalTable { pipeline, table, reason, config_path, near }| {
        let file = config_path.display();
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "load it first, or add its configuration".to_owned(),
        };
        format!(
            "{pipeline} needs {table} ({reason}), which no pipeline of this run writes and the warehouse does not \
             hold\n --> {file}\n  = help: {help}"
        )
    });
    paragraphs(&described.collect::<Vec<_>>())
}

fn unsuccessful(result: &PipelineResult) -> impl Display + '_ {
    struct Unsuccessful<'a>(&'a PipelineResult);
    impl Display for Unsuccessful<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let PipelineResult { table_name, error_class, error_message, skip_reason, .. } = self.0;
            write!(f, "{table_name}: ")?;
            if let Some(class) = error_class {
                write!(f, "{class}: ")?;
            }
            f.write_str(error_message.as_deref().or(skip_reason.as_deref()).unwrap_or("not loaded"))
        }
    }
    Unsuccessful(result)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::io;

    use kimball_plan::Reason;
    use kimball_retry::{Classify, FaultKind};

    use super::{ExecutorError, ExternalTable, PipelineError, PlanWarning};
    use crate::fixture::{summary_of_three, table};

    fn failed(source: Option<io::Error>) -> PipelineError {
        PipelineError::Failed {
            kind: FaultKind::Storage,
            table: "gold.dim_date".to_owned(),
            message: "the log cannot be read".to_owned(),
            source: source.map(Into::into),
        }
    }

    #[test]
    fn the_message_of_a_pipeline_leaves_out_its_own_table_and_tells_the_causes() {
        let error = failed(Some(io::Error::other("disk on fire")));
        assert_eq!(error.message_for(&table("gold.dim_date")), "the log cannot be read: disk on fire");
        assert_eq!(
            error.message_for(&table("gold.fact_sales")),
            "gold.dim_date: the log cannot be read: disk on fire"
        );
    }

    #[test]
    fn a_cause_that_the_message_tells_already_is_not_repeated() {
        let error = failed(Some(io::Error::other("cannot be read")));
        assert_eq!(error.message_for(&table("gold.dim_date")), "the log cannot be read");
    }

    #[test]
    fn an_error_of_a_run_keeps_the_kind_of_its_cause() {
        assert_eq!(ExecutorError::Warehouse(failed(None)).kind(), FaultKind::Storage);
        let result = Box::new(summary_of_three().results[1].clone());
        let error = ExecutorError::PipelineFailed(result);
        assert_eq!(error.kind(), FaultKind::DataQuality);
        assert_eq!(error.to_string(), "gold.dim_product: DataQualityError: 2 rows have no product_id");
    }

    #[test]
    fn what_is_missing_or_undeclared_is_told_with_its_file_and_what_to_do() {
        let external = |near: Option<&str>| ExternalTable {
            pipeline: table("gold.fact_a"),
            table: table("gold.dim_gone"),
            reason: Reason::Declared,
            config_path: "configs/a.yml".into(),
            near: near.map(table),
        };
        assert_eq!(
            ExecutorError::MissingUpstream(vec![external(None), external(Some("gold.dim_one"))]).to_string(),
            "gold.fact_a needs gold.dim_gone (depends_on), which no pipeline of this run writes and the warehouse does \
             not hold\n --> configs/a.yml\n  = help: load it first, or add its configuration\n\n\
             gold.fact_a needs gold.dim_gone (depends_on), which no pipeline of this run writes and the warehouse does \
             not hold\n --> configs/a.yml\n  = help: did you mean `gold.dim_one`?"
        );
        let undeclared = PlanWarning::Undeclared {
            pipeline: table("gold.fact_a"),
            config_path: "configs/a.yml".into(),
            dependency: table("gold.dim_b"),
            reasons: vec![Reason::ReadsSource],
        };
        assert_eq!(
            ExecutorError::Undeclared(vec![undeclared]).to_string(),
            "gold.fact_a needs gold.dim_b (source), which its depends_on does not name; the target `prod` wants every \
             dependency in depends_on\n --> configs/a.yml\n  = help: add it: `depends_on: [gold.dim_b]`"
        );
    }

    #[test]
    fn a_defect_is_internal_and_a_stop_is_a_cancellation() {
        assert_eq!(PipelineError::Panicked { message: "oops".to_owned() }.kind(), FaultKind::Internal);
        assert_eq!(PipelineError::Cancelled.kind(), FaultKind::Cancelled);
    }
}
