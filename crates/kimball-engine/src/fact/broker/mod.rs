//! The key broker: the foreign keys of many rows, found by identity in one pass (semantics 8.4).
//!
//! Rows stream past hash tables of the dimensions: each row meets the versions of its members by equality of
//! identities, and of these the one whose interval holds its event. What a row passes by on its way stays with it:
//! first the conditions under which a key does not apply, then the identities that a map gives, then the members.

mod identity_map;
mod lookup;
mod refusals;
mod sentinels;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;
use kimball_config::{Fact, TableName};
use kimball_lake::LakeTable;

use self::lookup::Prepared;
pub(crate) use self::lookup::is_history;
pub(super) use self::lookup::nested;
pub(crate) use self::sentinels::{SentinelCounts, Sentinels};
use crate::EngineError;
use crate::columns::{ROW_ID, listed, quoted};
use crate::session::query;
use crate::stage::{Numbering, Relation, Spool, SpoolRoom, Transformation};

/// The tables that a fact looks into, each pinned to one version.
pub(crate) type Dimensions = BTreeMap<TableName, LakeTable>;

/// Finds the foreign keys of rows.
pub(crate) struct Broker<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) fact: &'a Fact,
    pub(crate) dimensions: &'a Dimensions,
}

/// Rows with their foreign keys.
pub(crate) struct LookedUp {
    pub(crate) rows: Spool,
    /// For each foreign key with a lookup, in their order, which sentinels its rows have.
    pub(crate) sentinels: Vec<Sentinels>,
}

/// Rows with their foreign keys that are not looked up yet.
pub(crate) struct Joined<'k> {
    /// The columns of the rows and their foreign keys.
    pub(crate) rows: DataFrame,
    /// Counts the sentinels of the keys, in their order.
    pub(crate) counts: SentinelCounts,
    prepared: Vec<Prepared<'k>>,
}

impl Broker<'_> {
    /// The rows of the session's table `rows`, `count` of them with [`OP`] and [`ROW_ID`], with their foreign keys;
    /// `None` when the fact looks none up.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for fan-outs and for an identity map that contradicts itself.
    pub(crate) async fn resolve(&self, rows: &str, count: u64) -> Result<Option<LookedUp>, EngineError> {
        let Some(Joined { rows: joined, counts, prepared }) = self.join(rows).await? else { return Ok(None) };
        let counts = Arc::new(counts);
        let keys: Vec<String> = prepared.iter().map(|one| one.key.column.clone()).collect();
        let mut found = spool_counted(joined, &counts).await?;
        if found.rows() > count {
            self.refuse_fanout(&prepared).await?;
            found = self.one_each(&found, &keys).await?;
        }
        Ok(Some(LookedUp { rows: found, sentinels: counts.total() }))
    }

    /// The query that finds the foreign keys of the session's table `rows`, a row for each member that one of its rows
    /// meets; `None` when the fact looks none up.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve), but for fan-outs.
    pub(crate) async fn join(&self, rows: &str) -> Result<Option<Joined<'_>>, EngineError> {
        let mut prepared: Vec<Prepared<'_>> = Vec::new();
        for (number, key) in self.fact.foreign_keys.iter().enumerate() {
            if let Some(lookup) = &key.lookup {
                prepared.push(self.prepare(number, key, lookup, rows).await?);
            }
        }
        if prepared.is_empty() {
            return Ok(None);
        }
        let columns = self.columns_of(rows).await?;
        self.judge(rows, &prepared).await?;
        self.map_identities(&columns, &prepared).await?;
        let values: Vec<String> = prepared.iter().flat_map(Prepared::values).collect();
        let joined = prepared.iter().fold("__k_mapped s".to_owned(), |inner, one| one.join(&inner));
        let sql = format!("SELECT {}, {} FROM {joined}", listed("s", &columns), values.join(", "));
        let counts = SentinelCounts::of(prepared.iter().map(|one| one.key.column.clone()));
        Ok(Some(Joined { rows: query(self.session, &sql).await?, counts, prepared }))
    }

    async fn columns_of(&self, rows: &str) -> Result<Vec<String>, EngineError> {
        let table = self.session.table(rows).await?;
        Ok(table.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// `__k_judged`: the rows with whether each key does not apply to them.
    async fn judge(&self, rows: &str, prepared: &[Prepared<'_>]) -> Result<(), EngineError> {
        self.session.deregister_table("__k_judged")?;
        let conditions: Vec<String> = prepared.iter().filter_map(Prepared::condition).collect();
        if conditions.is_empty() {
            let same = query(self.session, &format!("SELECT * FROM {}", quoted(rows))).await?;
            self.session.register_table("__k_judged", same.into_view())?;
            return Ok(());
        }
        // Written by the user: names of columns match whatever their case.
        let sql = format!("SELECT *, {} FROM rows_in_hand", conditions.join(", "));
        let relation = Relation {
            alias: rows.to_owned(),
            name: "rows_in_hand".to_owned(),
            columns: self.columns_of(rows).await?,
        };
        let of_a_lookup = |error: EngineError| error.about(|| "`not_applicable_when`".to_owned());
        let judged = Transformation::resolve(self.session, &sql, &[relation]).map_err(of_a_lookup)?;
        let plan = judged.plan(self.session).await.map_err(of_a_lookup)?;
        let judged = DataFrame::new(self.session.state(), plan);
        self.session.register_table("__k_judged", judged.into_view())?;
        Ok(())
    }

    /// Where a fan-out is allowed, the smallest keys win.
    async fn one_each(&self, spool: &Spool, keys: &[String]) -> Result<Spool, EngineError> {
        spool.register(self.session, "__k_fanned").await?;
        let columns: Vec<String> = spool.schema().fields().iter().map(|field| field.name().clone()).collect();
        let sql = format!(
            "SELECT {} FROM (SELECT *, row_number() OVER (PARTITION BY {ROW_ID} ORDER BY {}) AS __k_nth FROM __k_fanned) \
             WHERE __k_nth = 1",
            listed("", &columns),
            listed("", keys)
        );
        let rows = query(self.session, &sql).await?;
        Spool::fill(rows, Numbering::Plain).await
    }
}

/// Keeps rows and counts their sentinels, in the pass that brings them.
async fn spool_counted(frame: DataFrame, counts: &Arc<SentinelCounts>) -> Result<Spool, EngineError> {
    let room = SpoolRoom::of_frame(&frame);
    let stream = frame.execute_stream().await?;
    let schema = stream.schema();
    let counts = Arc::clone(counts);
    let stream = stream.inspect(move |batch| {
        if let Ok(batch) = batch {
            counts.note(batch);
        }
    });
    Spool::fill_from(room, Box::pin(RecordBatchStreamAdapter::new(schema, stream)), Numbering::Plain).await
}
