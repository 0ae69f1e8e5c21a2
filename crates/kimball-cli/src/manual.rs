//! `kimball completions` and `kimball man`: what shells and readers of manuals go by.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::CommandLine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Writes the completions of a shell.
pub fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "kimball", &mut script);
    write(&script)
}

/// Writes the manual page of the command, or all pages into a folder.
pub fn man(folder: Option<&Path>) -> Result<Exit, Failure> {
    match folder {
        Some(folder) => {
            let failed = |source| Failure::NotMade { path: folder.to_owned(), source };
            fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(CommandLine::command(), folder).map_err(failed)?;
            Ok(Exit::Success)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(CommandLine::command()).render(&mut page).map_err(Failure::Output)?;
            write(&page)
        }
    }
}

fn write(text: &[u8]) -> Result<Exit, Failure> {
    let mut output = Output::new(io::stdout());
    output.write(String::from_utf8_lossy(text));
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}
