#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn location(line: usize, column: usize, width: usize, source_line: &str) -> Location {
    Location { line, column, width, source_line: source_line.to_owned() }
}

#[test]
fn a_problem_is_rendered_with_its_file_line_and_help() {
    let problem = Problem::error("unknown key `tabel_name`")
        .in_file("configs/dim.yml")
        .at(location(12, 3, 10, "  tabel_name: gold.dim"))
        .with_help("did you mean `table_name`?");
    assert_eq!(
        problem.to_string(),
        "error: unknown key `tabel_name`\n  \
         --> configs/dim.yml:12:3\n   \
         |\n12 |   tabel_name: gold.dim\n   \
         |   ^^^^^^^^^^\n   \
         = help: did you mean `table_name`?"
    );
}

#[test]
fn a_problem_of_a_whole_file_and_one_of_no_file_have_no_excerpt() {
    let whole = Problem::error("the file is empty").in_file("a.yml");
    assert_eq!(whole.to_string(), "error: the file is empty\n --> a.yml");
    let mut nowhere = Problem::error("no target `x`");
    nowhere.severity = ProblemSeverity::Warning;
    assert_eq!(nowhere.to_string(), "warning: no target `x`");
}

#[test]
fn an_empty_line_is_not_shown() {
    let problem = Problem::error("m").in_file("a.yml").at(location(7, 1, 1, "")).with_help("h");
    assert_eq!(problem.to_string(), "error: m\n --> a.yml:7:1\n  = help: h");
}

#[test]
fn a_long_line_is_cut_around_the_place_that_is_meant() {
    let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
    let shown = Problem::error("m").in_file("a.yml").at(location(1, 501, 4, &line)).to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[3].chars().count() < 130);
    let at = lines[3].chars().position(|c| c == 'H').unwrap();
    assert_eq!(lines[4].chars().position(|c| c == '^'), Some(at));
    assert_eq!(lines[4].matches('^').count(), 4);
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let shown = Problem::error("bad \u{1b}[31m value")
        .in_file("a\u{7}.yml")
        .at(location(1, 1, 1, "\u{1b}[2J\tx"))
        .to_string();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
}
