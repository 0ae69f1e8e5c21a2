//! Facts: their grain, how rows get into them, and the columns that they name.

use super::columns::{columns as column_names, plain, required_columns};
use super::fact_columns::FactColumns;
use super::foreign_key::{self, ForeignKeyMark};
use super::{fact_pattern, junk_dimensions, measures};
use crate::model::{CdcStrategy, Fact, FactLoading, ForeignKey, Severity, Source};
use crate::name::TableName;
use crate::reader::{Located, MapReader};

/// Reads the settings of a fact; `None` when it has errors. `marks` takes the places of its foreign keys,
/// `companions` the tables that it writes besides its own, also when it has errors.
pub(crate) fn read(
    reader: &MapReader<'_>,
    sources: &[Source],
    marks: &mut Vec<ForeignKeyMark>,
    companions: &mut Vec<Located<TableName>>,
) -> Option<Fact> {
    let mut columns = FactColumns::default();
    let merge_keys = read_merge_keys(reader);
    columns.add_all(merge_keys.iter().flatten(), "a merge key");
    let foreign_keys = foreign_key::read_all(reader, marks);
    add_foreign_keys(&mut columns, &foreign_keys);
    let degenerate_dimensions = column_names(reader, "degenerate_dimensions").unwrap_or_default();
    columns.add_all(&degenerate_dimensions, "a degenerate dimension");
    let junk_dimensions = junk_dimensions::read(reader, &mut columns, companions);
    let partition_by = column_names(reader, "partition_by").unwrap_or_default();
    columns.add_all(&partition_by, "a partition column");
    let loading = read_loading(reader, sources, &partition_by);
    let measures = measures::read(reader, &mut columns);
    let pattern = fact_pattern::read(reader, loading, columns);
    let severities = [("error", Severity::Error), ("warn", Severity::Warn), ("skip", Severity::Skip)];
    let grain_validation = reader.choice("grain_validation", &severities);
    Some(Fact {
        merge_keys: plain(merge_keys?),
        loading,
        partition_by: plain(partition_by),
        pattern,
        measures,
        degenerate_dimensions: plain(degenerate_dimensions),
        foreign_keys,
        junk_dimensions,
        grain_validation: grain_validation.map_or(Severity::Error, |severity| severity.value),
    })
}

fn read_merge_keys(reader: &MapReader<'_>) -> Option<Vec<Located<String>>> {
    if reader.is_misspelled("merge_keys") {
        return None;
    }
    if reader.node("merge_keys").is_none() {
        reader.findings().error_with_help(
            reader.key_span("table_type"),
            "a fact needs `merge_keys`",
            "name the columns that identify one row, such as `[order_id, line_number]`",
        );
        return None;
    }
    required_columns(reader, "merge_keys")
}

fn add_foreign_keys(columns: &mut FactColumns, foreign_keys: &[ForeignKey]) {
    for key in foreign_keys {
        columns.add(&key.column, "a foreign key");
        if let Some(durable) = &key.durable {
            columns.add(&durable.column, "a durable key");
        }
    }
    for lookup in foreign_keys.iter().filter_map(|key| key.lookup.as_ref()) {
        for column in lookup.source_columns.iter().chain(&lookup.event_time) {
            columns.add(column, "a column of a lookup");
        }
    }
}

fn read_loading(reader: &MapReader<'_>, sources: &[Source], partition_by: &[Located<String>]) -> FactLoading {
    let is_append_only = read_append_only(reader, sources);
    let replace = reader.flag("replace_partitions").filter(|flag| flag.value);
    if let Some(replace) = &replace {
        if partition_by.is_empty() {
            reader.findings().error(replace.span, "`replace_partitions` needs `partition_by`");
        }
        if is_append_only {
            let message = "either `append_only` or `replace_partitions`, not both";
            reader.findings().error(reader.key_span("replace_partitions"), message);
        }
    }
    match (is_append_only, replace) {
        (true, _) => FactLoading::Append,
        (false, Some(_)) => FactLoading::ReplacePartitions,
        (false, None) => FactLoading::Upsert,
    }
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
