//! `kimball validate`.

use std::io;

use kimball::{
    EVENT_SCHEMA, ExecutorError, PipelineExecutor, Problem, ProblemSeverity, ProjectWarning, counted,
};
use serde_json::{Value, json};

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::stderr;

/// Checks all files and shows all problems.
pub fn validate(configs: &Configs, options: &Options) -> Result<Exit, Failure> {
    let mut output = Output::new(io::stdout());
    let built = options.builder(configs).build();
    let exit = if options.format == Format::Json {
        as_json(&built, &mut output)
    } else {
        as_text(&built?, &mut output);
        Exit::Success
    };
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(exit),
    }
}

fn as_text(executor: &PipelineExecutor, output: &mut Output<impl io::Write>) {
    for warning in executor.warnings() {
        stderr::line(format_args!("{warning}\n"));
    }
    let pipelines = counted(executor.project().pipelines.len(), "pipeline");
    let waves = counted(executor.plan().waves().len(), "wave");
    let warnings = match executor.warnings().len() {
        0 => "no problems".to_owned(),
        count => counted(count, "warning"),
    };
    output.line(format_args!("✓ {pipelines} in {waves}: {warnings}"));
}

/// A line a problem, then a line with the verdict.
fn as_json(built: &Result<PipelineExecutor, ExecutorError>, output: &mut Output<impl io::Write>) -> Exit {
    let (problems, verdict): (Vec<Value>, Value) = match built {
        Ok(executor) => {
            let (pipelines, waves) = (executor.project().pipelines.len(), executor.plan().waves().len());
            let problems = executor.warnings().iter().map(warning).collect();
            (problems, json!({"event": "validated", "valid": true, "pipelines": pipelines, "waves": waves}))
        }
        Err(error) => (problems_of(error), json!({"event": "validated", "valid": false})),
    };
    for mut line in problems.into_iter().chain([verdict]) {
        if let Some(line) = line.as_object_mut() {
            line.insert("schema".to_owned(), json!(EVENT_SCHEMA));
        }
        output.line(line);
    }
    if built.is_ok() { Exit::Success } else { Exit::Error }
}

fn problems_of(error: &ExecutorError) -> Vec<Value> {
    match error {
        ExecutorError::Config(problems) => problems.iter().map(problem).collect(),
        ExecutorError::Plan(problems) => {
            problems.iter().map(|it| between_files("error", &it.to_string(), it.config_paths())).collect()
        }
        ExecutorError::Undeclared(warnings) => {
            let line =
                |it: &kimball::PlanWarning| between_files("error", &it.to_string(), &[it.config_path()]);
            warnings.iter().map(line).collect()
        }
        other => vec![between_files::<&str>("error", &other.message(), &[])],
    }
}

fn warning(warning: &ProjectWarning) -> Value {
    match warning {
        ProjectWarning::Plan(warning) => {
            between_files("warning", &warning.to_string(), &[warning.config_path()])
        }
        ProjectWarning::Config(it) => problem(it),
        other => between_files::<&str>("warning", &other.to_string(), &[]),
    }
}

fn problem(problem: &Problem) -> Value {
    let severity = match problem.severity {
        ProblemSeverity::Error => "error",
        ProblemSeverity::Warning => "warning",
    };
    let place = problem.location.as_ref();
    json!({
        "event": "problem",
        "severity": severity,
        "file": problem.file.as_ref().map(|file| file.display().to_string()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "source_line": place.map(|place| &place.source_line),
        "message": problem.message,
        "help": problem.help,
    })
}

/// A problem that lies in no line of one file.
fn between_files<P: AsRef<std::path::Path>>(severity: &str, message: &str, files: &[P]) -> Value {
    let files: Vec<String> = files.iter().map(|file| file.as_ref().display().to_string()).collect();
    json!({
        "event": "problem",
        "severity": severity,
        "file": files.first(),
        "files": files,
        "line": null,
        "column": null,
        "message": message,
    })
}
