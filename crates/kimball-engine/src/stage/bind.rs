//! Sources as tables of a query session: whole, or as what changed in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use kimball_config::PiiColumn;
use kimball_lake::{CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION, LakeError};

use super::counted::Counted;
use super::personal::protected;
use super::sql::{Relation, Transformation};
use super::{Numbering, Query, Spool, StageInput};
use crate::EngineError;
use crate::columns::{OP, TIME, VERSION, equal_keys, listed};
use crate::session::{EngineRuntime, query};
use crate::source::{PinnedRows, PinnedSource, Reading};

/// The sources of a pipeline and its query, ready to be bound to sessions.
pub(super) struct Binder<'a> {
    runtime: &'a EngineRuntime,
    clock: chrono::DateTime<chrono::Utc>,
    personal: &'a [PiiColumn],
    sources: &'a [PinnedSource],
    /// One for each source: its rows and columns.
    tables: Vec<Arc<dyn TableProvider>>,
    transformation: Transformation,
}

impl<'a> Binder<'a> {
    pub(super) async fn new(input: &StageInput<'a>) -> Result<Self, EngineError> {
        let session = input.runtime.session(input.clock);
        let mut tables: Vec<Arc<dyn TableProvider>> = Vec::with_capacity(input.sources.len());
        for source in input.sources {
            tables.push(match &source.rows {
                PinnedRows::Table(table) => table.rows().await?,
                PinnedRows::Files(files) => files.rows(&session).await?.into_view(),
            });
        }
        let relations: Vec<Relation> = input
            .sources
            .iter()
            .zip(&tables)
            .map(|(pinned, table)| Relation {
                alias: pinned.source.alias.clone(),
                name: pinned.source.name.clone(),
                columns: table.schema().fields().iter().map(|field| field.name().clone()).collect(),
            })
            .collect();
        let transformation = match (&input.pipeline.transformation, relations.as_slice()) {
            (Some(query), _) => {
                Transformation::of_pipeline(&session, query, &input.pipeline.config_path, &relations)?
            }
            (None, [only]) => {
                let all = format!("SELECT * FROM `{}`", only.alias.replace('`', "``"));
                Transformation::resolve(&session, &all, &relations)?
            }
            (None, _) => {
                return Err(EngineError::Config("two or more sources need a transformation_sql".to_owned()));
            }
        };
        Ok(Self {
            runtime: input.runtime,
            clock: input.clock,
            personal: &input.pipeline.pii,
            sources: input.sources,
            tables,
            transformation,
        })
    }

    /// The query over the tables that `session` holds.
    pub(super) async fn plan(&self, session: &SessionContext) -> Result<LogicalPlan, EngineError> {
        protected(self.transformation.plan(session).await?, self.personal)
    }

    /// The failure of the query, in words and with its place.
    pub(super) fn blamed(&self, cause: datafusion::error::DataFusionError) -> EngineError {
        self.transformation.blamed(&self.runtime.session(self.clock), cause)
    }

    /// The query over all sources, read uncounted.
    pub(super) async fn query(&self) -> Result<Query, EngineError> {
        let session = self.runtime.session(self.clock);
        self.bind_all(&session, &vec![Arc::default(); self.sources.len()]).await?;
        let written = self.plan(&session).await?;
        Ok(Query { session, written, normal: OnceLock::new() })
    }

    /// Makes every source, whole, a table of `session`; what is read of it is added to its count.
    pub(super) async fn bind_all(
        &self,
        session: &SessionContext,
        counts: &[Arc<AtomicU64>],
    ) -> Result<(), EngineError> {
        for (source, count) in self.sources.iter().zip(counts) {
            self.bind_whole(session, source, Some(count)).await?;
        }
        Ok(())
    }

    /// Makes a source, whole, a table of `session` under its alias.
    pub(super) async fn bind_whole(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        count: Option<&Arc<AtomicU64>>,
    ) -> Result<(), EngineError> {
        let table = self.rows_of(source)?;
        let table = match count {
            Some(count) => Counted::over(table, Arc::clone(count)),
            None => table,
        };
        session.register_table(table_name(&source.source.alias), table)?;
        Ok(())
    }

    pub(super) fn rows_of(&self, source: &PinnedSource) -> Result<Arc<dyn TableProvider>, EngineError> {
        let place = self.sources.iter().position(|other| other.source.alias == source.source.alias);
        match place.and_then(|place| self.tables.get(place)) {
            Some(table) => Ok(Arc::clone(table)),
            None => {
                Err(EngineError::Config(format!("`{}` is no source of the pipeline", source.source.alias)))
            }
        }
    }

    /// The columns of a source.
    pub(super) fn columns_of(&self, source: &PinnedSource) -> Result<Vec<String>, EngineError> {
        Ok(self.rows_of(source)?.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Makes what a batch reads of `source` a table of `session`: the source's columns, [`OP`],
    /// [`VERSION`] and [`TIME`]. The spool behind it is returned to be kept alive.
    pub(super) async fn bind_changes(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        name: &str,
        count: &Arc<AtomicU64>,
    ) -> Result<Option<Spool>, EngineError> {
        let columns = listed("", &self.columns_of(source)?);
        session.deregister_table(table_name(name))?;
        let raw = format!("{name}_raw");
        let (table, is_feed): (Arc<dyn TableProvider>, bool) = match (source.reading()?, &source.rows) {
            (Reading::Changes { from }, PinnedRows::Table(table)) if table.has_change_feed()? => {
                (table.changes(from).await?, true)
            }
            (Reading::Changes { from }, PinnedRows::Table(table)) if is_append(source) => {
                (table.appended(from).await?, false)
            }
            (Reading::Changes { .. }, PinnedRows::Table(table)) => {
                return Err(LakeError::NoChangeFeed { table: table.name().to_owned() }.into());
            }
            _ => (Counted::over(self.rows_of(source)?, Arc::clone(count)), false),
        };
        session.register_table(table_name(&raw), table)?;
        if source.reading()? == Reading::Nothing {
            let empty = query(
                session,
                &format!(
                    "SELECT {columns}, CAST(1 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, \
                     CAST(now() AS TIMESTAMP) AS {TIME} FROM {raw} WHERE false"
                ),
            )
            .await?;
            session.register_table(table_name(name), empty.into_view())?;
            return Ok(None);
        }
        if !is_feed {
            let version = source.version();
            let time = commit_micros(source).await?;
            let rows = query(
                session,
                &format!(
                    "SELECT {columns}, CAST(1 AS BIGINT) AS {OP}, CAST({version} AS BIGINT) AS {VERSION}, \
                     arrow_cast(CAST({time} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))') AS {TIME} FROM {raw}"
                ),
            )
            .await?;
            session.register_table(table_name(name), rows.into_view())?;
            return Ok(None);
        }
        let changes = query(
            session,
            &format!(
                "SELECT {columns}, \
                 CAST(CASE WHEN {CHANGE_TYPE} IN ('insert', 'update_postimage') THEN 1 ELSE 0 END AS BIGINT) AS {OP}, \
                 CAST({COMMIT_VERSION} AS BIGINT) AS {VERSION}, \
                 arrow_cast(arrow_cast({COMMIT_TIMESTAMP}, 'Timestamp(Microsecond, None)'), \
                 'Timestamp(Microsecond, Some(\"UTC\"))') AS {TIME}, {CHANGE_TYPE} AS \"{CHANGE_TYPE}\" FROM {raw}"
            ),
        )
        .await?;
        let spool = Spool::fill(changes, Numbering::Plain).await?;
        count.fetch_add(spool.rows(), Ordering::Relaxed);
        spool.register(session, &format!("{name}_typed")).await?;
        let shown =
            query(session, &format!("SELECT {columns}, {OP}, {VERSION}, {TIME} FROM {name}_typed")).await?;
        session.register_table(table_name(name), shown.into_view())?;
        Ok(Some(spool))
    }

    /// The inserts of a change table bound by [`bind_changes`](Self::bind_changes): an insert whose commit
    /// also deletes the same row is none (semantics 9).
    pub(super) async fn inserts_of(
        &self,
        session: &SessionContext,
        source: &PinnedSource,
        name: &str,
    ) -> Result<DataFrame, EngineError> {
        let columns = self.columns_of(source)?;
        let listed_columns = listed("", &columns);
        if !session.table_exist(table_name(&format!("{name}_typed")))? {
            return Ok(query(session, &format!("SELECT {listed_columns} FROM {name}")).await?);
        }
        let numbered = |kind: &str| {
            format!(
                "SELECT {listed_columns}, {VERSION}, row_number() OVER (PARTITION BY {listed_columns}, {VERSION}) AS __k_n \
                 FROM {name}_typed WHERE {CHANGE_TYPE} = '{kind}'"
            )
        };
        let mut keys = columns;
        keys.extend([VERSION.to_owned(), "__k_n".to_owned()]);
        let sql = format!(
            "SELECT {listed_columns} FROM ({}) i LEFT ANTI JOIN ({}) d ON {}",
            numbered("insert"),
            numbered("delete"),
            equal_keys("i", "d", &keys)
        );
        Ok(query(session, &sql).await?)
    }
}

fn is_append(source: &PinnedSource) -> bool {
    source.source.strategy == kimball_config::CdcStrategy::Append
}

/// When the pinned version of a source was committed, in microseconds since 1970.
pub(super) async fn commit_micros(source: &PinnedSource) -> Result<i64, EngineError> {
    match source.table() {
        Some(table) => Ok(table.commit_time(table.version()).await?.saturating_mul(1_000)),
        None => Ok(0),
    }
}

/// A table reference whose parts are not read from the name.
pub(super) fn table_name(name: &str) -> datafusion::common::TableReference {
    datafusion::common::TableReference::bare(name.to_owned())
}
