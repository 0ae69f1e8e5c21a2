//! `kimball validate`.

use std::io;
use std::path::Path;

use kimball::{ExecutorError, PipelineExecutor, Problem, ProblemSeverity, ProjectWarning, counted};
use serde::Serialize;

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::output::Output;
use crate::stderr;

/// Checks all files and shows all problems, and what is none and worth knowing.
pub fn validate(configs: &Configs, options: &Options) -> Result<Exit, Failure> {
    let mut output = Output::new(io::stdout());
    let built = options.builder(configs).build();
    let exit = if options.format == Format::Json {
        as_json(&built, &mut output)?
    } else {
        as_text(&built?, options, &mut output);
        Exit::Success
    };
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(exit),
    }
}

fn as_text(executor: &PipelineExecutor, options: &Options, output: &mut Output<impl io::Write>) {
    for warning in executor.warnings() {
        stderr::line(format_args!("{warning}\n"));
    }
    let notes = notes(executor);
    for note in notes.iter().filter(|_| !options.quiet) {
        stderr::note(format_args!("{}\n --> {}\n", note.message, note.file));
    }
    let pipelines = counted(executor.project().pipelines.len(), "pipeline");
    let waves = counted(executor.plan().waves().len(), "wave");
    let warnings = match executor.warnings().len() {
        0 => "no problems".to_owned(),
        count => counted(count, "warning"),
    };
    let noted = match notes.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "note")),
    };
    output.line(format_args!("✓ {pipelines} in {waves}: {warnings}{noted}"));
}

/// Something that is no problem, as an object.
#[derive(Serialize)]
struct Note<'a> {
    table_name: String,
    file: String,
    message: &'a str,
}

fn notes(executor: &PipelineExecutor) -> Vec<Note<'_>> {
    let mut notes = Vec::new();
    for pipeline in &executor.project().pipelines {
        notes.extend(pipeline.notes.iter().map(|message| Note {
            table_name: pipeline.table.to_string(),
            file: pipeline.config_path.display().to_string(),
            message,
        }));
    }
    notes
}

/// One problem, as an object.
#[derive(Serialize)]
struct Found {
    severity: &'static str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    source_line: Option<String>,
    message: String,
    help: Option<String>,
}

/// What the check came to, as an object.
#[derive(Serialize)]
struct Verdict {
    valid: bool,
    pipelines: Option<usize>,
    waves: Option<usize>,
}

/// A line a problem, a line a note, then a line with the verdict.
fn as_json(
    built: &Result<PipelineExecutor, ExecutorError>,
    output: &mut Output<impl io::Write>,
) -> Result<Exit, Failure> {
    let (found, verdict, exit): (Vec<Found>, _, _) = match built {
        Ok(executor) => {
            let pipelines = Some(executor.project().pipelines.len());
            let waves = Some(executor.plan().waves().len());
            let found = executor.warnings().iter().map(Found::by_warning).collect();
            (found, Verdict { valid: true, pipelines, waves }, Exit::Success)
        }
        Err(error) => {
            (Found::by_error(error), Verdict { valid: false, pipelines: None, waves: None }, Exit::Error)
        }
    };
    for problem in found {
        output.write(json_line("problem", problem)?);
    }
    for note in built.as_ref().map(notes).unwrap_or_default() {
        output.write(json_line("note", note)?);
    }
    output.write(json_line("validated", verdict)?);
    Ok(exit)
}

impl Found {
    fn by_error(error: &ExecutorError) -> Vec<Self> {
        match error {
            ExecutorError::Config(problems) => problems.iter().map(Self::in_file).collect(),
            ExecutorError::Plan(problems) => {
                let found = problems.iter().map(|it| {
                    let file = it.config_paths().first().map(AsRef::as_ref);
                    let help = it.help().map(str::to_owned);
                    Self { help, ..Self::between_files("error", it.summary(), file) }
                });
                found.collect()
            }
            ExecutorError::Undeclared(undeclared) => {
                let found = undeclared
                    .iter()
                    .map(|it| Self::between_files("error", it.to_string(), Some(it.config_path())));
                found.collect()
            }
            other => vec![Self::between_files("error", other.message(), None)],
        }
    }

    fn by_warning(warning: &ProjectWarning) -> Self {
        match warning {
            ProjectWarning::Config(problem) => Self::in_file(problem),
            ProjectWarning::Plan(it) => {
                Self::between_files("warning", it.to_string(), Some(it.config_path()))
            }
            other => Self::between_files("warning", other.to_string(), None),
        }
    }

    fn in_file(problem: &Problem) -> Self {
        let severity = match problem.severity {
            ProblemSeverity::Error => "error",
            ProblemSeverity::Warning => "warning",
        };
        let place = problem.location.as_ref();
        Self {
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            source_line: place.map(|place| place.source_line.clone()),
            help: problem.help.clone(),
            ..Self::between_files(severity, problem.message.clone(), problem.file.as_deref())
        }
    }

    /// A problem that lies in no one line.
    fn between_files(severity: &'static str, message: String, file: Option<&Path>) -> Self {
        let file = file.map(|file| file.display().to_string());
        Self { severity, file, line: None, column: None, source_line: None, message, help: None }
    }
}
