//! The folder of the demo: the project that a user goes on with.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::checkout;
use crate::error::{Result, TestkitError};
use crate::file_tree::copy;

/// Marks a folder as the demo's own.
const MARKER: &str = ".kimball-demo";
const MARKER_TEXT: &str =
    "Made by the demo, which deletes this folder and makes it anew when it runs again.\n";

/// A folder with `configs/`, `data/` and `warehouse/`.
#[derive(Debug)]
pub(super) struct DemoFolder {
    root: PathBuf,
}

impl DemoFolder {
    /// Makes the folder with a copy of the checkout's configs; what an earlier demo left there goes.
    ///
    /// # Errors
    /// When the folder holds anything that is not the demo's, or cannot be written.
    pub(super) fn prepare(root: &Path) -> Result<Self> {
        if is_occupied(root)? {
            return Err(TestkitError::Step(format!(
                "{} is not empty and was not made by the demo: name another folder with --dir",
                root.display()
            )));
        }
        if root.exists() {
            fs::remove_dir_all(root).map_err(TestkitError::io(root))?;
        }
        let folder = Self { root: root.to_path_buf() };
        for part in [folder.configs(), folder.data(), folder.warehouse()] {
            fs::create_dir_all(&part).map_err(TestkitError::io(&part))?;
        }
        let marker = root.join(MARKER);
        fs::write(&marker, MARKER_TEXT).map_err(TestkitError::io(&marker))?;
        copy(&checkout().join("configs"), &folder.configs())?;
        Ok(folder)
    }

    /// A folder that the demo made before.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn at(root: &Path) -> Result<Self> {
        match root.join(MARKER).is_file() {
            true => Ok(Self { root: root.to_path_buf() }),
            false => Err(TestkitError::Step(format!("{} was not made by the demo", root.display()))),
        }
    }

    /// The folder itself, where `kimball` is called.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The pipelines.
    pub(super) fn configs(&self) -> PathBuf {
        self.root.join("configs")
    }

    /// Sources that are files.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// All Delta tables, sources and targets.
    pub(super) fn warehouse(&self) -> PathBuf {
        self.root.join("warehouse")
    }

    /// What the last run came to.
    pub(super) fn run_results(&self) -> PathBuf {
        self.root.join("target").join("run_results.json")
    }
}

fn is_occupied(root: &Path) -> Result<bool> {
    if !root.exists() || root.join(MARKER).is_file() {
        return Ok(false);
    }
    let mut entries = fs::read_dir(root).map_err(TestkitError::io(root))?;
    Ok(entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::DemoFolder;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("precious.txt");
        fs::write(&file, "mine").unwrap();
        assert!(DemoFolder::prepare(root.path()).unwrap_err().to_string().contains("--dir"));
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn the_demo_replaces_what_it_made_before() {
        let root = tempfile::tempdir().unwrap();
        let folder = DemoFolder::prepare(root.path()).unwrap();
        let old = folder.warehouse().join("old");
        fs::write(&old, "").unwrap();
        let folder = DemoFolder::prepare(root.path()).unwrap();
        assert!(!old.exists() && folder.configs().join("fact_sales.yml").is_file());
    }
}
