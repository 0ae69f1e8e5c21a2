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

/// `line:column+width message; help` of the only problem of a text.
fn problem(text: &str) -> String {
    let problems = render_text(text).unwrap_err();
    assert_eq!(problems.len(), 1, "{text}");
    let (problem, at) = (&problems[0], problems[0].location.as_ref().unwrap());
    let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}:{}+{} {}{help}", at.line, at.column, at.width, problem.message)
}

#[test]
fn marks_that_are_not_closed_are_shown_with_what_closes_them() {
    for (text, expected) in [
        ("a: {{ env }.x\nb: 1\n", "1:11+1 this template is not closed; close it with `}}`"),
        ("a: 1\nb: {{ env\nc: 2\n", "2:4+2 this template is not closed; close it with `}}`"),
        ("b: {{ env", "1:4+2 this template is not closed; close it with `}}`"),
        ("a: {{ env %}\n", "1:12+1 this template is not closed; close it with `}}`"),
        ("{% if env\nc: 2\n", "1:1+2 this template is not closed; close it with `%}`"),
        ("a: 1 {# why\nc: 2\n", "1:6+2 this comment is not closed; close it with `#}`"),
        ("a: {{ env env }}\n", "1:11+3 the template does not work: unexpected identifier, expected `}}`"),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    let without_end = problem("{% if env %}\na: 1\n");
    assert!(
        without_end.contains("a block of the template has no end; `{% if … %}` ends with"),
        "{without_end}"
    );
}

#[test]
fn functions_of_dbt_have_their_counterparts() {
    for (text, help) in [
        ("{{ env_var('GOLD_SCHEMA') }}", "environment variables are there by name: `{{ GOLD_SCHEMA }}`"),
        ("{{ var(\"a\", 'b c') }}", "environment variables are there by name: `{{ a | default('b c') }}`"),
        ("{{ env_var(env) }}", "environment variables are there by name: `{{ env }}`"),
        ("{{ ref('dim_date') }}", "write the name of the table: `{{ target.gold_schema }}.dim_date`"),
        ("{{ source('crm', 'orders') }}", "write the name of the table: `{{ target.silver_schema }}.orders`"),
        (
            "{{ frobnicate() }}",
            "templates know environment variables, `target.*` and filters such as `upper`",
        ),
    ] {
        let problems = render_text(text).unwrap_err();
        assert!(problems[0].message.starts_with("there is no function `"), "{}", problems[0].message);
        assert_eq!(problems[0].help.as_deref(), Some(help), "{text}");
    }
    assert_eq!(
        problem("{{ env | uper }}"),
        "1:10+4 there is no filter `uper` in templates; did you mean `upper`?"
    );
    assert_eq!(problem("{{ env is purple }}"), "1:11+6 there is no test `purple` in templates");
    assert!(problem("{% include 'x' %}").contains("a template cannot read other files"));
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
