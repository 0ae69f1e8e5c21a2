//! `VERSION AS OF` and `TIMESTAMP AS OF`.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Expr;
use kimball_engine::SparkPlanner;
use kimball_lake::{AsOf, LakeTable};

use crate::SqlError;
use crate::relations::Version;

/// The table that a statement means, and what has to be said about it.
pub(crate) enum Pinned {
    Table(LakeTable),
    /// It did not exist at that time: a table with its columns and no rows, and a note.
    NotYet(Arc<MemTable>, String),
}

/// The version of `table` that is meant.
pub(crate) async fn pin(
    session: &SessionContext,
    table: LakeTable,
    version: &Version,
) -> Result<Pinned, SqlError> {
    match version {
        Version::Newest => Ok(Pinned::Table(table)),
        Version::Number(number) => {
            let clause = || format!("VERSION AS OF {number}");
            let value = value_of(session, number, &DataType::Int64, &clause).await?;
            let value = value.as_primitive::<Int64Type>().value(0);
            Ok(Pinned::Table(table.at_version(value).await?))
        }
        Version::AsOf(at) => {
            let at = instant(session, at).await?;
            match table.as_of(at).await? {
                AsOf::Version(table) => Ok(Pinned::Table(table)),
                AsOf::Before { first } => {
                    let shown = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S%.f UTC");
                    let note = format!(
                        "{} did not exist at {}: its first version is of {}",
                        table.name(),
                        shown(at),
                        shown(first)
                    );
                    let empty = MemTable::try_new(table.schema()?, vec![Vec::new()])?;
                    Ok(Pinned::NotYet(Arc::new(empty), note))
                }
            }
        }
        Version::Unknown(clause) => Err(SqlError::Moment {
            clause: clause.trim().to_owned(),
            reason: "write VERSION AS OF number or TIMESTAMP AS OF time".to_owned(),
        }),
    }
}

async fn instant(session: &SessionContext, at: &Expr) -> Result<DateTime<Utc>, SqlError> {
    let clause = || format!("TIMESTAMP AS OF {at}");
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let value = value_of(session, at, &kind, &clause).await?;
    let micros = value.as_primitive::<TimestampMicrosecondType>().value(0);
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| SqlError::Moment { clause: clause(), reason: "no such time".to_owned() })
}

/// The value of an expression that looks at no row: an array of one element, of type `kind`, not NULL.
async fn value_of(
    session: &SessionContext,
    expression: &Expr,
    kind: &DataType,
    clause: &(dyn Fn() -> String + Sync),
) -> Result<Arc<dyn Array>, SqlError> {
    let wrong = |error: DataFusionError| SqlError::Moment {
        clause: clause(),
        reason: SqlError::from(error).to_string(),
    };
    let schema = datafusion::common::DFSchema::try_from(Schema::new(Vec::<Field>::new())).map_err(wrong)?;
    let planner = SparkPlanner::new(session).map_err(wrong)?;
    let planned = planner.state().create_logical_expr(&expression.to_string(), &schema).map_err(wrong)?;
    let cast = datafusion::logical_expr::cast(planned, kind.clone());
    let row = session.read_empty().map_err(wrong)?.select(vec![cast]).map_err(wrong)?;
    let batches = row.collect().await.map_err(wrong)?;
    let value = batches.first().map(|batch| Arc::clone(batch.column(0)));
    match value {
        Some(value) if value.len() == 1 && value.is_valid(0) => Ok(value),
        _ => Err(SqlError::Moment { clause: clause(), reason: "it is NULL".to_owned() }),
    }
}
