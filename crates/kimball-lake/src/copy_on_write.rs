//! Copy-on-write: files that lose rows are written anew without them, for readers that know no deletion vectors.
//!
//! A reader of the change feed could not tell the rows that changed from those that were only copied, so the commit
//! records them (Delta protocol, "Add CDC File"): what it takes out as deleted, what it adds as inserted. That is what
//! the feed tells of a commit with deletion vectors, too.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, ident};
use deltalake::kernel::{Action, AddCDCFile};
use futures::TryStreamExt;

use crate::changes::{DELETE, INSERT};
use crate::commit::{RowRemovals, now_millis};
use crate::feed::CHANGE_TYPE;
use crate::write::{CHANGE_FOLDER, DataFile, DataFileWriter};
use crate::{LakeError, LakeTable, LiveRows};

impl LakeTable {
    /// The actions that take `removals` out of `rows` and leave no deletion vector to the files that held them.
    /// `added` are the other files of the commit, which gives `columns` to the table.
    pub(crate) async fn rewriting_actions(
        &self,
        rows: &LiveRows,
        removals: &RowRemovals,
        added: &[DataFile],
        columns: &SchemaRef,
    ) -> Result<Vec<Action>, LakeError> {
        let touched = rows.of_files_with(removals);
        let removed = touched.files().map(|file| Action::Remove(file.removal(Some(now_millis()))));
        let mut actions: Vec<Action> = removed.collect();
        let kept = touched.without(removals);
        if kept.is_empty() {
            // Whole files went: the feed tells that from the log.
            return Ok(actions);
        }
        let mut writer = DataFileWriter::with_columns(self, columns)?;
        write_all(&mut writer, as_columns(kept, columns, None)?).await?;
        actions.extend(writer.finish().await?.into_iter().map(|file| Action::Add(file.0)));

        let change_type = Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true));
        let fields = columns.fields().iter().cloned().chain([change_type]);
        let mut writer =
            DataFileWriter::of_changes(self, &Arc::new(Schema::new(fields.collect::<Vec<_>>())))?;
        write_all(&mut writer, as_columns(rows.at(removals.clone()), columns, Some(DELETE))?).await?;
        if !added.is_empty() {
            let inserted = self.rows_of(added, columns).await?;
            write_all(&mut writer, as_columns(inserted, columns, Some(INSERT))?).await?;
        }
        actions.extend(writer.finish().await?.into_iter().map(recorded));
        Ok(actions)
    }
}

fn recorded(DataFile(file): DataFile) -> Action {
    Action::Cdc(AddCDCFile {
        path: format!("{CHANGE_FOLDER}/{}", file.path),
        size: file.size,
        partition_values: file.partition_values,
        data_change: false,
        tags: None,
    })
}

/// Rows with the given columns: one that a table did not have yet is NULL.
fn as_columns(rows: LiveRows, columns: &Schema, change_type: Option<&str>) -> Result<DataFrame, LakeError> {
    let held = rows.table_columns();
    let value = |field: &Arc<Field>| {
        let found = held.iter().any(|name| name == field.name());
        let value = if found { ident(field.name()) } else { lit(ScalarValue::Null) };
        cast(value, field.data_type().clone()).alias(field.name())
    };
    let mut values: Vec<Expr> = columns.fields().iter().map(value).collect();
    values.extend(change_type.map(|change_type| lit(change_type).alias(CHANGE_TYPE)));
    // One stream, so that rows stay in the order in which they lie.
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    Ok(session.read_table(Arc::new(rows))?.select(values)?)
}

async fn write_all(writer: &mut DataFileWriter, rows: DataFrame) -> Result<(), LakeError> {
    let mut rows = rows.execute_stream().await?;
    while let Some(rows) = rows.try_next().await? {
        writer.write(rows).await?;
    }
    Ok(())
}
