//! Queries over the tables of the demo, through `deltalake` and DataFusion alone.

use std::sync::Arc;

use datafusion::arrow::array::{Array, Int64Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use deltalake::delta_datafusion::DeltaCdfTableProvider;

use super::folder::DemoFolder;
use crate::error::{Result, TestkitError};
use crate::source_table::SourceTable;

/// A session with the newest version of each table `schema.table`, under the last part of its name.
pub(super) async fn session_over(folder: &DemoFolder, tables: &[&str]) -> Result<SessionContext> {
    let context = SessionContext::new();
    for name in tables {
        let table = deltalake::open_table(SourceTable::at(&folder.warehouse(), name)?.url().clone()).await?;
        let alias = name.rsplit('.').next().unwrap_or(name);
        context.register_table(alias, table.table_provider().await?)?;
    }
    Ok(context)
}

/// How often each kind of change stands in the feed of a table after `version`, as text; empty for none.
pub(super) async fn changes_since(folder: &DemoFolder, name: &str, version: u64) -> Result<String> {
    let table = deltalake::open_table(SourceTable::at(&folder.warehouse(), name)?.url().clone()).await?;
    let feed = table.scan_cdf().with_starting_version(version + 1).with_allow_out_of_range();
    let context = SessionContext::new();
    context.register_table("feed", Arc::new(DeltaCdfTableProvider::try_new(feed)?))?;
    let mut said = Vec::new();
    for (kind, word) in [("insert", "inserted"), ("update_postimage", "updated"), ("delete", "deleted")] {
        let count =
            number(&context, &format!("SELECT count(*) FROM feed WHERE _change_type = '{kind}'")).await?;
        if count > 0 {
            said.push(format!("{count} {word}"));
        }
    }
    Ok(said.join(", "))
}

/// The rows of a query.
pub(super) async fn rows(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    Ok(context.sql(sql).await?.collect().await?)
}

/// The only value of a query that gives one integer.
pub(super) async fn number(context: &SessionContext, sql: &str) -> Result<i64> {
    let batches = rows(context, sql).await?;
    let only = batches
        .iter()
        .find(|batch| batch.num_rows() == 1)
        .map(|batch| cast(batch.column(0), &DataType::Int64));
    let column = only.transpose()?;
    let integers = column.as_ref().and_then(|column| column.as_any().downcast_ref::<Int64Array>());
    match integers {
        Some(integers) if integers.is_valid(0) => Ok(integers.value(0)),
        _ => Err(TestkitError::Step(format!("no single number: {sql}"))),
    }
}

/// The rows of a query as a table for people.
pub(super) async fn shown(context: &SessionContext, sql: &str) -> Result<String> {
    Ok(context.sql(sql).await?.to_string().await?)
}
