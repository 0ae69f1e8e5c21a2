//! Foreign keys and the tables of the project that they point at.

use std::collections::{BTreeMap, BTreeSet};

use super::{Loaded, protection};
use crate::dialect::ForeignKeyMark;
use crate::model::{Dimension, EarlyArriving, ForeignKey, Lookup, PiiColumn, Pipeline, Scd, TableKind};
use crate::name::TableName;
use crate::problem::Problem;
use crate::source_text::Span;

/// Holds every foreign key against the table that it references, and decides what its file leaves open: what an early
/// fact does (semantics 8.4), and the surrogate key that keys of the query are looked for in (semantics 8.5).
pub(super) fn check(loaded: &mut [Loaded], known: &[Loaded]) -> Vec<Problem> {
    let project = ProjectTables::of(loaded, known);
    let mut problems = Vec::new();
    for item in loaded.iter_mut() {
        let mut verdicts: Vec<Verdict> = Vec::new();
        let personal = item.read.pipeline.as_ref().map_or(&[][..], |pipeline| &pipeline.pii);
        for (key, mark) in foreign_keys(item.read.pipeline.as_ref()).iter().zip(&item.read.foreign_keys) {
            let mut verdict = judge(key, mark, &project);
            if let Some(dimension) = key.references.as_ref().and_then(|table| project.personal.get(table)) {
                verdict.notes.extend(protection::differences(key, personal, dimension));
            }
            verdicts.push(verdict);
        }
        for verdict in &mut verdicts {
            let found = verdict.errors.drain(..);
            problems.extend(
                found.map(|Fault { span, message, help }| Problem { help, ..item.problem(span, message) }),
            );
        }
        if let Some(pipeline) = &mut item.read.pipeline {
            settle(pipeline, verdicts);
        }
    }
    problems
}

/// Every table that a foreign key references, with one of the facts that do.
pub(super) fn referenced_tables<'l>(
    loaded: impl Iterator<Item = &'l Loaded>,
) -> BTreeMap<TableName, TableName> {
    let mut referenced = BTreeMap::new();
    for pipeline in loaded.filter_map(|item| item.read.pipeline.as_ref()) {
        for table in foreign_keys(Some(pipeline)).iter().filter_map(|key| key.references.as_ref()) {
            referenced.entry(table.clone()).or_insert_with(|| pipeline.table.clone());
        }
    }
    referenced
}

/// What other files say about a foreign key.
#[derive(Default)]
struct Verdict {
    errors: Vec<Fault>,
    notes: Vec<String>,
    /// What an early fact does, where the file leaves that open.
    early_arriving: Option<EarlyArriving>,
    /// The surrogate key of the table, where the file does not name it.
    dimension_key: Option<String>,
}

/// Something wrong with a foreign key.
struct Fault {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(span: Span, message: String) -> Self {
        Self { span, message, help: None }
    }

    fn with_help(self, help: String) -> Self {
        Self { help: Some(help), ..self }
    }
}

/// Writes what was found into the pipeline; there is a verdict for each of its foreign keys.
fn settle(pipeline: &mut Pipeline, verdicts: Vec<Verdict>) {
    let TableKind::Fact(fact) = &mut pipeline.kind else { return };
    for (key, verdict) in fact.foreign_keys.iter_mut().zip(verdicts) {
        if let (Some(lookup), Some(early_arriving)) = (&mut key.lookup, verdict.early_arriving) {
            lookup.early_arriving = early_arriving;
        }
        if key.dimension_key.is_none() {
            key.dimension_key = verdict.dimension_key;
        }
        pipeline.notes.extend(verdict.notes);
    }
}

/// The tables that the files of the project write.
struct ProjectTables {
    referable: BTreeMap<TableName, Referable>,
    /// The personal columns of dimensions.
    personal: BTreeMap<TableName, Vec<PiiColumn>>,
    /// Those of files with errors, too.
    written: BTreeSet<TableName>,
    /// Whether the tables of all files are known.
    is_complete: bool,
}

/// What a foreign key may want of a table of the project.
enum Referable {
    /// It has members.
    Dimension(Box<Dimension>),
    /// It has combinations of columns: a mini-dimension or a junk dimension.
    Combinations {
        surrogate_key: String,
        /// What it is, with its article.
        what: &'static str,
    },
    /// It has no keys to point at.
    No {
        /// What it is, with its article.
        what: String,
    },
}

impl ProjectTables {
    fn of(loaded: &[Loaded], known: &[Loaded]) -> Self {
        let all = || loaded.iter().chain(known);
        let written = all().flat_map(super::written);
        let mut referable = BTreeMap::new();
        let pipelines = || all().filter_map(|item| item.read.pipeline.as_ref());
        pipelines().for_each(|pipeline| add_companions(&mut referable, pipeline));
        for pipeline in pipelines() {
            let own = match &pipeline.kind {
                TableKind::Dimension(dimension) => Referable::Dimension(Box::new(dimension.clone())),
                TableKind::Fact(_) => Referable::No { what: "a fact".to_owned() },
            };
            referable.insert(pipeline.table.clone(), own);
        }
        let dimensions = pipelines().filter(|pipeline| matches!(pipeline.kind, TableKind::Dimension(_)));
        Self {
            personal: dimensions.map(|it| (it.table.clone(), it.pii.clone())).collect(),
            referable,
            written: written.cloned().collect(),
            is_complete: loaded.iter().all(|item| item.read.table.is_some()),
        }
    }
}

fn add_companions(referable: &mut BTreeMap<TableName, Referable>, pipeline: &Pipeline) {
    let combinations = |surrogate_key: &String, what| {
        let surrogate_key = surrogate_key.clone();
        Referable::Combinations { surrogate_key, what }
    };
    match &pipeline.kind {
        TableKind::Dimension(dimension) => {
            for mini in &dimension.mini_dimensions {
                referable.insert(mini.table.clone(), combinations(&mini.surrogate_key, "a mini-dimension"));
            }
            if let Scd::Type4 { history: Some(history) } = &dimension.scd {
                let what = format!("the history table of `{}`", pipeline.table);
                referable.insert(history.table.clone(), Referable::No { what });
            }
        }
        TableKind::Fact(fact) => {
            for junk in &fact.junk_dimensions {
                referable.insert(junk.table.clone(), combinations(&junk.surrogate_key, "a junk dimension"));
            }
        }
    }
}

fn foreign_keys(pipeline: Option<&Pipeline>) -> &[ForeignKey] {
    match pipeline.map(|pipeline| &pipeline.kind) {
        Some(TableKind::Fact(fact)) => &fact.foreign_keys,
        _ => &[],
    }
}

fn judge(key: &ForeignKey, mark: &ForeignKeyMark, project: &ProjectTables) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(table) = &key.references else { return verdict };
    let referable = project.referable.get(table);
    let surrogate_key = match referable {
        None => None,
        Some(Referable::No { what }) => {
            let message = format!("`{table}` is {what}: a foreign key references a dimension");
            verdict.errors.push(Fault::new(mark.references, message));
            return verdict;
        }
        Some(Referable::Combinations { surrogate_key, .. }) => Some(surrogate_key),
        Some(Referable::Dimension(dimension)) => Some(&dimension.surrogate_key),
    };
    match (surrogate_key, &key.dimension_key) {
        (Some(known), Some(named)) if known != named => {
            let message = format!("the surrogate key of `{table}` is `{known}`, not `{named}`");
            let help = format!("write `dimension_key: {known}`");
            verdict.errors.push(Fault::new(mark.dimension_key, message).with_help(help));
        }
        (Some(known), None) => verdict.dimension_key = Some(known.clone()),
        (None, None) => verdict.notes.push(format!(
            "{}: {table} is not a pipeline of this project and dimension_key is not set, so nothing checks that its \
             keys exist there",
            key.column
        )),
        (_, Some(_)) => {}
    }
    judge_durable(key, mark, referable, &mut verdict);
    note_idle_restatement(key, referable, &mut verdict);
    if let Some(lookup) = &key.lookup {
        match mark.early_arriving {
            Some(span) if lookup.early_arriving == EarlyArriving::Skeleton => {
                let obstacle = obstacle_to_skeletons(table, lookup, project);
                verdict.errors.extend(obstacle.map(|message| Fault::new(span, message)));
            }
            Some(_) => {}
            None => decide_early_arriving(&key.column, table, lookup, referable, &mut verdict),
        }
    }
    verdict
}

/// `relationship: type7` needs a dimension with both keys.
fn judge_durable(
    key: &ForeignKey,
    mark: &ForeignKeyMark,
    referable: Option<&Referable>,
    verdict: &mut Verdict,
) {
    let (Some(durable), Some(table), Some(referable)) = (&key.durable, &key.references, referable) else {
        return;
    };
    if let Some(Scd::Type7 { durable_key, .. }) = scd(referable) {
        if *durable_key != durable.dimension_key {
            let named = &durable.dimension_key;
            let message = format!("the durable key of `{table}` is `{durable_key}`, not `{named}`");
            let help = format!("write `durable_dimension_key: {durable_key}`");
            verdict.errors.push(Fault::new(mark.durable_dimension_key, message).with_help(help));
        }
        return;
    }
    let message = format!("`{table}` is {}: only type 7 has a durable key", described(referable));
    verdict.errors.push(Fault::new(mark.relationship, message));
}

/// Where there are no versions, none comes late.
fn note_idle_restatement(key: &ForeignKey, referable: Option<&Referable>, verdict: &mut Verdict) {
    let (Some(table), Some(referable)) = (&key.references, referable) else { return };
    if key.restate_on_late_dimension && scd(referable).is_none_or(|scd| scd.history().is_none()) {
        let (column, what) = (&key.column, described(referable));
        verdict
            .notes
            .push(format!("{column}: restate_on_late_dimension has no effect, as {table} is {what}"));
    }
}

/// Why `table` cannot get the skeletons that a file asks for.
fn obstacle_to_skeletons(table: &TableName, lookup: &Lookup, project: &ProjectTables) -> Option<String> {
    let Some(referable) = project.referable.get(table) else {
        let is_foreign = project.is_complete && !project.written.contains(table);
        return is_foreign
            .then(|| format!("no pipeline of this project writes `{table}`: it cannot get skeletons"));
    };
    match referable {
        Referable::Dimension(dimension) if gets_skeletons(dimension) => (!finds_members(lookup, dimension)).then(|| {
            let keys = dimension.natural_keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>();
            format!(
                "a skeleton needs the natural keys of `{table}`, {}: `dimension_columns` must be exactly these",
                keys.join(", ")
            )
        }),
        referable => {
            let what = described(referable);
            Some(format!("`{table}` is {what}: skeletons are for dimensions of types 1, 2 and 7"))
        }
    }
}

/// The default: skeletons where they are possible, else -3, which is said where one would expect a skeleton.
fn decide_early_arriving(
    column: &str,
    table: &TableName,
    lookup: &Lookup,
    referable: Option<&Referable>,
    verdict: &mut Verdict,
) {
    let why_not = match referable {
        Some(Referable::Dimension(dimension)) if gets_skeletons(dimension) => {
            if finds_members(lookup, dimension) {
                verdict.early_arriving = Some(EarlyArriving::Skeleton);
                return;
            }
            format!("it is not looked up by exactly the natural keys of {table}")
        }
        Some(_) => return,
        None => format!("{table} is not a pipeline of this project"),
    };
    verdict.notes.push(format!("{column}: {why_not}, so early facts get -3 and are repaired later"));
}

fn gets_skeletons(dimension: &Dimension) -> bool {
    matches!(dimension.scd, Scd::Type1 | Scd::Type2(_) | Scd::Type7 { .. })
}

/// Whether an identity of the lookup is a member: then an unknown one can become a member.
fn finds_members(lookup: &Lookup, dimension: &Dimension) -> bool {
    let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<BTreeSet<_>>();
    lower(&lookup.dimension_columns) == lower(&dimension.natural_keys)
}

fn scd(referable: &Referable) -> Option<&Scd> {
    match referable {
        Referable::Dimension(dimension) => Some(&dimension.scd),
        Referable::Combinations { .. } | Referable::No { .. } => None,
    }
}

/// What a table is, with its article.
fn described(referable: &Referable) -> String {
    match referable {
        Referable::Dimension(dimension) => format!("a type {} dimension", dimension.scd.number()),
        Referable::Combinations { what, .. } => (*what).to_owned(),
        Referable::No { what } => what.clone(),
    }
}
