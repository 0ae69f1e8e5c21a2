//! Which pipelines of a project a run takes.

use std::collections::BTreeSet;
use std::str::FromStr;

use kimball_config::TableName;
use kimball_plan::Plan;
use thiserror::Error;

/// One `--select` or `--exclude`: `name`, `+name`, `name+`, `+name+` or `wave:N`.
///
/// A name is a table name, or its last part. A `+` in front adds everything the pipeline needs, one behind
/// everything that needs it.
///
/// ```
/// use kimball_executor::Selector;
///
/// assert!("+gold.fact_sales".parse::<Selector>().is_ok());
/// assert!("wave:two".parse::<Selector>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Wave(usize),
    Named { name: String, upstream: Reach, downstream: Reach },
}

/// Whether the neighbours of a pipeline are meant as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Itself,
    All,
}

/// A selector that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// It is no selector.
    #[error("`{0}` is no selector: write a table name, with `+` in front or behind, or `wave:N`")]
    Syntax(String),
    /// A kind of selector that comes later.
    #[error("`{0}`: selecting by `{1}:` is not supported yet")]
    Unsupported(String, String),
    /// It means no pipeline of the project.
    #[error("`{selector}` selects no pipeline; the project has {tables}")]
    NoMatch {
        /// The selector as written.
        selector: String,
        /// The tables there are, a few of them when there are many.
        tables: String,
    },
    /// Everything was excluded.
    #[error("nothing is left to run: every selected pipeline is excluded")]
    Nothing,
}

impl FromStr for Selector {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let syntax = || SelectionError::Syntax(text.to_owned());
        if let Some((method, value)) = text.split_once(':') {
            return match method {
                "wave" => match value.parse() {
                    Ok(number) if number > 0 => Ok(Self { text: text.to_owned(), part: Part::Wave(number) }),
                    _ => Err(syntax()),
                },
                "tag" | "result" => Err(SelectionError::Unsupported(text.to_owned(), method.to_owned())),
                _ => Err(syntax()),
            };
        }
        let (rest, upstream) = match text.strip_prefix('+') {
            Some(rest) => (rest, Reach::All),
            None => (text, Reach::Itself),
        };
        let (name, downstream) = match rest.strip_suffix('+') {
            Some(name) => (name, Reach::All),
            None => (rest, Reach::Itself),
        };
        if name.is_empty() || !name.split('.').all(kimball_config::is_identifier) {
            return Err(syntax());
        }
        let part = Part::Named { name: name.to_owned(), upstream, downstream };
        Ok(Self { text: text.to_owned(), part })
    }
}

/// The tables that `include` selects (all when it is empty) and `exclude` does not.
pub(crate) fn select(
    plan: &Plan,
    include: &[Selector],
    exclude: &[Selector],
) -> Result<BTreeSet<TableName>, SelectionError> {
    let mut chosen: BTreeSet<TableName> = BTreeSet::new();
    if include.is_empty() {
        chosen.extend(plan.pipelines().map(|pipeline| pipeline.table.clone()));
    }
    for selector in include {
        chosen.extend(meant_by(selector, plan)?);
    }
    for selector in exclude {
        for table in meant_by(selector, plan)? {
            chosen.remove(&table);
        }
    }
    if chosen.is_empty() { Err(SelectionError::Nothing) } else { Ok(chosen) }
}

fn meant_by(selector: &Selector, plan: &Plan) -> Result<BTreeSet<TableName>, SelectionError> {
    let mut meant = BTreeSet::new();
    match &selector.part {
        Part::Wave(number) => {
            let wave = plan.waves().iter().find(|wave| wave.number() == *number);
            meant.extend(wave.into_iter().flat_map(|wave| wave.tables().iter().cloned()));
        }
        Part::Named { name, upstream, downstream } => {
            let tables =
                plan.pipelines().map(|pipeline| &pipeline.table).filter(|table| is_called(table, name));
            for table in tables {
                meant.insert(table.clone());
                if *upstream == Reach::All {
                    meant.extend(upstream_of(plan, table));
                }
                if *downstream == Reach::All {
                    meant.extend(plan.downstream_of(table));
                }
            }
        }
    }
    if meant.is_empty() { Err(no_match(selector, plan)) } else { Ok(meant) }
}

fn is_called(table: &TableName, name: &str) -> bool {
    table.table() == name || TableName::parse(name).is_ok_and(|name| name == *table)
}

/// Every pipeline that the one of `table` needs, directly or not.
fn upstream_of(plan: &Plan, table: &TableName) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    let mut open = vec![table.clone()];
    while let Some(table) = open.pop() {
        for needed in plan.dependencies_of(&table) {
            if found.insert(needed.table.clone()) {
                open.push(needed.table.clone());
            }
        }
    }
    found
}

fn no_match(selector: &Selector, plan: &Plan) -> SelectionError {
    const SHOWN: usize = 10;
    let all: Vec<String> = plan.pipelines().map(|pipeline| pipeline.table.to_string()).collect();
    let tables = match all.get(..SHOWN) {
        Some(some) if all.len() > SHOWN => format!("{} and {} more", some.join(", "), all.len() - SHOWN),
        _ => all.join(", "),
    };
    SelectionError::NoMatch { selector: selector.text.clone(), tables }
}

#[cfg(test)]
mod tests;
