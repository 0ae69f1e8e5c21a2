//! Rules across files that need no graph.

use std::collections::BTreeMap;

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
    let mut problems = two_files_for_one_table(loaded);
    let dimensions: BTreeMap<TableName, DimensionFacts> =
        loaded.iter().filter_map(|item| item.read.pipeline.as_ref()).map(facts_of).collect();
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
            match dimensions.get(references) {
                None => {}
                Some(DimensionFacts { surrogate_key: None, .. }) => {
                    let message = format!("`{references}` is a fact: a foreign key references a dimension");
                    found.push((mark.references, message));
                }
                Some(DimensionFacts { surrogate_key: Some(surrogate_key), gets_skeletons }) => {
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

/// What the rules need to know about a table of the project.
struct DimensionFacts {
    /// `None` for a fact.
    surrogate_key: Option<String>,
    /// Whether `early_arriving` defaults to skeletons.
    gets_skeletons: bool,
}

fn facts_of(pipeline: &Pipeline) -> (TableName, DimensionFacts) {
    let facts = match &pipeline.kind {
        TableKind::Dimension(Dimension { surrogate_key, scd: Scd::Type1 | Scd::Type2(_), .. }) => {
            DimensionFacts { surrogate_key: Some(surrogate_key.clone()), gets_skeletons: true }
        }
        TableKind::Fact(_) => DimensionFacts { surrogate_key: None, gets_skeletons: false },
    };
    (pipeline.table.clone(), facts)
}

fn foreign_keys(pipeline: Option<&Pipeline>) -> &[ForeignKey] {
    match pipeline.map(|pipeline| &pipeline.kind) {
        Some(TableKind::Fact(fact)) => &fact.foreign_keys,
        _ => &[],
    }
}

fn two_files_for_one_table(loaded: &[Loaded]) -> Vec<Problem> {
    let mut by_table: BTreeMap<&TableName, Vec<(&Loaded, Span)>> = BTreeMap::new();
    for item in loaded {
        if let Some(table) = &item.read.table {
            by_table.entry(&table.value).or_default().push((item, table.span));
        }
    }
    let mut problems = Vec::new();
    for (table, writers) in by_table.into_iter().filter(|(_, writers)| writers.len() > 1) {
        for (item, span) in &writers {
            let others = writers
                .iter()
                .filter(|(other, _)| other.file.path() != item.file.path())
                .map(|(other, _)| format!("`{}`", other.file.path().display()))
                .collect::<Vec<_>>()
                .join(", ");
            problems.push(item.problem(*span, format!("the table `{table}` is also written by {others}")));
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
