//! Compaction: files that are small, or hold many rows that no longer count, are written anew as few full ones.
//!
//! No row changes by that. The commit says so of every file (`dataChange` false), so that change feeds pass over it;
//! older versions keep their files.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::{SessionContext, ident};
use deltalake::kernel::transaction::CommitProperties;
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::DeltaOperation;
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use crate::commit::{LEASE, RowRemovals, fresh_id, now_millis};
use crate::live::LiveFile;
use crate::write::{DataFile, DataFileWriter, TARGET_FILE_BYTES};
use crate::{CommitOutcome, LakeError, LakeTable, LiveRows};

/// Which files of a table are worth writing anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wear {
    /// A file of fewer bytes is small.
    pub small_bytes: u64,
    /// So many small files of one partition are too many.
    pub small_files: usize,
    /// The share of rows that no longer count, from 0 to 1, above which a file is worn.
    pub deleted_share: f64,
    /// So many of them at least.
    pub deleted_rows: u64,
}

impl Wear {
    /// What a table is brought to when somebody asks for it: no two files of a partition that one could hold, hardly
    /// a row that no longer counts.
    pub const ANY: Self =
        Self { small_bytes: TARGET_FILE_BYTES / 2, small_files: 2, deleted_share: 0.05, deleted_rows: 1 };

    /// What a table may come to before a load does something about it: each small file costs every later load a look,
    /// and rows that no longer count are read past. Both are cheap for long, and writing a file anew is not.
    pub const HEAVY: Self = Self {
        small_bytes: TARGET_FILE_BYTES / 8,
        small_files: 8,
        deleted_share: 0.5,
        deleted_rows: 64 * 1024,
    };

    fn is_worn(&self, file: &LiveFile) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = file.deleted.len() as f64 / file.records.max(1) as f64;
        file.deleted.len() >= self.deleted_rows && share > self.deleted_share
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Files that were written anew.
    pub files_before: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Files that were written.
    pub files_after: u64,
    /// Their bytes.
    pub bytes_after: u64,
    /// Rows that were left out, as they no longer count.
    pub rows_purged: u64,
}

impl LiveRows {
    /// Whether a file is worth writing anew.
    pub fn is_worn(&self, wear: &Wear) -> bool {
        !self.worn(wear).is_empty()
    }

    /// The files that are worth writing anew, partition by partition.
    fn worn(&self, wear: &Wear) -> Vec<Vec<u32>> {
        let mut partitions: BTreeMap<String, Vec<(u32, &LiveFile)>> = BTreeMap::new();
        for (number, file) in self.numbered_files() {
            partitions.entry(format!("{:?}", file.partition)).or_default().push((number, file));
        }
        let chosen = partitions.into_values().map(|files| {
            let is_small = |file: &LiveFile| file.file.size() < wear.small_bytes;
            let too_many = files.iter().filter(|(_, file)| is_small(file)).count() >= wear.small_files;
            let is_chosen = |file: &LiveFile| wear.is_worn(file) || (too_many && is_small(file));
            files.into_iter().filter(|(_, file)| is_chosen(file)).map(|(number, _)| number).collect()
        });
        chosen.filter(|files: &Vec<u32>| !files.is_empty()).collect()
    }
}

impl LakeTable {
    /// Writes the worn files of the pinned version, `rows`, anew, sorted by the columns `order`, in the memory of
    /// `session`, in a commit with some application transactions. `None` when no file is worn. Nothing happens when
    /// others change one of them meanwhile ([`CommitOutcome::Conflict`]).
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] when the log holds a higher epoch than `lease`; storage failures. No
    /// version refers to what was written by then.
    pub async fn compact(
        &self,
        session: &SessionContext,
        rows: &LiveRows,
        wear: &Wear,
        order: &[String],
        (lease, transactions): (i64, Vec<(String, i64)>),
    ) -> Result<Option<(CommitOutcome, Compacted)>, LakeError> {
        let worn = rows.worn(wear);
        if worn.is_empty() {
            return Ok(None);
        }
        self.require_lease(lease).await?;
        let mut done = Compacted::default();
        let mut written: Vec<DataFile> = Vec::new();
        let mut removed: Vec<Action> = Vec::new();
        for partition in worn {
            for file in partition.iter().filter_map(|number| rows.file(*number)) {
                done.files_before += 1;
                done.bytes_before += file.file.size();
                done.rows_purged += file.deleted.len();
                let removal = file.file.removal(Some(now_millis()));
                removed.push(Action::Remove(deltalake::kernel::Remove { data_change: false, ..removal }));
            }
            match self.sorted_copy(session, rows.whole_files(&partition), order).await {
                Ok(files) => written.extend(files),
                Err(error) => {
                    self.discard(written).await?;
                    return Err(error);
                }
            }
        }
        done.files_after = written.len() as u64;
        done.bytes_after = written.iter().map(DataFile::size).sum();
        let added = written
            .iter()
            .map(|DataFile(add)| Action::Add(deltalake::kernel::Add { data_change: false, ..add.clone() }));
        let actions = removed.into_iter().chain(added).collect();
        let transactions = transactions.into_iter().chain([(LEASE.to_owned(), lease)]);
        let tag = format!("kimball optimize {}", fresh_id());
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_metadata([("userMetadata".to_owned(), tag.clone().into())])
            .with_application_transactions(
                transactions.map(|(id, value)| Transaction::new(id, value)).collect(),
            );
        let target_size = i64::try_from(TARGET_FILE_BYTES).unwrap_or(i64::MAX);
        let operation = DeltaOperation::Optimize { predicate: None, target_size };
        let outcome = self.submit(actions, properties, operation, &tag).await?;
        if outcome == CommitOutcome::Conflict {
            self.discard(written).await?;
        }
        Ok(Some((outcome, done)))
    }

    /// Writes rows to new files, sorted by `order` as far as the table has these columns.
    async fn sorted_copy(
        &self,
        session: &SessionContext,
        rows: LiveRows,
        order: &[String],
    ) -> Result<Vec<DataFile>, LakeError> {
        let columns = rows.table_columns();
        let order = order.iter().filter(|column| columns.contains(column));
        let order: Vec<_> = order.map(|column| ident(column).sort(true, true)).collect();
        let values: Vec<_> = columns.iter().map(ident).collect();
        let mut copied = session.read_table(Arc::new(rows))?.select(values)?;
        if !order.is_empty() {
            copied = copied.sort(order)?;
        }
        let mut copied = copied.execute_stream().await?;
        let mut writer = DataFileWriter::new(self)?;
        while let Some(rows) = copied.try_next().await? {
            writer.write(rows).await?;
        }
        writer.finish().await
    }
}

impl LiveRows {
    /// All rows of the files with these numbers.
    fn whole_files(&self, numbers: &[u32]) -> Self {
        let mut rows: RowRemovals = self.addresses();
        rows.retain(|number, rows: &mut RoaringTreemap| numbers.contains(number) && !rows.is_empty());
        self.at(rows)
    }
}
