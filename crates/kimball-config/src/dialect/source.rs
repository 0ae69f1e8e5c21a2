//! Sources: what is read, and how much of it.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::columns::plain;
use super::keys::{SOURCE, STREAMING};
use super::{contract, duration, instant, options};
use crate::location::absolute_path_or_url;
use crate::model::{CdcStrategy, FileFormat, Source, SourceLocation};
use crate::name::{TableName, is_identifier};
use crate::reader::{Located, MapReader, clip};

/// Reads `sources`; those with errors are left out.
pub(crate) fn read_sources(
    reader: &MapReader<'_>,
    base_dir: &Path,
    contract_refs: &mut Vec<(String, Located<String>)>,
) -> Vec<Source> {
    reader.required("sources");
    let mut aliases: HashMap<String, String> = HashMap::new();
    let mut sources = Vec::new();
    let items = reader.mappings("sources", &SOURCE);
    if items.is_empty() && reader.list("sources").is_some_and(<[_]>::is_empty) {
        reader.findings().error(reader.key_span("sources"), "`sources` needs one source at least");
    }
    for item in items {
        let Some((source, reference)) = read_source(&item, base_dir) else { continue };
        contract_refs.extend(reference.map(|reference| (source.alias.clone(), reference)));
        if let Some(other) = aliases.insert(source.alias.to_lowercase(), source.name.clone()) {
            let named = item.node("alias").or_else(|| item.node("name"));
            let span = named.map_or(item.span(), |node| node.span);
            item.findings().error_with_help(
                span,
                format!("the alias `{}` is taken by the source `{}`", source.alias, clip(&other)),
                "give each source an `alias` of its own",
            );
        }
        sources.push(source);
    }
    sources
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Delta,
    File(FileFormat),
}

fn read_source(source: &MapReader<'_>, base_dir: &Path) -> Option<(Source, Option<Located<String>>)> {
    let name = source.required_text("name");
    let formats = [
        ("delta", Format::Delta),
        ("csv", Format::File(FileFormat::Csv)),
        ("parquet", Format::File(FileFormat::Parquet)),
        ("json", Format::File(FileFormat::Json)),
    ];
    let format = match source.node("format") {
        None => Some(Format::Delta),
        Some(_) => source.choice("format", &formats).map(|format| format.value),
    };
    let alias = read_alias(source, name.as_ref());
    let location = format.and_then(|format| read_location(source, format, name.as_ref(), base_dir));
    let strategy = read_strategy(source, format);
    // Columns of the source, not of the table: any name will do.
    let primary_keys = source.names("primary_keys").map(|names| plain(names.value)).unwrap_or_default();
    let starting_version = read_starting_version(source, strategy);
    let streamed = read_streaming(source, strategy);
    if starting_version.is_some() && streamed.timestamp.is_some() {
        let span = source.key_span("starting_version");
        source.findings().error(span, "either `starting_version` or `starting_timestamp`, not both");
    }
    let contract::Promise { contract, reference } = contract::read(source, &primary_keys, strategy);
    let source = Source {
        name: name?.value,
        alias: alias?,
        location: location?,
        strategy: strategy?,
        primary_keys,
        starting_version: starting_version.or(streamed.version),
        starting_timestamp: streamed.timestamp,
        contract,
    };
    Some((source, reference))
}

fn read_alias(source: &MapReader<'_>, name: Option<&Located<String>>) -> Option<String> {
    let alias = match source.text("alias") {
        Some(alias) => alias,
        None if source.node("alias").is_some() => return None,
        None => {
            let name = name?;
            let last = name.value.rsplit('.').next().unwrap_or_default().trim().trim_matches('`');
            Located::new(last.to_owned(), name.span)
        }
    };
    if is_identifier(&alias.value) {
        return Some(alias.value);
    }
    source.findings().error_with_help(
        alias.span,
        format!("`{}` is no alias: it may hold letters, digits, `_` and `-` only", clip(&alias.value)),
        "set `alias` to the name that the SQL uses",
    );
    None
}

fn read_location(
    source: &MapReader<'_>,
    format: Format,
    name: Option<&Located<String>>,
    base_dir: &Path,
) -> Option<SourceLocation> {
    let path = source.text("path");
    let file_format = match format {
        Format::Delta => None,
        Format::File(format) => Some(format),
    };
    let options = options::read(source, file_format);
    match (format, path) {
        (Format::File(format), Some(path)) => {
            Some(SourceLocation::Files { format, path: absolute_path_or_url(&path.value, base_dir), options })
        }
        (Format::File(_), None) => {
            if source.node("path").is_none() && !source.is_misspelled("path") {
                source.findings().error_with_help(
                    source.key_span("format"),
                    "a source of files needs `path`",
                    "write a file, a glob such as `data/*.csv`, or a URL",
                );
            }
            None
        }
        (Format::Delta, Some(path)) => {
            if path.value.contains(['*', '?', '[']) {
                source.findings().error(path.span, "the `path` of a Delta table is one folder: no globs");
                return None;
            }
            Some(SourceLocation::DeltaPath(absolute_path_or_url(&path.value, base_dir)))
        }
        (Format::Delta, None) => {
            let name = name?;
            match TableName::parse(&name.value) {
                Ok(table) => Some(SourceLocation::Table(table)),
                Err(error) => {
                    source.findings().error_with_help(
                        name.span,
                        clip(&error.to_string()),
                        "for files set `format` and `path`; for a Delta table outside the warehouse set `path`",
                    );
                    None
                }
            }
        }
    }
}

fn read_strategy(source: &MapReader<'_>, format: Option<Format>) -> Option<CdcStrategy> {
    let strategies =
        [("cdf", CdcStrategy::Cdf), ("full", CdcStrategy::Full), ("append", CdcStrategy::Append)];
    if source.node("cdc_strategy").is_none() {
        return format.map(|format| match format {
            Format::Delta => CdcStrategy::Cdf,
            Format::File(_) => CdcStrategy::Full,
        });
    }
    let strategy = source.choice("cdc_strategy", &strategies)?;
    if matches!(format, Some(Format::File(_))) && strategy.value != CdcStrategy::Full {
        source.findings().error_with_help(
            strategy.span,
            "files have no change feed: only Delta sources can be read with `cdf` or `append`",
            "use `cdc_strategy: full`, which is the default for files",
        );
        return None;
    }
    Some(strategy.value)
}

fn read_starting_version(source: &MapReader<'_>, strategy: Option<CdcStrategy>) -> Option<u64> {
    let version = source.integer("starting_version", 0)?;
    if strategy == Some(CdcStrategy::Full) {
        source.findings().note("starting_version has no effect on a source that is read in full");
        return None;
    }
    u64::try_from(version.value).ok()
}

/// Where `streaming` begins a feed.
#[derive(Debug, Default)]
struct Start {
    version: Option<u64>,
    timestamp: Option<DateTime<Utc>>,
}

/// Reads `streaming`, and returns where it starts. A run reads what is there and ends, as the trigger `available_now`
/// does.
fn read_streaming(source: &MapReader<'_>, strategy: Option<CdcStrategy>) -> Start {
    let Some(streaming) = source.mapping("streaming", &STREAMING) else { return Start::default() };
    let findings = streaming.findings();
    let triggers = [("available_now", false), ("processing_time", true)];
    let trigger = streaming.choice("trigger", &triggers);
    if let Some(interval) = streaming.text("trigger_interval") {
        duration::read(findings, &interval, "trigger_interval");
    }
    let version = streaming.integer("starting_version", 0);
    let timestamp = streaming
        .text("starting_timestamp")
        .and_then(|written| instant::read(findings, &written, "starting_timestamp"));
    if version.is_some() && streaming.node("starting_timestamp").is_some() {
        let span = streaming.key_span("starting_timestamp");
        findings.error(span, "either `starting_version` or `starting_timestamp`, not both");
    }
    let ignored = ["ignore_deletes", "ignore_changes"].map(|key| (key, streaming.flag(key)));
    let Some(enabled) = streaming.flag("enabled").filter(|flag| flag.value) else {
        for key in ["starting_version", "starting_timestamp"] {
            if streaming.node(key).is_some() {
                findings.note(format!("streaming: {key} has no effect without `enabled: true`"));
            }
        }
        return Start::default();
    };
    if trigger.is_some_and(|trigger| trigger.value) {
        findings.note(
            "streaming: `trigger: processing_time` has no effect: a run reads what is there and ends; call `kimball run` \
             as often as you like",
        );
    }
    if strategy == Some(CdcStrategy::Full) {
        findings.error(enabled.span, "`streaming` needs a feed: `cdc_strategy: cdf` or `append`");
    }
    for (key, flag) in ignored {
        if flag.is_some_and(|flag| flag.value) {
            say_what_is_followed(&streaming, key, strategy);
        }
    }
    Start { version: version.and_then(|version| u64::try_from(version.value).ok()), timestamp }
}

/// In Spark `ignore_deletes` and `ignore_changes` let a stream of appended rows pass over other commits. It has no use
/// for them where it reads a change feed, which tells of deletes and changes as what they are.
fn say_what_is_followed(streaming: &MapReader<'_>, key: &str, strategy: Option<CdcStrategy>) {
    match strategy {
        Some(CdcStrategy::Cdf) => streaming.findings().warning(
            streaming.key_span(key),
            format!(
                "`{key}: true` has no effect: deletes and changes of a change feed are followed; `cdc_strategy: append` \
                 takes inserts alone"
            ),
        ),
        Some(CdcStrategy::Append) => {
            let note = format!("streaming: {key} has no effect: `cdc_strategy: append` takes inserts alone");
            streaming.findings().note(note);
        }
        Some(CdcStrategy::Full) | None => {}
    }
}
