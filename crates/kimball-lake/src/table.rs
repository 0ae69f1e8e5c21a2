//! Opening and creating tables, and what a pinned version of one says about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use datafusion::prelude::{SessionConfig, SessionContext};
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, LogicalFileView, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::{DeltaTable, DeltaTableError, ObjectStoreError, Path};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use crate::damage;
use crate::fault::is_missing_file;
use crate::location::{Folder, folder_url};
use crate::rechecked::{Rechecked, with_empty_text};
use crate::scan::stored_at;
use crate::transactions::Transactions;
use crate::write::DataFile;
use crate::{LakeError, TableId, Warehouse};

pub(crate) const CHANGE_FEED: &str = "delta.enableChangeDataFeed";
pub(crate) const DELETION_VECTORS: &str = "delta.enableDeletionVectors";
const COLUMN_MAPPING: &str = "delta.columnMapping.mode";

/// What tables are read by: texts have the type that the schema of a table says, and conditions reach the reader of the
/// files.
static READING: LazyLock<Arc<SessionState>> = LazyLock::new(|| {
    let mut config = SessionConfig::new();
    let parquet = &mut config.options_mut().execution.parquet;
    parquet.schema_force_view_types = false;
    parquet.pushdown_filters = true;
    Arc::new(SessionStateBuilder::new().with_config(config).build())
});

/// One table at one version. Everything read through it is of that version, whatever others commit.
#[derive(Debug, Clone)]
pub struct LakeTable {
    pub(crate) name: String,
    pub(crate) inner: DeltaTable,
    pub(crate) transactions: Arc<OnceCell<Transactions>>,
}

/// What a table is made with.
#[derive(Debug, Clone, Default)]
pub struct NewTable {
    /// Partition columns; none for an unpartitioned table.
    pub partition_by: Vec<String>,
    /// Table properties, such as `delta.enableChangeDataFeed`.
    pub properties: BTreeMap<String, String>,
    /// The table's description.
    pub description: Option<String>,
    /// Descriptions of columns.
    pub column_descriptions: BTreeMap<String, String>,
}

impl Warehouse {
    /// Opens a table at its newest version; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read, [`LakeError::DamagedLog`] when it is known which entry is at fault.
    pub async fn open(&self, table: &TableId) -> Result<Option<LakeTable>, LakeError> {
        self.open_url(&self.locate(table)?, table.to_string()).await
    }

    /// Whether there is a table of that name; its log is not read.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the folder of the log cannot be listed.
    pub async fn holds(&self, table: &TableId) -> Result<bool, LakeError> {
        match self.handle(&self.locate(table)?, Folder::MustExist)? {
            Some(handle) => handle
                .log_store()
                .is_delta_table_location()
                .await
                .map_err(LakeError::delta(&table.to_string())),
            None => Ok(false),
        }
    }

    /// Opens a table that lies elsewhere, by its folder or URL.
    ///
    /// # Errors
    /// As for [`open`](Self::open), [`LakeError::InvalidLocation`], and [`LakeError::NoLog`] for a folder that is there and
    /// is no table.
    pub async fn open_path(&self, location: &str) -> Result<Option<LakeTable>, LakeError> {
        let url = folder_url(location)?;
        let found = self.open_url(&url, location.to_owned()).await?;
        match url.to_file_path() {
            Ok(folder) if found.is_none() && folder.exists() => {
                Err(LakeError::NoLog { location: location.to_owned() })
            }
            _ => Ok(found),
        }
    }

    async fn open_url(&self, url: &url::Url, name: String) -> Result<Option<LakeTable>, LakeError> {
        match self.look(url, &name).await {
            // A table whose first load is taken back goes while it is opened: a second look does not find it any more.
            Err(LakeError::Delta { source, .. }) if is_missing_file(&source) => self.look(url, &name).await,
            seen => seen,
        }
    }

    async fn look(&self, url: &url::Url, name: &str) -> Result<Option<LakeTable>, LakeError> {
        let Some(mut inner) = self.handle(url, Folder::MustExist)? else { return Ok(None) };
        match inner.load().await {
            Ok(()) => Ok(Some(LakeTable::of(name, inner))),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(source) if is_missing_file(&source) => Err(LakeError::delta(&name)(source)),
            Err(source) => Err(damage::blamed(&inner, name, source).await),
        }
    }

    /// Removes a table that was made and never written: one whose only version is its creation. Any other is
    /// left alone.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when it cannot be opened or removed.
    pub async fn discard_new(&self, table: &TableId) -> Result<(), LakeError> {
        let Some(found) = self.open(table).await?.filter(|found| found.version() == 0) else { return Ok(()) };
        let store = found.inner.object_store();
        let objects: Vec<_> = store.list(None).try_collect().await.map_err(LakeError::stored(table))?;
        for object in objects {
            found.delete(&object.location).await?;
        }
        if let Ok(folder) = self.locate(table)?.to_file_path() {
            // Object stores have no folders; a local one must not look like a table.
            std::fs::remove_dir_all(&folder).map_err(|source| LakeError::Folder { path: folder, source })?;
        }
        Ok(())
    }

    /// Makes an empty table with the columns of `schema`.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedType`] for a column that Delta cannot store, [`LakeError::Delta`] when
    /// the table exists by now or cannot be written.
    pub async fn create(
        &self,
        table: &TableId,
        schema: &Schema,
        new: &NewTable,
    ) -> Result<LakeTable, LakeError> {
        let described = describe(schema, &new.column_descriptions);
        let columns: StructType =
            (&described).try_into_kernel().map_err(|source: arrow::error::ArrowError| {
                LakeError::UnsupportedType { column: table.to_string(), found: source.to_string() }
            })?;
        let location = self.locate(table)?;
        let Some(handle) = self.handle(&location, Folder::Create)? else {
            return Err(LakeError::InvalidLocation { location: location.to_string() });
        };
        let mut create = CreateBuilder::new()
            .with_log_store(handle.log_store())
            .with_table_name(table.to_string())
            .with_columns(columns.fields().cloned())
            .with_partition_columns(new.partition_by.clone())
            .with_raise_if_key_not_exists(false)
            .with_configuration(new.properties.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
        if let Some(description) = &new.description {
            create = create.with_comment(description);
        }
        let inner = create.await.map_err(LakeError::delta(table))?;
        Ok(LakeTable::of(&table.to_string(), inner))
    }
}

pub(crate) fn describe(schema: &Schema, descriptions: &BTreeMap<String, String>) -> Schema {
    let fields = schema.fields().iter().map(|field| match descriptions.get(field.name()) {
        Some(text) => {
            let comment = [("comment".to_owned(), text.clone())].into();
            Arc::new(field.as_ref().clone().with_metadata(comment))
        }
        None => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

impl LakeTable {
    fn of(name: &str, inner: DeltaTable) -> Self {
        Self { name: name.to_owned(), inner, transactions: Arc::default() }
    }

    /// The table's name, or its location when it was opened by that.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pinned version.
    pub fn version(&self) -> i64 {
        self.inner.version().map_or(-1, as_signed)
    }

    /// The columns of the pinned version.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the handle holds no snapshot.
    pub fn schema(&self) -> Result<SchemaRef, LakeError> {
        Ok(self.snapshot()?.snapshot().arrow_schema())
    }

    /// The `id` of the table's metadata (Delta protocol, "Change Metadata"): it moves with the table, a new table has another,
    /// and so has one that is replaced within its log.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the handle holds no snapshot.
    pub fn identity(&self) -> Result<&str, LakeError> {
        Ok(self.snapshot()?.metadata().id())
    }

    /// The `id` of the table at an earlier version; `None` when the log entry of that version is gone.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`], or [`LakeError::Delta`] when the log cannot be read.
    pub async fn identity_at(&self, version: i64) -> Result<Option<String>, LakeError> {
        if self.actions_of(version).await?.is_empty() {
            return Ok(None);
        }
        self.at_version(version).await?.identity().map(|id| Some(id.to_owned()))
    }

    /// The same table at an earlier version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`], or [`LakeError::Delta`] when its log is gone.
    pub async fn at_version(&self, version: i64) -> Result<Self, LakeError> {
        let wanted = u64::try_from(version).ok().filter(|wanted| as_signed(*wanted) <= self.version());
        let Some(wanted) = wanted else {
            return Err(LakeError::NoSuchVersion {
                table: self.name.clone(),
                version,
                newest: self.version(),
            });
        };
        let mut inner = DeltaTable::new(self.inner.log_store());
        inner.load_version(wanted).await.map_err(LakeError::delta(&self.name))?;
        Ok(Self::of(&self.name, inner))
    }

    /// The same table at its newest version.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn refreshed(&self) -> Result<Self, LakeError> {
        let mut inner = self.inner.clone();
        inner.update_state().await.map_err(LakeError::delta(&self.name))?;
        Ok(Self::of(&self.name, inner))
    }

    /// The same table at its newest version, from its log alone: what this handle knows of it is forgotten.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub(crate) async fn reopened(&self) -> Result<Self, LakeError> {
        let mut inner = DeltaTable::new(self.inner.log_store());
        inner.load().await.map_err(LakeError::delta(&self.name))?;
        Ok(Self::of(&self.name, inner))
    }

    /// When a version was committed, in milliseconds since 1970 (UTC): the in-commit timestamp where the
    /// table has them, else that of `commitInfo`, else that of the log file.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn commit_time(&self, version: i64) -> Result<i64, LakeError> {
        Ok(self.time_of(version, &self.actions_of(version).await?))
    }

    /// The same for a commit whose actions are known.
    pub(crate) fn time_of(&self, version: i64, actions: &[Action]) -> i64 {
        let committed = actions.iter().find_map(|action| match action {
            Action::CommitInfo(commit) => commit.in_commit_timestamp.or(commit.timestamp),
            _ => None,
        });
        let recorded = || {
            let wanted = u64::try_from(version).ok()?;
            self.inner.snapshot().ok()?.version_timestamp(wanted)
        };
        committed.or_else(recorded).unwrap_or_default()
    }

    /// Whether the pinned version records changed rows.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the handle holds no snapshot.
    pub fn has_change_feed(&self) -> Result<bool, LakeError> {
        Ok(self.property(CHANGE_FEED)?.is_some_and(is_true))
    }

    /// The value of a table property.
    pub(crate) fn property(&self, name: &str) -> Result<Option<&str>, LakeError> {
        Ok(self.snapshot()?.metadata().configuration().get(name).map(String::as_str))
    }

    /// Whether columns have other names in the data files than in the schema.
    pub(crate) fn has_mapped_columns(&self) -> Result<bool, LakeError> {
        Ok(self.property(COLUMN_MAPPING)?.is_some_and(|mode| !mode.eq_ignore_ascii_case("none")))
    }

    /// The rows of the pinned version, for a query.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the table uses a feature that cannot be read.
    pub async fn rows(&self) -> Result<Arc<dyn TableProvider>, LakeError> {
        let provider = self.inner.table_provider().with_session(Arc::clone(&READING));
        let inner = provider.await.map_err(LakeError::Query)?;
        Ok(Arc::new(Rechecked { inner, empty: self.empty_partitions().await? }))
    }

    /// The partition columns with empty text for some file.
    async fn empty_partitions(&self) -> Result<BTreeSet<String>, LakeError> {
        let texts = self.text_partitions()?;
        let mut empty = BTreeSet::new();
        if texts.is_empty() {
            return Ok(empty);
        }
        let mut files = self.inner.get_active_add_actions_by_predicate(None);
        while let Some(file) = files.try_next().await.map_err(LakeError::delta(&self.name))? {
            empty.extend(with_empty_text(&texts, &DataFile::of_view(&file).0));
        }
        Ok(empty)
    }

    /// The partition columns of text.
    pub(crate) fn text_partitions(&self) -> Result<Vec<String>, LakeError> {
        let schema = self.schema()?;
        let is_text =
            |name: &&String| schema.field_with_name(name).is_ok_and(|it| it.data_type().is_string());
        Ok(self.snapshot()?.metadata().partition_columns().iter().filter(is_text).cloned().collect())
    }

    /// The rows for which an SQL condition holds, in memory: for small tables.
    ///
    /// # Errors
    /// [`LakeError::Query`] when the condition does not plan or rows cannot be read.
    pub async fn read(&self, condition: &str) -> Result<Vec<RecordBatch>, LakeError> {
        let session = SessionContext::new();
        session.register_table("t", self.rows().await?)?;
        Ok(session.sql(&format!("SELECT * FROM t WHERE {condition}")).await?.collect().await?)
    }

    /// Bytes of the data files of the pinned version.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when the log cannot be read.
    pub async fn bytes(&self) -> Result<u64, LakeError> {
        let files = self.inner.get_active_add_actions_by_predicate(None);
        let size = |sum, file: LogicalFileView| async move {
            Ok(sum + u64::try_from(file.size()).unwrap_or_default())
        };
        files.try_fold(0, size).await.map_err(LakeError::delta(&self.name))
    }

    /// Deletes data files that were written for this table and are not committed.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when storage fails.
    pub async fn discard(&self, files: Vec<DataFile>) -> Result<(), LakeError> {
        for file in files {
            self.delete(&stored_at(file.path())).await?;
        }
        Ok(())
    }

    /// The newest version after `after` whose commit carries this `userMetadata`; `None` when there is none in the log,
    /// which ends where entries have been cleaned away.
    ///
    /// # Errors
    /// [`LakeError::Delta`] when a log entry cannot be read.
    pub async fn commit_after(&self, after: i64, user_metadata: &str) -> Result<Option<i64>, LakeError> {
        for version in (after + 1..=self.version()).rev() {
            let actions = self.actions_of(version).await?;
            if actions.is_empty() {
                return Ok(None);
            }
            let commit = actions.iter().find_map(|action| match action {
                Action::CommitInfo(commit) => Some(commit),
                _ => None,
            });
            let Some(commit) = commit else { continue };
            let written = commit.user_metadata.as_deref();
            if written.or_else(|| commit.info.get("userMetadata")?.as_str()) == Some(user_metadata) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    pub(crate) fn snapshot(&self) -> Result<&deltalake::table::state::DeltaTableState, LakeError> {
        self.inner.snapshot().map_err(LakeError::delta(&self.name))
    }

    /// Deletes an object of the table; one that is gone already is no error.
    pub(crate) async fn delete(&self, location: &Path) -> Result<(), LakeError> {
        match self.inner.object_store().delete(location).await {
            Ok(()) | Err(ObjectStoreError::NotFound { .. }) => Ok(()),
            Err(source) => Err(LakeError::stored(&self.name)(source)),
        }
    }

    /// The actions of one commit; none when its log entry is gone.
    pub(crate) async fn actions_of(&self, version: i64) -> Result<Vec<Action>, LakeError> {
        let Ok(version) = u64::try_from(version) else { return Ok(Vec::new()) };
        Ok(self.entry(version).await?.unwrap_or_default())
    }

    /// The actions of one commit; `None` when there is no such log entry.
    pub(crate) async fn entry(&self, version: u64) -> Result<Option<Vec<Action>>, LakeError> {
        let found =
            self.inner.log_store().read_commit_entry(version).await.map_err(LakeError::delta(&self.name))?;
        found
            .map(|bytes| deltalake::logstore::get_actions(version, &bytes))
            .transpose()
            .map_err(LakeError::delta(&self.name))
    }
}

/// Whether the value of a table property says yes.
pub(crate) fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

pub(crate) fn as_signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
