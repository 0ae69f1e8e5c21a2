//! `kimball docs`: the model as a folder of pages that need no server and no network.

mod columns;
mod pages;
mod picture;
mod site;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kimball::counted;

use self::columns::Types;
use self::site::Site;
use crate::args::{Configs, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::status::rows_asked_for;

/// Where the pages are written, relative to the current folder.
const FOLDER: &str = "target/docs";

/// Writes a page for the project and one for each of its tables.
pub fn docs(configs: &Configs, folder: Option<&Path>, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(configs).build()?;
    let runs = rows_asked_for(&executor, options)?;
    let types = Types::of(executor.project(), options)?;
    let site = Site::of(executor.project(), executor.plan(), &types, &runs);
    let folder = folder.unwrap_or(Path::new(FOLDER));
    for (name, page) in pages::all(&site) {
        write(&folder.join(name), &page)?;
    }
    let mut output = Output::new(io::stdout());
    let tables = counted(site.tables.len(), "table");
    output.line(format_args!("wrote {}: {tables}", folder.join(pages::INDEX).display()));
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let not_made = |source| Failure::NotMade { path: PathBuf::from(path), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(not_made)?;
    }
    fs::write(path, text).map_err(not_made)
}
