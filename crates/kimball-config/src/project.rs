//! Rules across files that need no graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::dialect::PipelineFile;
use crate::model::{Dimension, ForeignKey, Pipeline, Scd, TableKind};
use crate::name::TableName;
use crate::problem::{Problem, ProblemSeverity};
use crate::source_text::{SourceFile, Span};

/// A file with what was read of it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: SourceFile,
    pub(crate) read: PipelineFile,
}

impl Loaded {
    fn problem(&self, span: Span, message: String) -> Problem {
        Problem {
            severity: ProblemSeverity::Error,
            file: Some(self.file.path().to_path_buf()),
            location: Some(self.file.locate(span)),
            message,
            help: None,
        }
    }
}

/// Checks the files against each other, and completes the notes that need other files.
pub(crate) fn check(loaded: &mut [Loaded]) -> Vec<Problem> {
    let mut problems = two_writers_of_one_table(loaded);
    let tables = referable_tables(loaded);
    let mut referenced: BTreeMap<TableName, TableName> = BTreeMap::new();
    for item in loaded.iter_mut() {
        let mut notes = Vec::new();
        let mut found = Vec::new();
        for (position, key) in foreign_keys(item.read.pipeline.as_ref()).iter().enumerate() {
            let Some(references) = &key.references else { continue };
            let Some(mark) = item.read.foreign_keys.get(position) else { continue };
            if let Some(fact) = &item.read.table {
                referenced.entry(references.clone()).or_insert_with(|| fact.value.clone());
            }
            match tables.get(references) {
                None => {}
                Some(Referable::No { what }) => {
                    let message = format!("`{references}` is {what}: a foreign key references a dimension");
                    found.push((mark.references, message));
                }
                Some(Referable::By { surrogate_key, gets_skeletons }) => {
                    if let Some(named) = key.dimension_key.as_ref().filter(|named| *named != surrogate_key) {
                        let message = format!(
                            "the surrogate key of `{references}` is `{surrogate_key}`, not `{named}`"
                        );
                        found.push((mark.dimension_key, message));
                    }
                    if *gets_skeletons && mark.default_early_arriving {
                        notes.push(format!(
                            "{}: skeletons are not built yet; identities without a member become -3",
                            key.column
                        ));
                    }
                }
            }
        }
        problems.extend(found.into_iter().map(|(span, message)| item.problem(span, message)));
        if let Some(pipeline) = &mut item.read.pipeline {
            pipeline.notes.extend(notes);
        }
    }
    problems.extend(hard_deletes_of_referenced_dimensions(loaded, &referenced));
    problems
}

/// What a foreign key may want of a table of the project.
enum Referable {
    /// It has keys to point at: a dimension or a mini-dimension.
    By {
        surrogate_key: String,
        /// Whether `early_arriving` defaults to skeletons.
        gets_skeletons: bool,
    },
    /// It has none.
    No {
        /// What it is, with its article.
        what: String,
    },
}

/// Every table that a pipeline of the project writes.
fn referable_tables(loaded: &[Loaded]) -> BTreeMap<TableName, Referable> {
    let pipelines = || loaded.iter().filter_map(|item| item.read.pipeline.as_ref());
    let mut tables = BTreeMap::new();
    for (pipeline, dimension) in pipelines().filter_map(|pipeline| Some((pipeline, dimension_of(pipeline)?)))
    {
        for mini in &dimension.mini_dimensions {
            let surrogate_key = mini.surrogate_key.clone();
            tables.insert(mini.table.clone(), Referable::By { surrogate_key, gets_skeletons: false });
        }
        if let Scd::Type4 { history: Some(history) } = &dimension.scd {
            let what = format!("the history table of `{}`", pipeline.table);
            tables.insert(history.table.clone(), Referable::No { what });
        }
    }
    for pipeline in pipelines() {
        let referable = match dimension_of(pipeline) {
            Some(dimension) => Referable::By {
                surrogate_key: dimension.surrogate_key.clone(),
                gets_skeletons: matches!(dimension.scd, Scd::Type1 | Scd::Type2(_) | Scd::Type7 { .. }),
            },
            None => Referable::No { what: "a fact".to_owned() },
        };
        tables.insert(pipeline.table.clone(), referable);
    }
    tables
}

fn dimension_of(pipeline: &Pipeline) -> Option<&Dimension> {
    match &pipeline.kind {
        TableKind::Dimension(dimension) => Some(dimension),
        TableKind::Fact(_) => None,
    }
}

fn foreign_keys(pipeline: Option<&Pipeline>) -> &[ForeignKey] {
    match pipeline.map(|pipeline| &pipeline.kind) {
        Some(TableKind::Fact(fact)) => &fact.foreign_keys,
        _ => &[],
    }
}

/// A table that two files write, each as its own or beside it; a file that names one twice is told so itself.
fn two_writers_of_one_table(loaded: &[Loaded]) -> Vec<Problem> {
    let mut by_table: BTreeMap<&TableName, Vec<(&Loaded, Span)>> = BTreeMap::new();
    for item in loaded {
        for table in item.read.table.iter().chain(&item.read.companions) {
            by_table.entry(&table.value).or_default().push((item, table.span));
        }
    }
    let mut problems = Vec::new();
    for (table, writers) in by_table {
        for (item, span) in &writers {
            let others: BTreeSet<&Path> = writers
                .iter()
                .map(|(other, _)| other.file.path())
                .filter(|path| *path != item.file.path())
                .collect();
            if others.is_empty() {
                continue;
            }
            let others: Vec<String> = others.iter().map(|path| format!("`{}`", path.display())).collect();
            let message = format!("the table `{table}` is also written by {}", others.join(", "));
            problems.push(item.problem(*span, message));
        }
    }
    problems
}

fn hard_deletes_of_referenced_dimensions(
    loaded: &[Loaded],
    referenced: &BTreeMap<TableName, TableName>,
) -> Vec<Problem> {
    loaded
        .iter()
        .filter_map(|item| {
            let pipeline = item.read.pipeline.as_ref()?;
            let (span, fact) = (item.read.hard_delete?, referenced.get(&pipeline.table)?);
            let message =
                format!("`delete_strategy: hard` would leave keys of `{fact}` without their member");
            Some(item.problem(span, message).with_help("use `delete_strategy: soft`"))
        })
        .collect()
}
