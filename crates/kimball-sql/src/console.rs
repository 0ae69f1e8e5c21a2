//! From a question to its rows.

use std::sync::Arc;
use std::thread;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement};
use kimball_config::Target;
use kimball_engine::{EngineRuntime, Relation, SparkPlanner, settle_spellings, tie_names};
use kimball_lake::{LakeTable, Warehouse};

use crate::catalog::{self, Catalog};
use crate::moment::{Pinned, pin};
use crate::relations::{Reading, Version, name_readings};
use crate::statement::Question;
use crate::{SqlError, SqlRows, headings};

/// Answers questions to the tables of one warehouse, and writes nothing.
///
/// Each question sees every table at its newest version, or at the one that it names.
#[derive(Debug, Clone)]
pub struct SqlConsole {
    warehouse: Warehouse,
    runtime: EngineRuntime,
}

impl SqlConsole {
    /// For the warehouse of `target`; queries use at most `memory_limit` bytes (`None`: no limit), and what does not
    /// fit spills to disk. Nothing is read yet.
    ///
    /// # Errors
    /// [`SqlError::Lake`] when the warehouse is no place.
    pub fn new(target: &Target, memory_limit: Option<u64>) -> Result<Self, SqlError> {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            warehouse: Warehouse::new(&target.warehouse, &target.storage_options)?,
            runtime: EngineRuntime::new(memory_limit, threads)?,
        })
    }

    /// The names of all tables, `schema.table`, sorted.
    ///
    /// # Errors
    /// [`SqlError::Lake`] when the warehouse cannot be listed.
    pub async fn tables(&self) -> Result<Vec<String>, SqlError> {
        Ok(self.warehouse.tables().await?.iter().map(ToString::to_string).collect())
    }

    /// The columns of a table, in order.
    ///
    /// # Errors
    /// [`SqlError::UnknownTable`], or [`SqlError::Lake`] when it cannot be read.
    pub async fn columns(&self, table: &str) -> Result<Vec<String>, SqlError> {
        let parts: Vec<String> = table.split('.').map(str::to_owned).collect();
        let schema = self.catalog().open(&parts).await?.schema()?;
        Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Answers one statement; `now` is what `current_timestamp()` says.
    ///
    /// # Errors
    /// [`SqlError`], when it is no question, names what is not there, or does not plan. Errors of its rows come with
    /// them.
    pub async fn query(&self, statement: &str, now: DateTime<Utc>) -> Result<SqlRows, SqlError> {
        let session = self.runtime.session(now);
        match Question::parse(statement)? {
            Question::Query(parsed) => self.answer(&session, parsed).await,
            Question::Tables { schema, pattern } => {
                let tables = self.warehouse.tables().await?;
                let batch = catalog::tables(&tables, schema.as_deref(), pattern.as_deref());
                rows_of(&session, batch.map_err(datafusion::error::DataFusionError::from)?).await
            }
            Question::Schemas => {
                let batch = catalog::schemas(&self.warehouse.tables().await?);
                rows_of(&session, batch.map_err(datafusion::error::DataFusionError::from)?).await
            }
            Question::Columns(table) => {
                let table = self.catalog().open(&parts_of(&table)).await?;
                rows_of(&session, catalog::columns(&table)?).await
            }
            Question::History(table) => {
                let table = self.catalog().open(&parts_of(&table)).await?;
                rows_of(&session, catalog::history(&table).await?).await
            }
        }
    }

    fn catalog(&self) -> Catalog<'_> {
        Catalog { warehouse: &self.warehouse }
    }

    async fn answer(&self, session: &SessionContext, parsed: ParsedStatement) -> Result<SqlRows, SqlError> {
        let ParsedStatement::Statement(mut statement) = parsed else { return Err(SqlError::NoQuestion) };
        headings::name_columns(&mut statement);
        settle_spellings(&mut statement);
        let mut notes = Vec::new();
        let mut relations = Vec::new();
        for (name, reading) in name_readings(&mut statement) {
            let (relation, note) = self.bind(session, name, reading).await?;
            relations.push(relation);
            notes.extend(note);
        }
        tie(&mut statement, &relations)?;
        let plan = SparkPlanner::new(session)?.plan(ParsedStatement::Statement(statement)).await?;
        // A statement that writes is told by its plan, however it is spelled.
        let reading =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        let stream = session.execute_logical_plan(plan).await?.execute_stream().await?;
        Ok(SqlRows::new(stream, notes))
    }

    /// Makes what a statement reads a table of the session.
    async fn bind(
        &self,
        session: &SessionContext,
        name: String,
        mut reading: Reading,
    ) -> Result<(Relation, Option<String>), SqlError> {
        if let Version::AsOf(expression) | Version::Number(expression) = &mut reading.version {
            settle_spellings(expression);
        }
        let table = self.catalog().open(&reading.parts).await?;
        let (provider, note): (Arc<dyn TableProvider>, _) =
            match pin(session, table, &reading.version).await? {
                Pinned::Table(table) => (rows_at(&table).await?, None),
                Pinned::NotYet(empty, note) => (empty, Some(note)),
            };
        let columns = provider.schema().fields().iter().map(|field| field.name().clone()).collect();
        session.register_table(TableReference::bare(name.clone()), provider)?;
        Ok((Relation { alias: name.clone(), name, columns }, note))
    }
}

async fn rows_at(table: &LakeTable) -> Result<Arc<dyn TableProvider>, SqlError> {
    Ok(table.rows().await?)
}

/// The statement that names are tied in: an EXPLAIN has it inside.
fn tie(statement: &mut Statement, relations: &[Relation]) -> Result<(), SqlError> {
    match statement {
        Statement::Explain { statement, .. } => tie(statement, relations),
        statement => Ok(tie_names(statement, relations)?),
    }
}

fn parts_of(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| Some(part.as_ident()?.value.clone())).collect()
}

async fn rows_of(session: &SessionContext, batch: RecordBatch) -> Result<SqlRows, SqlError> {
    let stream = session.read_batch(batch)?.execute_stream().await?;
    Ok(SqlRows::new(stream, Vec::new()))
}
