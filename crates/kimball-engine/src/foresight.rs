//! What can be said of a batch before it reads a row.

use kimball_lake::LakeTable;

use crate::layout::sql_name;
use crate::source::PinnedRows;
use crate::{Batch, EngineError, Reading, Refresh};

/// What can be said of a batch before it reads a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foresight {
    /// About how many rows it would read, by the statistics of its sources; `None` where they do not tell.
    pub expected_rows: Option<u64>,
    /// Columns that the table would get, with their types.
    pub added_columns: Vec<String>,
}

impl Batch<'_> {
    /// Looks at logs and plans, and at no row.
    ///
    /// # Errors
    /// As for [`stage`](Batch::stage), as far as planning goes.
    pub async fn foresee(&self, target: Option<&LakeTable>) -> Result<Foresight, EngineError> {
        let expected_rows = self.expected_rows().await?;
        let mut added_columns = Vec::new();
        if let Some(target) = target.filter(|_| self.refresh != Refresh::Rebuild) {
            let stored = target.schema()?;
            let planned = self.layout(target).await?.schema;
            let added = planned.fields().iter().filter(|field| stored.field_with_name(field.name()).is_err());
            added_columns
                .extend(added.map(|field| format!("{} {}", field.name(), sql_name(field.data_type()))));
        }
        Ok(Foresight { expected_rows, added_columns })
    }

    async fn expected_rows(&self) -> Result<Option<u64>, EngineError> {
        let mut sum = 0;
        for source in self.sources {
            let rows = match (&source.rows, source.reading()?) {
                (_, Reading::Nothing) => Some(0),
                (PinnedRows::Table(table), Reading::Whole) => table.counted_rows().await?,
                (PinnedRows::Table(table), Reading::Changes { from }) => table.counted_changes(from).await?,
                (PinnedRows::Files(_), _) => None,
            };
            let Some(rows) = rows else { return Ok(None) };
            sum += rows;
        }
        Ok(Some(sum))
    }
}
