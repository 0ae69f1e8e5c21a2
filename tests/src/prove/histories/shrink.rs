//! Cutting a failing case down to the changes that matter.

use std::path::Path;

use kimball_engine::history::What;

use super::cases::Case;
use super::scenario_text::scenario;
use super::{COMMITS, Found};
use crate::error::{Result, TestkitError};
use crate::prove::Refuted;
use crate::scenario::{FailedFolder, run_file};

/// Leaves out changes as long as the scenario of the rest fails, and writes that scenario.
pub(super) fn report(found: &Found, failures: &Path) -> Result<Refuted> {
    std::fs::create_dir_all(failures).map_err(TestkitError::io(failures))?;
    let path = failures.join("a_history_that_differs.yaml");
    let fails = |case: &Case| -> Result<bool> {
        std::fs::write(&path, scenario(case, &found.dimension, COMMITS)).map_err(TestkitError::io(&path))?;
        Ok(run_file(&path, FailedFolder::Delete).is_err())
    };
    let mut case = found.case.clone();
    if !fails(&case)? {
        return Ok(Refuted { difference: found.difference.clone(), scenario: None });
    }
    let mut place = 0;
    while place < case.changes.len() {
        let mut shorter = case.clone();
        shorter.changes.remove(place);
        if shorter.changes.iter().any(|change| change.what != What::Gone) && fails(&shorter)? {
            case = shorter;
        } else {
            place += 1;
        }
    }
    // The file holds the last case that was tried.
    fails(&case)?;
    Ok(Refuted { difference: found.difference.clone(), scenario: Some(path) })
}
