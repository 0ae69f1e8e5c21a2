//! What is wrong with a query: in one sentence, where in its file, and what there is instead.
//!
//! The library's own words are for those who know it: it names its stages, its types, and at random one of several
//! functions that may have been meant.

mod columns;
mod plans;
mod text;

use std::fmt;

use datafusion::common::{SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use kimball_config::Problem;
use kimball_lake::{bad_value, in_words};

pub(crate) use self::text::Origin;
use self::text::{Sought, place_of};
use crate::EngineError;
use crate::spark::SparkPlanner;
use crate::stage::Relation;

/// Whose query it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// A pipeline, with its sources.
    Pipeline(&'a [Relation]),
    /// Somebody at the terminal.
    Console,
    /// An expression of a configuration, inside a query that is the engine's own.
    Expression,
}

/// The functions that a query may call.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// Those of one row, and those of groups.
    calls: Vec<String>,
    /// Those that need an OVER.
    windows: Vec<String>,
}

impl Functions {
    /// Those of Spark's that `session` knows.
    pub(crate) fn of(session: &SessionContext) -> Self {
        SparkPlanner::new(session).map(|planner| Self::in_state(planner.state())).unwrap_or_default()
    }

    fn in_state(state: &SessionState) -> Self {
        let calls = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let (mut calls, mut windows): (Vec<_>, Vec<_>) =
            (calls.cloned().collect(), state.window_functions().keys().cloned().collect());
        calls.sort();
        windows.sort();
        Self { calls, windows }
    }
}

/// What is wrong, what to do, and what of the query is meant.
struct Explained {
    message: String,
    help: Option<String>,
    sought: Option<Sought>,
}

/// What is wrong with a query.
#[derive(Debug)]
pub struct QueryProblem {
    /// Which expression of the configuration it is about, where it is not the query of a pipeline.
    subject: Option<String>,
    problem: Problem,
}

impl fmt::Display for QueryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        if self.problem.file.is_some() {
            let told = self.problem.to_string();
            return f.write_str(told.strip_prefix("error: ").unwrap_or(&told));
        }
        f.write_str(&self.problem.message)?;
        match &self.problem.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl QueryProblem {
    pub(crate) fn about(self, subject: String) -> Self {
        Self { subject: Some(subject), ..self }
    }
}

/// The failure of a query as an error that says where in the query and what to do.
pub(crate) fn explained(
    cause: DataFusionError,
    asker: Asker<'_>,
    origin: Option<&Origin>,
    sql: &str,
    functions: &Functions,
) -> EngineError {
    let found = explain(&cause, asker, functions);
    let span = cause.diagnostic().and_then(|diagnostic| diagnostic.span).or(match cause.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => field.spans.first(),
            _ => None,
        },
        _ => None,
    });
    let place = place_of(sql, found.sought.as_ref(), span);
    let mut problem = Problem::error(found.message);
    problem.help = found.help;
    if let Some(origin) = origin {
        problem = origin.blame(problem, place);
    }
    EngineError::Sql { problem: Box::new(QueryProblem { subject: None, problem }), cause: Box::new(cause) }
}

/// A query that the library would take, refused.
pub(crate) fn refused(message: String, span: Option<Span>, origin: &Origin) -> EngineError {
    let place = place_of("", None, span);
    let problem = origin.blame(Problem::error(message.clone()), place);
    let cause = Box::new(DataFusionError::Plan(message));
    EngineError::Sql { problem: Box::new(QueryProblem { subject: None, problem }), cause }
}

/// The failure of a query that somebody typed, in one sentence.
pub fn explained_at_the_terminal(cause: &DataFusionError) -> String {
    let functions = Functions::of(&SessionContext::new());
    let Explained { mut message, help, sought } = explain(cause, Asker::Console, &functions);
    if let Some(Sought::At { line, column }) = sought {
        message = format!("{message} at line {line}, column {column}");
    }
    match help {
        Some(help) => format!("{message}; {help}"),
        None => message,
    }
}

fn explain(cause: &DataFusionError, asker: Asker<'_>, functions: &Functions) -> Explained {
    if let Some(bad) = bad_value(cause) {
        let help = "correct it in the source, or use `TRY_CAST`, which gives NULL where a value is none";
        return Explained {
            message: format!("`{}` is no {}", bad.value, bad.kind),
            help: Some(help.to_owned()),
            sought: Some(Sought::OnlyCast(bad.kind)),
        };
    }
    let plain = |message: String| Explained { message, help: None, sought: None };
    match cause.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                columns::unknown(field, valid_fields, asker)
            }
            SchemaError::AmbiguousReference { field } if field.relation.is_none() => {
                columns::ambiguous(field, cause.diagnostic())
            }
            _ => plain(in_words(cause)),
        },
        DataFusionError::SQL(parser, _) => unparsed(&parser.to_string()),
        DataFusionError::Plan(message)
        | DataFusionError::Internal(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::Execution(message) => match plans::explained(message, functions) {
            Some(explained) => explained,
            None => plain(in_words(cause)),
        },
        _ => plain(in_words(cause)),
    }
}

/// `sql parser error: Expected: ), found: AS at Line: 1, Column: 48`
fn unparsed(message: &str) -> Explained {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let parts = message.rsplit_once(" at Line: ").and_then(|(text, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((text, Sought::At { line: line.parse().ok()?, column: column.trim().parse().ok()? }))
    });
    match parts {
        Some((text, sought)) => Explained { message: text.to_owned(), help: None, sought: Some(sought) },
        None => Explained { message: message.to_owned(), help: None, sought: None },
    }
}

#[cfg(test)]
mod tests;
