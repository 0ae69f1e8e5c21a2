//! Delta source tables, written as another tool would write them: every change is one commit of `deltalake`
//! itself, with the change feed on, and can be given the time at which it was "committed".

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, TableProperty};
use url::Url;

use crate::error::{Result, TestkitError};

/// The column that tells a merge which of its rows are deletes.
const IS_DELETE: &str = "__is_delete";

/// How a source table is laid out.
#[derive(Debug, Clone)]
pub struct TableLayout {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its partition columns.
    pub partition_by: Vec<String>,
    /// Whether `delta.enableChangeDataFeed` is set.
    pub change_feed: ChangeFeed,
}

/// Whether a table keeps a change feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeFeed {
    /// `delta.enableChangeDataFeed = true`.
    Enabled,
    /// The property is not set.
    Disabled,
}

/// What a commit of a source table says about its time; `None` leaves the real one.
pub type CommitTime = Option<DateTime<Utc>>;

/// A Delta table in a local folder.
#[derive(Debug, Clone)]
pub struct SourceTable {
    folder: PathBuf,
    url: Url,
}

impl SourceTable {
    /// The table `schema.table` of the warehouse folder `warehouse`, whether it exists or not.
    ///
    /// # Errors
    /// [`TestkitError::Step`] when the folder is no absolute path.
    pub fn at(warehouse: &Path, name: &str) -> Result<Self> {
        let folder = name.split('.').fold(warehouse.to_path_buf(), |folder, part| folder.join(part));
        let url = Url::from_directory_path(&folder)
            .map_err(|()| TestkitError::Step(format!("{} is no absolute path", folder.display())))?;
        Ok(Self { folder, url })
    }

    /// Whether a Delta log lies there.
    pub fn exists(&self) -> bool {
        self.folder.join("_delta_log").is_dir()
    }

    /// The folder of the table.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of that folder.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Creates the empty table: version 0.
    ///
    /// # Errors
    /// When the table exists already or `deltalake` refuses the schema.
    pub async fn create(&self, layout: &TableLayout, time: CommitTime) -> Result<u64> {
        fs::create_dir_all(&self.folder).map_err(TestkitError::io(&self.folder))?;
        let created = self.definition(layout).await?.await?;
        self.committed(&created, time)
    }

    /// Replaces the table within its log by an empty one, as `CREATE OR REPLACE TABLE` does: it gets another `id`.
    ///
    /// # Errors
    /// When `deltalake` refuses the schema or the commit.
    pub async fn redefine(&self, layout: &TableLayout, time: CommitTime) -> Result<u64> {
        let redefined = self.definition(layout).await?.with_save_mode(SaveMode::Overwrite).await?;
        self.committed(&redefined, time)
    }

    async fn definition(&self, layout: &TableLayout) -> Result<CreateBuilder> {
        let schema: StructType = layout.schema.as_ref().try_into_kernel()?;
        let create = DeltaTable::try_from_url(self.url.clone())
            .await?
            .create()
            .with_columns(schema.fields().cloned())
            .with_partition_columns(&layout.partition_by);
        Ok(match layout.change_feed {
            ChangeFeed::Enabled => {
                create.with_configuration_property(TableProperty::EnableChangeDataFeed, Some("true"))
            }
            _ => create,
        })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When `deltalake` refuses the commit.
    pub async fn insert(&self, rows: impl IntoIterator<Item = RecordBatch>, time: CommitTime) -> Result<u64> {
        let table = self.open().await?.write(rows).with_save_mode(SaveMode::Append).await?;
        self.committed(&table, time)
    }

    /// Replaces all rows: the feed of the commit deletes every old row and inserts every new one.
    ///
    /// # Errors
    /// When `deltalake` refuses the commit.
    pub async fn replace(
        &self,
        rows: impl IntoIterator<Item = RecordBatch>,
        time: CommitTime,
    ) -> Result<u64> {
        let table = self.open().await?.write(rows).with_save_mode(SaveMode::Overwrite).await?;
        self.committed(&table, time)
    }

    /// Sets columns to SQL expressions in the rows that a SQL predicate selects, or in all.
    ///
    /// # Errors
    /// When `deltalake` refuses the commit.
    pub async fn update(
        &self,
        predicate: Option<&str>,
        assignments: impl IntoIterator<Item = (&str, &str)>,
        time: CommitTime,
    ) -> Result<u64> {
        let mut update = self.open().await?.update();
        if let Some(predicate) = predicate {
            update = update.with_predicate(predicate);
        }
        for (column, expression) in assignments {
            update = update.with_update(column, expression);
        }
        self.committed(&update.await?.0, time)
    }

    /// Deletes the rows that a SQL predicate selects, or all.
    ///
    /// # Errors
    /// When `deltalake` refuses the commit.
    pub async fn delete(&self, predicate: Option<&str>, time: CommitTime) -> Result<u64> {
        let mut delete = self.open().await?.delete();
        if let Some(predicate) = predicate {
            delete = delete.with_predicate(predicate);
        }
        self.committed(&delete.await?.0, time)
    }

    /// Updates or inserts `upserts` and deletes the keys of `deletes`, all in one commit.
    ///
    /// # Errors
    /// When both are absent, or `deltalake` refuses the commit.
    pub async fn merge(
        &self,
        keys: &[String],
        upserts: Option<RecordBatch>,
        deletes: Option<RecordBatch>,
        time: CommitTime,
    ) -> Result<u64> {
        let table = self.open().await?;
        let columns: Vec<String> = match upserts.as_ref().or(deletes.as_ref()) {
            Some(rows) => rows.schema().fields().iter().map(|field| field.name().clone()).collect(),
            None => {
                return Err(TestkitError::Step("a merge needs rows to upsert or keys to delete".to_owned()));
            }
        };
        let source = merge_source(upserts, deletes)?;
        let on =
            keys.iter().map(|key| format!("target.{key} = source.{key}")).collect::<Vec<_>>().join(" and ");
        let source_of = |column: &String| format!("source.{column}");
        let (table, _) = table
            .merge(source, on)
            .with_source_alias("source")
            .with_target_alias("target")
            .when_matched_delete(|delete| delete.predicate(format!("source.{IS_DELETE}")))?
            .when_matched_update(|update| {
                columns
                    .iter()
                    .fold(update, |update, column| update.update(column.as_str(), source_of(column)))
            })?
            .when_not_matched_insert(|insert| {
                let insert = insert.predicate(format!("not source.{IS_DELETE}"));
                columns.iter().fold(insert, |insert, column| insert.set(column.as_str(), source_of(column)))
            })?
            .await?;
        self.committed(&table, time)
    }

    /// Sets a table property, a commit without rows.
    ///
    /// # Errors
    /// When `deltalake` refuses the commit.
    pub async fn set_property(&self, name: &str, value: &str, time: CommitTime) -> Result<u64> {
        let properties = HashMap::from([(name.to_owned(), value.to_owned())]);
        let table = self.open().await?.set_tbl_properties().with_properties(properties).await?;
        self.committed(&table, time)
    }

    /// Deletes the folder of the table, so that it can be created anew.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn drop_table(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder).map_err(TestkitError::io(&self.folder))
    }

    async fn open(&self) -> Result<DeltaTable> {
        Ok(deltalake::open_table(self.url.clone()).await?)
    }

    /// The version that was just committed, stamped with `time`.
    fn committed(&self, table: &DeltaTable, time: CommitTime) -> Result<u64> {
        let version = table.version().ok_or_else(|| {
            TestkitError::Step(format!("{} has no version after a commit", self.folder.display()))
        })?;
        if let Some(time) = time {
            stamp_commit(&self.folder, version, time)?;
        }
        Ok(version)
    }
}

/// The rows of a merge: upserts and deletes in one frame, told apart by [`IS_DELETE`].
fn merge_source(upserts: Option<RecordBatch>, deletes: Option<RecordBatch>) -> Result<DataFrame> {
    let context = SessionContext::new();
    let mut flagged = Vec::new();
    for (rows, is_delete) in [(upserts, false), (deletes, true)] {
        let Some(rows) = rows else { continue };
        let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(IS_DELETE, DataType::Boolean, false)));
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![is_delete; rows.num_rows()])) as ArrayRef);
        flagged.push(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?);
    }
    Ok(context.read_batches(flagged)?)
}

/// Rewrites the time of a commit, in its `commitInfo` (which the change feed tells) and on its file (which
/// time travel of older readers tells).
fn stamp_commit(folder: &Path, version: u64, time: DateTime<Utc>) -> Result<()> {
    let path = folder.join("_delta_log").join(format!("{version:020}.json"));
    let text = fs::read_to_string(&path).map_err(TestkitError::io(&path))?;
    let mut actions = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut action: serde_json::Value = serde_json::from_str(line)
            .map_err(|source| TestkitError::CommitJson { path: path.clone(), source })?;
        if let Some(commit_info) = action.get_mut("commitInfo") {
            commit_info["timestamp"] = time.timestamp_millis().into();
        }
        actions.push(action.to_string());
    }
    fs::write(&path, actions.join("\n") + "\n").map_err(TestkitError::io(&path))?;
    let file = File::options().write(true).open(&path).map_err(TestkitError::io(&path))?;
    file.set_modified(time.into()).map_err(TestkitError::io(&path))
}

#[cfg(test)]
mod tests;
