//! One row a key: what dimensions of type 1 and upserted facts have in common.
//!
//! The key columns alone are matched over the whole target; the rows that match are then fetched by their
//! address and compared, and only those that really differ are written.

use datafusion::prelude::SessionContext;
use kimball_config::{DeleteStrategy, MissingRows};
use kimball_lake::{FILE_COLUMN, LiveRows, ROW_COLUMN};

use crate::EngineError;
use crate::columns::{
    ACTION, IS_DELETED, OP, ROW_ID, VERSION, action, equal_keys, listed, qualified, quoted,
};
use crate::merge::{Collector, addresses};
use crate::quality;
use crate::session::query;
use crate::stage::Arrival;

/// What one kind of table wants of an upsert.
pub(crate) struct Upsert<'a> {
    /// The columns that identify a row.
    pub(crate) keys: &'a [String],
    /// How rows are called in messages: `natural key` or `merge key`.
    pub(crate) key_role: &'a str,
    /// Columns of the query's output.
    pub(crate) output: &'a [String],
    /// Other columns of the table with their values, over `s` (staged) and `h` (the row so far).
    pub(crate) derived: Vec<Derived>,
    /// Which rows of the target are not default members, as a condition without prefix.
    pub(crate) loaded: String,
    pub(crate) arrival: Arrival,
    pub(crate) delete_strategy: DeleteStrategy,
    pub(crate) missing: MissingRows,
    /// Whether the target holds loaded rows.
    pub(crate) has_rows: bool,
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
    /// Merges the table `staged` of `session` into the rows of its table `target`, which are those of `live`.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] when a snapshot would take every row away.
    pub(crate) async fn run(
        &self,
        session: &SessionContext,
        live: &LiveRows,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        let chosen = match self.has_rows {
            true => self.touched(session).await?,
            false => Default::default(),
        };
        session.register_table("hit", std::sync::Arc::new(live.at(chosen)))?;
        collector.take(query(session, &self.actions()).await?).await
    }

    /// The last word of each key.
    fn net(&self) -> String {
        let keys = listed("", self.keys);
        format!(
            "(SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {keys} \
             ORDER BY {VERSION} DESC, {OP} DESC, {ROW_ID}) AS __k_rank FROM staged) WHERE __k_rank = 1)"
        )
    }

    /// Addresses of the target's rows that the batch speaks of.
    async fn touched(&self, session: &SessionContext) -> Result<kimball_lake::RowRemovals, EngineError> {
        let same = equal_keys("t", "s", self.keys);
        let keys = listed("", self.keys);
        let matched = format!(
            "SELECT t.{FILE_COLUMN}, t.{ROW_COLUMN} FROM (SELECT * FROM target WHERE {}) t \
             JOIN (SELECT DISTINCT {keys} FROM staged) s ON {same}",
            self.loaded
        );
        let mut touched = addresses(query(session, &matched).await?).await?;
        if self.closes_missing() {
            let open =
                format!("SELECT * FROM target WHERE {} AND NOT coalesce({IS_DELETED}, false)", self.loaded);
            let absent = equal_keys("__k_open", "__k_staged", self.keys);
            let missing = format!(
                "SELECT __k_open.{FILE_COLUMN}, __k_open.{ROW_COLUMN} FROM ({open}) __k_open \
                 LEFT ANTI JOIN staged __k_staged ON {absent}"
            );
            let gone = addresses(query(session, &missing).await?).await?;
            if self.arrival == Arrival::Snapshot {
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

    fn closes_missing(&self) -> bool {
        match self.arrival {
            Arrival::Snapshot => self.missing.close,
            Arrival::RecomputedWhole => true,
            Arrival::Changes | Arrival::Recomputed => false,
        }
    }

    fn actions(&self) -> String {
        let same = equal_keys("s", "h", self.keys);
        let hit = format!("h.{FILE_COLUMN} IS NOT NULL");
        let gone = format!("coalesce(s.{OP}, 0) = 0");
        let was_deleted = format!("coalesce(h.{IS_DELETED}, false)");
        let mut columns: Vec<String> = Vec::new();
        let mut differs: Vec<String> = vec![was_deleted.clone()];
        for name in self.output {
            let (staged, stored) = (qualified("s", name), qualified("h", name));
            columns.push(format!("CASE WHEN {gone} THEN {stored} ELSE {staged} END AS {}", quoted(name)));
            differs.push(format!("({staged} IS DISTINCT FROM {stored})"));
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
        let (on_delete, deletes) = match self.delete_strategy {
            DeleteStrategy::Soft => (action::DELETE, format!("NOT {was_deleted}")),
            DeleteStrategy::Hard => (action::REMOVE, "true".to_owned()),
        };
        format!(
            "SELECT {}, {gone} AS {IS_DELETED}, h.{FILE_COLUMN}, h.{ROW_COLUMN}, CAST(CASE WHEN h.{FILE_COLUMN} IS NULL \
             THEN {} WHEN {gone} THEN {on_delete} ELSE {} END AS BIGINT) AS {ACTION} \
             FROM {} s FULL JOIN hit h ON {same} \
             WHERE (h.{FILE_COLUMN} IS NULL AND s.{OP} = 1) OR ({hit} AND {gone} AND {deletes}) \
             OR ({hit} AND NOT ({gone}) AND ({}))",
            columns.join(", "),
            action::INSERT,
            action::UPDATE,
            self.net(),
            differs.join(" OR ")
        )
    }
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
                "the snapshot would close {closing} of {open} members by their {role}: {share:.3} is more than \
                 `max_close_ratio: {most}`"
            ),
            Vec::new(),
        )),
        _ => Ok(()),
    }
}
