//! `kimball sql`: answers to questions, in several formats.

pub mod answer;
mod columns;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read, Write};

use kimball::{BlockingSqlConsole, ExecutorError, SqlConsole, Unfinished, split_statements};

use self::answer::{Answer, Room};
use crate::args::{Configs, Format, Options, Sql};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::moment::now;
use crate::stderr;

/// Answers all statements, one after the other, until one fails.
pub fn sql(question: &Sql, options: &Options) -> Result<Exit, Failure> {
    let text = text_of(question)?;
    let statements = split_statements(&text).map_err(|Unfinished| {
        Failure::Obstacle("the SQL ends within a quoted text or a comment".to_owned())
    })?;
    if statements.is_empty() {
        return Err(kimball::SqlError::Empty.into());
    }
    let is_parquet = options.format == Format::Parquet;
    if is_parquet && statements.len() > 1 {
        return Err(Failure::Obstacle("a Parquet file holds the answer to one statement only".to_owned()));
    }
    let to_terminal = question.output.is_none() && io::stdout().is_terminal();
    if is_parquet && to_terminal {
        return Err(Failure::Obstacle(
            "a terminal cannot show Parquet: name a file with --output".to_owned(),
        ));
    }
    let console = console(options)?;
    let room = if to_terminal { Room::Terminal } else { Room::Unlimited };
    let mut writer: Box<dyn Write + Send> = match &question.output {
        Some(path) => Box::new(BufWriter::new(File::create(path).map_err(Failure::Output)?)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    for (index, statement) in statements.iter().enumerate() {
        let written = answer_into(&console, statement, options, room, index, writer.as_mut());
        match written {
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Success);
            }
            written => written?,
        }
    }
    Ok(Exit::Success)
}

fn answer_into(
    console: &BlockingSqlConsole,
    statement: &str,
    options: &Options,
    room: Room,
    index: usize,
    mut writer: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let mut rows = console.query(statement, now(options.run_time))?;
    rows.notes().iter().for_each(stderr::note);
    if index > 0 && !matches!(options.format, Format::Json) {
        writeln!(writer).map_err(Failure::Output)?;
    }
    let mut answer =
        Answer::begin(options.format, rows.schema(), room, &mut writer).map_err(Failure::Output)?;
    while let Some(batch) = rows.next_until(std::future::pending::<()>())? {
        answer.write(&batch).map_err(Failure::Output)?;
    }
    answer.finish().map_err(Failure::Output)?;
    writer.flush().map_err(Failure::Output)
}

/// The console of the target that the options name.
pub fn console(options: &Options) -> Result<BlockingSqlConsole, Failure> {
    let target = options.builder(&Configs::default()).load_target()?;
    let console = SqlConsole::new(&target, options.memory_limit)?;
    BlockingSqlConsole::new(console).map_err(|error| ExecutorError::Threads(error).into())
}

fn text_of(question: &Sql) -> Result<String, Failure> {
    match (&question.text, &question.file) {
        (Some(text), _) if text != "-" => Ok(text.clone()),
        (_, Some(path)) => {
            fs::read_to_string(path).map_err(|source| Failure::Input { path: path.clone(), source })
        }
        _ => {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|source| Failure::Input { path: "the standard input".into(), source })?;
            Ok(text)
        }
    }
}
