//! Paths and URLs of warehouses and file sources.

use std::path::{Path, PathBuf};

/// Whether a text names an object store or another place by URL; such texts are left alone.
pub(crate) fn is_url(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    let is_scheme = scheme.len() > 1
        && scheme.len() < text.len()
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme && (text.contains("://") || scheme.eq_ignore_ascii_case("file"))
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
