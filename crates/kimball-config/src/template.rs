//! The template step: MiniJinja, strict, bounded in time and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, OutputSpanKind, UndefinedBehavior};

use crate::problem::Problem;
use crate::source_text::{Piece, Rendered, SourceFile};
use crate::suggest::nearest;

mod mistake;

use mistake::describe;

/// Work one file may cost: instructions plus 64 bytes of text each, so at most some 32 MB and well under a second.
const FUEL: u64 = 500_000;
/// Largest text that a template may grow to.
const MAX_RENDERED_BYTES: usize = 4 * 1024 * 1024;
/// Undefined variables reported in one file before giving up.
const MAX_UNDEFINED: usize = 20;

/// What templates of one run may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct TemplateContext {
    values: BTreeMap<String, Value>,
    target_keys: BTreeSet<String>,
}

impl TemplateContext {
    /// Environment variables (also under their lower-case names when free), overlaid by `target` and
    /// `target_name`.
    pub(crate) fn new(
        environment: &BTreeMap<String, String>,
        target_name: &str,
        target: &BTreeMap<String, Value>,
    ) -> Self {
        let mut values: BTreeMap<String, Value> =
            environment.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        for (name, value) in environment {
            values.entry(name.to_lowercase()).or_insert_with(|| Value::from(value.as_str()));
        }
        let mut target = target.clone();
        target.insert("name".to_owned(), Value::from(target_name));
        let target_keys = target.keys().cloned().collect();
        values.insert("target".to_owned(), Value::from(target));
        values.insert("target_name".to_owned(), Value::from(target_name));
        Self { values, target_keys }
    }

    /// The nearest known name to one that is not defined.
    fn nearest(&self, name: &str) -> Option<String> {
        match name.strip_prefix("target.") {
            Some(key) => nearest(key, self.target_keys.iter().map(String::as_str))
                .map(|known| format!("target.{known}")),
            None => nearest(name, self.values.keys().map(String::as_str)).map(str::to_owned),
        }
    }
}

/// Renders a file that holds a template; one that holds none stays as it is.
///
/// # Errors
/// The problems of the template: all undefined variables, or the first error of any other kind.
pub(crate) fn render(file: &mut SourceFile, context: &TemplateContext) -> Result<(), Vec<Problem>> {
    let written = file.written();
    if !["{{", "{%", "{#"].iter().any(|mark| written.contains(mark)) {
        return Ok(());
    }
    let mut attempt = written.to_owned();
    let mut problems = Vec::new();
    loop {
        match render_once(&attempt, context) {
            Ok(rendered) if problems.is_empty() => {
                file.set_rendered(rendered);
                return Ok(());
            }
            Ok(_) => return Err(problems),
            Err(error) => {
                let place = Place::of(&error, &attempt);
                problems.push(describe(&error, place.as_ref(), &attempt, file, context));
                // An undefined variable is replaced by a text of its own length and the template is tried
                // again, so that all of them are found; any other error ends the search.
                let undefined = error.kind() == ErrorKind::UndefinedError;
                let replaced = place
                    .filter(|_| undefined && problems.len() < MAX_UNDEFINED)
                    .is_some_and(|place| blank_out(&mut attempt, &place.range));
                if !replaced {
                    return Err(problems);
                }
            }
        }
    }
}

/// The range of a template that an error points at.
struct Place {
    range: Range<usize>,
    exact: bool,
}

impl Place {
    fn of(error: &Error, source: &str) -> Option<Self> {
        let found =
            error.range().filter(|range| source.get(range.clone()).is_some_and(|text| !text.is_empty()));
        if let Some(range) = found {
            return Some(Self { range, exact: true });
        }
        let line = error.line()?;
        let start = if line <= 1 {
            0
        } else {
            source.match_indices('\n').nth(line - 2).map_or(source.len(), |(at, _)| at + 1)
        };
        let length = source[start..].find('\n').unwrap_or(source.len() - start);
        Some(Self { range: start..start + length, exact: false })
    }
}

/// Puts a string literal of the same length in the place of an expression; false when it does not fit.
fn blank_out(source: &mut String, range: &Range<usize>) -> bool {
    let Some(text) = source.get(range.clone()) else { return false };
    if text.len() < 2 || text.contains('\n') || text.starts_with('\'') {
        // One letter cannot hold two quotes; a digit is as long and is always defined.
        if text.len() == 1 && !text.starts_with('0') {
            source.replace_range(range.clone(), "0");
            return true;
        }
        return false;
    }
    let literal = format!("'{}'", "_".repeat(text.len() - 2));
    source.replace_range(range.clone(), &literal);
    true
}

fn render_once(source: &str, context: &TemplateContext) -> Result<Rendered, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    environment.set_syntax(syntax.keep_trailing_newline(true).build()?);
    let template = environment.template_from_str(source)?;
    let (text, spans) = template.render_with_spans(Value::from(context.values.clone()))?;
    if text.len() > MAX_RENDERED_BYTES {
        return Err(Error::new(ErrorKind::OutOfFuel, "the rendered text is too long"));
    }
    let pieces = spans
        .iter()
        .map(|span| Piece {
            output: span.output_range(),
            source: span.source_range(),
            verbatim: span.kind() == OutputSpanKind::Raw
                && span.output_range().len() == span.source_range().len(),
        })
        .collect();
    Ok(Rendered { text, pieces })
}

#[cfg(test)]
mod tests;
