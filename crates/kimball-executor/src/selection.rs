//! Which pipelines of a project a run takes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use kimball_config::{Pipeline, TableName, nearest};
use kimball_plan::Plan;
use thiserror::Error;

use crate::summary::PipelineStatus;

/// One `--select` or `--exclude`: a name, `wave:N`, `tag:NAME` or `result:failed`, each with a `+` in front or behind.
///
/// A name is a table name, or its last part. `result:` asks for what became of a pipeline in an earlier run: `success`,
/// `failed` or `skipped`. A `+` in front adds everything the pipelines need, one behind everything that needs them.
///
/// ```
/// use kimball_executor::Selector;
///
/// assert!("+gold.fact_sales".parse::<Selector>().is_ok());
/// assert!("result:failed+".parse::<Selector>().is_ok());
/// assert!("wave:two".parse::<Selector>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    meant: Meant,
    upstream: Reach,
    downstream: Reach,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meant {
    Name(String),
    Wave(usize),
    Tag(String),
    Result(PipelineStatus),
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
    #[error(
        "`{0}` is no selector: write a table name, `wave:N`, `tag:NAME` or `result:failed`, with `+` in front or behind"
    )]
    Syntax(String),
    /// It asks for what became of pipelines in a run that nobody knows.
    #[error("`{0}`: there is no earlier run to look at")]
    NoResults(String),
    /// It means no pipeline of the project.
    #[error("`{selector}` selects no pipeline; {}the project has {tables}", did_you_mean(near.as_deref()))]
    NoMatch {
        /// The selector as written.
        selector: String,
        /// The tables there are, a few of them when there are many; for tags, the tags; for waves, their number.
        tables: String,
        /// The selector that is nearly so and means something.
        near: Option<String>,
    },
    /// Everything was excluded.
    #[error("nothing is left to run: every selected pipeline is excluded")]
    Nothing,
}

impl Selector {
    /// Whether it asks for what became of pipelines in an earlier run.
    pub fn needs_results(&self) -> bool {
        matches!(self.meant, Meant::Result(_))
    }
}

impl FromStr for Selector {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let syntax = || SelectionError::Syntax(text.to_owned());
        let (rest, upstream) = match text.strip_prefix('+') {
            Some(rest) => (rest, Reach::All),
            None => (text, Reach::Itself),
        };
        let (rest, downstream) = match rest.strip_suffix('+') {
            Some(rest) => (rest, Reach::All),
            None => (rest, Reach::Itself),
        };
        let meant = match rest.split_once(':') {
            Some(("wave", number)) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                Meant::Wave(number.ok_or_else(syntax)?)
            }
            Some(("tag", tag)) if kimball_config::is_identifier(tag) => Meant::Tag(tag.to_owned()),
            Some(("result", result)) => Meant::Result(match result.to_ascii_lowercase().as_str() {
                "success" => PipelineStatus::Success,
                "failed" | "fail" | "error" => PipelineStatus::Failed,
                "skipped" => PipelineStatus::Skipped,
                _ => return Err(syntax()),
            }),
            Some(_) => return Err(syntax()),
            None if rest.is_empty() || !rest.split('.').all(kimball_config::is_identifier) => {
                return Err(syntax());
            }
            None => Meant::Name(rest.to_owned()),
        };
        Ok(Self { text: text.to_owned(), meant, upstream, downstream })
    }
}

/// What selectors choose from.
pub(crate) struct Choice<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) pipelines: &'a [Pipeline],
    /// What became of pipelines in an earlier run, if one is known.
    pub(crate) results: Option<&'a BTreeMap<TableName, PipelineStatus>>,
}

impl Choice<'_> {
    /// The tables that `include` selects (all when it is empty) and `exclude` does not.
    pub(crate) fn select(
        &self,
        include: &[Selector],
        exclude: &[Selector],
    ) -> Result<BTreeSet<TableName>, SelectionError> {
        let mut chosen: BTreeSet<TableName> = BTreeSet::new();
        if include.is_empty() {
            chosen.extend(self.plan.pipelines().map(|pipeline| pipeline.table.clone()));
        }
        for selector in include {
            chosen.extend(self.meant_by(selector)?);
        }
        for selector in exclude {
            for table in self.meant_by(selector)? {
                chosen.remove(&table);
            }
        }
        if chosen.is_empty() { Err(SelectionError::Nothing) } else { Ok(chosen) }
    }

    fn meant_by(&self, selector: &Selector) -> Result<BTreeSet<TableName>, SelectionError> {
        let named = self.named_by(selector)?;
        if named.is_empty() {
            return Err(self.no_match(selector));
        }
        let mut meant = named.clone();
        for table in &named {
            if selector.upstream == Reach::All {
                meant.extend(upstream_of(self.plan, table));
            }
            if selector.downstream == Reach::All {
                meant.extend(self.plan.downstream_of(table));
            }
        }
        Ok(meant)
    }

    fn named_by(&self, selector: &Selector) -> Result<BTreeSet<TableName>, SelectionError> {
        let tables = self.plan.pipelines().map(|pipeline| &pipeline.table);
        Ok(match &selector.meant {
            Meant::Name(name) => tables.filter(|table| is_called(table, name)).cloned().collect(),
            Meant::Wave(number) => {
                let wave = self.plan.waves().iter().find(|wave| wave.number() == *number);
                wave.into_iter().flat_map(|wave| wave.tables().iter().cloned()).collect()
            }
            Meant::Tag(tag) => {
                let tagged = self.pipelines.iter().filter(|pipeline| pipeline.tags.contains(tag));
                tagged.map(|pipeline| pipeline.table.clone()).collect()
            }
            Meant::Result(status) => {
                let Some(results) = self.results else {
                    return Err(SelectionError::NoResults(selector.text.clone()));
                };
                tables.filter(|table| results.get(table) == Some(status)).cloned().collect()
            }
        })
    }

    fn no_match(&self, selector: &Selector) -> SelectionError {
        const SHOWN: usize = 10;
        let tables = || self.plan.pipelines().map(|pipeline| &pipeline.table);
        let (all, near): (Vec<String>, Option<String>) = match &selector.meant {
            Meant::Tag(tag) => {
                let tags: BTreeSet<&String> = self.pipelines.iter().flat_map(|it| &it.tags).collect();
                let near = nearest(tag, tags.iter().map(|tag| tag.as_str())).map(|tag| format!("tag:{tag}"));
                (tags.into_iter().map(|tag| format!("tag:{tag}")).collect(), near)
            }
            Meant::Wave(_) => {
                let waves = self.plan.waves().len();
                (vec![format!("{waves} wave{}", if waves == 1 { "" } else { "s" })], None)
            }
            Meant::Name(name) => {
                let all: Vec<String> = tables().map(ToString::to_string).collect();
                let last_parts = tables().map(TableName::table);
                let near = match name.contains('.') {
                    true => nearest(name, all.iter().map(String::as_str)),
                    false => nearest(name, last_parts),
                };
                let near = near.map(str::to_owned);
                (all, near)
            }
            Meant::Result(_) => (tables().map(ToString::to_string).collect(), None),
        };
        let tables = match all.get(..SHOWN) {
            _ if all.is_empty() => "no tags".to_owned(),
            Some(some) if all.len() > SHOWN => {
                format!("{} and {} more", some.join(", "), all.len() - SHOWN)
            }
            _ => all.join(", "),
        };
        SelectionError::NoMatch { selector: selector.text.clone(), tables, near }
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default()
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

#[cfg(test)]
mod tests;
