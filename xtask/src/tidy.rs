//! The hygiene of the sources: what neither the compiler nor clippy nor rustfmt sees.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::process::{Failure, output_of, workspace_root};

mod manifests;
mod pages;
mod rust;
mod whitespace;

/// One file that git knows, or would if it were added.
struct SourceFile {
    /// Relative to the root of the checkout, with `/` between folders.
    path: String,
    text: String,
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    path: String,
    /// From 1; 0 when it is about the file as a whole.
    line: usize,
    rule: String,
}

impl Breach {
    fn new(file: &SourceFile, line: usize, rule: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, rule: rule.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.rule),
            line => write!(f, "{}:{line}: {}", self.path, self.rule),
        }
    }
}

/// Checks every file of the checkout.
pub fn run() -> Result<(), Failure> {
    let root = workspace_root();
    let files = files(root)?;
    let breaches = breaches(&files, &|path| root.join(path).exists());
    for breach in &breaches {
        println!("tidy: {breach}");
    }
    match breaches.len() {
        0 => {
            println!("tidy: {} files are clean", files.len());
            Ok(())
        }
        count => Err(Failure::new(format!("tidy found {count} problems"))),
    }
}

fn breaches(files: &[SourceFile], exists: &dyn Fn(&Path) -> bool) -> Vec<Breach> {
    let mut breaches = pages::missing_pages(files);
    for file in files {
        breaches.extend(whitespace::breaches(file));
        match file.extension() {
            "rs" => breaches.extend(rust::breaches(file)),
            "md" => breaches.extend(pages::broken_links(file, exists)),
            "toml" => breaches.extend(manifests::breaches(file)),
            "yaml" | "yml" => breaches.extend(pages::scenario_without_rule(file)),
            _ => {}
        }
    }
    breaches.sort();
    breaches
}

impl SourceFile {
    fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
    }

    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// The text files of the checkout, without what git ignores; files that are deleted but still known to git, and
/// files that are not UTF-8, are left out.
fn files(root: &Path) -> Result<Vec<SourceFile>, Failure> {
    let mut list = std::process::Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = output_of(&mut list)?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    Ok(paths.filter_map(|path| read(root, path)).collect())
}

fn read(root: &Path, path: &str) -> Option<SourceFile> {
    let bytes = std::fs::read(root.join(PathBuf::from(path))).ok()?;
    Some(SourceFile { path: path.to_owned(), text: String::from_utf8(bytes).ok()? })
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, breaches};

    /// A file for the tests of the rules.
    pub(super) fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn breaches_are_sorted_by_file_and_line_and_say_where_they_are() {
        let files = [
            file("README.md", "# a\n"),
            file("ARCHITECTURE.md", "# a\n"),
            file("CHANGELOG.md", "## Unreleased\n"),
            file("CONTRIBUTING.md", "# a\n"),
            file("LICENSE", "a\n"),
            file("b.md", "[gone](c.md)\na \n"),
            file("a.rs", "fn a() {}"),
        ];
        let shown: Vec<String> = breaches(&files, &|_| false).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "a.rs:1: no newline at the end",
                "b.md:1: the link `c.md` leads nowhere",
                "b.md:2: space at the end of the line"
            ]
        );
    }
}
