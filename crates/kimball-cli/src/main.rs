//! The command `kimball`: arguments in, the library's events and summaries out as text or JSON.

mod args;
mod bundle;
mod compile;
mod docs;
mod exit;
mod failure;
#[cfg(test)]
mod fixture;
mod history;
mod init;
mod interrupt;
mod json_line;
mod last_run;
mod live;
mod logging;
mod manual;
mod moment;
mod optimize;
mod output;
mod plan_text;
mod retry;
mod run;
mod run_json;
mod run_text;
mod schema;
mod shell;
mod size;
mod sql;
mod status;
mod stderr;
mod text_table;
mod vacuum;
mod validate;

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::args::{CommandLine, Verb};
use crate::exit::Exit;
use crate::failure::Failure;

fn main() -> ExitCode {
    panic::set_hook(Box::new(report_defect));
    // A defect on the main thread is an internal error like any other, not the code 101 of a crash.
    panic::catch_unwind(go).unwrap_or(Exit::Error).into()
}

fn go() -> Exit {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&with_verbs(error)),
    };
    if let Some(contradiction) = line.contradiction() {
        return usage(&CommandLine::command().error(ErrorKind::ArgumentConflict, contradiction));
    }
    logging::start(&line.options);
    match perform(&line) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.report();
            Exit::Error
        }
    }
}

fn perform(line: &CommandLine) -> Result<Exit, Failure> {
    let options = &line.options;
    match &line.verb {
        Verb::Validate(configs) => validate::validate(configs, options),
        Verb::Plan { configs, against: Some(manifest) } => compile::against(configs, manifest, options),
        Verb::Plan { configs, against: None } | Verb::Run { configs, dry_run: true } => {
            plan_text::plan(configs, options)
        }
        Verb::Compile { configs, output } => compile::compile(configs, output.as_deref(), options),
        Verb::Run { configs, dry_run: false } => run::run(configs, options, &arguments()),
        Verb::Retry => retry::retry(options),
        Verb::Status(asked) => status::status(asked, options),
        Verb::History(asked) => history::history(asked, options),
        Verb::Docs { configs, output } => docs::docs(configs, output.as_deref(), options),
        Verb::Bundle { configs, bundle } => bundle::bundle(configs, bundle, options),
        Verb::Init { folder } => init::init(folder),
        Verb::Schema { of } => schema::schema(*of),
        Verb::Completions { shell } => manual::completions(*shell),
        Verb::Man { folder } => manual::man(folder.as_deref()),
        Verb::Sql(question) => sql::sql(question, options),
        Verb::Shell => shell::shell(options),
        Verb::Optimize(configs) => optimize::optimize(configs, options),
        Verb::Vacuum(asked) => vacuum::vacuum(asked, options),
    }
}

/// The words of the command line after the name of the program.
#[allow(clippy::disallowed_methods, reason = "the command line comes in here")]
fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Adds to an unknown verb the one that is nearly called so, and all there are.
fn with_verbs(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let command = CommandLine::command();
    let verbs: Vec<&str> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name).collect();
    let near = kimball::nearest(word, verbs.iter().copied());
    let suggested = error.get(ContextKind::SuggestedSubcommand);
    if let Some(near) = near.filter(|_| suggested.is_none_or(is_nothing)) {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near.to_owned()]));
    }
    let all = format!("the verbs are {}", verbs.join(", "));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![all.into()]));
    error
}

fn is_nothing(suggested: &ContextValue) -> bool {
    matches!(suggested, ContextValue::Strings(words) if words.is_empty())
}

/// Help and version go to stdout and are no error; the rest goes to stderr.
fn usage(error: &clap::Error) -> Exit {
    // A reader that closed the pipe has read enough.
    let _ = error.print();
    if error.use_stderr() { Exit::Error } else { Exit::Success }
}

/// The name of the threads that a run works on.
const RUNTIME_THREAD: &str = "kimball-runtime";

/// Tells of a defect in a line, without a backtrace.
fn report_defect(defect: &PanicHookInfo<'_>) {
    if interrupt::is_interrupted() && std::thread::current().name() == Some(RUNTIME_THREAD) {
        // The library below complains on its own threads when what it works for is given up.
        return;
    }
    let said = defect.payload_as_str().unwrap_or("no reason was given");
    let place = defect.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
    stderr::error(format_args!("internal error: {said}{place}; please report this"));
}
