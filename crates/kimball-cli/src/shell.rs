//! `kimball shell`: question after question.

mod editing;

use std::env;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kimball::{BlockingSqlConsole, split_statements};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use self::editing::{Editing, is_complete};
use crate::args::{Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sql::answer::Room;
use crate::sql::destination::Destination;
use crate::sql::{Answered, Asking, OnInterrupt, console};
use crate::stderr;

/// What the shell says at its start.
const GREETING: &str = "Questions end with `;`. \\dt lists tables, \\d TABLE columns, \\? helps, \\q leaves.";
/// What `\?` says.
const HELP: &str = "\
SELECT …;                      any query over the tables of the warehouse
SELECT … FROM t VERSION AS OF 3;              a table as it was
SELECT … FROM t TIMESTAMP AS OF '2025-01-31'; as it was at that time
DESCRIBE HISTORY t;            its commits
\\dt                            SHOW TABLES
\\d TABLE                       DESCRIBE TABLE
\\f text|csv|json               how answers are written
\\? or help                     this text
\\q, exit, quit or Ctrl-D       leaves; Ctrl-C gives up a question";

/// Asks and answers until the user leaves. What does not come from a terminal is answered as by `kimball sql`, and the
/// first error ends it.
pub fn shell(options: &Options) -> Result<Exit, Failure> {
    if options.format == Format::Parquet {
        return Err(Failure::Obstacle(
            "the shell writes text, csv or json; use `sql` for Parquet".to_owned(),
        ));
    }
    let mut shell = Shell { console: Rc::new(console(options)?), format: options.format, options };
    if io::stdin().is_terminal() { shell.converse() } else { shell.read_all() }
}

struct Shell<'a> {
    console: Rc<BlockingSqlConsole>,
    format: Format,
    options: &'a Options,
}

/// Whether there is more to ask.
enum Next {
    Question,
    /// The last one was given up.
    Interrupted,
    Leave,
}

impl Shell<'_> {
    /// Takes what does not come from a terminal, statement by statement, up to the first error.
    fn read_all(&mut self) -> Result<Exit, Failure> {
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|source| Failure::Input { path: "the standard input".into(), source })?;
        let mut typed = String::new();
        for line in text.lines() {
            typed.push_str(line);
            typed.push('\n');
            if is_complete(&typed) {
                match self.take(&std::mem::take(&mut typed))? {
                    Next::Question => {}
                    Next::Interrupted => return Ok(Exit::Interrupted),
                    Next::Leave => return Ok(Exit::Success),
                }
            }
        }
        if split_statements(&typed).is_err() {
            return Err(Failure::Obstacle("the SQL ends within a quoted text or a comment".to_owned()));
        }
        Ok(match self.take(&typed)? {
            Next::Interrupted => Exit::Interrupted,
            Next::Question | Next::Leave => Exit::Success,
        })
    }

    fn converse(&mut self) -> Result<Exit, Failure> {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
        let mut editor: Editor<Editing, FileHistory> =
            Editor::with_config(config).map_err(|error| Failure::Output(io::Error::other(error)))?;
        editor.set_helper(Some(Editing::new(Rc::clone(&self.console))));
        let history = history_file();
        if let Some(file) = &history {
            // There is none before the first session.
            let _ = editor.load_history(file);
        }
        stderr::line(GREETING);
        loop {
            match editor.readline("kimball> ") {
                Ok(text) => match self.take(&text) {
                    Ok(Next::Leave) => break,
                    Ok(Next::Question) => {}
                    Ok(Next::Interrupted) => stderr::note("interrupted"),
                    Err(failure) => failure.report(),
                },
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(Failure::Output(io::Error::other(error))),
            }
        }
        if let Some(file) = &history
            && let Err(error) = keep_history(&mut editor, file)
        {
            stderr::warning(format_args!("{} cannot be written: {error}", file.display()));
        }
        Ok(Exit::Success)
    }

    /// Does what was typed.
    fn take(&mut self, text: &str) -> Result<Next, Failure> {
        let typed = text.trim().trim_end_matches(';').trim();
        let (command, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        let rest = rest.trim();
        let asked = match command.to_lowercase().as_str() {
            "\\q" | "exit" | "quit" if rest.is_empty() => return Ok(Next::Leave),
            "\\?" | "help" if rest.is_empty() => {
                stderr::line(HELP);
                return Ok(Next::Question);
            }
            "\\f" => {
                self.choose_format(rest);
                return Ok(Next::Question);
            }
            "\\dt" | "\\d" if rest.is_empty() => vec!["SHOW TABLES".to_owned()],
            "\\dt" => vec![format!("SHOW TABLES IN {rest}")],
            "\\d" => vec![format!("DESCRIBE {rest}")],
            other if other.starts_with('\\') => {
                return Err(Failure::Obstacle(format!("`{command}` is no command; \\? lists them")));
            }
            _ => split_statements(text).unwrap_or_default(),
        };
        for statement in asked {
            if self.answer(&statement)? == Answered::GivenUp {
                return Ok(Next::Interrupted);
            }
        }
        Ok(Next::Question)
    }

    fn choose_format(&mut self, name: &str) {
        match name {
            "text" | "table" => self.format = Format::Text,
            "csv" => self.format = Format::Csv,
            "json" => self.format = Format::Json,
            _ => stderr::error("the shell writes text, csv or json"),
        }
    }

    fn answer(&self, statement: &str) -> Result<Answered, Failure> {
        let asking = Asking {
            console: &self.console,
            format: self.format,
            room: if io::stdout().is_terminal() { Room::Terminal } else { Room::Unlimited },
            run_time: self.options.run_time,
            on_interrupt: OnInterrupt::GiveUp,
        };
        let mut destination = Destination::open(None).map_err(Failure::Output)?;
        match asking.answer(statement, &mut destination) {
            Err(Failure::Output(_)) if destination.is_reader_gone() => Ok(Answered::Completely),
            answered => answered,
        }
    }
}

/// Where what was typed is kept, as the XDG base directory specification has it.
#[allow(clippy::disallowed_methods, reason = "the environment of the command comes in here")]
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("kimball/history"))
}

fn keep_history(
    editor: &mut Editor<Editing, FileHistory>,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(editor.append_history(file)?)
}
