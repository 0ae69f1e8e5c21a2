//! Paths and URLs of warehouses and file sources.

use std::path::{Path, PathBuf};

/// Kinds of places that a warehouse can lie in, beside folders.
const STORAGES: [&str; 10] = ["s3", "s3a", "az", "azure", "abfs", "abfss", "adl", "gs", "file", "memory"];

/// What a text begins with that looks like the scheme of a URL, and is none that stands for a storage. A single letter is a
/// drive.
pub(crate) fn unknown_storage(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let known = STORAGES.iter().any(|storage| scheme.eq_ignore_ascii_case(storage));
    (is_scheme(scheme) && !known).then_some(scheme)
}

/// What is wrong with a warehouse of an unknown kind.
pub(crate) fn no_storage(scheme: &str) -> String {
    format!("`{scheme}:` is no storage that is known: write a folder, `s3://…`, `az://…` or `gs://…`")
}

/// Whether a text names an object store or another place by URL; such texts are left alone.
pub(crate) fn is_url(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    is_scheme(scheme)
        && scheme.len() < text.len()
        && (text.contains("://") || scheme.eq_ignore_ascii_case("file"))
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// A URL as it is; a path absolute, from `base` on when it is relative.
pub(crate) fn absolute_path_or_url(text: &str, base: &Path) -> String {
    if is_url(text) { text.to_owned() } else { absolute(base, Path::new(text)).display().to_string() }
}

/// `path` seen from `base`, absolute even when `base` is not, without `.` parts.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    let joined = base.join(path);
    // Only an empty path or a vanished working directory makes this fail; the path then stays as it is.
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    absolute.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_told_from_drives_folders_and_storages() {
        for (text, scheme) in [
            ("dbfs:/mnt/lake", "dbfs"),
            ("hdfs://n:1/x", "hdfs"),
            ("https://x", "https"),
            ("lake:2024", "lake"),
        ] {
            assert_eq!(unknown_storage(text), Some(scheme));
        }
        for known in
            ["S3://b", "abfss://c@a/x", "file:/tmp", "c:/lake", "c:\\lake", "./lake:2024", "lake", "/a:b"]
        {
            assert_eq!(unknown_storage(known), None, "{known}");
        }
    }

    #[test]
    fn urls_are_left_alone_and_paths_become_absolute() {
        let base = Path::new("/project");
        for url in ["s3://bucket/a/../b", "az://c/x", "gs://b", "file:///tmp/x", "file:/tmp", "memory://x"] {
            assert_eq!(absolute_path_or_url(url, base), url);
        }
        assert_eq!(absolute_path_or_url("./warehouse", base), "/project/warehouse");
        assert_eq!(absolute_path_or_url("data/*.csv", base), "/project/data/*.csv");
        assert_eq!(absolute_path_or_url("/abs/./x", base), "/abs/x");
        assert_eq!(absolute_path_or_url("a:b", base), "/project/a:b");
    }
}
