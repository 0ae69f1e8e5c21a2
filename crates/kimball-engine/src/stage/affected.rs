//! Recomputing the keys that changes can affect: a changed row on one side of a join meets the whole other
//! side (semantics 8.2).
//!
//! For a query of inner joins, every output row that came or went holds at least one changed row, joined with
//! rows that the other sides have now or had before. Their rows before are among those they have now and the
//! images in their feeds; so the keys of `query(changes of one side, now and images of the others)`, over all
//! sides, are a superset of the keys that changed.

use std::collections::BTreeMap;

use arrow::datatypes::Field;
use datafusion::prelude::{DataFrame, SessionContext};

use super::bind::table_name;
use super::trace::{Origin, origin_of};
use super::{Arrival, Numbering, Spool, Step, numbered};
use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, equal_keys, listed, qualified, quoted};
use crate::session::query;
use crate::source::{PinnedSource, Reading};

impl Step<'_> {
    pub(super) async fn affected(&self) -> Result<(Spool, Arrival), EngineError> {
        let mut parts: Vec<Spool> = Vec::new();
        for (source, count) in self.input.sources.iter().zip(self.counts) {
            if matches!(source.reading()?, Reading::Changes { .. }) {
                parts.push(self.keys_touched_by(source, count).await?);
            }
        }
        if parts.is_empty() {
            return Ok((self.nothing().await?, Arrival::Recomputed));
        }
        let session = self.input.runtime.session(self.input.clock);
        let mut tables = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let name = format!("part_{number}");
            part.register(&session, &name).await?;
            tables.push(format!("SELECT * FROM {name}"));
        }
        let keys = listed("", &self.layout.keys);
        let grouped = format!(
            "SELECT {keys}, max({TIME}) AS {TIME} FROM ({}) GROUP BY {keys}",
            tables.join(" UNION ALL ")
        );
        let affected =
            Spool::fill(query(&session, &grouped).await?.execute_stream().await?, Numbering::Plain).await?;
        Ok((self.recompute(&affected).await?, Arrival::Recomputed))
    }

    /// No rows, with the columns that staged rows have.
    async fn nothing(&self) -> Result<Spool, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        self.binder.bind_all(&session, &vec![std::sync::Arc::default(); self.counts.len()]).await?;
        let plan = self.binder.plan(&session).await?;
        let frame = self.conform(DataFrame::new(session.state(), plan))?;
        numbered(super::with_change(frame, 0, 0)?.limit(0, Some(0))?).await
    }

    /// The keys of output rows in which a changed row of `source` takes part, with the change's time.
    async fn keys_touched_by(
        &self,
        source: &PinnedSource,
        count: &std::sync::Arc<std::sync::atomic::AtomicU64>,
    ) -> Result<Spool, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        let mut kept = Vec::new();
        for (place, other) in self.input.sources.iter().enumerate() {
            self.binder.bind_whole(&session, other, None).await?;
            if other.source.alias != source.source.alias
                && matches!(other.reading()?, Reading::Changes { .. })
            {
                let name = format!("__k_other_{place}");
                kept.push(
                    self.binder.bind_changes(&session, other, &name, &std::sync::Arc::default()).await?,
                );
                self.widen(&session, other, &name).await?;
            }
        }
        kept.push(self.binder.bind_changes(&session, source, "__k_feed", count).await?);
        let plan = self.binder.plan(&session).await?;
        let feed = datafusion::datasource::provider_as_source(session.table_provider("__k_feed").await?);
        let frame = match super::rowwise::carry(&plan, &source.source.alias, &feed) {
            Ok(plan) => self.conform(DataFrame::new(session.state(), plan))?,
            // Where the change columns cannot be carried through, the newest commit stands for all.
            Err(_) => {
                let columns = listed("", &self.binder.columns_of(source)?);
                let images = query(&session, &format!("SELECT {columns} FROM __k_feed")).await?.into_view();
                let now = self.binder.rows_of(source)?;
                session.register_table("__k_now", now)?;
                session.register_table("__k_images", images)?;
                let both =
                    format!("SELECT {columns} FROM __k_now UNION ALL SELECT {columns} FROM __k_images");
                let both = query(&session, &both).await?.into_view();
                session.deregister_table(table_name(&source.source.alias))?;
                session.register_table(table_name(&source.source.alias), both)?;
                let plan = self.binder.plan(&session).await?;
                let frame = self.conform(DataFrame::new(session.state(), plan))?;
                super::with_change(frame, 0, self.last_commit().await?)?
            }
        };
        let mut columns: Vec<_> = self.layout.keys.iter().map(|key| crate::nulls::column(key)).collect();
        columns.push(crate::nulls::column(TIME));
        let keys = frame.select(columns)?.distinct()?;
        Spool::fill(keys.execute_stream().await?, Numbering::Plain).await
    }

    /// Makes `source` hold its rows and the images in its feed.
    async fn widen(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        feed: &str,
    ) -> Result<(), EngineError> {
        let columns = listed("", &self.binder.columns_of(source)?);
        let alias = &source.source.alias;
        let now = format!("{feed}_now");
        session.register_table(table_name(&now), self.binder.rows_of(source)?)?;
        let sql = format!("SELECT {columns} FROM {now} UNION ALL SELECT {columns} FROM {feed}");
        let both = query(session, &sql).await?.into_view();
        session.deregister_table(table_name(alias))?;
        session.register_table(table_name(alias), both)?;
        Ok(())
    }

    /// Leaves out the rows of sources that cannot lead to an affected key: where a key is a column of a
    /// source as it stands, only rows with an affected value of it matter.
    async fn narrow(&self, session: &SessionContext) -> Result<(), EngineError> {
        let plan = self.binder.plan(session).await?;
        let mut narrowed: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for key in &self.layout.keys {
            let same_type = |origin: &Origin| self.has_stored_type(origin, key);
            if let Some(origin) = origin_of(&plan, key).filter(same_type) {
                narrowed.entry(origin.table).or_default().push((origin.column, key.clone()));
            }
        }
        for source in self.input.sources {
            let alias = &source.source.alias;
            let Some(columns) = narrowed.get(alias) else { continue };
            let raw = format!("__k_all_{alias}");
            session.register_table(table_name(&raw), self.binder.rows_of(source)?)?;
            let same: Vec<String> = columns
                .iter()
                .map(|(column, key)| {
                    format!("({} IS NOT DISTINCT FROM {})", qualified("t", column), qualified("a", key))
                })
                .collect();
            let sql = format!(
                "SELECT {} FROM {} t LEFT SEMI JOIN __k_affected a ON {}",
                listed("t", &self.binder.columns_of(source)?),
                quoted(&raw),
                same.join(" AND ")
            );
            let rows = query(session, &sql).await?.into_view();
            session.deregister_table(table_name(alias))?;
            session.register_table(table_name(alias), rows)?;
        }
        Ok(())
    }

    /// Whether a key holds the very values of the column it comes from: it was not cast on its way.
    fn has_stored_type(&self, origin: &Origin, key: &str) -> bool {
        let stored = self.layout.output.iter().find(|field| field.name() == key).map(Field::data_type);
        let source = self.input.sources.iter().find(|source| source.source.alias == origin.table);
        let column = source.and_then(|source| {
            let schema = self.binder.rows_of(source).ok()?.schema();
            Some(schema.field_with_name(&origin.column).ok()?.data_type().clone())
        });
        column.as_ref() == stored && stored.is_some()
    }

    /// The query's rows for the affected keys, and a delete for each that has none.
    async fn recompute(&self, affected: &Spool) -> Result<Spool, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        self.binder.bind_all(&session, &vec![std::sync::Arc::default(); self.counts.len()]).await?;
        affected.register(&session, "__k_affected").await?;
        self.narrow(&session).await?;
        let plan = self.binder.plan(&session).await?;
        let rows = self.conform(DataFrame::new(session.state(), plan))?;
        session.register_table("__k_rows", rows.into_view())?;
        let same = equal_keys("q", "a", &self.layout.keys);
        let present = format!(
            "SELECT q.*, CAST(1 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, a.{TIME} AS {TIME} \
             FROM __k_rows q JOIN __k_affected a ON {same}"
        );
        let present =
            Spool::fill(query(&session, &present).await?.execute_stream().await?, Numbering::Plain).await?;
        present.register(&session, "__k_present").await?;
        let gone_columns = self
            .layout
            .output
            .iter()
            .map(|field| match self.layout.keys.contains(field.name()) {
                true => format!("a.{name} AS {name}", name = quoted(field.name())),
                false => {
                    format!("arrow_cast(NULL, '{}') AS {}", field.data_type(), quoted(field.name()))
                }
            })
            .collect::<Vec<_>>()
            .join(", ");
        let all = format!(
            "SELECT * FROM __k_present UNION ALL \
             SELECT {gone_columns}, CAST(0 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, a.{TIME} AS {TIME} \
             FROM __k_affected a LEFT ANTI JOIN __k_present q ON {same}"
        );
        numbered(query(&session, &all).await?).await
    }
}
