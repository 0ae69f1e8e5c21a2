//! `kimball shell`: question after question.

mod editing;

use std::env;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kimball::{BlockingSqlConsole, Unfinished, split_statements};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use self::editing::Editing;
use crate::args::{Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::moment::now;
use crate::sql::answer::{Answer, Room};
use crate::sql::console;
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
#[derive(PartialEq, Eq)]
enum Next {
    Question,
    Leave,
}

impl Shell<'_> {
    fn read_all(&mut self) -> Result<Exit, Failure> {
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|source| Failure::Input { path: "the standard input".into(), source })?;
        let statements = split_statements(&text).map_err(|Unfinished| {
            Failure::Obstacle("the SQL ends within a quoted text or a comment".to_owned())
        })?;
        for statement in statements {
            match self.answer(&statement) {
                Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => break,
                answered => answered?,
            }
        }
        Ok(Exit::Success)
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
                Ok(text) => {
                    if self.take(&text) == Next::Leave {
                        break;
                    }
                }
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

    /// Answers what was typed; an error is told, and the conversation goes on.
    fn take(&mut self, text: &str) -> Next {
        let typed = text.trim().trim_end_matches(';').trim();
        let (command, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        let asked = match command.to_lowercase().as_str() {
            "" => return Next::Question,
            "\\q" | "exit" | "quit" => return Next::Leave,
            "\\?" | "help" => {
                stderr::line(HELP);
                return Next::Question;
            }
            "\\f" => {
                self.choose_format(rest.trim());
                return Next::Question;
            }
            "\\dt" => vec!["SHOW TABLES".to_owned()],
            "\\d" if rest.is_empty() => vec!["SHOW TABLES".to_owned()],
            "\\d" => vec![format!("DESCRIBE {rest}")],
            other if other.starts_with('\\') => {
                stderr::error(format_args!("`{command}` is no command; \\? lists them"));
                return Next::Question;
            }
            _ => split_statements(text).unwrap_or_default(),
        };
        for statement in asked {
            if let Err(failure) = self.answer(&statement) {
                failure.report();
                break;
            }
        }
        Next::Question
    }

    fn choose_format(&mut self, name: &str) {
        match name {
            "text" | "table" => self.format = Format::Text,
            "csv" => self.format = Format::Csv,
            "json" => self.format = Format::Json,
            _ => stderr::error("the shell writes text, csv or json"),
        }
    }

    fn answer(&self, statement: &str) -> Result<(), Failure> {
        let mut rows = self.console.query(statement, now(self.options.run_time))?;
        rows.notes().iter().for_each(stderr::note);
        let room = if io::stdout().is_terminal() { Room::Terminal } else { Room::Unlimited };
        let mut writer = BufWriter::new(io::stdout());
        let mut answer =
            Answer::begin(self.format, rows.schema(), room, &mut writer).map_err(Failure::Output)?;
        while let Some(batch) = rows.next_until(tokio::signal::ctrl_c())? {
            answer.write(&batch).map_err(Failure::Output)?;
        }
        answer.finish().map_err(Failure::Output)?;
        writer.flush().map_err(Failure::Output)
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
