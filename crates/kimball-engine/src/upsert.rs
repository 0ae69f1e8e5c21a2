//! One row a key: what all dimensions without versions, mini-dimensions and upserted facts have in common.
//!
//! The key columns alone are matched over the whole target; the rows that match are then fetched by their
//! address and compared, and only those that really differ are written.

use kimball_config::{DeleteStrategy, MissingRows};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN, RowRemovals};

use crate::EngineError;
use crate::bounds;
use crate::columns::{
    ACTION, IS_DELETED, LAST_OP, OP, REBORN, ROW_ID, VERSION, action, equal_keys, greatest_in, listed,
    qualified, quoted,
};
use crate::merge::{Collector, addresses, addresses_in};
use crate::quality;
use crate::scanned::Watched;
use crate::session::query;
use crate::stage::Absent;
use crate::target::TargetRows;

/// What one kind of table wants of an upsert.
pub(crate) struct Upsert<'a> {
    /// The columns that identify a row.
    pub(crate) keys: &'a [String],
    /// How rows are called in messages: `natural key` or `merge key`.
    pub(crate) key_role: &'a str,
    /// The staged rows: a table of the session, or a query in parentheses.
    pub(crate) staged: &'a str,
    /// Columns of the query's output.
    pub(crate) output: &'a [String],
    /// Columns that NULL does not take a value from.
    pub(crate) kept_over_null: Vec<&'a str>,
    pub(crate) net: Net,
    /// Other columns of the table with their values, over `s` (staged) and `h` (the row so far).
    pub(crate) derived: Vec<Derived>,
    /// Which rows of the target are not default members, as a condition without prefix.
    pub(crate) loaded: String,
    pub(crate) absent: Absent,
    pub(crate) delete_strategy: DeleteStrategy,
    pub(crate) missing: MissingRows,
    /// Whether the target holds loaded rows.
    pub(crate) has_rows: bool,
    /// The column that marks inferred rows, where there are any: the first staged row fills one in, whatever it
    /// holds, and no source is expected to know it.
    pub(crate) inferred: Option<&'a str>,
}

/// What several changes of one key in one batch come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Net {
    /// The last change alone: after a delete nothing is known of the row.
    LastChange,
    /// The last values, and whether a delete came after them, as if every change had been a batch of its own.
    LastValues,
    /// The first values for ever, and whether a delete came last.
    FirstValues,
    /// There is one row a key already.
    Settled,
}

/// A column that the engine computes.
pub(crate) struct Derived {
    pub(crate) column: String,
    /// SQL over `s` and `h`.
    pub(crate) value: String,
    /// Whether a difference in this column alone is a change.
    pub(crate) compared: bool,
}

impl Upsert<'_> {
    /// Merges the staged rows into those of `target`.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] when a snapshot would take every row away.
    pub(crate) async fn run(
        &self,
        target: &TargetRows<'_>,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        self.merge(target, collector).await?;
        target.rewrite_rest(&self.loaded, collector).await
    }

    /// As [`run`](Self::run), without a look at the rows that the batch does not touch. Leaves the rows that it does
    /// touch in the session as `hit`.
    pub(crate) async fn merge(
        &self,
        target: &TargetRows<'_>,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        target.register_all("target").await?;
        let chosen = match self.has_rows {
            true => self.touched(target).await?,
            false => RowRemovals::default(),
        };
        target.register("hit", target.live.at(chosen)).await?;
        collector.take(query(target.session, &self.actions()).await?).await
    }

    /// One row a key: its values, with [`LAST_OP`] for what happened to the key last, and [`REBORN`] for a key whose
    /// row was removed and came back: nothing of it is left, as it would not be in two batches.
    fn net(&self) -> String {
        if self.net == Net::Settled {
            return format!("(SELECT *, {OP} AS {LAST_OP}, false AS {REBORN} FROM {})", self.staged);
        }
        let keys = listed("", self.keys);
        let staged = match (self.delete_strategy, self.net) {
            (DeleteStrategy::Hard, Net::LastValues | Net::FirstValues) => format!(
                "(SELECT *, __k_cut IS NOT NULL AS {REBORN} FROM (SELECT *, {} AS __k_cut FROM (SELECT *, {} AS __k_top \
                 FROM {} __k_staged)) WHERE __k_cut IS NULL OR {VERSION} >= __k_cut)",
                greatest_in(&keys, &format!("CASE WHEN __k_top = 0 THEN {VERSION} END")),
                greatest_in(&format!("{keys}, {VERSION}"), OP),
                self.staged
            ),
            _ => format!("(SELECT *, false AS {REBORN} FROM {} __k_staged)", self.staged),
        };
        let newest = format!("{VERSION} DESC, {OP} DESC, {ROW_ID}");
        let values = match self.net {
            Net::LastChange | Net::Settled => newest.clone(),
            Net::LastValues => format!("{OP} DESC, {VERSION} DESC, {ROW_ID}"),
            Net::FirstValues => format!("{OP} DESC, {VERSION}, {ROW_ID}"),
        };
        format!(
            "(SELECT * FROM (SELECT *, first_value({OP}) OVER (PARTITION BY {keys} ORDER BY {newest}) AS {LAST_OP}, \
             row_number() OVER (PARTITION BY {keys} ORDER BY {values}) AS __k_rank FROM {staged}) WHERE __k_rank = 1)"
        )
    }

    /// Addresses of the target's rows that the batch speaks of.
    async fn touched(&self, target: &TargetRows<'_>) -> Result<RowRemovals, EngineError> {
        let session = target.session;
        let same = equal_keys("t", "s", self.keys);
        let keys = listed("", self.keys);
        // The batch is hashed, the target streams.
        let within = bounds::within(session, self.staged, "target", self.keys).await?;
        let matched = format!(
            "SELECT t.{FILE_COLUMN}, t.{ROW_COLUMN} FROM (SELECT DISTINCT {keys} FROM {} __k_staged) s \
             JOIN (SELECT * FROM target WHERE {} AND {within}) t ON {same}",
            self.staged, self.loaded
        );
        let (watched, stream) = Watched::start(query(session, &matched).await?).await?;
        let mut touched = addresses_in(stream).await?;
        tracing::info!(table = %target.pipeline.table, scanned = %watched.scanned(), "matched");
        if self.absent.is_gone() {
            let known = match self.inferred {
                Some(column) => format!(" AND NOT coalesce({column}, false)"),
                None => String::new(),
            };
            let open = format!(
                "SELECT * FROM target WHERE {} AND NOT coalesce({IS_DELETED}, false){known}",
                self.loaded
            );
            let absent = equal_keys("__k_open", "__k_staged", self.keys);
            let missing = format!(
                "SELECT __k_open.{FILE_COLUMN}, __k_open.{ROW_COLUMN} FROM {} __k_staged \
                 RIGHT ANTI JOIN ({open}) __k_open ON {absent}",
                self.staged
            );
            let gone = addresses(query(session, &missing).await?).await?;
            if self.absent == Absent::GoneFromSnapshot {
                let members = quality::number(session, &format!("SELECT count(*) FROM ({open})")).await?;
                let closing = gone.values().map(|rows| rows.len()).sum();
                guard_close(self.missing, closing, members, self.key_role)?;
            }
            for (file, rows) in gone {
                *touched.entry(file).or_default() |= rows;
            }
        }
        Ok(touched)
    }

    fn actions(&self) -> String {
        let same = equal_keys("s", "h", self.keys);
        let hit = format!("h.{FILE_COLUMN} IS NOT NULL");
        let gone = format!("coalesce(s.{LAST_OP}, 0) = 0");
        let valued = format!("coalesce(s.{OP}, 0) = 1");
        let was_deleted = format!("coalesce(h.{IS_DELETED}, false)");
        let takes_staged = match self.net {
            Net::FirstValues => format!("(NOT ({hit}) OR coalesce(s.{REBORN}, false))"),
            Net::LastChange | Net::LastValues | Net::Settled => valued.clone(),
        };
        let mut columns: Vec<String> = Vec::new();
        let mut differs: Vec<String> = Vec::new();
        for name in self.output {
            let (mut staged, stored) = (qualified("s", name), qualified("h", name));
            if self.kept_over_null.contains(&name.as_str()) {
                staged = format!("coalesce({staged}, {stored})");
            }
            columns.push(format!(
                "CASE WHEN {takes_staged} THEN {staged} ELSE {stored} END AS {}",
                quoted(name)
            ));
            differs.push(match self.net {
                Net::FirstValues => format!("(s.{REBORN} AND ({staged} IS DISTINCT FROM {stored}))"),
                Net::LastChange | Net::LastValues | Net::Settled => {
                    format!("({staged} IS DISTINCT FROM {stored})")
                }
            });
        }
        for derived in &self.derived {
            columns.push(format!("{} AS {}", derived.value, quoted(&derived.column)));
            if derived.compared {
                differs.push(format!(
                    "(({}) IS DISTINCT FROM {})",
                    derived.value,
                    qualified("h", &derived.column)
                ));
            }
        }
        differs.extend(self.inferred.map(|column| format!("coalesce(h.{column}, false)")));
        let changed = format!("({valued} AND ({}))", differs.join(" OR "));
        let (on_delete, deletes, inserts) = match self.delete_strategy {
            DeleteStrategy::Soft => {
                (action::DELETE, format!("(NOT {was_deleted} OR {changed})"), "true".to_owned())
            }
            DeleteStrategy::Hard => (action::REMOVE, "true".to_owned(), format!("NOT ({gone})")),
        };
        // Without keys that are gone, every row that is hit has a staged one: the staged rows stream past the others.
        let joined = match self.absent.is_gone() {
            true => format!("{} s FULL JOIN hit h ON {same}", self.net()),
            false => format!("hit h RIGHT JOIN {} s ON {same}", self.net()),
        };
        format!(
            "SELECT {}, {gone} AS {IS_DELETED}, h.{FILE_COLUMN}, h.{ROW_COLUMN}, CAST(CASE WHEN h.{FILE_COLUMN} IS NULL \
             THEN {} WHEN {gone} THEN {on_delete} ELSE {} END AS BIGINT) AS {ACTION} \
             FROM {joined} \
             WHERE (h.{FILE_COLUMN} IS NULL AND s.{OP} = 1 AND {inserts}) OR ({hit} AND {gone} AND {deletes}) \
             OR ({hit} AND NOT ({gone}) AND ({was_deleted} OR {changed}))",
            columns.join(", "),
            action::INSERT,
            action::UPDATE,
        )
    }
}

/// A share as one says it: `75 %`, `0.4 %`.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    format!("{tenths} %")
}

/// Refuses a snapshot that would take away more than the configuration allows (semantics 4.8).
pub(crate) fn guard_close(
    missing: MissingRows,
    closing: u64,
    open: u64,
    role: &str,
) -> Result<(), EngineError> {
    if closing == 0 {
        return Ok(());
    }
    if closing >= open && !missing.allow_full_close {
        return Err(EngineError::quality(
            format!(
                "the snapshot holds no row for any of the {open} open members and would close them all; \
                 set `allow_full_close: true` if that is meant"
            ),
            Vec::new(),
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a share needs no exact counts")]
    let share = closing as f64 / open.max(1) as f64;
    match missing.max_close_ratio {
        Some(most) if share > most => Err(EngineError::quality(
            format!(
                "the snapshot would close {closing} of {open} members by their {role} ({}; `max_close_ratio` allows {}): is \
                 it whole? If so, raise the ratio for this run",
                percent(share),
                percent(most)
            ),
            Vec::new(),
        )),
        _ => Ok(()),
    }
}
