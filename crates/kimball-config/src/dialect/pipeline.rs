//! One file as one pipeline.

use std::collections::BTreeMap;
use std::path::Path;

use super::foreign_key::ForeignKeyMark;
use super::keys::{DIMENSION_ONLY, FACT_ONLY, KEYS, NULL_POLICY, PIPELINE};
use super::{columns, declarations, dimension, fact, history, observability, pii, quality, source};
use crate::findings::Findings;
use crate::fingerprint::fingerprint;
use crate::model::{
    CdcStrategy, DeleteStrategy, MergeStrategy, MissingRows, NullPolicy, Pipeline, Source, TableKind,
    Transformation,
};
use crate::name::TableName;
use crate::problem::Location;
use crate::reader::{Located, MapReader, scalar, table};
use crate::source_text::Span;
use crate::sql;
use crate::yaml::{Node, ScalarStyle, Value};

/// What was read of one file, with the places that the rules across files need.
#[derive(Debug, Default)]
pub(crate) struct PipelineFile {
    /// The table, also of a file with errors: two files for one table are found anyway.
    pub(crate) table: Option<Located<TableName>>,
    /// The tables that it writes besides its own, also of a file with errors.
    pub(crate) companions: Vec<Located<TableName>>,
    /// Present when the file has no error.
    pub(crate) pipeline: Option<Pipeline>,
    /// Where `delete_strategy: hard` stands.
    pub(crate) hard_delete: Option<Span>,
    /// Places of the foreign keys, in the order of the model.
    pub(crate) foreign_keys: Vec<ForeignKeyMark>,
    /// Places of `contract_ref`, by the source that they belong to.
    pub(crate) contract_refs: Vec<(String, Located<String>)>,
    /// `merge_strategy`; the target's goes where a file has none.
    pub(crate) merge_strategy: Option<MergeStrategy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableType {
    Dimension,
    Fact,
}

/// Reads and checks a file by itself. Relative paths of file sources start at `base_dir`.
pub(crate) fn read_pipeline(findings: &Findings<'_>, root: &Node, base_dir: &Path) -> PipelineFile {
    let mut read = PipelineFile::default();
    let Some(reader) = MapReader::open(findings, root, &PIPELINE) else { return read };
    read.table = reader.required_table("table_name");
    let sources = source::read_sources(&reader, base_dir, &mut read.contract_refs);
    let transformation = read_transformation(&reader, &sources);
    let table_type = read_table_type(&reader);
    check_placement(&reader, table_type);
    let kind = match table_type {
        Some(TableType::Dimension) => {
            dimension::read(&reader, &mut read.companions).map(TableKind::Dimension)
        }
        Some(TableType::Fact) => {
            fact::read(&reader, &sources, &mut read.foreign_keys, &mut read.companions).map(TableKind::Fact)
        }
        None => None,
    };
    if table_type != Some(TableType::Fact) {
        refuse_append_sources(&reader, &sources);
    }
    let delete_strategy = read_delete_strategy(&reader, kind.as_ref(), &mut read.hard_delete);
    let missing = read_missing(&reader, kind.as_ref());
    let null_policy = read_null_policy(&reader);
    let schema_evolution = reader.flag("schema_evolution").is_some_and(|flag| flag.value);
    read.merge_strategy = read_merge_strategy(&reader);
    let optimize_after_merge = reader.flag("optimize_after_merge").is_some_and(|flag| flag.value);
    let cluster_by = columns::columns(&reader, "cluster_by").map(columns::plain).unwrap_or_default();
    let depends_on = read_depends_on(&reader);
    let (description, column_descriptions) = declarations::read_descriptions(&reader);
    declarations::check_inert(&reader, kind.as_ref());
    let tags = declarations::read_tags(&reader);
    let tests = quality::read_tests(&reader);
    let protected = pii::read(&reader);
    if let Some(kind) = &kind {
        pii::check_uses(&reader, &protected, kind);
    }
    let observability = observability::read(&reader);
    history::check_changes(&reader, kind.as_ref());
    let (Some(table), Some(kind), false) = (&read.table, kind, findings.has_errors()) else { return read };
    let mut pipeline = Pipeline {
        config_path: findings.file().path().to_path_buf(),
        table: table.value.clone(),
        kind,
        sources,
        transformation,
        depends_on,
        delete_strategy,
        missing,
        null_policy,
        schema_evolution,
        merge_strategy: read.merge_strategy.unwrap_or_default(),
        optimize_after_merge,
        cluster_by,
        description,
        column_descriptions,
        tests,
        tags,
        pii: protected.into_iter().map(|(column, _)| column).collect(),
        observability,
        notes: Vec::new(),
        fingerprint: 0,
    };
    pipeline.fingerprint = fingerprint(&pipeline, base_dir);
    read.pipeline = Some(pipeline);
    read
}

fn read_table_type(reader: &MapReader<'_>) -> Option<TableType> {
    reader.required("table_type")?;
    let types = [("dimension", TableType::Dimension), ("fact", TableType::Fact)];
    Some(reader.choice("table_type", &types)?.value)
}

/// Reports keys that the other type of table has, unless they say nothing.
fn check_placement(reader: &MapReader<'_>, table_type: Option<TableType>) {
    let (foreign, owner) = match table_type {
        Some(TableType::Dimension) => (FACT_ONLY, "facts"),
        Some(TableType::Fact) => (DIMENSION_ONLY, "dimensions"),
        None => return,
    };
    for key in foreign {
        let Some(node) = reader.node(key) else { continue };
        // Files of the old dialect may spell out the default of a key that means nothing to them.
        let default_type = *key == "scd_type" && scalar(node).is_some_and(|scalar| scalar.text == "1");
        if default_type || says_nothing(node) {
            continue;
        }
        let message = format!("`{key}` is for {owner}");
        match *key {
            "keys" | "surrogate_key" | "natural_keys" => {
                reader.findings().error_with_help(
                    reader.key_span(key),
                    message,
                    "a fact is identified by `merge_keys`",
                );
            }
            _ => reader.findings().error(reader.key_span(key), message),
        }
    }
}

/// `false`, an empty list or an empty mapping.
fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.as_bool() == Some(false),
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => entries.is_empty(),
    }
}

fn read_transformation(reader: &MapReader<'_>, sources: &[Source]) -> Option<Transformation> {
    let listed = match reader.node("sources").map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.len(),
        _ => 0,
    };
    let has_query = reader.node("transformation_sql").is_some() || reader.is_misspelled("transformation_sql");
    if listed > 1 && !has_query {
        reader.findings().error_with_help(
            reader.key_span("sources"),
            "several sources need a `transformation_sql` that joins them",
            "write one SELECT or WITH query over the aliases of the sources",
        );
    }
    let text = reader.text("transformation_sql")?;
    // A source that could not be read must not make the query look wrong.
    let all_sources = (sources.len() == listed).then_some(sources);
    sql::check_query(reader.findings(), &text, all_sources);
    let line = reader.findings().file().locate(text.span).line;
    let style = scalar(reader.node("transformation_sql")?)?.style;
    let lines = lines_of(reader.findings(), &text, style);
    Some(Transformation { sql: text.value, line, lines })
}

/// Where the lines of a query stand in its file.
fn lines_of(findings: &Findings<'_>, sql: &Located<String>, style: ScalarStyle) -> Vec<Location> {
    let file = findings.file();
    let (text, Span { start, end }) = (file.text(), sql.span);
    if style != ScalarStyle::Literal {
        // A text on one line stands in the file as it is; others are folded.
        let at = text.get(start..end).and_then(|written| written.find(sql.value.as_str()));
        let one = at.filter(|_| !sql.value.contains('\n')).map(|at| start + at);
        return one.map(|at| file.locate(Span::new(at, at + 1))).into_iter().collect();
    }
    let mut begin = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let mut lines = Vec::new();
    for sql_line in sql.value.lines() {
        let written = text.get(begin..).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
        // The line of the block is the line of the SQL behind its indentation.
        let indentation = written.trim_end_matches('\r').strip_suffix(sql_line).map_or(0, str::len);
        lines.push(file.locate(Span::new(begin + indentation, begin + indentation + 1)));
        begin += written.len() + 1;
    }
    lines
}

fn refuse_append_sources(reader: &MapReader<'_>, sources: &[Source]) {
    if sources.iter().any(|source| source.strategy == CdcStrategy::Append) {
        reader.findings().error(
            reader.key_span("sources"),
            "`cdc_strategy: append` is for facts with `append_only: true`",
        );
    }
}

fn read_delete_strategy(
    reader: &MapReader<'_>,
    kind: Option<&TableKind>,
    hard_delete: &mut Option<Span>,
) -> DeleteStrategy {
    let strategies = [("soft", DeleteStrategy::Soft), ("hard", DeleteStrategy::Hard)];
    let Some(strategy) = reader.choice("delete_strategy", &strategies) else { return DeleteStrategy::Soft };
    if strategy.value == DeleteStrategy::Hard {
        if is_history(kind) {
            reader
                .findings()
                .note("delete_strategy: hard has no effect on a history: a delete closes the version");
        } else {
            *hard_delete = Some(strategy.span);
        }
    }
    strategy.value
}

/// `merge_strategy` of a pipeline or a target.
pub(crate) fn read_merge_strategy(reader: &MapReader<'_>) -> Option<MergeStrategy> {
    let strategies =
        [("merge_on_read", MergeStrategy::MergeOnRead), ("copy_on_write", MergeStrategy::CopyOnWrite)];
    reader.choice("merge_strategy", &strategies).map(|strategy| strategy.value)
}

fn read_missing(reader: &MapReader<'_>, kind: Option<&TableKind>) -> MissingRows {
    let on_missing = reader.choice("on_missing", &[("close", true), ("ignore", false)]);
    MissingRows {
        close: on_missing.map_or_else(|| is_history(kind), |on_missing| on_missing.value),
        allow_full_close: reader.flag("allow_full_close").is_some_and(|flag| flag.value),
        max_close_ratio: reader.ratio("max_close_ratio").map(|ratio| ratio.value),
    }
}

/// Whether the table keeps history rows of its own.
pub(super) fn is_history(kind: Option<&TableKind>) -> bool {
    matches!(kind, Some(TableKind::Dimension(dimension)) if dimension.scd.history().is_some())
}

fn read_null_policy(reader: &MapReader<'_>) -> NullPolicy {
    let Some(policy) = reader.mapping("null_policy", &NULL_POLICY) else {
        return NullPolicy::Kimball { substitutes: BTreeMap::new() };
    };
    let legacy =
        policy.choice("mode", &[("kimball", false), ("legacy", true)]).is_some_and(|mode| mode.value);
    let substitutes = policy.texts("attribute_substitutes").unwrap_or_default();
    for (column, value) in &substitutes {
        columns::check(policy.findings(), &Located::new(column.clone(), value.span));
        if value.value.trim().is_empty() {
            policy.findings().error(value.span, format!("the substitute of `{column}` must not be blank"));
        }
    }
    if legacy {
        if !substitutes.is_empty() {
            let span = policy.key_span("attribute_substitutes");
            policy.findings().error(span, "`attribute_substitutes` needs `mode: kimball`");
        }
        return NullPolicy::Legacy;
    }
    NullPolicy::Kimball {
        substitutes: substitutes.into_iter().map(|(column, value)| (column, value.value)).collect(),
    }
}

fn read_depends_on(reader: &MapReader<'_>) -> Vec<TableName> {
    let items = reader.list("depends_on").unwrap_or_default();
    let mut tables: Vec<TableName> = Vec::with_capacity(items.len());
    for item in items {
        let Some(table) = table(reader.findings(), item) else { continue };
        if tables.contains(&table.value) {
            reader.findings().warning(table.span, format!("`{}` is in `depends_on` twice", table.value));
        } else {
            tables.push(table.value);
        }
    }
    tables
}

/// The three key fields, which stand under `keys` or at the top.
pub(super) fn key_readers<'a>(reader: &MapReader<'a>, field: &str) -> Option<KeyField<'a>> {
    let nested = reader.mapping("keys", &KEYS);
    let at_top = reader.node(field).is_some();
    match nested.filter(|keys| keys.node(field).is_some()) {
        Some(keys) => {
            if at_top {
                let message = format!("`{field}` is there twice: at the top and under `keys`");
                reader.findings().error(reader.key_span(field), message);
            }
            Some(KeyField::Nested(keys))
        }
        None => at_top.then_some(KeyField::Top),
    }
}

/// Where a key field stands.
pub(super) enum KeyField<'a> {
    Nested(MapReader<'a>),
    Top,
}
