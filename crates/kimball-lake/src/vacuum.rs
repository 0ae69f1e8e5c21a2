//! Files that no version needs any more, deleted.
//!
//! What is needed is read off the log, exactly: all that the oldest version kept consists of, and all that was added
//! since, deletion vectors and change data included. (The table library goes by the age of a file instead, and so
//! takes deletion vectors away that were superseded a moment ago.)

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::object_store::ObjectMeta;
use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor as KernelDescriptor;
use deltalake::Path;
use deltalake::kernel::{Action, DeletionVectorDescriptor};
use deltalake::table::config::TablePropertiesExt as _;
use futures::TryStreamExt;

use crate::commit::now_millis;
use crate::scan::stored_at;
use crate::{AsOf, LakeError, LakeTable};

/// Where changed rows are written beside the data.
const CHANGE_DATA: &str = "_change_data";

/// Which versions of a table stay readable, and whether anything is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vacuum {
    /// How long a version stays readable after another one took its place; `None` for as long as the table says
    /// (`delta.deletedFileRetentionDuration`, a week by default).
    pub retain: Option<Duration>,
    /// Whether that may be shorter than the table says.
    pub allow_shorter: bool,
    /// Only looks.
    pub dry_run: bool,
}

/// Files that were deleted, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl LakeTable {
    /// Deletes the files below the table's folder that no version needs which was the newest one, or became it, within the
    /// time that is kept. Files that no version has ever named go when they are older than that. Nobody may be writing
    /// files older than that for this table. Can be cut off anywhere and done again.
    ///
    /// # Errors
    /// [`LakeError::KeptLonger`] when less is to be kept than the table says; storage failures.
    pub async fn vacuum(&self, how: &Vacuum) -> Result<Vacuumed, LakeError> {
        let kept = self.snapshot()?.table_config().deleted_file_retention_duration();
        let retain = how.retain.unwrap_or(kept);
        if retain < kept && !how.allow_shorter {
            return Err(LakeError::KeptLonger { table: self.name.clone(), asked: retain, kept });
        }
        let millis = i64::try_from(retain.as_millis()).unwrap_or(i64::MAX);
        let since = DateTime::from_timestamp_millis(now_millis().saturating_sub(millis)).unwrap_or_default();
        let needed = self.needed_since(since).await?;
        let store = self.inner.object_store();
        let files = store.list(None).map_err(LakeError::stored(&self.name));
        let is_superfluous = |file: &ObjectMeta| {
            is_of_the_table(&file.location) && file.last_modified < since && !needed.contains(&file.location)
        };
        let superfluous = files.try_filter(|file| std::future::ready(is_superfluous(file)));
        let superfluous: Vec<ObjectMeta> = superfluous.try_collect().await?;
        if !how.dry_run {
            for file in &superfluous {
                self.delete(&file.location).await?;
            }
        }
        let bytes = superfluous.iter().map(|file| file.size).sum();
        Ok(Vacuumed { files: superfluous.len() as u64, bytes })
    }

    /// The files of all versions that were the newest one at `since` or later, as far back as the log reaches.
    async fn needed_since(&self, since: DateTime<Utc>) -> Result<BTreeSet<Path>, LakeError> {
        let oldest = match self.as_of(since).await {
            Ok(AsOf::Version(oldest)) => Some(oldest),
            Ok(AsOf::Before { .. }) => None,
            Err(LakeError::TooOld { version, .. }) => Some(self.at_version(version).await?),
            Err(error) => return Err(error),
        };
        let mut needed = BTreeSet::new();
        if let Some(oldest) = &oldest {
            let mut files = oldest.inner.get_active_add_actions_by_predicate(None);
            while let Some(file) = files.try_next().await.map_err(LakeError::delta(&self.name))? {
                needed.insert(file.object_store_path());
                needed.extend(self.place_of(file.deletion_vector_descriptor())?);
            }
        }
        let first = oldest.map_or(0, |oldest| oldest.version() + 1);
        for version in first..=self.version() {
            for action in self.actions_of(version).await? {
                match action {
                    Action::Add(add) => {
                        needed.insert(stored_at(&add.path));
                        needed.extend(self.place_of(add.deletion_vector)?);
                    }
                    Action::Cdc(cdc) => {
                        needed.insert(stored_at(&cdc.path));
                    }
                    _ => {}
                }
            }
        }
        Ok(needed)
    }

    /// The file in which a deletion vector lies; `None` for one that stands in the log, or lies outside the table.
    fn place_of(&self, vector: Option<DeletionVectorDescriptor>) -> Result<Option<Path>, LakeError> {
        let Some(vector) = vector else { return Ok(None) };
        let failed = |source: delta_kernel::Error| LakeError::DeletionVector {
            table: self.name.clone(),
            reason: source.to_string(),
        };
        let root = self.root();
        let place = KernelDescriptor::try_from(vector)
            .and_then(|vector| vector.absolute_path(&root))
            .map_err(failed)?;
        let inside = place.and_then(|place| root.make_relative(&place));
        Ok(inside.and_then(|path| Path::from_url_path(path).ok()))
    }
}

/// Whether a file could belong to a version: not what lies in folders that the Delta protocol leaves to others, and not
/// the log.
fn is_of_the_table(path: &Path) -> bool {
    let first = path.parts().next();
    let first = first.as_ref().map_or("", AsRef::as_ref);
    // Folders of partitions may be called after any column.
    let is_hidden = first.starts_with(['_', '.']) && !first.contains('=');
    !is_hidden || first == CHANGE_DATA
}

#[cfg(test)]
mod tests {
    use deltalake::Path;

    use super::is_of_the_table;

    #[test]
    fn the_log_and_folders_of_others_are_left_alone() {
        for (path, is_the_tables) in [
            ("part-1.parquet", true),
            ("deletion_vector_1.bin", true),
            ("_day=1/part-1.parquet", true),
            ("_change_data/cdc-1.parquet", true),
            ("_delta_log/00000000000000000000.json", false),
            ("_checkpoints/x", false),
            (".tmp/x", false),
        ] {
            assert_eq!(is_of_the_table(&Path::from(path)), is_the_tables, "{path}");
        }
    }
}
