#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::source_text::Span;

fn context() -> TemplateContext {
    let environment = [("ENV", "dev"), ("Region", "eu"), ("env", "lower"), ("target_name", "hidden")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let target = [("gold_schema".to_owned(), Value::from("gold"))].into();
    TemplateContext::new(&environment, "prod", &target)
}

fn render_text(text: &str) -> Result<SourceFile, Vec<Problem>> {
    let mut file = SourceFile::new(Path::new("a.yml"), text.to_owned());
    render(&mut file, &context()).map(|()| file)
}

#[test]
fn names_come_from_the_target_and_the_environment_also_in_lower_case() {
    let file =
        render_text("{{ target.gold_schema }} {{ target.name }} {{ target_name }} {{ region }} {{ env }}\n");
    assert_eq!(file.unwrap().text(), "gold prod prod eu lower\n");
}

#[test]
fn a_file_without_template_marks_is_left_alone() {
    assert_eq!(render_text("a: '}} %} #}'\n").unwrap().text(), "a: '}} %} #}'\n");
}

#[test]
fn nothing_is_escaped_for_html() {
    assert_eq!(render_text("{{ \"<a & b's>\" }}\n").unwrap().text(), "<a & b's>\n");
}

#[test]
fn all_undefined_names_of_a_file_are_reported_with_their_places() {
    let problems =
        render_text("a: {{ target.gold_shema }}\nb: {{ nope }}\nc: {{ q }}\nd: {{ env }}\n").unwrap_err();
    let shown: Vec<_> = problems
        .iter()
        .map(|problem| {
            let location = problem.location.clone().unwrap();
            (problem.message.as_str(), location.line, location.column)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("`target.gold_shema` is not defined", 1, 7),
            ("`nope` is not defined", 2, 7),
            ("`q` is not defined", 3, 7)
        ]
    );
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `target.gold_schema`?"));
}

#[test]
fn a_syntax_error_names_its_line() {
    let problems = render_text("a: 1\nb: {{ env\n").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.starts_with("the template does not work"), "{}", problems[0].message);
    assert!(problems[0].location.as_ref().unwrap().line >= 2);
}

#[test]
fn lines_are_mapped_back_when_a_loop_changes_their_number() {
    let file = render_text("a:\n{% for i in range(3) %}\n  - x{{ i }}\n{% endfor %}\nlast: 1\n").unwrap();
    let at = file.text().find("last").unwrap();
    let location = file.locate(Span::new(at, at + 4));
    assert_eq!((location.line, location.column, location.source_line.as_str()), (5, 1, "last: 1"));
    let second = file.text().find("x1").unwrap();
    assert_eq!(file.locate(Span::new(second, second + 2)).line, 3);
}

#[test]
fn a_loop_bomb_ends_in_an_error_at_once() {
    let started = Instant::now();
    for bomb in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% set x = 'abcdefgh' * 100000000 %}{{ x }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(60000) %}{{ 'x' * 300 }}{% endfor %}",
    ] {
        let problems = render_text(bomb).unwrap_err();
        assert_eq!(problems.len(), 1, "{bomb}");
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn no_other_file_can_be_read() {
    for text in ["{% include '/etc/passwd' %}", "{% import '/etc/passwd' as x %}", "{% extends 'a' %}"] {
        assert!(render_text(text).is_err(), "{text}");
    }
}
