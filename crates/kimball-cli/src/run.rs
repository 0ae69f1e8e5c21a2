//! `kimball run`.

use std::io::{self, Stdout};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kimball::{CancelToken, Event, EventKind, counted};

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::last_run::RunCall;
use crate::live::{self, Live};
use crate::output::Output;
use crate::run_json::{self, RESULTS_FILE};
use crate::run_text::{Detail, text_of};
use crate::stderr;

/// What the observer of a run shares with who started it.
struct Front {
    output: Output<Stdout>,
    format: Format,
    detail: Detail,
    /// How the run was called, kept as soon as it has an identity.
    arguments: Vec<String>,
    last: Option<Event>,
    live: Option<Live>,
}

impl Front {
    fn show(&mut self, event: &Event) {
        match self.format {
            Format::Json => match run_json::json_of(event) {
                Ok(line) => self.output.line(line),
                Err(error) => stderr::warning(format_args!("an event cannot be written: {error}")),
            },
            _ => self.show_text(event),
        }
        match event.kind {
            EventKind::RunStarted { .. } => {
                let call = RunCall {
                    run_id: event.run_id.to_string(),
                    arguments: std::mem::take(&mut self.arguments),
                };
                if let Err(error) = call.keep() {
                    stderr::warning(format_args!("`kimball retry` will not know of this run: {error}"));
                }
            }
            EventKind::RunFinished(_) => self.last = Some(event.clone()),
            _ => {}
        }
    }
}

impl Front {
    fn show_text(&mut self, event: &Event) {
        let text = text_of(event, self.detail);
        let Some(live) = &mut self.live else { return self.output.write(text) };
        let ended = match &event.kind {
            EventKind::PipelineCompleted(result)
            | EventKind::PipelineFailed(result)
            | EventKind::PipelineSkipped(result) => Some(result.table_name.to_string()),
            EventKind::RunFinished(_) => {
                live.stop();
                None
            }
            _ => None,
        };
        if let Some(table) = ended {
            live.ended(&table);
        }
        let output = &mut self.output;
        live.above(|| output.write(text));
    }
}

/// Runs the pipelines; the exit says what became of them. `arguments` are what `retry` repeats.
pub fn run(configs: &Configs, options: &Options, arguments: &[String]) -> Result<Exit, Failure> {
    let detail = if options.quiet { Detail::Quiet } else { Detail::Full };
    let output = Output::new(io::stdout());
    let arguments = arguments.to_vec();
    let front = Front { output, format: options.format, detail, arguments, last: None, live: None };
    let front = Arc::new(Mutex::new(front));
    let shown = Arc::clone(&front);
    let cancel = CancelToken::new();
    let executor = options
        .builder(configs)
        .cancel_token(cancel.clone())
        .observer(move |event| locked(&shown).show(event))
        .build()?;
    let warnings = executor.warnings().len();
    if warnings > 0 && !options.quiet {
        let warnings = counted(warnings, "warning");
        stderr::note(format_args!("the configuration has {warnings}; `kimball validate` shows them"));
    }
    interrupt::cancel_on_signals(cancel);
    if options.format != Format::Json && !options.quiet && options.verbose == 0 && live::is_wanted() {
        match Live::start(&executor) {
            Ok(live) => locked(&front).live = Some(live),
            Err(error) => stderr::warning(format_args!("the running pipelines are not shown: {error}")),
        }
    }
    let summary = executor.run();
    locked(&front).live = None;

    let mut front = locked(&front);
    if let Some(last) = &front.last
        && let Err(error) = run_json::keep(last, Path::new(RESULTS_FILE))
    {
        stderr::warning(format_args!("{RESULTS_FILE} cannot be written: {error}"));
    }
    let exit = Exit::of(&summary?);
    match front.output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(exit),
    }
}

fn locked(front: &Mutex<Front>) -> MutexGuard<'_, Front> {
    front.lock().unwrap_or_else(PoisonError::into_inner)
}
