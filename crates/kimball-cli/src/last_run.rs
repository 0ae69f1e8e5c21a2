//! What the last run in this folder came to, and how it was called: what `retry` and `result:` go by.

use std::fs;
use std::io;
use std::path::Path;

use kimball::{PipelineStatus, TableName};
use serde::{Deserialize, Serialize};

use crate::run_json::RESULTS_FILE;

/// Where the call of a run is kept from its start on, relative to the current folder.
const CALL_FILE: &str = "target/run_call.json";

/// How a run was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCall {
    /// The run.
    pub run_id: String,
    /// The words of the command line after the name of the program.
    pub arguments: Vec<String>,
}

/// The results of the last run, as far as they are needed.
#[derive(Debug, Clone, Deserialize)]
pub struct LastRun {
    /// The run.
    pub run_id: String,
    /// What became of each pipeline.
    results: Vec<LastResult>,
}

#[derive(Debug, Clone, Deserialize)]
struct LastResult {
    table_name: String,
    status: String,
}

impl RunCall {
    /// Keeps the call for `retry`.
    pub fn keep(&self) -> io::Result<()> {
        let file = Path::new(CALL_FILE);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let aside = file.with_extension(format!("json.{}", std::process::id()));
        fs::write(&aside, serde_json::to_string(self)? + "\n")?;
        fs::rename(&aside, file)
    }

    /// The call that was kept last; `None` when there is none.
    pub fn read() -> io::Result<Option<Self>> {
        read(Path::new(CALL_FILE))
    }
}

impl LastRun {
    /// What was kept last; `None` when no run has ended here.
    pub fn read() -> io::Result<Option<Self>> {
        read(Path::new(RESULTS_FILE))
    }

    /// What became of each pipeline.
    pub fn statuses(&self) -> Vec<(TableName, PipelineStatus)> {
        let status = |result: &LastResult| {
            let status = match result.status.as_str() {
                "SUCCESS" => PipelineStatus::Success,
                "FAILED" => PipelineStatus::Failed,
                "SKIPPED" => PipelineStatus::Skipped,
                _ => return None,
            };
            Some((TableName::parse(&result.table_name).ok()?, status))
        };
        self.results.iter().filter_map(status).collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
