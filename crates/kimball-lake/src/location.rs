//! Names of tables and where they lie.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::utils::datafusion_strsim::levenshtein;
use deltalake::logstore::{LogStoreRef, StorageConfig, logstore_with, object_store_factories};
use deltalake::{DeltaTable, DeltaTableError};
use kimball_retry::RetryBudget;
use url::Url;

use crate::LakeError;
use crate::retrying::{RetryingStore, StorageRetries};

/// Letters of a name of which one may be wrong for another name to be meant.
const LETTERS_A_SLIP: usize = 4;

/// `schema.table`, each part one plain folder name, so that no name can leave the warehouse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    schema: String,
    table: String,
}

impl TableId {
    /// Joins two folder names to a table name.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when a part is empty or holds anything but letters, digits, `_`, `-`.
    pub fn new(schema: &str, table: &str) -> Result<Self, LakeError> {
        for part in [schema, table] {
            let plain = part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
            if part.is_empty() || !plain {
                return Err(LakeError::InvalidName { name: format!("{schema}.{table}") });
            }
        }
        Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
    }

    /// The schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table's own name.
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// The root below which tables lie at `<root>/<schema>/<table>`.
#[derive(Debug, Clone)]
pub struct Warehouse {
    root: Url,
    options: HashMap<String, String>,
    retries: StorageRetries,
}

impl Warehouse {
    /// Takes a folder or an object-store URL as the root; a folder need not exist yet.
    ///
    /// # Errors
    /// [`LakeError::InvalidLocation`] when the text is neither.
    pub fn new(root: &str, options: &BTreeMap<String, String>) -> Result<Self, LakeError> {
        let options = options.clone().into_iter().collect();
        Ok(Self { root: folder_url(root)?, options, retries: StorageRetries::default() })
    }

    /// The same warehouse, whose storage calls draw their retries from `budget`.
    #[must_use]
    pub fn with_retry_budget(self, budget: RetryBudget) -> Self {
        Self { retries: StorageRetries::drawing_on(budget), ..self }
    }

    /// The folder or URL below which tables lie.
    pub(crate) fn root(&self) -> &Url {
        &self.root
    }

    /// Where a table lies, whether it exists or not.
    ///
    /// # Errors
    /// [`LakeError::InvalidLocation`] when root and name do not make a URL.
    pub fn locate(&self, table: &TableId) -> Result<Url, LakeError> {
        self.root
            .join(&format!("{}/{}/", encode(&table.schema), encode(&table.table)))
            .map_err(|_| LakeError::InvalidLocation { location: format!("{}{table}", self.root) })
    }

    /// What to say of a table that is not there: with the one of nearly that name, if there is one.
    pub async fn missing(&self, table: &TableId) -> LakeError {
        let (name, location) =
            (table.to_string(), self.locate(table).map_or_else(|_| String::new(), Into::into));
        // Whatever keeps the others from being listed, the table is missing.
        let others = self.tables().await.unwrap_or_default();
        let near =
            others.iter().map(ToString::to_string).map(|other| (levenshtein(&name, &other), other)).min();
        match near {
            Some((changes, nearest)) if changes <= name.chars().count().div_ceil(LETTERS_A_SLIP) => {
                LakeError::Misspelled { table: name, location, nearest }
            }
            _ => LakeError::Missing { table: name, location },
        }
    }

    /// An unloaded handle on the table at `location`; local folders are made when `create` asks for it.
    pub(crate) fn handle(&self, location: &Url, folder: Folder) -> Result<Option<DeltaTable>, LakeError> {
        if let Ok(path) = location.to_file_path() {
            match folder {
                Folder::MustExist if !path.join("_delta_log").is_dir() => return Ok(None),
                Folder::MustExist => {}
                Folder::Create => std::fs::create_dir_all(&path)
                    .map_err(|source| self.in_the_way(&path).unwrap_or(LakeError::Folder { path, source }))?,
            }
        }
        self.refuse_unknown(location)?;
        self.log_store(location)
            .map(|log_store| Some(DeltaTable::new(log_store)))
            .map_err(|source| LakeError::Delta { table: location.to_string(), source: Box::new(source) })
    }

    /// The file that lies where a folder on the way to `path` is to be made, if that is what is wrong.
    fn in_the_way(&self, path: &Path) -> Option<LakeError> {
        let file = path.ancestors().find(|part| part.is_file())?;
        let root = self.root.to_file_path().ok();
        let inside = root.and_then(|root| Some(file.strip_prefix(root).ok()?.to_owned()));
        let parts: Vec<_> =
            inside.iter().flat_map(|inside| inside.iter()).map(|part| part.to_string_lossy()).collect();
        let belongs = match parts.as_slice() {
            [] => "the warehouse".to_owned(),
            [schema] => format!("the folder of schema {schema}"),
            [schema, table, ..] => format!("the folder of table {schema}.{table}"),
        };
        Some(LakeError::NotAFolder { path: file.to_owned(), belongs })
    }

    /// Refuses a storage that there is no client for.
    fn refuse_unknown(&self, location: &Url) -> Result<(), LakeError> {
        let factories = object_store_factories();
        if factories.iter().any(|known| known.key().scheme() == location.scheme()) {
            return Ok(());
        }
        let mut known: Vec<String> =
            factories.iter().map(|known| format!("{}://", known.key().scheme())).collect();
        // Tables in memory are for tests.
        known.retain(|scheme| scheme != "memory://");
        known.sort();
        let place = match location.as_str().starts_with(self.root.as_str()) {
            true => format!("the warehouse {}", self.root.as_str().trim_end_matches('/')),
            false => location.as_str().trim_end_matches('/').to_owned(),
        };
        Err(LakeError::UnknownStorage {
            place,
            scheme: location.scheme().to_owned(),
            known: known.join(", "),
        })
    }

    /// The log of the table at `location`, in a storage whose calls are made again when they fail for a while.
    pub(crate) fn log_store(&self, location: &Url) -> Result<LogStoreRef, DeltaTableError> {
        let config = StorageConfig::parse_options(self.options.clone())?;
        let unknown = || DeltaTableError::InvalidTableLocation(location.to_string());
        let scheme = Url::parse(&format!("{}://", location.scheme())).map_err(|_| unknown())?;
        let factories = object_store_factories();
        let factory = factories.get(&scheme).ok_or_else(unknown)?;
        let (store, _) = factory.parse_url_opts(location, &config)?;
        let retrying = RetryingStore::new(store, self.retries.clone());
        logstore_with(Arc::new(retrying), location, config)
    }
}

/// What to do when a table's local folder is not there.
pub(crate) enum Folder {
    MustExist,
    Create,
}

/// The URL of a folder, given as a path (relative ones start from the current folder) or a URL; ends with `/`.
pub(crate) fn folder_url(text: &str) -> Result<Url, LakeError> {
    let invalid = || LakeError::InvalidLocation { location: text.to_owned() };
    if let Some((scheme, _)) = text.split_once("://")
        && scheme.len() > 1
    {
        let slash = if text.ends_with('/') { "" } else { "/" };
        return Url::parse(&format!("{text}{slash}")).map_err(|_| invalid());
    }
    let path = text.strip_prefix("file:").unwrap_or(text);
    let absolute = std::path::absolute(Path::new(path)).map_err(|_| invalid())?;
    // The deepest existing folder is resolved, so that a link in front of the warehouse does no harm.
    Url::from_directory_path(resolve(&absolute)).map_err(|()| invalid())
}

fn resolve(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(resolved), _, _) => resolved,
        (Err(_), Some(parent), Some(name)) => resolve(parent).join(name),
        _ => path.to_owned(),
    }
}

fn encode(part: &str) -> String {
    url::form_urlencoded::byte_serialize(part.as_bytes()).collect()
}
