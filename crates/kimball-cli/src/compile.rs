//! `kimball compile`, and `kimball plan --against`: the project written down, and what has changed since.

use std::fs;
use std::io;
use std::path::Path;

use kimball::{MANIFEST_VERSION, Manifest, PlanChanges, counted};
use serde::Deserialize;

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::output::Output;
use crate::stderr;

/// Where the manifest is written, relative to the current folder.
const MANIFEST_FILE: &str = "target/manifest.json";

/// Writes the manifest of a project to a file, or to the standard output for `-`.
pub fn compile(configs: &Configs, file: Option<&Path>, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(configs).build()?;
    let manifest = Manifest::of(executor.project(), executor.plan());
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Failure::Output(error.into()))? + "\n";
    let mut output = Output::new(io::stdout());
    let file = file.unwrap_or(Path::new(MANIFEST_FILE));
    if file == Path::new("-") {
        output.write(text);
    } else {
        write_whole(file, &text).map_err(|source| Failure::NotMade { path: file.to_owned(), source })?;
        let pipelines = counted(manifest.pipelines.len(), "pipeline");
        output.line(format_args!("wrote {}: {pipelines}", file.display()));
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

/// Shows what has changed since a manifest was written; a breaking change is refused.
pub fn against(configs: &Configs, file: &Path, options: &Options) -> Result<Exit, Failure> {
    let before = read(file)?;
    let executor = options.builder(configs).build()?;
    if !options.quiet {
        executor.warnings().iter().for_each(stderr::line);
    }
    let changes = PlanChanges::between(&before, &Manifest::of(executor.project(), executor.plan()));
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        output.write(json_line("plan_changes", &changes)?);
    } else {
        output.line(&changes);
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None if changes.is_breaking() => Ok(Exit::Refused),
        None => Ok(Exit::Success),
    }
}

fn read(file: &Path) -> Result<Manifest, Failure> {
    /// The one part of a manifest that never changes.
    #[derive(Deserialize)]
    struct Head {
        manifest: u32,
    }
    let unreadable = |source| Failure::Input { path: file.to_owned(), source };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let none = || {
        let file = file.display();
        Failure::Obstacle(format!("{file} is no manifest: `kimball compile` writes one"))
    };
    let head: Head = serde_json::from_str(&text).map_err(|_| none())?;
    if head.manifest != MANIFEST_VERSION {
        return Err(Failure::Obstacle(format!(
            "{} is a manifest of version {}; this command reads version {MANIFEST_VERSION}",
            file.display(),
            head.manifest
        )));
    }
    serde_json::from_str(&text).map_err(|_| none())
}

fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let aside = file.with_extension(format!("json.{}", std::process::id()));
    fs::write(&aside, text)?;
    fs::rename(&aside, file)
}
