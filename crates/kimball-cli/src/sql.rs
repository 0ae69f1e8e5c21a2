//! `kimball sql`: answers to questions, in several formats.

pub mod answer;
mod columns;
pub mod destination;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};

use chrono::{DateTime, Utc};
use kimball::{
    BlockingSqlConsole, BlockingSqlRows, ExecutorError, Next, SqlConsole, Unfinished, split_statements,
};

use self::answer::{Answer, Room};
use self::destination::Destination;
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
    let asking = Asking {
        console: &console(options)?,
        format: options.format,
        room: if to_terminal { Room::Terminal } else { Room::Unlimited },
        run_time: options.run_time,
        on_interrupt: OnInterrupt::EndProcess,
    };
    let mut destination = Destination::open(question.output.as_deref()).map_err(Failure::Output)?;
    for (index, statement) in statements.iter().enumerate() {
        let answered = match index > 0 && options.format != Format::Json {
            true => writeln!(destination).map_err(Failure::Output),
            false => Ok(()),
        };
        match answered.and_then(|()| asking.answer(statement, &mut destination)) {
            Err(Failure::Output(_)) if destination.is_reader_gone() => return Ok(Exit::Success),
            answered => answered?,
        };
    }
    match destination.finish() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Success),
        finished => finished.map(|()| Exit::Success).map_err(Failure::Output),
    }
}

/// What Ctrl-C does while a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// What it does to any program.
    EndProcess,
    /// The question is given up.
    GiveUp,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// With its last row.
    Completely,
    /// With Ctrl-C.
    GivenUp,
}

/// How questions are answered.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Who answers.
    pub console: &'a BlockingSqlConsole,
    /// In which format.
    pub format: Format,
    /// How wide.
    pub room: Room,
    /// What `current_timestamp()` says, if not the time.
    pub run_time: Option<DateTime<Utc>>,
    /// What Ctrl-C does.
    pub on_interrupt: OnInterrupt,
}

impl Asking<'_> {
    /// Answers one statement. Nothing is written before its first row, or its end, is there.
    pub fn answer(self, statement: &str, mut writer: &mut (dyn Write + Send)) -> Result<Answered, Failure> {
        let mut rows = self.console.query(statement, now(self.run_time))?;
        rows.notes().iter().for_each(stderr::note);
        let first = self.next_of(&mut rows)?;
        if matches!(first, Next::GivenUp) {
            return Ok(Answered::GivenUp);
        }
        let mut answer =
            Answer::begin(self.format, rows.schema(), self.room, &mut writer).map_err(Failure::Output)?;
        let mut next = first;
        loop {
            match next {
                Next::GivenUp => return Ok(Answered::GivenUp),
                Next::End => break,
                Next::Rows(batch) => answer.write(&batch).map_err(Failure::Output)?,
            }
            next = self.next_of(&mut rows)?;
        }
        answer.finish().map_err(Failure::Output)?;
        writer.flush().map_err(Failure::Output)?;
        Ok(Answered::Completely)
    }

    fn next_of(self, rows: &mut BlockingSqlRows) -> Result<Next, Failure> {
        Ok(match self.on_interrupt {
            OnInterrupt::EndProcess => rows.next_until(std::future::pending::<()>())?,
            OnInterrupt::GiveUp => rows.next_until(tokio::signal::ctrl_c())?,
        })
    }
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
