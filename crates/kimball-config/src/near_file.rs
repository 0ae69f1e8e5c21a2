//! Files and folders that are called nearly as one that is not there.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::suggest::nearest;

/// Entries of a folder that are compared.
const MAX_COMPARED: usize = 1_000;

/// The file or folder that `named`, which is relative to `working_dir` and not there, was likely to mean.
pub(crate) fn nearest_path(working_dir: &Path, named: &Path) -> Option<PathBuf> {
    let mut near = PathBuf::new();
    for part in named.components() {
        let is_there = working_dir.join(&near).join(part).exists();
        match part {
            Component::Normal(name) if !is_there => {
                let known = names_in(&working_dir.join(&near));
                near.push(nearest(name.to_str()?, known.iter().map(String::as_str))?);
            }
            part => near.push(part),
        }
    }
    Some(near)
}

/// What a folder holds and a command line may mean: folders and YAML files.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(MAX_COMPARED)
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_meant = path.is_dir()
                || path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
            is_meant.then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
        })
        .collect();
    // A folder tells its entries in any order.
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_misspelled_file_is_found_also_in_a_misspelled_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("configs/facts")).unwrap();
        for name in ["configs/dim_customer.yml", "configs/facts/fact_sales.yaml", "configs/dim_custmer.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let near = |named: &str| {
            nearest_path(folder.path(), Path::new(named)).map(|path| path.display().to_string())
        };
        assert_eq!(near("configs/dim_custmer.yml").unwrap(), "configs/dim_customer.yml");
        assert_eq!(near("config/facts/fact_sale.yaml").unwrap(), "configs/facts/fact_sales.yaml");
        assert_eq!(near("./confgs").unwrap(), "./configs");
        assert_eq!(near("pipelines"), None);
        assert_eq!(near("configs/dim_product.sql"), None);
        let absolute = folder.path().join("configs/dim_custmer.yml");
        assert!(near(&absolute.display().to_string()).unwrap().ends_with("dim_customer.yml"));
    }
}
