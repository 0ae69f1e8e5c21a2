//! From names on a command line to the files that are meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::near_file::nearest_path;
use crate::problem::Problem;
use crate::read_file::why_unreadable;

/// Folders inside folders that are searched.
const MAX_FOLDER_DEPTH: usize = 32;
/// The name of a targets file, which is no pipeline wherever it lies.
pub(crate) const TARGETS_FILE_NAME: &str = "kimball.targets.yml";

/// Finds the pipeline files that `configs` names: files, folders and globs, relative to `working_dir`.
///
/// The result is in path order and holds a file once, however often it was named. `targets_file` is left out.
pub(crate) fn find_files(
    configs: &[String],
    working_dir: &Path,
    targets_file: Option<&Path>,
) -> (Vec<PathBuf>, Vec<Problem>) {
    let mut search = Search {
        working_dir,
        targets_file: targets_file.and_then(|path| fs::canonicalize(path).ok()),
        found: BTreeMap::new(),
        problems: Vec::new(),
    };
    for config in configs {
        search.add(config);
    }
    let Search { found, mut problems, .. } = search;
    let files: BTreeSet<PathBuf> = found.into_values().collect();
    if files.is_empty() && problems.is_empty() {
        let places = configs.iter().map(|config| format!("`{config}`")).collect::<Vec<_>>().join(", ");
        problems.push(
            Problem::error(format!("no pipeline files found in {places}"))
                .with_help("a pipeline is a file that ends in `.yml` or `.yaml`"),
        );
    }
    (files.into_iter().collect(), problems)
}

/// The pipeline files that lie beside some files, in their folders: as far as these can be looked into.
pub(crate) fn find_beside(
    files: &[PathBuf],
    working_dir: &Path,
    targets_file: Option<&Path>,
) -> Vec<PathBuf> {
    let mut search = Search {
        working_dir,
        targets_file: targets_file.and_then(|path| fs::canonicalize(path).ok()),
        found: BTreeMap::new(),
        problems: Vec::new(),
    };
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    for folder in folders {
        let Ok(entries) = fs::read_dir(Path::new(".").join(working_dir).join(folder)) else { continue };
        for entry in entries.flatten() {
            let child = folder.join(entry.file_name());
            if is_pipeline_name(&child) && working_dir.join(&child).is_file() {
                search.add_file(&child);
            }
        }
    }
    for file in files {
        if let Ok(file) = fs::canonicalize(working_dir.join(file)) {
            search.found.remove(&file);
        }
    }
    search.found.into_values().collect()
}

struct Search<'w> {
    working_dir: &'w Path,
    targets_file: Option<PathBuf>,
    /// The file itself → how it was named first.
    found: BTreeMap<PathBuf, PathBuf>,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn add(&mut self, config: &str) {
        let named = PathBuf::from(config);
        let path = self.working_dir.join(&named);
        if path.is_dir() {
            self.add_folder(&named, 0);
        } else if path.exists() {
            self.add_file(&named);
        } else if config.contains(['*', '?', '[']) {
            self.add_glob(config);
        } else {
            let help = match nearest_path(self.working_dir, &named) {
                Some(near) => format!("did you mean `{}`?", near.display()),
                None => {
                    "pipelines are looked for in the files and folders you name, else in `configs`".to_owned()
                }
            };
            self.problems
                .push(Problem::error(format!("there is no file or folder `{config}`")).with_help(help));
        }
    }

    fn add_glob(&mut self, pattern: &str) {
        let base = glob::Pattern::escape(&self.working_dir.display().to_string());
        let absolute = if Path::new(pattern).is_absolute() || self.working_dir.as_os_str().is_empty() {
            pattern.to_owned()
        } else {
            format!("{base}/{pattern}")
        };
        let paths = match glob::glob(&absolute) {
            Ok(paths) => paths,
            Err(error) => {
                self.problems.push(Problem::error(format!("`{pattern}` is no pattern: {error}")));
                return;
            }
        };
        let mut matched = false;
        for path in paths {
            match path {
                Ok(path) => {
                    matched = true;
                    let named =
                        path.strip_prefix(self.working_dir).map_or_else(|_| path.clone(), Path::to_path_buf);
                    if path.is_dir() {
                        self.add_folder(&named, 0);
                    } else {
                        self.add_file(&named);
                    }
                }
                Err(error) => self.unreadable(error.path(), error.error()),
            }
        }
        if !matched {
            self.problems.push(
                Problem::error(format!("no file matches `{pattern}`"))
                    .with_help("`*` stands for any letters of a name, `**` for folders: `configs/**/*.yml`"),
            );
        }
    }

    fn add_folder(&mut self, named: &Path, depth: usize) {
        if depth > MAX_FOLDER_DEPTH {
            self.problems.push(Problem::error("folders nest too deeply here").in_file(named));
            return;
        }
        let entries = match fs::read_dir(self.working_dir.join(named)) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(named, &error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unreadable(named, &error),
            };
            let child = named.join(entry.file_name());
            // A link to a folder could lead back up.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                self.add_folder(&child, depth + 1);
            } else if is_pipeline_name(&child) && self.working_dir.join(&child).is_file() {
                self.add_file(&child);
            }
        }
    }

    fn add_file(&mut self, named: &Path) {
        match fs::canonicalize(self.working_dir.join(named)) {
            Ok(file) if self.targets_file.as_ref() == Some(&file) => {}
            Ok(file) => {
                self.found.entry(file).or_insert_with(|| named.to_path_buf());
            }
            Err(error) => self.unreadable(named, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.problems.push(Problem::error(why_unreadable(error)).in_file(path));
    }
}

fn is_pipeline_name(path: &Path) -> bool {
    let extension = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    extension && path.file_name().is_none_or(|name| name != TARGETS_FILE_NAME)
}

#[cfg(test)]
mod tests;
