//! Seeded schedules over a store in memory: several runs at once, calls that fail, runs that are told to stop, and
//! sources that change in between. An auditor reads the log of the fact: at every version it holds exactly what its
//! source held at the watermark that stands in the same commit, so that no change of the source is lost or counted
//! twice; and when all is quiet again, everything has arrived.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use deltalake::DeltaResult;
use deltalake::logstore::object_store::ObjectStoreExt;
use deltalake::logstore::object_store::memory::InMemory;
use deltalake::logstore::object_store::path::Path as ObjectPath;
use deltalake::logstore::{ObjectStoreFactory, ObjectStoreRef, StorageConfig, object_store_factories};
use futures::TryStreamExt;
use kimball::{CancelToken, ExecutionSummary, FaultKind, OnBusy, PipelineExecutor, RetryPolicy};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;

use super::clock::minute;
use super::dice::Dice;
use super::stories::{Calls, DisturbedStore, Fate};
use crate::columns::{batch_from_text, parse_schema};
use crate::error::{Result, TestkitError};
use crate::file_tree::files_below;
use crate::foreign_reader::{commit_files, read_table_at};
use crate::logical::dishonesty;
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};
use crate::targets::targets_file;
use crate::text_table::TextTable;

const FACT: &str = "gold.fact";
const CONTROL: &str = "etl.etl_control";
/// The application transaction with the watermark of the fact's source.
const WATERMARK: &str = "gold.fact/sales";
const SALES: &str = "id bigint, customer bigint, sold timestamp, amount bigint";
const CUSTOMERS: &str = "id bigint, city string, since timestamp";
/// Rounds of changes and runs in a schedule.
const ROUNDS: usize = 3;
/// Schedules that are played side by side: they wait more than they work.
const AT_A_TIME: usize = 6;
/// Retries of a pipeline in a run that is disturbed.
const RETRIES: u32 = 4;
/// How long a run that is told to stop has had, at most.
const STOPPED_WITHIN: usize = 250_000;

const DIMENSION_YAML: &str = "table_name: gold.dim\ntable_type: dimension\nscd_type: 2\n\
    keys: {surrogate_key: sk, natural_keys: [id]}\neffective_at: since\ntrack_history_columns: [city]\n\
    sources: [{name: silver.customers}]\n";
const FACT_YAML: &str = "table_name: gold.fact\ntable_type: fact\nmerge_keys: [id]\nsources: [{name: silver.sales}]\n\
    foreign_keys:\n  - {column: customer_sk, references: gold.dim, dimension_key: sk, \
    lookup: {source_columns: [customer], dimension_columns: [id], event_time: sold}}\n";

/// What the schedules came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Simulated {
    /// Runs that were made, and those that did not succeed in full.
    pub runs: u64,
    /// Runs that failed in part: busy, stopped, or disturbed too often.
    pub incomplete: u64,
    /// Storage calls that failed.
    pub failed_calls: u64,
    /// Versions of the fact that were audited.
    pub audited: u64,
}

/// Plays the schedules of `seeds`.
///
/// # Errors
/// [`TestkitError::Step`] with the seed and what the auditor found.
pub fn prove(seeds: std::ops::Range<u64>) -> Result<Simulated> {
    let next = AtomicU64::new(seeds.start);
    let play = || {
        let mut all = Simulated::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(all);
            }
            let one = simulate(seed).map_err(|error| TestkitError::Step(format!("seed {seed}: {error}")))?;
            all = all.and(one);
        }
    };
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(play)).collect();
        let ended = players.into_iter().map(|player| {
            player.join().unwrap_or_else(|_| Err(TestkitError::Step("a schedule panicked".to_owned())))
        });
        ended
            .collect::<Result<Vec<_>>>()
            .map(|all| all.into_iter().fold(Simulated::default(), Simulated::and))
    })
}

impl Simulated {
    fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            incomplete: self.incomplete + other.incomplete,
            failed_calls: self.failed_calls + other.failed_calls,
            audited: self.audited + other.audited,
        }
    }
}

fn simulate(seed: u64) -> Result<Simulated> {
    let mut world = World::new(seed)?;
    let mut simulated = Simulated::default();
    for round in 0..ROUNDS {
        world.change(round)?;
        let disturbed = world.disturb(seed ^ (round as u64 + 1) << 32);
        for summary in world.run_together(round)? {
            simulated.runs += 1;
            simulated.incomplete += u64::from(!summary.is_success());
            require_known_ends(&summary)?;
        }
        simulated.failed_calls += disturbed.failed();
        world.calm();
        simulated.audited += world.audit()?;
    }
    let summary = world.run(ROUNDS, &CancelToken::new(), OnBusy::Wait)?;
    if !summary.is_success() {
        return Err(TestkitError::Step(format!("a quiet run failed: {summary}{:?}", summary.results)));
    }
    simulated.runs += 1;
    simulated.audited += world.audit()?;
    world.require_arrived()?;
    Ok(simulated)
}

/// A run may find a table busy, be stopped, or lose its patience with the storage; anything else is a fault.
fn require_known_ends(summary: &ExecutionSummary) -> Result<()> {
    let known = [FaultKind::Busy, FaultKind::Cancelled, FaultKind::Transient, FaultKind::Conflict];
    let strange =
        summary.results.iter().find(|result| result.error_class.is_some_and(|kind| !known.contains(&kind)));
    match strange {
        Some(result) => Err(TestkitError::Step(format!("{}: {:?}", result.table_name, result.error_message))),
        None => Ok(()),
    }
}

/// The amounts of a source by the identities of its rows.
type Amounts = BTreeMap<i64, i64>;

struct World {
    name: String,
    store: Arc<InMemory>,
    calls: Arc<Mutex<Calls>>,
    /// Configurations, sources as they are made, and what the auditor reads.
    folder: tempfile::TempDir,
    runtime: Runtime,
    dice: Dice,
    /// What the fact's source held at each of its versions.
    truth: Vec<Amounts>,
    next_id: i64,
    /// Versions of the fact that were audited.
    audited: u64,
}

impl World {
    fn new(seed: u64) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(TestkitError::io("temp dir"))?;
        let (store, calls) = (Arc::new(InMemory::new()), Arc::new(Mutex::new(Calls::new(Fate::Calm))));
        let name = format!("world-{seed}");
        locked(worlds()).insert(name.clone(), (Arc::clone(&store), Arc::clone(&calls)));
        let world = Self {
            name,
            store,
            calls,
            folder,
            runtime: Runtime::new().map_err(TestkitError::io("tokio runtime"))?,
            dice: Dice::new(seed),
            truth: vec![Amounts::new()],
            next_id: 0,
            audited: 0,
        };
        world.write("configs/dim.yml", DIMENSION_YAML)?;
        world.write("configs/fact.yml", FACT_YAML)?;
        let targets = targets_file(&format!("memory://{}/", world.name));
        world.write("kimball.targets.yml", &targets)?;
        for (table, columns) in [("silver.sales", SALES), ("silver.customers", CUSTOMERS)] {
            let layout = TableLayout {
                schema: parse_schema(columns)?,
                partition_by: Vec::new(),
                change_feed: ChangeFeed::Enabled,
            };
            world.runtime.block_on(world.source(table)?.create(&layout, Some(minute(0))))?;
        }
        Ok(world)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.path().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(TestkitError::io(folder))?;
        }
        fs::write(&path, text).map_err(TestkitError::io(&path))
    }

    /// Where sources are made before they are put into memory.
    fn shore(&self) -> PathBuf {
        self.folder.path().join("shore")
    }

    fn source(&self, table: &str) -> Result<SourceTable> {
        SourceTable::at(&self.shore(), table)
    }

    /// One to three commits to the fact's source, and mostly one to the dimension's.
    fn change(&mut self, round: usize) -> Result<()> {
        for _ in 0..=self.dice.below(2) {
            self.change_sales(round)?;
        }
        if self.dice.chance(70) {
            let customer = self.dice.between(0, 6);
            let text =
                format!("id | city | since\n{customer} | c{round} | 2024-01-0{} 00:00:00\n", round + 1);
            let rows = batch_from_text(&parse_schema(CUSTOMERS)?, &TextTable::parse(&text)?)?;
            let source = self.source("silver.customers")?;
            let keys = ["id".to_owned()];
            self.runtime.block_on(source.merge(&keys, Some(rows), None, Some(minute(round + 1))))?;
        }
        self.put_into_memory()
    }

    fn change_sales(&mut self, round: usize) -> Result<()> {
        let source = self.source("silver.sales")?;
        let at = Some(minute(round + 1));
        let mut amounts = self.truth.last().cloned().unwrap_or_default();
        let known: Vec<i64> = amounts.keys().copied().collect();
        match (self.dice.below(3), self.dice.one(&known).copied()) {
            (0, Some(id)) => {
                let amount = self.dice.between(1, 1_000);
                amounts.insert(id, amount);
                let set = amount.to_string();
                let which = format!("id = {id}");
                let update = source.update(Some(&which), [("amount", set.as_str())], at);
                self.runtime.block_on(update)?;
            }
            (1, Some(id)) => {
                amounts.remove(&id);
                self.runtime.block_on(source.delete(Some(&format!("id = {id}")), at))?;
            }
            _ => {
                let mut text = "id | customer | sold | amount\n".to_owned();
                for _ in 0..=self.dice.below(4) {
                    let (customer, amount) = (self.dice.between(0, 8), self.dice.between(1, 1_000));
                    text += &format!("{} | {customer} | 2024-01-02 00:00:00 | {amount}\n", self.next_id);
                    amounts.insert(self.next_id, amount);
                    self.next_id += 1;
                }
                let rows = batch_from_text(&parse_schema(SALES)?, &TextTable::parse(&text)?)?;
                self.runtime.block_on(source.insert([rows], at))?;
            }
        }
        self.truth.push(amounts);
        Ok(())
    }

    fn put_into_memory(&self) -> Result<()> {
        let shore = self.shore();
        for path in files_below([shore.clone()])? {
            let bytes = fs::read(&path).map_err(TestkitError::io(&path))?;
            let name = path.strip_prefix(&shore).unwrap_or(&path).to_string_lossy().into_owned();
            let put = self.runtime.block_on(self.store.put(&ObjectPath::from(name), bytes.into()));
            put.map_err(|error| TestkitError::Step(error.to_string()))?;
        }
        Ok(())
    }

    /// From now on calls fail by chance.
    fn disturb(&self, seed: u64) -> Calls {
        let calls = Calls::new(Fate::Fails { seed });
        *locked(&self.calls) = calls.clone();
        calls
    }

    fn calm(&self) {
        *locked(&self.calls) = Calls::new(Fate::Calm);
    }

    /// Two or three runs at once, some of which are told to stop.
    fn run_together(&mut self, round: usize) -> Result<Vec<ExecutionSummary>> {
        let plans: Vec<(OnBusy, Option<Duration>)> = (0..2 + self.dice.below(2))
            .map(|_| {
                let on_busy = if self.dice.chance(50) { OnBusy::Wait } else { OnBusy::Fail };
                let stopped = Duration::from_micros(self.dice.below(STOPPED_WITHIN) as u64);
                (on_busy, self.dice.chance(30).then_some(stopped))
            })
            .collect();
        let world = &*self;
        std::thread::scope(|scope| {
            let runs: Vec<_> = plans
                .iter()
                .map(|(on_busy, stopped)| {
                    scope.spawn(move || {
                        let token = CancelToken::new();
                        if let Some(after) = *stopped {
                            let token = token.clone();
                            scope.spawn(move || {
                                pause(after);
                                token.cancel();
                            });
                        }
                        world.run(round, &token, *on_busy)
                    })
                })
                .collect();
            runs.into_iter()
                .map(|run| {
                    run.join().unwrap_or_else(|_| Err(TestkitError::Step("a run panicked".to_owned())))
                })
                .collect()
        })
    }

    fn run(&self, round: usize, token: &CancelToken, on_busy: OnBusy) -> Result<ExecutionSummary> {
        let folder = self.folder.path();
        let made = PipelineExecutor::builder()
            .config_paths([folder.join("configs").display().to_string()])
            .targets_file(folder.join("kimball.targets.yml"))
            .environment(BTreeMap::new())
            .run_time(minute(round + 1))
            .max_workers(2)
            .retry(RetryPolicy::new(RETRIES, Duration::ZERO))
            .on_busy(on_busy)
            .cancel_token(token.clone())
            .build();
        made.and_then(|executor| executor.run()).map_err(|error| TestkitError::Step(error.message()))
    }

    /// Reads every version of the fact that was not audited yet.
    fn audit(&mut self) -> Result<u64> {
        let shown = self.show()?;
        let (mut audited, first) = (0, self.audited);
        for (version, entry) in
            commit_files(&shown, FACT)?.into_iter().filter(|(version, _)| *version >= first)
        {
            self.audited = version + 1;
            let Some(watermark) = self.watermark(&shown, version)? else { continue };
            let found = self.runtime.block_on(read_table_at(&shown, FACT, version))?;
            let columns = ["id", "amount", "__is_deleted"].map(str::to_owned);
            let mut amounts = Amounts::new();
            for row in found.select(&columns)?.values {
                let [id, amount, deleted] = row.try_into().unwrap_or_default();
                let number =
                    |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
                if deleted.as_deref() != Some("true") && amounts.insert(number(id), number(amount)).is_some()
                {
                    return Err(TestkitError::Step(format!("version {version} holds a row twice")));
                }
            }
            let wanted = usize::try_from(watermark).ok().and_then(|version| self.truth.get(version));
            if wanted != Some(&amounts) {
                let sum = |amounts: &Amounts| amounts.values().sum::<i64>();
                return Err(TestkitError::Step(format!(
                    "version {version} ({}) has watermark {watermark} and the sum {}, the source had {:?}: {amounts:?} for {wanted:?}",
                    entry.display(),
                    sum(&amounts),
                    wanted.map(sum)
                )));
            }
            audited += 1;
        }
        Ok(audited)
    }

    /// The watermark that the fact has at a version: the newest in the log up to it.
    fn watermark(&self, shown: &Path, version: u64) -> Result<Option<i64>> {
        for (_, path) in commit_files(shown, FACT)?.into_iter().rev().filter(|(number, _)| *number <= version)
        {
            let text = fs::read_to_string(&path).map_err(TestkitError::io(&path))?;
            for line in text.lines() {
                let action: Value = serde_json::from_str(line).unwrap_or_default();
                if action["txn"]["appId"] == WATERMARK {
                    return Ok(action["txn"]["version"].as_i64());
                }
            }
        }
        Ok(None)
    }

    fn require_arrived(&self) -> Result<()> {
        let shown = self.show()?;
        let newest = commit_files(&shown, FACT)?.last().map(|(version, _)| *version);
        let watermark = newest.map(|newest| self.watermark(&shown, newest)).transpose()?.flatten();
        let wanted = i64::try_from(self.truth.len()).unwrap_or_default() - 1;
        if watermark != Some(wanted) {
            return Err(TestkitError::Step(format!(
                "the watermark is {watermark:?}, the source at {wanted}"
            )));
        }
        match self.runtime.block_on(dishonesty(&shown, CONTROL))? {
            Some(lie) => Err(TestkitError::Step(lie)),
            None => Ok(()),
        }
    }

    /// What is in memory, as files that anybody can read.
    fn show(&self) -> Result<PathBuf> {
        let shown = self.folder.path().join("shown");
        let failed = |error: deltalake::ObjectStoreError| TestkitError::Step(error.to_string());
        self.runtime.block_on(async {
            use deltalake::ObjectStore;
            let objects: Vec<_> = self.store.list(None).try_collect().await.map_err(failed)?;
            for object in objects {
                let path = shown.join(object.location.as_ref());
                if path.exists() && !path.ends_with("_last_checkpoint") {
                    continue;
                }
                let bytes =
                    self.store.get(&object.location).await.map_err(failed)?.bytes().await.map_err(failed)?;
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).map_err(TestkitError::io(folder))?;
                }
                fs::write(&path, bytes).map_err(TestkitError::io(&path))?;
            }
            Ok(shown)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        locked(worlds()).remove(&self.name);
    }
}

type Worlds = Mutex<HashMap<String, (Arc<InMemory>, Arc<Mutex<Calls>>)>>;

/// The worlds of this process by their names; the first call makes `memory://NAME/` lead to them.
fn worlds() -> &'static Worlds {
    static WORLDS: OnceLock<Worlds> = OnceLock::new();
    WORLDS.get_or_init(|| {
        if let Ok(scheme) = Url::parse("memory://") {
            object_store_factories().insert(scheme, Arc::new(WorldStores));
        }
        Worlds::default()
    })
}

struct WorldStores;

impl ObjectStoreFactory for WorldStores {
    fn parse_url_opts(
        &self,
        url: &Url,
        _config: &StorageConfig,
    ) -> DeltaResult<(ObjectStoreRef, ObjectPath)> {
        let unknown = || deltalake::DeltaTableError::InvalidTableLocation(url.to_string());
        let name = url.host_str().ok_or_else(unknown)?;
        let (store, calls) = locked(worlds()).get(name).cloned().ok_or_else(unknown)?;
        let calls = locked(&calls).clone();
        let path = ObjectPath::from_url_path(url.path()).map_err(|_| unknown())?;
        Ok((Arc::new(DisturbedStore { store, calls }), path))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods, reason = "a run is stopped at a moment that no message tells")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
