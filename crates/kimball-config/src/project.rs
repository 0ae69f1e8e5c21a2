//! Rules across files that need no graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::dialect::PipelineFile;
use crate::name::TableName;
use crate::problem::{Problem, ProblemSeverity};
use crate::source_text::{SourceFile, Span};

mod protection;
mod references;

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

/// Checks the files against each other and against what is `known` of others, and completes what of a file depends on
/// others: defaults and notes. Fingerprints stay as they are, so that a file has the same one alone and with its folder.
pub(crate) fn check(loaded: &mut [Loaded], known: &[Loaded]) -> Vec<Problem> {
    let mut problems = two_writers_of_one_table(loaded);
    problems.extend(references::check(loaded, known));
    problems.extend(hard_deletes_of_referenced_dimensions(loaded, known));
    problems
}

/// The files whose tables no other file writes: two that write the same one may be two states of one pipeline.
pub(crate) fn without_rivals(known: Vec<Loaded>, loaded: &[Loaded]) -> Vec<Loaded> {
    let mut writers: BTreeMap<TableName, usize> = BTreeMap::new();
    for item in loaded.iter().chain(&known) {
        for table in written(item) {
            *writers.entry(table.clone()).or_default() += 1;
        }
    }
    let is_alone = |item: &Loaded| written(item).all(|table| writers.get(table) == Some(&1));
    known.into_iter().filter(is_alone).collect()
}

/// The tables that a file writes.
fn written(item: &Loaded) -> impl Iterator<Item = &TableName> {
    item.read.table.iter().chain(&item.read.companions).map(|table| &table.value)
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

fn hard_deletes_of_referenced_dimensions(loaded: &[Loaded], known: &[Loaded]) -> Vec<Problem> {
    let referenced = references::referenced_tables(loaded.iter().chain(known));
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
