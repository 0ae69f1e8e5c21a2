//! Recomputing the keys that changes can affect: a changed row on one side of a join meets the whole other
//! side (semantics 8.2).
//!
//! For a query of inner joins, every output row that came or went holds at least one changed row, joined with
//! rows that the other sides have now or had before. Their rows before are among those they have now and the
//! images in their feeds; so the keys of `query(changes of one side, now and images of the others)`, over all
//! sides, are a superset of the keys that changed.

use datafusion::prelude::{DataFrame, SessionContext};

use super::bind::table_name;
use super::{Arrival, Numbering, Spool, Step, numbered};
use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, equal_keys, listed, quoted};
use crate::session::query;
use crate::source::{PinnedSource, Reading};

impl Step<'_> {
    pub(super) async fn affected(&self) -> Result<(Spool, Arrival), EngineError> {
        let output: Vec<String> = self.layout.output.iter().map(|field| field.name().clone()).collect();
        if !self.layout.keys.iter().all(|key| output.contains(key)) {
            // A key that only the broker finds cannot be followed through the query.
            return Ok((self.whole(super::Moment::LastCommit).await?, Arrival::RecomputedWhole));
        }
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

    /// The query's rows for the affected keys, and a delete for each that has none.
    async fn recompute(&self, affected: &Spool) -> Result<Spool, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        self.binder.bind_all(&session, &vec![std::sync::Arc::default(); self.counts.len()]).await?;
        let plan = self.binder.plan(&session).await?;
        let rows = self.conform(DataFrame::new(session.state(), plan))?;
        affected.register(&session, "__k_affected").await?;
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
             FROM __k_affected a WHERE NOT EXISTS (SELECT 1 FROM __k_present q WHERE {same})"
        );
        numbered(query(&session, &all).await?).await
    }
}
