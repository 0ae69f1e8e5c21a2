//! Manifests: one place for versions, lints and the facts about the package.

use super::{Breach, SourceFile};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Breaches in the manifest of a package; the manifest of the workspace is where versions belong.
pub(super) fn breaches(file: &SourceFile) -> Vec<Breach> {
    let is_package = file.path.ends_with("/Cargo.toml");
    if !is_package { Vec::new() } else { package_breaches(file) }
}

fn package_breaches(file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut section = "";
    let mut package: Vec<&str> = Vec::new();
    let mut inherits_lints = false;
    for (number, line) in file.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            if section.contains("dependencies.") {
                breaches.push(Breach::new(
                    file,
                    number,
                    "write a dependency as one line, with `workspace = true`",
                ));
            }
        } else if section == "package" {
            package.push(line);
        } else if section == "lints" {
            inherits_lints |= line == "workspace = true";
        } else if section.ends_with("dependencies") && starts_key(line) && !inherits_version(line) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let rule = format!("`{name}` does not inherit its version from the workspace");
            breaches.push(Breach::new(file, number, rule));
        }
    }
    for key in INHERITED {
        if !package.contains(&format!("{key}.workspace = true").as_str()) {
            breaches.push(Breach::new(file, 0, format!("`{key}` is not inherited from the workspace")));
        }
    }
    if !inherits_lints {
        breaches.push(Breach::new(file, 0, "the lints are not inherited from the workspace"));
    }
    if file.path.starts_with("crates/") && !package.iter().any(|line| is_description(line)) {
        breaches.push(Breach::new(file, 0, "the description is not a sentence that ends with a full stop"));
    }
    breaches
}

/// Whether `line` begins a key, rather than going on with a value or being a comment.
fn starts_key(line: &str) -> bool {
    line.starts_with(|c: char| c.is_alphanumeric() || c == '"' || c == '_')
}

fn inherits_version(line: &str) -> bool {
    line.contains("workspace = true")
}

fn is_description(line: &str) -> bool {
    line.strip_prefix("description = \"").is_some_and(|text| text.ends_with(".\"") && text.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tidy::tests::file;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        description = \"Does a thing.\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n";

    fn found(dependencies: &str) -> Vec<String> {
        let text = format!("{GOOD}{dependencies}");
        breaches(&file("crates/a/Cargo.toml", &text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn inherited_dependencies_are_accepted_in_every_spelling() {
        let spellings =
            "a.workspace = true\nb = { workspace = true, features = [\n    \"x\",\n] }\n# c = 1\n";
        assert_eq!(found(spellings), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_with_a_version_of_its_own_is_found() {
        assert_eq!(
            found(
                "serde = \"1\"\n\n[dev-dependencies]\nregex = { version = \"1\" }\n\n[dependencies.tokio]\nversion = \"1\"\n"
            ),
            [
                "crates/a/Cargo.toml:14: `serde` does not inherit its version from the workspace",
                "crates/a/Cargo.toml:17: `regex` does not inherit its version from the workspace",
                "crates/a/Cargo.toml:19: write a dependency as one line, with `workspace = true`",
            ]
        );
    }

    #[test]
    fn facts_and_lints_that_are_not_inherited_are_found() {
        let text = GOOD
            .replace("edition.workspace = true", "edition = \"2024\"")
            .replace("[lints]\nworkspace = true\n", "")
            .replace("Does a thing.", "things");
        let found: Vec<_> =
            breaches(&file("crates/a/Cargo.toml", &text)).into_iter().map(|b| b.rule).collect();
        assert_eq!(
            found,
            [
                "`edition` is not inherited from the workspace",
                "the lints are not inherited from the workspace",
                "the description is not a sentence that ends with a full stop",
            ]
        );
    }

    #[test]
    fn the_manifest_of_the_workspace_may_name_versions() {
        assert_eq!(breaches(&file("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n")), []);
    }
}
