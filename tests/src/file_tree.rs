//! Folders with all that lies below them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, TestkitError};

/// Every file among `paths` and below them, sorted.
///
/// # Errors
/// [`TestkitError::Io`] when a path is not there or cannot be read.
pub fn files_below(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<PathBuf>> {
    let mut pending: Vec<PathBuf> = paths.into_iter().collect();
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if fs::metadata(&path).map_err(TestkitError::io(&path))?.is_dir() {
            for entry in fs::read_dir(&path).map_err(TestkitError::io(&path))? {
                pending.push(entry.map_err(TestkitError::io(&path))?.path());
            }
        } else {
            found.push(path);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Copies a folder with all that lies below it.
///
/// # Errors
/// [`TestkitError::Io`] when something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(TestkitError::io(to))?;
    for entry in fs::read_dir(from).map_err(TestkitError::io(from))? {
        let entry = entry.map_err(TestkitError::io(from))?;
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target)?,
            false => {
                fs::copy(entry.path(), &target).map_err(TestkitError::io(&target))?;
            }
        }
    }
    Ok(())
}
