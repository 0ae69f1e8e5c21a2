//! One pipeline, one batch: what is read, whether there is anything to do, and the steps of a load.

mod companions;
mod compute;
mod control_rows;
mod facts;
mod pins;
mod properties;
mod quality;
mod secrets;
mod settle;
mod steps;
mod upkeep;
mod watermarks;

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kimball_config::{DeleteStrategy, Pipeline, TableName, Target};
use kimball_control::{ControlStore, Leases, Owner, RepeatStore, Unsuccessful};
use kimball_engine::{Batch, EngineRuntime, Findings, Progress, Refresh};
use kimball_lake::{LakeError, LakeTable, TableId, Warehouse};
use kimball_retry::RetryBudget;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use self::pins::Pins;
use self::quality::QualityTables;
use crate::cancel::CancelToken;
use crate::error::PipelineError;
use crate::outcome::{FailedLoad, PipelineLoad, PipelinePreview, PreviewMode, SourceVersions};
use crate::progress::RunProgress;
use crate::settings::{OnBusy, Settings};
use crate::upstream::Presence;

/// What all pipelines of one run share: the warehouse, the control tables, one DataFusion runtime with one
/// memory pool, the versions that sources are pinned to, and the run's one clock reading.
#[derive(Debug)]
pub(crate) struct RunContext {
    warehouse: Warehouse,
    control: ControlStore,
    repeats: RepeatStore,
    leases: Leases,
    runtime: EngineRuntime,
    /// The same for batches that do not fit into memory.
    thrifty: Option<EngineRuntime>,
    clock: DateTime<Utc>,
    on_busy: OnBusy,
    refresh: Refresh,
    pins: Pins,
    /// Every pipeline of the project, whether it runs or not.
    catalogue: Arc<BTreeMap<TableName, Pipeline>>,
    /// What checks of data came to.
    quality: QualityTables,
    etl_schema: String,
    /// Held while members are inferred.
    inferring: Mutex<()>,
    /// Held while rows that wait are recorded.
    recording: Mutex<()>,
    /// What `etl_control` told when the run began to look.
    unsuccessful: OnceCell<Unsuccessful>,
    /// Targets of which this run may have left a RUNNING row.
    left_open: std::sync::Mutex<BTreeSet<String>>,
    /// Targets of which this run wrote a FAILED row.
    failed: std::sync::Mutex<BTreeSet<String>>,
    /// Tables that this run made.
    made: std::sync::Mutex<BTreeSet<String>>,
    cancel: CancelToken,
    progress: RunProgress,
}

/// What ends a run before its time.
#[derive(Debug)]
pub(crate) struct Stops {
    /// Somebody asked for it.
    pub(crate) cancel: CancelToken,
    /// Everything was tried often enough.
    pub(crate) budget: RetryBudget,
}

/// How long work goes on that is to be given up.
const GRACE: Duration = Duration::from_millis(500);

/// One attempt at one pipeline.
struct Attempt<'a> {
    /// From 1.
    number: u32,
    progress: &'a Progress,
}

/// A pipeline with everything that its batch reads, at one version each.
struct Prepared {
    target: Option<LakeTable>,
    sources: Vec<kimball_engine::PinnedSource>,
    dimensions: BTreeMap<TableName, LakeTable>,
    config_changed: bool,
}

/// What a first look at a pipeline says, before its lease is taken.
enum Look {
    /// There is something to do.
    Due(Seen),
    /// There is nothing new, and whether that is well.
    Idle(Result<PipelineLoad, PipelineError>),
}

/// What a first look has opened, which need not be opened again as long as nobody else loads the table.
struct Seen {
    target_version: Option<i64>,
    dimensions: BTreeMap<TableName, LakeTable>,
}

impl Seen {
    fn of(prepared: Prepared) -> Self {
        let target_version = prepared.target.as_ref().map(LakeTable::version);
        Self { target_version, dimensions: prepared.dimensions }
    }
}

impl RunContext {
    /// Gets ready for a run that writes the tables `written` in a project with all pipelines of `catalogue`. Nothing
    /// is read or made yet.
    pub(crate) fn open(
        target: &Target,
        settings: &Settings,
        stops: Stops,
        run_time: DateTime<Utc>,
        written: BTreeSet<TableName>,
        catalogue: Arc<BTreeMap<TableName, Pipeline>>,
    ) -> Result<Self, PipelineError> {
        let warehouse = Warehouse::new(&target.warehouse, &target.storage_options)?;
        let warehouse = warehouse.with_retry_budget(stops.budget);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let control = ControlStore::new(&warehouse, &target.etl_schema)?;
        let control = match target.control_history_days {
            Some(days) => control.with_history(TimeDelta::days(days.into())),
            None => control,
        };
        let runtime = EngineRuntime::new(settings.memory_limit(), threads)?;
        Ok(Self {
            control,
            repeats: RepeatStore::new(&warehouse, &target.etl_schema)?,
            leases: Leases::new(&warehouse, &target.etl_schema, Owner::this_process())?,
            thrifty: runtime.thrifty(),
            runtime,
            clock: run_time,
            on_busy: settings.on_busy(),
            refresh: settings.refresh(),
            pins: Pins::new(warehouse.clone(), written),
            catalogue,
            quality: QualityTables::default(),
            etl_schema: target.etl_schema.clone(),
            inferring: Mutex::new(()),
            recording: Mutex::new(()),
            unsuccessful: OnceCell::new(),
            left_open: std::sync::Mutex::default(),
            failed: std::sync::Mutex::default(),
            made: std::sync::Mutex::default(),
            cancel: stops.cancel,
            progress: RunProgress::default(),
            warehouse,
        })
    }

    /// The same run, whose pipelines are watched there.
    pub(crate) fn watched_by(self, progress: RunProgress) -> Self {
        Self { progress, ..self }
    }

    /// Must be called at the end. Every control row has been answered for by the load that wrote it; what is waited
    /// for is the upkeep of the tables.
    pub(crate) async fn close(self) {
        self.leases.close().await;
        self.repeats.close().await;
        self.quality.close().await;
        self.control.close().await;
    }

    /// Whether a table exists.
    pub(crate) async fn look_for(&self, table: &TableName) -> Result<Presence, PipelineError> {
        let id = table_id(table)?;
        if self.warehouse.holds(&id).await? {
            return Ok(Presence::There);
        }
        let near = match self.warehouse.missing(&id).await {
            LakeError::Misspelled { nearest, .. } => TableName::parse(&nearest).ok(),
            _ => None,
        };
        Ok(Presence::Missing { near })
    }

    /// What one pipeline would read.
    pub(crate) async fn preview(&self, pipeline: &Pipeline) -> Result<PipelinePreview, PipelineError> {
        if let Some(preview) = self.preview_before_others(pipeline).await? {
            return Ok(preview);
        }
        let prepared = self.prepare(pipeline, None).await?;
        let findings = Findings::default();
        let progress = Progress::default();
        let batch = self.batch(pipeline, &prepared, "", &findings, &progress);
        let mode = if self.refresh != Refresh::Incremental && prepared.target.is_some() {
            PreviewMode::FullRefresh
        } else if self.is_up_to_date(pipeline, &prepared, &batch).await? {
            PreviewMode::UpToDate
        } else if prepared.sources.iter().all(|source| source.watermark.is_none()) {
            PreviewMode::FirstLoad
        } else if prepared.config_changed {
            PreviewMode::ConfigChanged
        } else {
            PreviewMode::Incremental
        };
        let approach = batch.approach(prepared.target.as_ref()).await?;
        let foreseen = batch.foresee(prepared.target.as_ref()).await?;
        let is_idle = mode == PreviewMode::UpToDate;
        Ok(PipelinePreview {
            mode,
            query: approach.to_string(),
            sources: versions(&prepared.sources),
            expected_rows: if is_idle { Some(0) } else { foreseen.expected_rows },
            added_columns: foreseen.added_columns,
            closes: if is_idle || mode == PreviewMode::FirstLoad { None } else { closes(pipeline) },
            notes: Vec::new(),
        })
    }

    /// What can be said of a pipeline that reads tables which earlier waves of the run make.
    async fn preview_before_others(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Option<PipelinePreview>, PipelineError> {
        let mut awaited = Vec::new();
        for table in self.pins.made_by_the_run(pipeline) {
            if !self.warehouse.holds(&table_id(table)?).await? {
                awaited.push(table.to_string());
            }
        }
        if awaited.is_empty() {
            return Ok(None);
        }
        Ok(Some(PipelinePreview {
            mode: PreviewMode::FirstLoad,
            query: format!("after {}, which this run makes", awaited.join(", ")),
            sources: Vec::new(),
            expected_rows: None,
            added_columns: Vec::new(),
            closes: None,
            notes: Vec::new(),
        }))
    }

    /// One attempt at one pipeline.
    pub(crate) async fn load(&self, pipeline: &Pipeline, attempt: u32) -> Result<PipelineLoad, FailedLoad> {
        let watch = self.progress.watch(&pipeline.table);
        let attempt = &Attempt { number: attempt, progress: &watch.progress };
        let progress = attempt.progress;
        let findings = Findings::default();
        let nothing_new = async {
            let prepared = self.prepare(pipeline, None).await?;
            let batch = self.batch(pipeline, &prepared, "", &findings, progress);
            let is_done = self.is_up_to_date(pipeline, &prepared, &batch).await?
                && !self.is_unsettled(pipeline).await?;
            if !is_done {
                return Ok(Look::Due(Seen::of(prepared)));
            }
            let fresh = self.uphold_freshness(&batch).await;
            Ok::<_, PipelineError>(Look::Idle(fresh.map(|()| up_to_date(&prepared))))
        };
        let failed = match self.unless_cancelled(nothing_new).await {
            Ok(Look::Idle(Ok(done))) => return Ok(self.confirmed(pipeline, done).await),
            Ok(Look::Due(seen)) => return self.load_under_lease(pipeline, attempt, seen).await,
            Ok(Look::Idle(Err(stale))) => stale,
            Err(error) => error,
        };
        Err(self.refused(pipeline, attempt, findings, failed).await)
    }

    /// Work that changes no table, given up when the run is told to stop. What is about to end is let end: the library
    /// below reads logs on threads of its own, which must not outlive the runtime.
    async fn unless_cancelled<T, E: Into<PipelineError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PipelineError> {
        let mut work = std::pin::pin!(work);
        let ended = tokio::select! {
            biased;
            ended = &mut work => Some(ended),
            () = self.cancel.cancelled() => timeout(GRACE, work).await.ok(),
        };
        match ended {
            Some(ended) => ended.map_err(Into::into),
            None => Err(PipelineError::Cancelled),
        }
    }

    /// Before a step that changes a table, which is never given up half-way.
    fn stop_if_cancelled(&self) -> Result<(), PipelineError> {
        if self.cancel.is_cancelled() { Err(PipelineError::Cancelled) } else { Ok(()) }
    }

    /// Opens the target, pins the sources and, unless an earlier look at the same target did, the dimensions.
    async fn prepare(&self, pipeline: &Pipeline, seen: Option<Seen>) -> Result<Prepared, PipelineError> {
        let target = self.warehouse.open(&table_id(&pipeline.table)?).await?;
        let stored = match &target {
            Some(target) => watermarks::config_fingerprint(target, pipeline).await?,
            None => None,
        };
        if let Some(target) = &target {
            self.require_same_secrets(pipeline, target).await?;
        }
        let sources = self.pin_sources(pipeline, target.as_ref(), stored.is_some()).await?;
        let version = target.as_ref().map(LakeTable::version);
        let dimensions = match seen.filter(|seen| seen.target_version == version) {
            Some(seen) => seen.dimensions,
            None => self.pins.dimensions(pipeline).await?,
        };
        let config_changed = stored.is_some_and(|stored| stored != watermarks::fingerprint_of(pipeline));
        Ok(Prepared { target, sources, dimensions, config_changed })
    }

    fn batch<'a>(
        &'a self,
        pipeline: &'a Pipeline,
        prepared: &'a Prepared,
        batch_id: &'a str,
        findings: &'a Findings,
        progress: &'a Progress,
    ) -> Batch<'a> {
        Batch {
            findings,
            progress,
            runtime: &self.runtime,
            clock: self.clock,
            batch_id,
            pipeline,
            sources: &prepared.sources,
            dimensions: &prepared.dimensions,
            reprocess: prepared.config_changed,
            refresh: self.refresh,
        }
    }

    /// Semantics 4.9: no new source version, an unchanged configuration, default members present.
    async fn is_up_to_date(
        &self,
        pipeline: &Pipeline,
        prepared: &Prepared,
        batch: &Batch<'_>,
    ) -> Result<bool, PipelineError> {
        let Some(target) = &prepared.target else { return Ok(false) };
        if self.refresh != Refresh::Incremental
            || prepared.config_changed
            || prepared.sources.iter().any(kimball_engine::PinnedSource::moved)
        {
            return Ok(false);
        }
        if watermarks::config_fingerprint(target, pipeline).await?.is_none() {
            return Ok(false);
        }
        Ok(!batch.lacks_default_members(target).await?
            && self.companions_follow(pipeline, target).await?
            && !self.has_news_of_dimensions(pipeline, prepared, target, batch).await?)
    }
}

fn up_to_date(prepared: &Prepared) -> PipelineLoad {
    PipelineLoad { up_to_date: true, sources: versions(&prepared.sources), ..PipelineLoad::default() }
}

/// What a load does to rows that a snapshot no longer holds (semantics 4.8), in words.
fn closes(pipeline: &Pipeline) -> Option<String> {
    if !pipeline.is_snapshot() {
        return None;
    }
    if !pipeline.missing.close {
        return Some("rows that the sources no longer hold stay as they are (on_missing: ignore)".to_owned());
    }
    let what = match (pipeline.is_history(), pipeline.delete_strategy) {
        (true, _) => "closed",
        (false, DeleteStrategy::Soft) => "marked as deleted",
        (false, DeleteStrategy::Hard) => "deleted",
    };
    let limit = match pipeline.missing.max_close_ratio {
        Some(ratio) => format!(", at most {:.0} % of them", ratio * 100.0),
        None if pipeline.missing.allow_full_close => String::new(),
        None => ", but not all of them".to_owned(),
    };
    Some(format!("rows that the sources no longer hold would be {what}{limit}"))
}

/// The versions a batch covers.
fn versions(sources: &[kimball_engine::PinnedSource]) -> Vec<SourceVersions> {
    let one = |source: &kimball_engine::PinnedSource| SourceVersions {
        name: source.source.name.clone(),
        alias: source.source.alias.clone(),
        from_version: source.watermark,
        to_version: Some(source.version()),
    };
    sources.iter().map(one).collect()
}

/// A table's place in the warehouse; the catalog plays no part in it.
fn table_id(table: &TableName) -> Result<TableId, PipelineError> {
    Ok(TableId::new(table.schema(), table.table())?)
}
