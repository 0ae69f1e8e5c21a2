//! What a target's log says about its batches: application transactions and their names (semantics 9).

use kimball_config::{Pipeline, Source, SourceLocation, TableName};
use kimball_engine::{PinnedRows, PinnedSource, defaults_id};
use kimball_lake::LakeTable;
use kimball_retry::FaultKind;
use xxhash_rust::xxh64::xxh64;

use crate::error::PipelineError;

/// The transaction with the version up to which a source was read.
pub(super) fn watermark_id(pipeline: &Pipeline, alias: &str) -> String {
    format!("{}/{alias}", pipeline.table)
}

/// The transaction that remembers that a source was read at all, under whatever alias.
fn source_id(pipeline: &Pipeline, source: &Source) -> String {
    format!("{}@{}", pipeline.table, source.name)
}

/// The transaction with the fingerprint of the table that the watermark of an alias counts versions of.
fn read_id(pipeline: &Pipeline, alias: &str) -> String {
    format!("{}/{alias}#table", pipeline.table)
}

/// The transaction with the identity of the table that the watermark of an alias counts versions of.
fn identity_id(pipeline: &Pipeline, alias: &str) -> String {
    format!("{}/{alias}#id", pipeline.table)
}

/// A text as a transaction holds it: 63 bits.
fn fingerprint(text: &str) -> i64 {
    (xxh64(text.as_bytes(), 0) >> 1).cast_signed()
}

/// What tells the table of a source from others: its address in the warehouse, or the name of what lies elsewhere.
fn table_fingerprint(source: &Source) -> i64 {
    let address = match &source.location {
        SourceLocation::Table(table) => format!("{}.{}", table.schema(), table.table()),
        SourceLocation::DeltaPath(_) | SourceLocation::Files { .. } => source.name.clone(),
    };
    fingerprint(&address)
}

fn config_id(pipeline: &Pipeline) -> String {
    format!("{}#config", pipeline.table)
}

/// The transaction with what `hashdiff` of every row is computed from. It is written when all rows are, and
/// [`HASHED_IN_SEVERAL_WAYS`] once some are hashed otherwise.
pub(super) fn hashdiff_id(pipeline: &Pipeline) -> String {
    format!("{}#hashdiff", pipeline.table)
}

/// A fingerprint that nothing has.
pub(super) const HASHED_IN_SEVERAL_WAYS: i64 = -1;

/// The pipeline's fingerprint as a transaction holds it: 63 bits.
pub(super) fn fingerprint_of(pipeline: &Pipeline) -> i64 {
    (pipeline.fingerprint >> 1).cast_signed()
}

/// The fingerprint of the configuration that wrote the target last; `None` when it was none of ours.
pub(super) async fn config_fingerprint(
    target: &LakeTable,
    pipeline: &Pipeline,
) -> Result<Option<i64>, PipelineError> {
    Ok(target.transaction(&config_id(pipeline)).await?)
}

/// The watermark of a source.
///
/// A source that was read under another alias before is an error: its rows would be read twice.
pub(super) async fn watermark_of(
    target: &LakeTable,
    pipeline: &Pipeline,
    source: &Source,
) -> Result<Option<i64>, PipelineError> {
    if let Some(found) = target.transaction(&watermark_id(pipeline, &source.alias)).await? {
        return Ok(Some(found));
    }
    if target.transaction(&source_id(pipeline, source)).await?.is_none() {
        return Ok(None);
    }
    for other in
        pipeline.sources.iter().filter(|other| other.name == source.name && other.alias != source.alias)
    {
        if target.transaction(&watermark_id(pipeline, &other.alias)).await?.is_some() {
            return Ok(None);
        }
    }
    let message = format!(
        "source {} was read under another alias before, and `{}` would read it from the start again; \
         give it its old alias",
        source.name, source.alias
    );
    Err(PipelineError::failed(FaultKind::Config, &pipeline.table, message))
}

/// Whether the watermark of a source's alias counts versions of the table that the source reads; `None` where the log does
/// not tell.
pub(super) async fn is_of_this_table(
    target: &LakeTable,
    pipeline: &Pipeline,
    source: &Source,
) -> Result<Option<bool>, PipelineError> {
    if let Some(read) = target.transaction(&read_id(pipeline, &source.alias)).await? {
        return Ok(Some(read == table_fingerprint(source)));
    }
    // Logs have not always told more than which sources were read, under whatever alias.
    let was_read = target.transaction(&source_id(pipeline, source)).await?.is_some();
    Ok(was_read.then_some(true))
}

/// Whether the batches of two tables read the same table under an alias.
pub(super) async fn read_the_same(
    one: &LakeTable,
    other: &LakeTable,
    pipeline: &Pipeline,
    alias: &str,
) -> Result<bool, PipelineError> {
    let id = identity_id(pipeline, alias);
    Ok(one.transaction(&id).await? == other.transaction(&id).await?)
}

/// Whether `table`, which a source reads, is the one whose versions up to `read` were read under the source's alias, wherever
/// it lies now.
pub(super) async fn was_read(
    target: &LakeTable,
    pipeline: &Pipeline,
    source: &Source,
    (table, read): (&LakeTable, i64),
) -> Result<bool, PipelineError> {
    // Logs have not always told, and a table that has fewer versions is refused as such.
    let known = target.transaction(&identity_id(pipeline, &source.alias)).await?;
    let Some(known) = known.filter(|_| read <= table.version()) else { return Ok(true) };
    // One that was replaced within its log was what it was when it was read.
    Ok(known == fingerprint(table.identity()?)
        || table.identity_at(read).await?.is_some_and(|id| known == fingerprint(&id)))
}

/// The transaction that counts the batches of a table whose companions have to follow it: a companion with the
/// same count holds what the table holds.
pub(super) fn batches_id(pipeline: &Pipeline) -> String {
    format!("{}#batches", pipeline.table)
}

/// The transaction with the version of a dimension that the last batch of a fact looked into.
pub(super) fn seen_id(pipeline: &Pipeline, dimension: &TableName) -> String {
    format!("{}#seen/{}.{}", pipeline.table, dimension.schema(), dimension.table())
}

/// The transaction with the high-water mark of `sequence` keys.
pub(super) fn sequence_id(pipeline: &Pipeline) -> String {
    format!("{}#sequence", pipeline.table)
}

/// The transaction that counts how often the table was rebuilt: what is remembered besides its rows counts no more.
pub(super) fn rebuilds_id(pipeline: &Pipeline) -> String {
    format!("{}#rebuilds", pipeline.table)
}

/// The transaction that says of the next version of a dimension's table that it holds the default members.
pub(super) fn holds_defaults(dimension: &TableName, table: &LakeTable) -> (String, i64) {
    (defaults_id(dimension), table.version() + 1)
}

/// The same for a commit that leaves them as they are, where the table is known to hold them.
pub(super) async fn still_holds_defaults(
    dimension: &TableName,
    table: &LakeTable,
) -> Result<Option<(String, i64)>, PipelineError> {
    let known = table.transaction(&defaults_id(dimension)).await?;
    Ok((known == Some(table.version())).then(|| holds_defaults(dimension, table)))
}

/// The transactions that a batch commits with its rows.
pub(super) fn transactions(
    pipeline: &Pipeline,
    sources: &[PinnedSource],
) -> Result<Vec<(String, i64)>, PipelineError> {
    let mut all = Vec::with_capacity(sources.len() * 4 + 1);
    for pinned in sources {
        if let PinnedRows::Table(table) = &pinned.rows {
            all.push((identity_id(pipeline, &pinned.source.alias), fingerprint(table.identity()?)));
        }
        all.push((watermark_id(pipeline, &pinned.source.alias), pinned.version()));
        all.push((read_id(pipeline, &pinned.source.alias), table_fingerprint(&pinned.source)));
        let seen = (source_id(pipeline, &pinned.source), 1);
        if !all.contains(&seen) {
            all.push(seen);
        }
    }
    all.push((config_id(pipeline), fingerprint_of(pipeline)));
    Ok(all)
}

/// How each source stands in `source_table`: its name, and for every alias of one table but the first the
/// alias behind it.
pub(super) fn control_names<'s>(sources: impl IntoIterator<Item = &'s Source>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        let name = source.name.clone();
        names.push(match names.contains(&name) {
            true => format!("{name}#{}", source.alias),
            false => name,
        });
    }
    names
}
