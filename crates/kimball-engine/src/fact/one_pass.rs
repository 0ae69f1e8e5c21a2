//! The first load of a fact in one pass: rows stream from the sources past the members of the dimensions into data
//! files. Kept is only what the rest of the batch may have to look at: rows that got a sentinel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use datafusion::prelude::DataFrame;
use kimball_config::{EarlyArriving, Fact, FactLoading, Severity};

use super::broker::{Joined, SentinelCounts, Sentinels, nested};
use super::{Broker, FactMerge};
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, OP, qualified};
use crate::key_hashes::KeyHashes;
use crate::keys::{hash_of, row_hash};
use crate::merge::Collector;
use crate::passing::{self, Checks, Streams, locked, unlocked};
use crate::session::query;
use crate::stage::{Spool, SpoolRoom, SpoolWriter, Spread, Unread};

/// The hash of a row's merge key.
const GRAIN: &str = "__k_grain";
/// Whether a foreign key that the query gave is NULL or points nowhere.
const LOST: &str = "__k_lost";

/// Whether the first rows of a fact can be loaded without being kept.
pub(crate) fn fits_one_pass(fact: &Fact) -> bool {
    fact.loading == FactLoading::Upsert
        && fact.grain_validation == Severity::Error
        && fact.junk_dimensions.is_empty()
}

/// What is left of rows that were loaded in passing.
pub(crate) struct Passed {
    /// Rows with a sentinel, as staged.
    pub(crate) exceptional: Spool,
    /// For each foreign key, in their order.
    pub(crate) sentinels: Vec<Sentinels>,
}

impl FactMerge<'_> {
    /// Loads the rows of `unread`, one `collectors` a stream. `None` when they need a second look; what was written
    /// is in the collectors then, too.
    ///
    /// # Errors
    /// Whatever reading and writing can bring.
    pub(crate) async fn pass(
        &self,
        unread: &Unread,
        collectors: &mut Vec<Collector>,
        open: impl Fn() -> Result<Collector, EngineError>,
        streams: Streams,
    ) -> Result<Option<Passed>, EngineError> {
        let taken = unread.register(self.session, "staged", Spread::Evenly)?;
        let broker = Broker { session: self.session, fact: self.fact, dimensions: self.dimensions };
        let (rows, counts) = match broker.join("staged").await? {
            Some(Joined { rows, counts, .. }) => (rows, counts),
            None => (self.session.table("staged").await?, SentinelCounts::of([])),
        };
        let rows = self.with_checks(rows).await?;
        let checks = Arc::new(FactChecks::new(self.fact, counts, &rows));
        passing::pass(rows, streams, &checks, open, collectors).await?;
        let checks = passing::ended(checks)?;
        let written: u64 = collectors.iter().map(Collector::inserted).sum();
        // More rows than were taken: identities that meet several members.
        let is_fanned = written != taken.load(Ordering::Relaxed);
        if checks.stopped.into_inner() || is_fanned || unlocked(checks.grain).has_repeats()? {
            return Ok(None);
        }
        let exceptional = unlocked(checks.exceptional).finish()?;
        Ok(Some(Passed { exceptional, sentinels: checks.counts.total() }))
    }

    /// The action rows of rows with their foreign keys, each with the hash of its merge key, and with whether one of
    /// the foreign keys that the query gave points nowhere.
    async fn with_checks(&self, rows: DataFrame) -> Result<DataFrame, EngineError> {
        self.session.deregister_table("__k_passing")?;
        self.session.register_table("__k_passing", rows.into_view())?;
        self.session.register_udf(row_hash());
        let mut joined = "__k_passing s".to_owned();
        let mut lost = vec!["false".to_owned()];
        let given = self.fact.foreign_keys.iter().filter(|key| key.lookup.is_none());
        for (place, key) in given.enumerate() {
            let column = qualified("s", &key.column);
            lost.push(format!("{column} IS NULL"));
            let (Some(table), Some(surrogate)) = (&key.references, &key.dimension_key) else { continue };
            let Some(dimension) = self.dimensions.get(table) else { continue };
            let (name, alias) = (format!("__k_referenced_{place}"), format!("r{place}"));
            self.session.deregister_table(&name)?;
            self.session.register_table(&name, dimension.rows().await?)?;
            let found = qualified(&alias, surrogate);
            joined = format!("{name} {alias} RIGHT JOIN {} ON {found} = {column}", nested(&joined));
            lost.push(format!("({column} NOT IN {DEFAULT_KEYS} AND {found} IS NULL)"));
        }
        let noted = format!(
            "{} AS {GRAIN}, ({}) AS {LOST}, s.{OP}, ",
            hash_of("s", &self.fact.merge_keys),
            lost.join(" OR ")
        );
        Ok(query(self.session, &self.new_rows_with(&joined, &noted)).await?)
    }
}

/// What all streams of a load tell of their rows.
struct FactChecks {
    counts: SentinelCounts,
    /// Keys for which −3 means that a member is to be inferred first.
    inferring: Vec<bool>,
    grain: Mutex<KeyHashes>,
    exceptional: Mutex<SpoolWriter>,
    /// Whether the rows need a second look.
    stopped: AtomicBool,
}

impl FactChecks {
    fn new(fact: &Fact, counts: SentinelCounts, rows: &DataFrame) -> Self {
        let lookups = fact.foreign_keys.iter().filter_map(|key| key.lookup.as_ref());
        Self {
            counts,
            inferring: lookups.map(|lookup| lookup.early_arriving == EarlyArriving::Skeleton).collect(),
            grain: Mutex::new(KeyHashes::new()),
            exceptional: Mutex::new(SpoolWriter::new(
                SpoolRoom::of_frame(rows),
                Arc::clone(rows.schema().inner()),
            )),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Checks for FactChecks {
    fn note(&self, rows: &RecordBatch) -> Result<(), EngineError> {
        if let Some(hashes) = rows.column_by_name(GRAIN) {
            let hashes = hashes.as_primitive::<Int64Type>().values();
            locked(&self.grain).extend(hashes.iter().map(|hash| hash.cast_unsigned()))?;
        }
        if rows.column_by_name(LOST).is_some_and(|lost| lost.as_boolean().has_true()) {
            self.stopped.store(true, Ordering::Relaxed);
        }
        let Some(exceptional) = self.counts.having_any(rows) else { return Ok(()) };
        self.counts.note(rows);
        let missing = |(found, infers): (&Sentinels, &bool)| *infers && found.not_yet > 0;
        if self.counts.total().iter().zip(&self.inferring).any(missing) {
            self.stopped.store(true, Ordering::Relaxed);
        }
        locked(&self.exceptional).push(filter_record_batch(rows, &exceptional)?)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
