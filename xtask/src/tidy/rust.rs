//! Rust files: lengths, leftovers, and names that belong to one crate.

use super::{Breach, SourceFile};

/// Most lines of a production file, tests at its end not counted.
const FILE_LINES: usize = 500;

/// Most lines of a function in a production file.
const FUNCTION_LINES: usize = 100;

/// Words that mark unfinished work. Split, so that this file does not hold them itself.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Calls that must not be left behind anywhere.
const LEFTOVERS: &[&str] = &[concat!("dbg", "!("), concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Macros that print.
const PRINTING: &[&str] = &["println!(", "print!(", "eprintln!(", "eprint!("];

/// Folders whose programs talk to a person.
const MAY_PRINT: &[&str] = &["crates/kimball-cli/", "xtask/", "tests/", "benches/"];

/// Crates of the storage libraries, as they are called in code.
const STORAGE: &[&str] = &["deltalake", "delta_kernel", "buoyant_kernel", "object_store"];

/// Folders that may name them: the lake, what makes foreign tables for tests, and the rules themselves.
const MAY_NAME_STORAGE: &[&str] = &["crates/kimball-lake/", "tests/", "benches/", "xtask/"];

/// Breaches in one Rust file.
pub(super) fn breaches(file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if !is_test_file(&file.path) {
        breaches.extend(too_long(file));
    }
    let may_print = starts_with_any(&file.path, MAY_PRINT);
    let may_name_storage = starts_with_any(&file.path, MAY_NAME_STORAGE);
    for (number, line) in file.lines() {
        if let Some(marker) = MARKERS.iter().find(|marker| line.contains(*marker)) {
            breaches.push(Breach::new(file, number, format!("`{marker}`: finish it, or open an issue")));
        }
        let code = without_comment(line);
        if let Some(leftover) = LEFTOVERS.iter().find(|leftover| code.contains(*leftover)) {
            breaches.push(Breach::new(file, number, format!("`{leftover}` is left behind")));
        }
        if code.trim_start().starts_with(concat!("#[ign", "ore")) {
            breaches.push(Breach::new(file, number, "an ignored test proves nothing"));
        }
        if !may_print && let Some(call) = PRINTING.iter().find(|call| calls(code, call)) {
            breaches.push(Breach::new(file, number, format!("`{call}`: only the command prints")));
        }
        if !may_name_storage && let Some(name) = STORAGE.iter().find(|name| has_word(code, name)) {
            breaches.push(Breach::new(file, number, format!("`{name}`: only kimball-lake names it")));
        }
    }
    breaches
}

/// Whether all of a file is test code.
fn is_test_file(path: &str) -> bool {
    let mut folders = path.split('/').skip(1);
    folders.any(|part| part == "tests" || part == "benches" || part == "tests.rs" || part == "fixture.rs")
}

fn too_long(file: &SourceFile) -> Vec<Breach> {
    let production: Vec<&str> = file.text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
    // A module of tests that stands in the middle of the file hides nothing: `mod tests;` goes on after it.
    let lines: Vec<&str> =
        if file.text.contains("\nmod tests {") { production } else { file.text.lines().collect() };
    let mut breaches = Vec::new();
    if lines.len() > FILE_LINES {
        let rule = format!("{} lines, more than {FILE_LINES}: split it by what its parts do", lines.len());
        breaches.push(Breach::new(file, 0, rule));
    }
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
        let end = format!("{}}}", indentation(line));
        let length = lines.iter().skip(start).position(|line| **line == end).map_or(0, |last| last + 1);
        if length > FUNCTION_LINES {
            let rule = format!("a function of {length} lines, more than {FUNCTION_LINES}");
            breaches.push(Breach::new(file, start + 1, rule));
        }
    }
    breaches
}

/// Whether a function with a body on lines of its own begins here, in code as rustfmt leaves it.
fn begins_function(line: &str) -> bool {
    let declaration = line.trim_start();
    let is_declaration = declaration.starts_with("fn ") || declaration.contains(" fn ");
    let begins = ["fn ", "pub", "async ", "const fn", "unsafe ", "extern "];
    is_declaration && begins.iter().any(|word| declaration.starts_with(word)) && !line.ends_with([';', '}'])
}

fn indentation(line: &str) -> &str {
    line.split(|c: char| c != ' ').next().unwrap_or_default()
}

/// The line up to `//`, unless that is part of an address.
fn without_comment(line: &str) -> &str {
    let mut from = 0;
    while let Some(found) = line.get(from..).and_then(|rest| rest.find("//")) {
        let at = from + found;
        let before = line.get(..at).unwrap_or_default();
        if !before.ends_with(':') {
            return before;
        }
        from = at + 2;
    }
    line
}

/// Whether `code` calls exactly this macro: `eprintln!(` is not `println!(`.
fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call).any(|(at, _)| !ends_with_word(code.get(..at).unwrap_or_default()))
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (code.get(..at), code.get(at + word.len()..));
        !ends_with_word(before.unwrap_or_default()) && !after.unwrap_or_default().starts_with(is_word)
    })
}

fn ends_with_word(text: &str) -> bool {
    text.ends_with(is_word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_with_any(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::{FILE_LINES, breaches};
    use crate::tidy::tests::file;

    const ENGINE: &str = "crates/kimball-engine/src/a.rs";

    fn found(path: &str, text: &str) -> Vec<String> {
        breaches(&file(path, text))
            .into_iter()
            .map(|breach| format!("{}: {}", breach.line, breach.rule))
            .collect()
    }

    #[test]
    fn a_file_of_five_hundred_lines_passes_and_one_more_does_not() {
        assert_eq!(found(ENGINE, &"//\n".repeat(FILE_LINES)), Vec::<String>::new());
        assert_eq!(
            found(ENGINE, &"//\n".repeat(FILE_LINES + 1)),
            ["0: 501 lines, more than 500: split it by what its parts do"]
        );
    }

    #[test]
    fn tests_do_not_count_as_production_lines() {
        let text = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(400), "//\n".repeat(400));
        assert_eq!(found(ENGINE, &text), Vec::<String>::new());
        assert_eq!(found("crates/a/src/b/tests.rs", &"//\n".repeat(900)), Vec::<String>::new());
        assert_eq!(found("tests/tests/big.rs", &"//\n".repeat(900)), Vec::<String>::new());
    }

    #[test]
    fn the_runner_of_the_scenarios_is_production_code() {
        assert_eq!(found("tests/src/runner.rs", &"//\n".repeat(900)).len(), 1);
    }

    #[test]
    fn a_declaration_of_a_test_module_does_not_end_the_production_code() {
        let text = format!("#[cfg(test)]\nmod tests;\n{}", "//\n".repeat(600));
        assert_eq!(found(ENGINE, &text).len(), 1);
    }

    #[test]
    fn a_function_of_more_than_a_hundred_lines_is_found_where_it_begins() {
        let body = "        //\n".repeat(99);
        let text = format!("impl A {{\n    pub async fn a(\n        &self,\n    ) {{\n{body}    }}\n}}\n");
        assert_eq!(found(ENGINE, &text), ["2: a function of 103 lines, more than 100"]);
    }

    #[test]
    fn many_short_functions_are_not_taken_for_a_long_one() {
        assert_eq!(found(ENGINE, &"fn a() {\n    b();\n}\n".repeat(100)), Vec::<String>::new());
    }

    #[test]
    fn marks_of_unfinished_work_and_leftovers_are_found() {
        let text = concat!("// TO", "DO later\nlet a = db", "g!(1);\nto", "do!()\n");
        assert_eq!(found(ENGINE, text).len(), 3);
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = concat!("#[te", "st]\n#[ign", "ore = \"slow\"]\nfn a() {}\n");
        assert_eq!(found(ENGINE, text), ["2: an ignored test proves nothing"]);
    }

    #[test]
    fn only_the_command_prints() {
        let text = "println!(\"a\");\n/// println!(\"an example\");\neprintln!(\"b\");\n";
        assert_eq!(
            found(ENGINE, text),
            ["1: `println!(`: only the command prints", "3: `eprintln!(`: only the command prints"]
        );
        assert_eq!(found("crates/kimball-cli/src/main.rs", text), Vec::<String>::new());
    }

    #[test]
    fn only_the_lake_names_a_storage_library() {
        let text = "use deltalake::DeltaTable;\n// what deltalake does\nlet my_object_store_url = \"s3://object_store\";\n";
        assert_eq!(
            found(ENGINE, text),
            ["1: `deltalake`: only kimball-lake names it", "3: `object_store`: only kimball-lake names it"]
        );
        assert_eq!(found("crates/kimball-lake/src/a.rs", text), Vec::<String>::new());
    }
}
