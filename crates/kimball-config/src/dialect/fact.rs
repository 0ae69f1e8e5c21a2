//! Facts: grain, patterns and their declarations.

use std::collections::HashSet;

use super::columns::{self, columns as column_names, plain, required_columns};
use super::foreign_key::{self, ForeignKeyMark};
use super::keys::{JUNK_DIMENSION, MEASURE, MILESTONE};
use crate::model::{CdcStrategy, Fact, FactLoading, FactPattern, Severity, Source};
use crate::reader::{Located, MapReader};

/// Reads the settings of a fact; `None` when it has errors.
pub(crate) fn read(
    reader: &MapReader<'_>,
    sources: &[Source],
    marks: &mut Vec<ForeignKeyMark>,
) -> Option<Fact> {
    let merge_keys = if reader.node("merge_keys").is_some() {
        required_columns(reader, "merge_keys")
    } else {
        reader.findings().error_with_help(
            reader.key_span("table_type"),
            "a fact needs `merge_keys`",
            "name the columns that identify one row, such as `[order_id, line_number]`",
        );
        None
    };
    let append_only = read_append_only(reader, sources);
    let foreign_keys = foreign_key::read_all(reader, marks);
    check_partitions(reader);
    check_pattern(reader);
    check_measures(reader);
    check_junk_dimensions(reader);
    let severities = [("error", Severity::Error), ("warn", Severity::Warn), ("skip", Severity::Skip)];
    let grain_validation = reader.choice("grain_validation", &severities);
    Some(Fact {
        merge_keys: plain(merge_keys?),
        loading: if append_only { FactLoading::Append } else { FactLoading::Upsert },
        partition_by: Vec::new(),
        pattern: FactPattern::Transaction,
        measures: Vec::new(),
        degenerate_dimensions: Vec::new(),
        foreign_keys,
        junk_dimensions: Vec::new(),
        grain_validation: grain_validation.map_or(Severity::Error, |severity| severity.value),
    })
}

fn read_append_only(reader: &MapReader<'_>, sources: &[Source]) -> bool {
    let append_only = reader.flag("append_only");
    let is_append_only = append_only.as_ref().is_some_and(|flag| flag.value);
    let appends = sources.iter().any(|source| source.strategy == CdcStrategy::Append);
    if appends && !is_append_only {
        reader.findings().error_with_help(
            reader.key_span("sources"),
            "`cdc_strategy: append` needs `append_only: true`",
            "a table that takes inserts only cannot follow updates and deletes",
        );
    }
    let only_snapshots = !sources.is_empty() && sources.iter().all(|s| s.strategy == CdcStrategy::Full);
    if let Some(flag) = append_only.filter(|flag| flag.value && only_snapshots) {
        reader.findings().error_with_help(
            flag.span,
            "`append_only` needs a source that is a feed: a snapshot does not say which rows are new",
            "set `cdc_strategy: append` or `cdf` on a Delta source, or leave `append_only` out",
        );
    }
    is_append_only
}

fn check_partitions(reader: &MapReader<'_>) {
    let partition_by = column_names(reader, "partition_by").unwrap_or_default();
    let replace = reader.flag("replace_partitions").filter(|flag| flag.value);
    if let Some(replace) = &replace {
        if partition_by.is_empty() {
            reader.findings().error(replace.span, "`replace_partitions` needs `partition_by`");
        }
        reader.findings().not_yet(reader.key_span("replace_partitions"), "replace_partitions");
    }
    if !partition_by.is_empty() {
        reader.findings().not_yet(reader.key_span("partition_by"), "partition_by");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Transaction,
    PeriodicSnapshot,
    AccumulatingSnapshot,
}

fn check_pattern(reader: &MapReader<'_>) {
    let findings = reader.findings();
    let patterns = [
        ("transaction", Pattern::Transaction),
        ("periodic_snapshot", Pattern::PeriodicSnapshot),
        ("accumulating_snapshot", Pattern::AccumulatingSnapshot),
    ];
    let pattern = reader.choice("fact_pattern", &patterns);
    reader.text("grain");
    let periods = ["day", "week", "month", "quarter", "year"].map(|period| (period, ()));
    reader.choice("snapshot_period", &periods);
    let milestones = check_milestones(reader);
    column_names(reader, "degenerate_dimensions");
    let kind = pattern.as_ref().map(|pattern| pattern.value);
    if let Some(pattern) = &pattern {
        if reader.node("grain").is_none() {
            findings.error(pattern.span, "`fact_pattern` needs `grain`: say in words what one row is");
        }
        if pattern.value == Pattern::PeriodicSnapshot && reader.node("snapshot_period").is_none() {
            findings.error(pattern.span, "a periodic snapshot needs `snapshot_period`");
        }
        if pattern.value == Pattern::AccumulatingSnapshot && milestones < 2 {
            findings.error(pattern.span, "an accumulating snapshot needs two `milestones` at least");
        }
        match pattern.value {
            Pattern::Transaction => {}
            Pattern::PeriodicSnapshot => findings.not_yet(pattern.span, "fact_pattern: periodic_snapshot"),
            Pattern::AccumulatingSnapshot => {
                findings.not_yet(pattern.span, "fact_pattern: accumulating_snapshot")
            }
        }
    }
    if reader.node("snapshot_period").is_some() && kind != Some(Pattern::PeriodicSnapshot) {
        let span = reader.key_span("snapshot_period");
        findings.error(span, "`snapshot_period` is for `fact_pattern: periodic_snapshot`");
    }
    if milestones > 0 && kind != Some(Pattern::AccumulatingSnapshot) {
        let span = reader.key_span("milestones");
        findings.error(span, "`milestones` are for `fact_pattern: accumulating_snapshot`");
    }
}

/// Checks the milestones and counts them.
fn check_milestones(reader: &MapReader<'_>) -> usize {
    let milestones = reader.mappings("milestones", &MILESTONE);
    let (mut names, mut used_columns, mut orders) = (HashSet::new(), HashSet::new(), HashSet::new());
    for milestone in &milestones {
        unique(milestone, milestone.required_text("name"), &mut names, "milestone");
        unique(
            milestone,
            columns::required_column(milestone, "column"),
            &mut used_columns,
            "milestone column",
        );
        milestone.required("order");
        if let Some(order) = milestone.integer("order", 1)
            && !orders.insert(order.value)
        {
            milestone.findings().error(order.span, format!("two milestones have the order {}", order.value));
        }
    }
    milestones.len()
}

fn check_measures(reader: &MapReader<'_>) {
    let measures = reader.mappings("measures", &MEASURE);
    let mut names = HashSet::new();
    for measure in &measures {
        unique(measure, columns::required_column(measure, "name"), &mut names, "measure");
        let aggregations = ["sum", "avg", "min", "max", "count", "count_distinct"].map(|word| (word, ()));
        measure.choice("aggregation", &aggregations);
        let additivities = ["additive", "semi_additive", "non_additive"].map(|word| (word, word));
        let additivity = measure.choice("additivity", &additivities);
        let dimensions = column_names(measure, "non_additive_dimensions").unwrap_or_default();
        let semi_additive = additivity.as_ref().is_some_and(|additivity| additivity.value == "semi_additive");
        if semi_additive && dimensions.is_empty() {
            let span = measure.key_span("additivity");
            measure.findings().error(span, "a semi-additive measure needs `non_additive_dimensions`");
        }
        if !semi_additive && !dimensions.is_empty() {
            let span = measure.key_span("non_additive_dimensions");
            measure.findings().error(span, "`non_additive_dimensions` is for `additivity: semi_additive`");
        }
    }
    if !measures.is_empty() {
        reader.findings().note("measures are declarations; they are not checked yet");
    }
}

fn check_junk_dimensions(reader: &MapReader<'_>) {
    let junk_dimensions = reader.mappings("junk_dimensions", &JUNK_DIMENSION);
    let degenerate: HashSet<String> = reader
        .node("degenerate_dimensions")
        .and_then(|_| reader.names("degenerate_dimensions"))
        .map(|names| names.value.into_iter().map(|name| name.value.to_lowercase()).collect())
        .unwrap_or_default();
    let mut keys = HashSet::new();
    for junk in &junk_dimensions {
        junk.required_table("dimension_table");
        let key = columns::required_column(junk, "surrogate_key");
        required_columns(junk, "source_columns");
        if let Some(key) = key.as_ref().filter(|key| degenerate.contains(&key.value.to_lowercase())) {
            let message = format!("`{}` cannot be both a degenerate dimension and a junk key", key.value);
            junk.findings().error(key.span, message);
        }
        unique(junk, key, &mut keys, "junk key");
    }
    if !junk_dimensions.is_empty() {
        reader.findings().not_yet(reader.key_span("junk_dimensions"), "junk_dimensions");
    }
}

/// Reports a name that another item of the list has already.
pub(super) fn unique(
    reader: &MapReader<'_>,
    name: Option<Located<String>>,
    known: &mut HashSet<String>,
    what: &str,
) {
    if let Some(name) = name
        && !known.insert(name.value.to_lowercase())
    {
        reader.findings().error(name.span, format!("the {what} `{}` is there twice", name.value));
    }
}
