//! A run as one JSON object a line, and the file that keeps what it came to.

use std::fs;
use std::io;
use std::path::Path;

use kimball::Event;

/// Where the last object of a run is kept, relative to the current folder.
pub const RESULTS_FILE: &str = "target/run_results.json";

/// One event as one line, without its line break.
pub fn json_of(event: &Event) -> Result<String, serde_json::Error> {
    serde_json::to_string(event)
}

/// Keeps the last event of a run in `file`, whose folder is made when it is missing. The file is whole at
/// any time: it is written aside and moved into place.
pub fn keep(event: &Event, file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = file.with_extension(format!("json.{}", std::process::id()));
    fs::write(&aside, json_of(event)? + "\n")?;
    fs::rename(&aside, file)
}

#[cfg(test)]
mod tests;
