//! Which version everybody reads (semantics 8.3): sources that no pipeline of the run writes stay at one
//! version for the whole run, all other tables are pinned when the reading pipeline starts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use kimball_config::{
    CdcStrategy, FactLoading, FileFormat, Pipeline, Source, SourceLocation, TableKind, TableName, Test,
};
use kimball_control::BatchStatus;
use kimball_engine::{PinnedRows, PinnedSource, Refresh};
use kimball_lake::{AsOf, FileSource, LakeError, LakeTable, Warehouse};
use kimball_retry::FaultKind;
use tokio::sync::Mutex;

use super::{RunContext, table_id, watermarks};
use crate::error::PipelineError;

/// The versions that sources are pinned to.
#[derive(Debug)]
pub(super) struct Pins {
    warehouse: Warehouse,
    written: BTreeSet<TableName>,
    tables: Mutex<BTreeMap<String, LakeTable>>,
    /// Files as they were listed first.
    files: Mutex<Vec<(SourceLocation, FileSource)>>,
}

impl Pins {
    pub(super) fn new(warehouse: Warehouse, written: BTreeSet<TableName>) -> Self {
        Self { warehouse, written, tables: Mutex::default(), files: Mutex::default() }
    }

    async fn rows(&self, source: &Source) -> Result<PinnedRows, PipelineError> {
        Ok(match &source.location {
            SourceLocation::Table(name) if self.written.contains(name) => {
                PinnedRows::Table(self.table(name).await?)
            }
            SourceLocation::Table(name) => {
                let mut tables = self.tables.lock().await;
                let table = match tables.get(&name.to_string()) {
                    Some(table) => table.clone(),
                    None => self.table(name).await?,
                };
                tables.insert(name.to_string(), table.clone());
                PinnedRows::Table(table)
            }
            SourceLocation::DeltaPath(path) => {
                let mut tables = self.tables.lock().await;
                let table = match tables.get(path) {
                    Some(table) => table.clone(),
                    None => self.warehouse.open_path(path).await?.ok_or_else(|| LakeError::Missing {
                        table: source.name.clone(),
                        location: path.clone(),
                    })?,
                };
                tables.insert(path.clone(), table.clone());
                PinnedRows::Table(table)
            }
            SourceLocation::Files { format, path, options } => {
                let mut listed = self.files.lock().await;
                // Files that are gone cannot be read, whoever listed them.
                listed.retain(|(location, files)| *location != source.location || files.bytes().is_ok());
                let known = listed.iter().find(|(location, _)| *location == source.location);
                let files = match known {
                    Some((_, files)) => files.clone(),
                    None => {
                        let files = FileSource::list(format_of(*format), path, options)?;
                        listed.push((source.location.clone(), files.clone()));
                        files
                    }
                };
                PinnedRows::Files(files)
            }
        })
    }

    /// A table of the warehouse at its newest version.
    pub(super) async fn table(&self, name: &TableName) -> Result<LakeTable, PipelineError> {
        let id = table_id(name)?;
        match self.warehouse.open(&id).await? {
            Some(table) => Ok(table),
            None => Err(self.warehouse.missing(&id).await.into()),
        }
    }

    /// The tables of this run that the pipeline reads, as sources or dimensions.
    pub(super) fn made_by_the_run<'p>(&self, pipeline: &'p Pipeline) -> BTreeSet<&'p TableName> {
        let sources = pipeline.sources.iter().filter_map(|source| match &source.location {
            SourceLocation::Table(name) => Some(name),
            SourceLocation::DeltaPath(_) | SourceLocation::Files { .. } => None,
        });
        let keys = match &pipeline.kind {
            TableKind::Fact(fact) => fact.foreign_keys.as_slice(),
            TableKind::Dimension(_) => &[],
        };
        let all = sources.chain(keys.iter().filter_map(|key| key.references.as_ref()));
        all.filter(|table| self.written.contains(table)).collect()
    }

    /// The tables that a fact's foreign keys point at, identity maps, and tables that tests look into.
    pub(super) async fn dimensions(
        &self,
        pipeline: &Pipeline,
    ) -> Result<BTreeMap<TableName, LakeTable>, PipelineError> {
        let mut found = BTreeMap::new();
        if let TableKind::Fact(fact) = &pipeline.kind {
            let references = fact.foreign_keys.iter().filter_map(|key| key.references.as_ref());
            let maps = fact.foreign_keys.iter().filter_map(|key| key.lookup.as_ref()?.identity_map.as_ref());
            for name in references.chain(maps) {
                found.insert(name.clone(), self.table(name).await?);
            }
        }
        for test in pipeline.tests.iter().flat_map(|column| &column.tests) {
            if let Test::Relationships { to, .. } = test
                && *to != pipeline.table
            {
                found.insert(to.clone(), self.table(to).await?);
            }
        }
        Ok(found)
    }
}

impl RunContext {
    /// The sources of a pipeline with their versions and watermarks.
    ///
    /// A target that is none of ours takes the watermarks of an existing `etl_control` (semantics 4.10).
    pub(super) async fn pin_sources(
        &self,
        pipeline: &Pipeline,
        target: Option<&LakeTable>,
        is_ours: bool,
    ) -> Result<Vec<PinnedSource>, PipelineError> {
        let mut sources = Vec::with_capacity(pipeline.sources.len());
        for source in &pipeline.sources {
            let rows = self.pins.rows(source).await?;
            let watermark = match target {
                _ if self.refresh != Refresh::Incremental => None,
                Some(target) if is_ours => self.watermark(target, pipeline, source, &rows).await?,
                Some(_) if source.strategy != CdcStrategy::Full => {
                    self.last_success(pipeline, source).await?
                }
                _ => None,
            };
            let rows = match rows {
                // Another process has loaded the target from a newer version than this run is pinned to.
                PinnedRows::Table(table) if watermark.is_some_and(|read| read > table.version()) => {
                    PinnedRows::Table(table.refreshed().await?)
                }
                rows => rows,
            };
            let pinned = PinnedSource { source: source.clone(), rows, watermark };
            refuse_missing_feed(&pinned)?;
            sources.push(match self.refresh == Refresh::Incremental || appends(pipeline) {
                true => from_its_start(pipeline, pinned).await?,
                // It is read whole, wherever it starts.
                false => pinned,
            });
        }
        Ok(sources)
    }

    /// The watermark of a source. A feed cannot go on from one of another table, whose versions say nothing about its own;
    /// of a snapshot there is none then, so that it is read.
    async fn watermark(
        &self,
        target: &LakeTable,
        pipeline: &Pipeline,
        source: &Source,
        rows: &PinnedRows,
    ) -> Result<Option<i64>, PipelineError> {
        let watermark = watermarks::watermark_of(target, pipeline, source).await?;
        let (PinnedRows::Table(table), Some(read)) = (rows, watermark) else { return Ok(watermark) };
        let was_read = watermarks::was_read(target, pipeline, source, (table, read)).await?;
        if source.strategy == CdcStrategy::Full {
            return Ok(watermark.filter(|_| was_read));
        }
        // Copies of one table have its identity, too.
        let refusal = if !self.has_its_old_address(target, pipeline, source).await? {
            let Source { name, alias, .. } = source;
            format!(
                "`{alias}` was another table before, which was read up to version {read}: going on from there would leave out \
                 what {name} holds already. Let `{alias}` be that table again, give {name} an alias of its own, or run with \
                 --full-refresh, which reads it whole and reconciles"
            )
        } else if !was_read {
            format!(
                "{} was created anew, or is another table, since version {read} was read: going on from there would leave out \
                 what it holds already. Restore the old table, or run with --full-refresh, which reads it whole and reconciles",
                source.name
            )
        } else {
            return Ok(watermark);
        };
        Err(PipelineError::failed(FaultKind::Config, &pipeline.table, refusal))
    }

    /// Whether a source lies where its alias lay when it was read. A table with a path of its own may move and be called
    /// otherwise.
    async fn has_its_old_address(
        &self,
        target: &LakeTable,
        pipeline: &Pipeline,
        source: &Source,
    ) -> Result<bool, PipelineError> {
        if !matches!(source.location, SourceLocation::Table(_)) {
            return Ok(true);
        }
        match watermarks::is_of_this_table(target, pipeline, source).await? {
            Some(told) => Ok(told),
            None => Ok(!self.has_read_others_alone(pipeline, source).await?),
        }
    }

    /// Whether the control table tells of batches that read other tables, and of none that read this one.
    async fn has_read_others_alone(
        &self,
        pipeline: &Pipeline,
        source: &Source,
    ) -> Result<bool, PipelineError> {
        let target = pipeline.table.to_string();
        let rows = self.control.rows().await?;
        let read = rows.iter().filter(|row| {
            row.target_table == target && row.batch_status.as_deref() == Some(BatchStatus::Success.as_str())
        });
        // Further aliases of a table stand behind its name.
        let read: BTreeSet<&str> = read.filter_map(|row| row.source_table.split('#').next()).collect();
        Ok(!read.is_empty() && !read.into_iter().any(|name| is_called(source, name)))
    }

    async fn last_success(&self, pipeline: &Pipeline, source: &Source) -> Result<Option<i64>, PipelineError> {
        let target = pipeline.table.to_string();
        let rows = self.control.rows().await?;
        let ours = rows.into_iter().filter(|row| {
            row.target_table == target
                && row.source_table == source.name
                && row.batch_status.as_deref() == Some("SUCCESS")
        });
        Ok(ours.max_by_key(|row| row.batch_completed_at).and_then(|row| row.last_processed_version))
    }
}

/// Whether a refresh, too, reads nothing but inserts.
fn appends(pipeline: &Pipeline) -> bool {
    matches!(&pipeline.kind, TableKind::Fact(fact) if fact.loading == FactLoading::Append)
}

/// A source that nobody has read yet, with the version that its `starting_timestamp` stands for: the first one that was
/// committed then or later.
pub(super) async fn from_its_start(
    pipeline: &Pipeline,
    mut pinned: PinnedSource,
) -> Result<PinnedSource, PipelineError> {
    let (Some(start), None) = (pinned.source.starting_timestamp, pinned.watermark) else { return Ok(pinned) };
    let PinnedRows::Table(table) = &pinned.rows else { return Ok(pinned) };
    // A version of that very instant is to be read: the last one before it is what is asked for.
    let first = match table.as_of(start - TimeDelta::microseconds(1)).await? {
        AsOf::Version(before) => before.version() + 1,
        AsOf::Before { .. } => 0,
    };
    if first > table.version() {
        let message = format!(
            "{} has no commit of {} or later, its newest version is {}: lower `starting_timestamp`, or leave it out to \
             begin with what the table holds",
            pinned.source.name,
            start.format("%Y-%m-%d %H:%M:%S%.f UTC"),
            table.version()
        );
        return Err(PipelineError::failed(FaultKind::Config, &pipeline.table, message));
    }
    pinned.source.starting_version = u64::try_from(first).ok();
    Ok(pinned)
}

/// Whether a name in the control table is that of a source, with a catalog or without.
fn is_called(source: &Source, name: &str) -> bool {
    let is_table = |table: &TableName| TableName::parse(name).is_ok_and(|written| written == *table);
    source.name == name || matches!(&source.location, SourceLocation::Table(table) if is_table(table))
}

fn format_of(format: FileFormat) -> kimball_lake::FileFormat {
    match format {
        FileFormat::Csv => kimball_lake::FileFormat::Csv,
        FileFormat::Parquet => kimball_lake::FileFormat::Parquet,
        FileFormat::Json => kimball_lake::FileFormat::Json,
    }
}

/// A source without a change feed is refused on the first run (semantics 4.10).
fn refuse_missing_feed(pinned: &PinnedSource) -> Result<(), PipelineError> {
    match &pinned.rows {
        PinnedRows::Table(table)
            if pinned.source.strategy == CdcStrategy::Cdf && !table.has_change_feed()? =>
        {
            Err(LakeError::NoChangeFeed { table: pinned.source.name.clone() }.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use kimball_config::{FileFormat, Source, SourceLocation};
    use kimball_engine::PinnedRows;
    use kimball_lake::Warehouse;

    use super::{Pins, is_called};
    use crate::fixture::dimension;

    fn source() -> Source {
        dimension("gold.dim_a").sources.remove(0)
    }

    async fn version(pins: &Pins, source: &Source) -> i64 {
        match pins.rows(source).await.unwrap() {
            PinnedRows::Files(files) => files.version(),
            PinnedRows::Table(table) => table.version(),
        }
    }

    #[tokio::test]
    async fn files_are_listed_once_a_run_and_anew_when_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        let write = |name: &str| fs::write(folder.path().join(name), "id\n1\n").unwrap();
        let pins = || Pins::new(Warehouse::new(&root, &BTreeMap::new()).unwrap(), BTreeSet::new());
        let location = |options| SourceLocation::Files {
            format: FileFormat::Csv,
            path: format!("{root}/*.csv"),
            options,
        };
        let files = Source { location: location(BTreeMap::new()), ..source() };
        write("a.csv");
        let run = pins();
        let first = version(&run, &files).await;
        write("b.csv");
        assert_eq!(version(&run, &files).await, first);
        let next = version(&pins(), &files).await;
        assert_ne!(next, first, "the next run sees what came");
        fs::remove_file(folder.path().join("a.csv")).unwrap();
        let left = version(&run, &files).await;
        assert!(left != first && left != next);
    }

    #[test]
    fn a_source_is_called_by_its_name_with_a_catalog_or_without() {
        let named = |name: &str| is_called(&source(), name);
        assert_eq!(source().name, "silver.dim_a");
        assert!(named("silver.dim_a") && named("main.silver.dim_a"));
        assert!(!named("bronze.dim_a") && !named("dim_a"));
    }
}
