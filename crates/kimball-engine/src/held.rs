//! What a table holds already, as far as a batch has to know before it looks at the rows.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use kimball_config::{Dimension, TableKind, TableName};
use kimball_lake::{FILE_COLUMN, LakeTable, ROW_COLUMN};

use crate::columns::{DEFAULT_KEYS, DEFAULT_MEMBERS, KEY_ORIGIN, quoted};
use crate::dimension::{is_numbered, loaded_rows};
use crate::merge::addresses;
use crate::quality::number;
use crate::session::query;
use crate::{Batch, EngineError, MergeTarget};

/// The transaction of a dimension with its newest version that is known to hold the default members: as long as that
/// is its version, nobody has to look.
pub fn defaults_id(dimension: &TableName) -> String {
    format!("{dimension}#defaults")
}

impl Batch<'_> {
    /// Whether a dimension lacks one of its default members.
    ///
    /// # Errors
    /// Read failures.
    pub async fn lacks_default_members(&self, table: &LakeTable) -> Result<bool, EngineError> {
        match &self.pipeline.kind {
            TableKind::Dimension(dimension) => {
                Ok(self.default_keys(table, &dimension.surrogate_key).await?.len() < 4)
            }
            TableKind::Fact(_) => Ok(false),
        }
    }

    /// The high-water mark of a dimension's `sequence` keys; `None` for keys that are hashed.
    pub(crate) async fn sequence_of(
        &self,
        dimension: &Dimension,
        target: &MergeTarget<'_>,
    ) -> Result<Option<i64>, EngineError> {
        Ok(match (is_numbered(dimension), target.sequence) {
            (false, _) => None,
            (true, Some(mark)) => Some(mark),
            (true, None) => Some(self.highest_key(target.table, &dimension.surrogate_key).await?),
        })
    }

    /// Keys of the default members that the table holds.
    pub(crate) async fn default_keys(
        &self,
        table: &LakeTable,
        surrogate_key: &str,
    ) -> Result<Vec<i64>, EngineError> {
        let known = table.transaction(&defaults_id(&self.pipeline.table)).await?;
        if known == Some(table.version()) {
            return Ok(DEFAULT_MEMBERS.to_vec());
        }
        let key = quoted(surrogate_key);
        // The column that says so is hardly there; keys fill a table.
        if table.schema()?.field_with_name(KEY_ORIGIN).is_ok() {
            let marked = self.keys_where(table, &key, &format!("{KEY_ORIGIN} = 'default'")).await?;
            if marked.len() >= 4 {
                return Ok(marked);
            }
        }
        self.keys_where(table, &key, &format!("{key} IN {DEFAULT_KEYS}")).await
    }

    async fn keys_where(
        &self,
        table: &LakeTable,
        key: &str,
        condition: &str,
    ) -> Result<Vec<i64>, EngineError> {
        let session = self.runtime.session(self.clock);
        let live = table.live_rows().await?;
        session.register_table("target", Arc::new(live.clone()))?;
        // Only the rows that are found are read further.
        let sql = format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM target WHERE {condition}");
        let found = addresses(query(&session, &sql).await?).await?;
        session.register_table("found", Arc::new(live.at(found)))?;
        let sql = format!("SELECT CAST({key} AS BIGINT) AS k FROM found");
        let batches = query(&session, &sql).await?.collect().await?;
        Ok(batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect())
    }

    /// The highest surrogate key of a table whose log holds no high-water mark; 0 without any.
    async fn highest_key(&self, table: &LakeTable, surrogate_key: &str) -> Result<i64, EngineError> {
        let session = self.runtime.session(self.clock);
        session.register_table("target", table.rows().await?)?;
        let key = quoted(surrogate_key);
        let highest = number(&session, &format!("SELECT CAST(max({key}) AS BIGINT) FROM target")).await?;
        Ok(i64::try_from(highest).unwrap_or(i64::MAX))
    }

    /// Whether the target holds rows besides default members.
    pub(crate) async fn has_rows(&self, target: Option<&LakeTable>) -> Result<bool, EngineError> {
        let Some(table) = target else { return Ok(false) };
        let live = table.live_rows().await?;
        match &self.pipeline.kind {
            TableKind::Fact(_) => Ok(!live.is_empty()),
            TableKind::Dimension(_) if live.count() > 4 => Ok(true),
            TableKind::Dimension(dimension) => {
                let session = self.runtime.session(self.clock);
                count_loaded(&session, table, &dimension.surrogate_key).await.map(|rows| rows > 0)
            }
        }
    }
}

async fn count_loaded(
    session: &SessionContext,
    table: &LakeTable,
    surrogate_key: &str,
) -> Result<u64, EngineError> {
    session.register_table("target", table.rows().await?)?;
    number(session, &format!("SELECT count(*) FROM target WHERE {}", loaded_rows(surrogate_key))).await
}
