//! Recomputing what changes can affect (semantics 8.2): the keys of the [touched](super::touch) rows are those whose
//! rows may have changed; the query is computed anew for them, over [narrowed](super::narrow) sources, and a key
//! that has no row any more is a delete.
//!
//! "Key" stands for the columns that [`followed_keys`](super::approach::followed_keys) names: a table that is loaded
//! partition by partition gets all rows of the affected partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::prelude::{DataFrame, SessionContext};

use super::follow::Followed;
use super::narrow::{Wanted, narrowed};
use super::row_plans::scan_of;
use super::touch::Touch;
use super::{Numbering, Spool, Step, numbered};
use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, equal_keys, listed, quoted};
use crate::nulls::column;
use crate::session::query;

impl Step<'_> {
    /// One row, or one delete, for each key that changes can affect.
    pub(super) async fn affected(&self) -> Result<Spool, EngineError> {
        let session = self.input.runtime.session(self.input.clock);
        let plan = self.query.normal()?;
        match self.touched_keys(&session, plan).await? {
            Some(keys) if keys.rows() > 0 => self.recomputed(&session, plan, &keys).await,
            _ => self.nothing(),
        }
    }

    /// The keys of touched rows and the newest commit that touched each.
    async fn touched_keys(
        &self,
        session: &SessionContext,
        plan: &LogicalPlan,
    ) -> Result<Option<Spool>, EngineError> {
        let mut images = BTreeMap::new();
        let mut feeds = Vec::new();
        let changed = super::approach::changed(&self.input)?;
        for (place, (source, count)) in self.input.sources.iter().zip(self.counts).enumerate() {
            let alias = &source.source.alias;
            if !changed.contains(alias) {
                continue;
            }
            let name = format!("__k_feed_{place}");
            let feed = self.binder.bind_changes(session, source, &name, count).await?;
            // A commit can be without rows.
            if feed.as_ref().is_some_and(|feed| feed.rows() == 0) {
                continue;
            }
            feeds.push(feed);
            let rows = datafusion::datasource::provider_as_source(session.table_provider(&name).await?);
            let mut columns: Vec<Expr> =
                self.binder.columns_of(source)?.iter().map(|it| column(it)).collect();
            columns.push(column(TIME));
            let rows = LogicalPlanBuilder::scan(name, rows, None)?.project(columns)?.build()?;
            images.insert(alias.clone(), rows);
        }
        let changed: BTreeSet<String> = images.keys().cloned().collect();
        let followed = Followed { changed: &changed };
        let mut touch = Touch { session, followed, images, kept: Vec::new() };
        let Some(touched) = touch.touched(plan).await? else { return Ok(None) };
        let mut values = Vec::new();
        for key in self.keys {
            let Some((place, stored)) = self.key(plan, key) else { return Err(missing(key)) };
            let own = Expr::from(touched.schema().qualified_field(place));
            values.push(cast(own, stored.clone()).alias(key));
        }
        let newest = datafusion::functions_aggregate::expr_fn::max(column(TIME)).alias(TIME);
        values.push(column(TIME));
        let keys: Vec<Expr> = self.keys.iter().map(|key| column(key)).collect();
        let grouped =
            LogicalPlanBuilder::from(touched).project(values)?.aggregate(keys, [newest])?.build()?;
        let frame = DataFrame::new(session.state(), grouped);
        Ok(Some(Spool::fill(frame, Numbering::Plain).await?))
    }

    /// The place of a key in the query's output, and its type in the table.
    fn key(&self, plan: &LogicalPlan, key: &str) -> Option<(usize, &DataType)> {
        let place = plan.schema().fields().iter().position(|field| field.name() == key)?;
        let stored = self.layout.output.iter().find(|field| field.name() == key)?;
        Some((place, stored.data_type()))
    }

    /// The query's rows for some keys, and a delete for each that has none.
    pub(super) async fn recomputed(
        &self,
        session: &SessionContext,
        plan: &LogicalPlan,
        keys: &Spool,
    ) -> Result<Spool, EngineError> {
        let list = scan_of(session, keys, "__k_affected").await?;
        let wanted = self.wanted(session, plan, list).await?;
        let rows = self.conform(DataFrame::new(session.state(), narrowed(plan, &wanted)?))?;
        session.register_table("__k_rows", rows.into_view())?;
        let same = equal_keys("q", "a", self.keys);
        let present = format!(
            "SELECT q.*, CAST(1 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, a.{TIME} AS {TIME} \
             FROM __k_affected a JOIN __k_rows q ON {same}"
        );
        let present = Spool::fill(query(session, &present).await?, Numbering::Plain).await?;
        present.register(session, "__k_present").await?;
        let gone =
            self.layout.output.iter().map(|field| self.gone_column(field)).collect::<Vec<_>>().join(", ");
        let all = format!(
            "SELECT * FROM __k_present UNION ALL \
             SELECT {gone}, CAST(0 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, a.{TIME} AS {TIME} \
             FROM __k_affected a LEFT ANTI JOIN (SELECT DISTINCT {} FROM __k_present) q ON {same}",
            listed("", self.keys)
        );
        numbered(query(session, &all).await?).await
    }

    /// What a key without rows has in a column.
    fn gone_column(&self, field: &Field) -> String {
        match self.keys.contains(field.name()) {
            true => format!("a.{name} AS {name}", name = quoted(field.name())),
            false => format!("arrow_cast(NULL, '{}') AS {}", field.data_type(), quoted(field.name())),
        }
    }

    /// The rows of `plan` with the keys of `list`. A key that is cast on its way into the table is not looked for
    /// in the sources.
    async fn wanted(
        &self,
        session: &SessionContext,
        plan: &LogicalPlan,
        list: LogicalPlan,
    ) -> Result<Wanted, EngineError> {
        let columns = self.keys.iter().enumerate().filter_map(|(value, key)| {
            let (place, stored) = self.key(plan, key)?;
            (plan.schema().field(place).data_type() == stored).then_some((place, value))
        });
        Wanted::at(session, list, columns.collect()).await
    }

    /// No rows, with the columns that staged rows have.
    pub(super) fn nothing(&self) -> Result<Spool, EngineError> {
        let plan = self.query.written.clone();
        let frame = self.conform(DataFrame::new(self.query.session.state(), plan))?;
        let schema = Arc::new(super::with_change(frame, 0, 0)?.schema().as_arrow().clone());
        Ok(Spool::empty(&schema, Numbering::Numbered))
    }
}

fn missing(key: &str) -> EngineError {
    EngineError::Config(format!("`{key}` is no column of the query's output"))
}
