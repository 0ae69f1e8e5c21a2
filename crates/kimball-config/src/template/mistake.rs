//! What is wrong with a template, in words that help those who know templates from dbt.

use std::ops::Range;

use minijinja::{Error, ErrorKind};

use super::{Place, TemplateContext};
use crate::problem::Problem;
use crate::source_text::SourceFile;
use crate::suggest::nearest;

/// Filters worth a "did you mean".
const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "default",
    "first",
    "float",
    "format",
    "indent",
    "int",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "replace",
    "reject",
    "reverse",
    "round",
    "select",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
];

/// What is wrong, what to do about it, and where, if not at the place of the error.
struct Mistake {
    message: String,
    help: Option<String>,
    range: Option<Range<usize>>,
}

impl Mistake {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()), range: None }
    }
}

/// The problem of a template that does not work. `attempt` is the text that was rendered, as long as that of the file.
pub(super) fn describe(
    error: &Error,
    place: Option<&Place>,
    attempt: &str,
    file: &SourceFile,
    context: &TemplateContext,
) -> Problem {
    let expression =
        place.filter(|place| place.exact).and_then(|place| file.written().get(place.range.clone()));
    let detail = error.detail().unwrap_or_default();
    let unknown =
        |prefix: &str| detail.strip_prefix(prefix).unwrap_or(detail).trim_end_matches(" is unknown");
    let mistake = match error.kind() {
        ErrorKind::UndefinedError => undefined(expression, context),
        ErrorKind::OutOfFuel => Mistake::new(
            "the template does too much work or makes too much text",
            "templates are for names and settings; shorten its loops",
        ),
        ErrorKind::UnknownFunction => unknown_function(unknown(""), expression),
        ErrorKind::UnknownFilter => unknown_filter(unknown("filter ")),
        ErrorKind::UnknownTest => {
            let name = unknown("test ");
            Mistake { help: None, ..Mistake::new(format!("there is no test `{name}` in templates"), "") }
        }
        ErrorKind::TemplateNotFound => Mistake::new(
            "a template cannot read other files",
            "write the text here, or into a key of the targets file",
        ),
        ErrorKind::SyntaxError => syntax(detail, place, attempt),
        kind => {
            let detail = if detail.is_empty() { kind.to_string() } else { detail.to_owned() };
            Mistake { help: None, ..Mistake::new(format!("the template does not work: {detail}"), "") }
        }
    };
    let mut problem = Problem::error(mistake.message).in_file(file.path());
    if let Some(range) = mistake.range.or_else(|| place.map(|place| place.range.clone())) {
        problem = problem.at(file.locate_written(range));
    }
    problem.help = mistake.help;
    problem
}

fn undefined(expression: Option<&str>, context: &TemplateContext) -> Mistake {
    let Some(name) = expression.map(str::trim) else {
        return Mistake { help: None, ..Mistake::new("the template uses something that is not defined", "") };
    };
    let help = match context.nearest(name) {
        Some(known) => format!("did you mean `{known}`?"),
        None if name.starts_with("target.") => format!(
            "the target has {}",
            context.target_keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        ),
        None => "set it as an environment variable, or use `target.*` of the targets file".to_owned(),
    };
    Mistake::new(format!("`{name}` is not defined"), help)
}

/// A function; most that are called are those of dbt.
fn unknown_function(name: &str, call: Option<&str>) -> Mistake {
    let arguments = call.and_then(arguments).unwrap_or_default();
    let named = |index: usize, otherwise: &str| {
        let is_name =
            |text: &&String| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        arguments.get(index).filter(is_name).cloned().unwrap_or_else(|| otherwise.to_owned())
    };
    let help = match name {
        "env_var" | "var" => {
            let default = arguments.get(1).map(|text| format!(" | default('{text}')")).unwrap_or_default();
            format!("environment variables are there by name: `{{{{ {}{default} }}}}`", named(0, "NAME"))
        }
        "ref" => {
            let table = named(arguments.len().saturating_sub(1), "dim_customer");
            format!("write the name of the table: `{{{{ target.gold_schema }}}}.{table}`")
        }
        "source" => {
            let table = named(1, "customers");
            format!("write the name of the table: `{{{{ target.silver_schema }}}}.{table}`")
        }
        "config" => "what a model of dbt configs is a key of this file".to_owned(),
        "is_incremental" => "a run reads what is new by itself: remove the condition".to_owned(),
        _ => "templates know environment variables, `target.*` and filters such as `upper`".to_owned(),
    };
    Mistake::new(format!("there is no function `{name}` in templates"), help)
}

/// The arguments of a call, without their quotes.
fn arguments(call: &str) -> Option<Vec<String>> {
    let (_, inside) = call.trim().strip_suffix(')')?.split_once('(')?;
    let plain = |argument: &str| argument.trim().trim_matches(['\'', '"']).to_owned();
    Some(inside.split(',').map(plain).filter(|argument| !argument.is_empty()).collect())
}

fn unknown_filter(name: &str) -> Mistake {
    let help = match nearest(name, FILTERS.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "templates have filters such as `upper`, `lower`, `replace` and `default`".to_owned(),
    };
    Mistake::new(format!("there is no filter `{name}` in templates"), help)
}

/// What the parser of templates does not take: mostly marks that are not closed.
fn syntax(detail: &str, place: Option<&Place>, text: &str) -> Mistake {
    let at = place.map_or(text.len(), |place| place.range.start.min(text.len()));
    let opened = |mark: &str| text.get(..at)?.rfind(mark);
    for (open, close, sign) in [
        ("{{", "}}", "expected end of variable block"),
        ("{%", "%}", "expected end of block"),
        ("{#", "#}", "end of comment"),
    ] {
        let Some(start) = opened(open).filter(|_| detail.ends_with(sign) || detail == "unexpected `}`")
        else {
            continue;
        };
        let is_last = ["{{", "{%", "{#"].iter().all(|mark| opened(mark) <= Some(start));
        let line = text[start..].split('\n').next().unwrap_or_default();
        if !is_last || line.contains(close) {
            continue;
        }
        // A single brace at the end shows best what is missing; else the beginning does.
        let range = (!text[at..].starts_with('}')).then(|| start..start + open.len());
        let what = if open == "{#" { "comment" } else { "template" };
        return Mistake {
            range,
            ..Mistake::new(format!("this {what} is not closed"), format!("close it with `{close}`"))
        };
    }
    if detail == "unexpected end of input, expected end of block" {
        return Mistake::new(
            "a block of the template has no end",
            "`{% if … %}` ends with `{% endif %}`, and `{% for … %}` with `{% endfor %}`",
        );
    }
    let detail = detail
        .replace("expected end of variable block", "expected `}}`")
        .replace("expected end of block", "expected `%}`");
    Mistake { help: None, ..Mistake::new(format!("the template does not work: {detail}"), "") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use minijinja::Environment;

    use super::*;

    #[test]
    fn filters_that_are_proposed_exist() {
        for filter in FILTERS {
            let rendered = Environment::new().render_str(&format!("{{{{ 'a' | {filter} }}}}"), ());
            assert_ne!(rendered.err().map(|error| error.kind()), Some(ErrorKind::UnknownFilter), "{filter}");
        }
    }

    #[test]
    fn arguments_are_read_without_their_quotes() {
        assert_eq!(arguments("env_var('A', \"b c\")").unwrap(), ["A", "b c"]);
        assert_eq!(arguments("f()").unwrap(), Vec::<String>::new());
        assert_eq!(arguments("f"), None);
    }
}
