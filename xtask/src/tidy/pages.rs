//! Pages for people: the ones that must be there, their links, and the rule each scenario names.

use std::path::{Path, PathBuf};

use super::{Breach, SourceFile};

const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"];

/// The pages every checkout has, and the section of the changelog that the next release is written in.
pub(super) fn missing_pages(files: &[SourceFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for page in PAGES {
        match files.iter().find(|file| file.path == *page) {
            None => {
                breaches.push(Breach { path: (*page).to_owned(), line: 0, rule: "is missing".to_owned() })
            }
            Some(file) if *page == "CHANGELOG.md" && !has_unreleased_section(file) => {
                breaches.push(Breach::new(file, 0, "has no section `## Unreleased`"));
            }
            Some(_) => {}
        }
    }
    breaches
}

fn has_unreleased_section(file: &SourceFile) -> bool {
    file.lines().any(|(_, line)| matches!(line, "## Unreleased" | "## [Unreleased]"))
}

/// Links to files that do not exist. Links to elsewhere and within the page are not followed.
pub(super) fn broken_links(file: &SourceFile, exists: &dyn Fn(&Path) -> bool) -> Vec<Breach> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut breaches = Vec::new();
    let mut in_code_block = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code_block = !in_code_block;
        }
        for link in links(line).filter(|_| !in_code_block) {
            if !exists(&resolved(folder, link)) {
                breaches.push(Breach::new(file, number, format!("the link `{link}` leads nowhere")));
            }
        }
    }
    breaches
}

/// The targets of `[text](target)` in `line` that are files, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    files.filter_map(|target| target.split('#').next()).filter(|target| !target.is_empty())
}

/// `folder/link` without `.` and `..`.
fn resolved(folder: &Path, link: &str) -> PathBuf {
    let mut path = folder.to_path_buf();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

/// A scenario says which rule it proves, in the key `rule` at the top level.
pub(super) fn scenario_without_rule(file: &SourceFile) -> Option<Breach> {
    if !file.path.starts_with("tests/scenarios/") {
        return None;
    }
    let names_rule = file.lines().any(|(_, line)| {
        line.strip_prefix("rule:").is_some_and(|rule| !rule.trim_matches([' ', '"', '\'']).is_empty())
    });
    (!names_rule).then(|| Breach::new(file, 0, "names no rule: add the key `rule`"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{broken_links, missing_pages, scenario_without_rule};
    use crate::tidy::tests::file;

    #[test]
    fn a_missing_page_and_a_changelog_without_unreleased_section_are_found() {
        let files = ["README.md", "ARCHITECTURE.md", "LICENSE"].map(|path| file(path, ""));
        let changelog = file("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n");
        let found: Vec<_> = missing_pages(&files.into_iter().chain([changelog]).collect::<Vec<_>>())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["CHANGELOG.md: has no section `## Unreleased`", "CONTRIBUTING.md: is missing"]);
    }

    #[test]
    fn links_are_followed_from_the_folder_of_their_page() {
        let page = file(
            "docs/a.md",
            "[b](b.md#x) [up](../README.md), [web](https://example.com/c.md), [here](#top)\n[gone](../docs/gone.md)\n",
        );
        let exists = |path: &Path| path == Path::new("docs/b.md") || path == Path::new("README.md");
        let found: Vec<_> = broken_links(&page, &exists).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["docs/a.md:2: the link `../docs/gone.md` leads nowhere"]);
    }

    #[test]
    fn what_looks_like_a_link_in_a_code_block_is_none() {
        assert_eq!(broken_links(&file("a.md", "```\n[a](b)\n```\n"), &|_| false), []);
    }

    #[test]
    fn a_scenario_without_a_rule_is_found_and_other_yaml_is_not() {
        let is_breach = |path, text| scenario_without_rule(&file(path, text)).is_some();
        assert!(!is_breach("tests/scenarios/fact/a.yaml", "rule: semantics 8.1\n"));
        assert!(is_breach("tests/scenarios/fact/a.yaml", "steps:\n  rule: nested\n"));
        assert!(is_breach("tests/scenarios/fact/a.yaml", "rule: ''\n"));
        assert!(!is_breach("configs/a.yml", "table_name: gold.a\n"));
    }
}
