//! The fingerprint of a pipeline: equal as long as nothing that could change its rows has changed.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::{
    CdcStrategy, DeleteEffective, DeleteStrategy, Dimension, EarlyArriving, Fact, FactLoading, FactPattern,
    FileFormat, ForeignKey, History, InvalidAction, KeptChanges, KeyStrategy, Lookup, NullPolicy, Pipeline,
    Protection, Scd, Severity, Source, SourceLocation, TableKind, TrackedColumns, UNRESOLVED_KEYS,
};
use crate::name::TableName;
use crate::sql;

/// Hashes everything of a pipeline that could change its rows into 63 bits. Paths below `base_dir` count as
/// relative, so that a project may move. Left out: file name, notes, descriptions, `depends_on`, `schema_evolution`,
/// layout of the SQL, tests, tags, measures, degenerate dimensions, names of milestones.
pub(crate) fn fingerprint(pipeline: &Pipeline, base_dir: &Path) -> u64 {
    canonical(pipeline, base_dir).finish()
}

/// What goes into the [fingerprint](Pipeline::fingerprint) of a pipeline, by name: what could change its rows. Paths below
/// `base_dir` are relative to it.
pub fn meaning(pipeline: &Pipeline, base_dir: &Path) -> BTreeMap<String, String> {
    canonical(pipeline, base_dir).aspects
}

fn canonical(pipeline: &Pipeline, base_dir: &Path) -> Canonical {
    let mut canonical = Canonical::new();
    canonical.field("table", &address(&pipeline.table));
    match &pipeline.kind {
        TableKind::Dimension(dimension) => add_dimension(&mut canonical, dimension),
        TableKind::Fact(fact) => add_fact(&mut canonical, fact),
    }
    for source in &pipeline.sources {
        add_source(&mut canonical, source, base_dir);
    }
    let query = pipeline.transformation.as_ref().map(|query| sql::without_layout(&query.sql));
    canonical.optional("transformation", query.as_deref());
    canonical.field(
        "delete",
        match pipeline.delete_strategy {
            DeleteStrategy::Soft => "soft",
            DeleteStrategy::Hard => "hard",
        },
    );
    canonical.flag("missing.close", pipeline.missing.close);
    match &pipeline.null_policy {
        NullPolicy::Legacy => canonical.field("nulls", "legacy"),
        NullPolicy::Kimball { substitutes } => {
            canonical.field("nulls", "kimball");
            canonical.pairs("substitutes", substitutes);
        }
    }
    for personal in &pipeline.pii {
        canonical.enter(&format!("pii {}", personal.column));
        canonical.field("pii", &personal.column);
        add_protection(&mut canonical, &personal.protection);
        canonical.enter("");
    }
    add_unresolved_keys(&mut canonical, pipeline);
    canonical
}

/// Under another name, or in another schema, nobody repairs the rows that wait in the old table.
fn add_unresolved_keys(canonical: &mut Canonical, pipeline: &Pipeline) {
    let table = &pipeline.observability.unresolved_key_table;
    let is_default = table == UNRESOLVED_KEYS;
    let TableKind::Fact(fact) = &pipeline.kind else { return };
    if !is_default && fact.foreign_keys.iter().any(|key| key.lookup.is_some()) {
        canonical.field("unresolved_key_table", table);
    }
}

/// The value of a secret is no part of it.
fn add_protection(canonical: &mut Canonical, protection: &Protection) {
    match protection {
        Protection::Tokenize { secret } => canonical.field("tokenize", &secret.name),
        Protection::FastHash => canonical.field("protection", "fast_hash"),
        Protection::Mask { reveal_prefix, mask_char } => {
            canonical.field("reveal_prefix", &reveal_prefix.to_string());
            canonical.field("mask_char", &mask_char.to_string());
        }
        Protection::Null => canonical.field("protection", "null"),
        Protection::Drop => canonical.field("protection", "drop"),
    }
}

fn add_dimension(canonical: &mut Canonical, dimension: &Dimension) {
    canonical.field("surrogate_key", &dimension.surrogate_key);
    canonical.list("natural_keys", &dimension.natural_keys);
    canonical.pairs("default_rows", &dimension.default_rows);
    for (member, label) in &dimension.member_labels {
        canonical.field(&format!("label {member}"), label);
    }
    add_scd(canonical, &dimension.scd);
    // What is not the default stands behind what was always here: fingerprints of older files stay as they were.
    if dimension.key_strategy == KeyStrategy::Sequence {
        canonical.field("key_strategy", "sequence");
    }
    for mini in &dimension.mini_dimensions {
        canonical.field("mini_dimension", &address(&mini.table));
        canonical.field("mini_dimension key", &mini.surrogate_key);
        canonical.list("mini_dimension columns", &mini.columns);
    }
}

fn add_scd(canonical: &mut Canonical, scd: &Scd) {
    canonical.field("scd", &scd.number().to_string());
    if let Some(history) = scd.history() {
        add_history(canonical, history);
    }
    match scd {
        Scd::Type0 | Scd::Type1 | Scd::Type2(_) | Scd::Type5 | Scd::Type4 { history: None } => {}
        Scd::Type3 { previous } => canonical.pairs("previous_columns", previous),
        Scd::Type4 { history: Some(history) } => {
            canonical.field("history_table", &address(&history.table));
            canonical.optional("effective_at", history.effective_at.as_deref());
            add_tracked(canonical, &history.tracked);
        }
        Scd::Type6 { current_values, .. } => {
            let mut sorted = current_values.clone();
            sorted.sort();
            canonical.list("current_value_columns", &sorted);
        }
        Scd::Type7 { durable_key, .. } => canonical.field("durable_key", durable_key),
    }
}

/// `remember_repeats` is left out: it decides what later loads can know, not what this one writes.
fn add_history(canonical: &mut Canonical, history: &History) {
    canonical.optional("effective_at", history.effective_at.as_deref());
    add_tracked(canonical, &history.tracked);
    if history.kept_changes == KeptChanges::Last {
        canonical.field("kept_changes", "last");
    }
    if history.delete_effective == DeleteEffective::Row {
        canonical.field("delete_effective", "row");
    }
}

fn add_tracked(canonical: &mut Canonical, tracked: &TrackedColumns) {
    match tracked {
        TrackedColumns::All => canonical.field("tracked", "*"),
        TrackedColumns::Named(names) => {
            let mut sorted = names.clone();
            sorted.sort();
            canonical.list("tracked names", &sorted);
        }
    }
}

fn add_fact(canonical: &mut Canonical, fact: &Fact) {
    let mut merge_keys = fact.merge_keys.clone();
    merge_keys.sort();
    canonical.list("merge_keys", &merge_keys);
    canonical.flag("append_only", fact.loading == FactLoading::Append);
    canonical.field(
        "grain_validation",
        match fact.grain_validation {
            Severity::Error => "error",
            Severity::Warn => "warn",
            Severity::Skip => "skip",
        },
    );
    for key in &fact.foreign_keys {
        add_foreign_key(canonical, key);
    }
    // As for dimensions: only what is said, behind what was always here.
    if fact.loading == FactLoading::ReplacePartitions {
        canonical.field("loading", "replace_partitions");
    }
    if !fact.partition_by.is_empty() {
        canonical.list("partition_by", &fact.partition_by);
    }
    if let FactPattern::AccumulatingSnapshot { milestones } = &fact.pattern {
        for milestone in milestones {
            canonical.field("milestone", &milestone.column);
            canonical.optional("lag_column", milestone.lag_column.as_deref());
        }
    }
    for junk in &fact.junk_dimensions {
        canonical.field("junk_dimension", &address(&junk.table));
        canonical.field("junk_dimension key", &junk.surrogate_key);
        canonical.list("junk_dimension columns", &junk.columns);
    }
}

fn add_foreign_key(canonical: &mut Canonical, key: &ForeignKey) {
    canonical.enter(&format!("foreign key {}", key.column));
    canonical.field("foreign key", &key.column);
    canonical.optional("references", key.references.as_ref().map(address).as_deref());
    canonical.optional("dimension_key", key.dimension_key.as_deref());
    if let Some(lookup) = &key.lookup {
        add_lookup(canonical, lookup);
    }
    if let Some(durable) = &key.durable {
        canonical.field("durable_column", &durable.column);
        canonical.field("durable_dimension_key", &durable.dimension_key);
    }
    if key.restate_on_late_dimension {
        canonical.flag("restate_on_late_dimension", true);
    }
    canonical.enter("");
}

fn add_lookup(canonical: &mut Canonical, lookup: &Lookup) {
    canonical.list("source_columns", &lookup.source_columns);
    canonical.list("dimension_columns", &lookup.dimension_columns);
    canonical.optional("event_time", lookup.event_time.as_deref());
    let condition = lookup.not_applicable_when.as_deref().map(sql::without_layout);
    canonical.optional("not_applicable_when", condition.as_deref());
    canonical.field(
        "invalid_action",
        match lookup.invalid_action {
            InvalidAction::Default => "default",
            InvalidAction::Error => "error",
        },
    );
    canonical.field(
        "early_arriving",
        match lookup.early_arriving {
            EarlyArriving::Skeleton => "skeleton",
            EarlyArriving::Default => "default",
            EarlyArriving::Error => "error",
        },
    );
    canonical.flag("detect_fanout", lookup.detect_fanout);
    canonical.flag("validate_resolution", lookup.validate_resolution);
    canonical.optional("identity_map", lookup.identity_map.as_ref().map(address).as_deref());
}

fn add_source(canonical: &mut Canonical, source: &Source, base_dir: &Path) {
    canonical.enter(&format!("source {}", source.alias));
    canonical.field("source", &source.name);
    canonical.field("alias", &source.alias);
    let relative = |path: &str| {
        Path::new(path)
            .strip_prefix(base_dir)
            .map_or_else(|_| path.to_owned(), |rest| rest.display().to_string())
    };
    match &source.location {
        SourceLocation::Table(table) => canonical.field("delta table", &address(table)),
        SourceLocation::DeltaPath(path) => canonical.field("delta path", &relative(path)),
        SourceLocation::Files { format, path, options } => {
            canonical.field(
                "format",
                match format {
                    FileFormat::Csv => "csv",
                    FileFormat::Parquet => "parquet",
                    FileFormat::Json => "json",
                },
            );
            canonical.field("path", &relative(path));
            canonical.pairs("options", options);
        }
    }
    canonical.field(
        "strategy",
        match source.strategy {
            CdcStrategy::Cdf => "cdf",
            CdcStrategy::Full => "full",
            CdcStrategy::Append => "append",
        },
    );
    canonical.list("primary_keys", &source.primary_keys);
    canonical
        .optional("starting_version", source.starting_version.map(|version| version.to_string()).as_deref());
    canonical.optional("starting_timestamp", source.starting_timestamp.map(|at| at.to_rfc3339()).as_deref());
    canonical.enter("");
}

/// Where a table lies; its catalog says nothing about that.
fn address(table: &TableName) -> String {
    format!("{}.{}", table.schema(), table.table())
}

/// A byte string that two different pipelines cannot share: every part stands behind its length. What goes in is kept by
/// name as well, so that people can be told what differs.
struct Canonical {
    digest: Sha256,
    /// What the next names belong to: a source, a foreign key.
    scope: String,
    aspects: BTreeMap<String, String>,
}

impl Canonical {
    fn new() -> Self {
        Self { digest: Sha256::new(), scope: String::new(), aspects: BTreeMap::new() }
    }

    /// Names from here on are those of a part, which has no influence on the bytes.
    fn enter(&mut self, scope: &str) {
        self.scope = if scope.is_empty() { String::new() } else { format!("{scope}: ") };
    }

    fn note(&mut self, name: &str, value: &str) {
        let known = self.aspects.entry(format!("{}{name}", self.scope)).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(value);
    }

    fn part(&mut self, text: &str) {
        self.digest.update((text.len() as u64).to_be_bytes());
        self.digest.update(text.as_bytes());
    }

    fn bytes(&mut self, name: &str, value: &str) {
        self.part(name);
        self.part(value);
    }

    fn field(&mut self, name: &str, value: &str) {
        self.bytes(name, value);
        self.note(name, value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, if value { "true" } else { "false" });
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        self.bytes(name, &values.len().to_string());
        values.iter().for_each(|value| self.part(value));
        self.note(name, &values.join(", "));
    }

    fn pairs(&mut self, name: &str, values: &BTreeMap<String, String>) {
        self.bytes(name, &values.len().to_string());
        for (key, value) in values {
            self.bytes(key, value);
            self.note(name, &format!("{key}: {value}"));
        }
    }

    fn finish(self) -> u64 {
        let digest = self.digest.finalize();
        let high = digest.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        high >> 1
    }
}
