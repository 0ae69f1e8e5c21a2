//! Tabs, trailing spaces, line ends.

use super::{Breach, SourceFile};

/// Files whose white space is checked; what else there is may be a table for a test.
const EXTENSIONS: &[&str] = &["rs", "toml", "md", "yml", "yaml", ""];

/// Breaches in `file`, one a line at most. Folders called `fixtures` hold files that are wrong on purpose.
pub(super) fn breaches(file: &SourceFile) -> Vec<Breach> {
    if !EXTENSIONS.contains(&file.extension()) || file.path.split('/').any(|folder| folder == "fixtures") {
        return Vec::new();
    }
    let mut breaches: Vec<Breach> = (1..)
        .zip(file.text.split('\n'))
        .filter_map(|(number, line)| Some(Breach::new(file, number, fault_of(line)?)))
        .collect();
    let lines = file.text.lines().count();
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        breaches.push(Breach::new(file, lines, "no newline at the end"));
    }
    if file.text.ends_with("\n\n") {
        breaches.push(Breach::new(file, lines, "blank line at the end"));
    }
    breaches
}

fn fault_of(line: &str) -> Option<&'static str> {
    if line.ends_with('\r') {
        Some("carriage return at the end of the line")
    } else if line.contains('\t') {
        Some("tab")
    } else if line.ends_with(' ') {
        Some("space at the end of the line")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tidy::tests::file;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        breaches(&file(path, text)).into_iter().map(|breach| (breach.line, breach.rule)).collect()
    }

    #[test]
    fn tabs_trailing_spaces_and_carriage_returns_are_found_with_their_lines() {
        let expected =
            [(1, "tab"), (2, "space at the end of the line"), (3, "carriage return at the end of the line")];
        assert_eq!(found("a.rs", "\ta\nb \nc\r\nd\n"), expected.map(|(line, rule)| (line, rule.to_owned())));
    }

    #[test]
    fn a_file_ends_with_exactly_one_newline() {
        assert_eq!(found("LICENSE", "a\nb"), [(2, "no newline at the end".to_owned())]);
        assert_eq!(found("a.toml", "a\n\n"), [(2, "blank line at the end".to_owned())]);
        assert_eq!(found("a.md", "a\n"), []);
        assert_eq!(found("empty.md", ""), []);
    }

    #[test]
    fn tables_and_fixtures_may_hold_what_they_need() {
        assert_eq!(found("configs/a.csv", "a\tb \n"), []);
        assert_eq!(found("crates/x/tests/fixtures/tabs.yml", "\ta: 1"), []);
    }
}
