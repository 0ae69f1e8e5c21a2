//! `etl_leases`: at most one process at a time writes a table (semantics 9).
//!
//! A lease is taken by compare-and-commit on the one row of its target. What really keeps a writer out is the
//! epoch: it rises with every taking, and a data commit fails when the target's log holds a higher one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, TimeDelta, Utc};
use kimball_lake::{DataFile, LakeError, Warehouse};

use crate::committer::{Change, Written};
use crate::etl_table::{Design, EtlTable};
use crate::row::Columns;
use crate::{ControlError, Liveness, Owner};

const DESIGN: Design = Design {
    name: "etl_leases",
    schema: lease_schema,
    partition_columns: &["target_table"],
    // Nobody looks back at leases.
    log_kept: "interval 1 days",
};

/// A holder on another machine that has given no sign of life for this long is taken for dead: the last
/// resort, and harmless even if wrong, as its epoch is fenced off.
const EXPIRY: TimeDelta = TimeDelta::minutes(15);

/// The leases of a warehouse.
#[derive(Debug)]
pub struct Leases {
    table: EtlTable,
    owner: Owner,
    abandoned: Arc<Abandoned>,
}

/// The right to write one table. One that is dropped without being given back is as one of a dead process to those who
/// share these [`Leases`]; to others it is held as long as this process lives.
#[derive(Debug)]
pub struct Lease {
    target_table: String,
    epoch: i64,
    inherited: bool,
    files: Vec<DataFile>,
    abandoned: Arc<Abandoned>,
    is_given_back: bool,
}

/// Leases that stand in the table under this process, and that nobody here uses any more: the table and the epoch.
#[derive(Debug, Default)]
struct Abandoned(Mutex<BTreeSet<(String, i64)>>);

impl Abandoned {
    fn add(&self, target_table: &str, epoch: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((target_table.to_owned(), epoch));
    }

    fn holds(&self, target_table: &str, epoch: i64) -> bool {
        let abandoned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.contains(&(target_table.to_owned(), epoch))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.abandoned.add(&self.target_table, self.epoch);
        }
    }
}

/// How an attempt to take a lease ended.
#[derive(Debug)]
pub enum LeaseAttempt {
    /// It is ours.
    Taken(Lease),
    /// A living process has it.
    Busy(Owner),
}

impl Lease {
    /// Rises with every taking; to be committed with the data.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether the one before died with the lease in its hand: its batch has to be settled first.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }
}

struct Held {
    owner: Option<Owner>,
    epoch: i64,
    heartbeat_at: Option<DateTime<Utc>>,
}

impl Leases {
    /// The leases of `etl_schema` as seen by `owner`.
    ///
    /// # Errors
    /// [`LakeError::InvalidName`] when the schema is no plain folder name.
    pub fn new(warehouse: &Warehouse, etl_schema: &str, owner: Owner) -> Result<Self, LakeError> {
        let table = EtlTable::new(warehouse, etl_schema, &DESIGN)?;
        Ok(Self { table, owner, abandoned: Arc::default() })
    }

    /// Takes the lease on a table if nobody alive has it.
    ///
    /// # Errors
    /// Read and write failures.
    pub async fn take(&self, target_table: &str, now: DateTime<Utc>) -> Result<LeaseAttempt, ControlError> {
        let committer = self.table.committer().await?;
        loop {
            let (files, held) = self.read(target_table).await?;
            if let Some(owner) = held.as_ref().and_then(|held| self.living(target_table, held, now)) {
                return Ok(LeaseAttempt::Busy(owner));
            }
            let inherited = held.as_ref().is_some_and(|held| held.owner.is_some());
            let epoch = held.map_or(0, |held| held.epoch) + 1;
            let change = Change {
                rows: self.row(target_table, Some(&self.owner), epoch, now)?,
                removed: files,
                partitions: vec![vec![target_table.to_owned()]],
                exclusive: true,
            };
            match committer.commit(change).await {
                Ok(Written::Committed(files)) => {
                    let (target_table, abandoned) = (target_table.to_owned(), Arc::clone(&self.abandoned));
                    let lease =
                        Lease { target_table, epoch, inherited, files, abandoned, is_given_back: false };
                    return Ok(LeaseAttempt::Taken(lease));
                }
                Ok(Written::Stale) => {}
                Err(error) => {
                    // It may have been taken all the same.
                    self.abandoned.add(target_table, epoch);
                    return Err(error);
                }
            }
        }
    }

    /// Gives a lease back. That somebody else has taken it meanwhile is no error.
    ///
    /// # Errors
    /// Write failures.
    pub async fn release(&self, mut lease: Lease, now: DateTime<Utc>) -> Result<(), ControlError> {
        self.replace(&lease, None, now).await?;
        lease.is_given_back = true;
        Ok(())
    }

    /// Gives a sign of life; says whether the lease is still there. After a failure it may be, and another sign may be
    /// given.
    ///
    /// # Errors
    /// Write failures.
    pub async fn renew(&self, lease: &mut Lease, now: DateTime<Utc>) -> Result<bool, ControlError> {
        let files = self.replace(lease, Some(&self.owner), now).await?;
        let is_there = files.is_some();
        if let Some(files) = files {
            lease.files = files;
        }
        Ok(is_there)
    }

    /// Whether a living process has the lease on a table.
    ///
    /// # Errors
    /// Read failures.
    pub async fn is_held(&self, target_table: &str, now: DateTime<Utc>) -> Result<bool, ControlError> {
        let (_, held) = self.read(target_table).await?;
        Ok(held.as_ref().and_then(|held| self.living(target_table, held, now)).is_some())
    }

    /// The tables on which a living process has the lease.
    ///
    /// # Errors
    /// Read failures.
    pub async fn held_tables(&self, now: DateTime<Utc>) -> Result<BTreeSet<String>, ControlError> {
        let Some(table) = self.table.open().await? else { return Ok(BTreeSet::new()) };
        let mut tables = BTreeSet::new();
        for batch in table.read("host IS NOT NULL").await? {
            for row in 0..batch.num_rows() {
                let text = Columns { batch: &batch }.text("target_table", row);
                let name = text.map_err(|source| self.table.malformed(source))?.unwrap_or_default();
                if self.living(&name, &self.held(&batch, row)?, now).is_some() {
                    tables.insert(name);
                }
            }
        }
        Ok(tables)
    }

    async fn replace(
        &self,
        lease: &Lease,
        owner: Option<&Owner>,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<DataFile>>, ControlError> {
        let mut removed = lease.files.clone();
        loop {
            let change = Change {
                rows: self.row(&lease.target_table, owner, lease.epoch, now)?,
                removed,
                partitions: vec![vec![lease.target_table.clone()]],
                exclusive: true,
            };
            if let Written::Committed(files) = self.table.committer().await?.commit(change).await? {
                return Ok(Some(files));
            }
            // A sign of life that seemed to fail may have been given: then the lease is ours in other files.
            let (files, held) = self.read(&lease.target_table).await?;
            let is_ours = held
                .is_some_and(|held| held.epoch == lease.epoch && held.owner.as_ref() == Some(&self.owner));
            if !is_ours {
                return Ok(None);
            }
            removed = files;
        }
    }

    /// The holder, unless it is dead for certain, has given up here or, on another machine, is silent for too long.
    fn living(&self, target_table: &str, held: &Held, now: DateTime<Utc>) -> Option<Owner> {
        let owner = held.owner.clone()?;
        match owner.liveness() {
            Liveness::Alive if owner == self.owner && self.abandoned.holds(target_table, held.epoch) => None,
            Liveness::Alive => Some(owner),
            Liveness::Dead => None,
            Liveness::Unknown => {
                let silent = held.heartbeat_at.is_none_or(|heartbeat| now - heartbeat > EXPIRY);
                (!silent).then_some(owner)
            }
        }
    }

    async fn read(&self, target_table: &str) -> Result<(Vec<DataFile>, Option<Held>), ControlError> {
        let (files, batches) = self.table.committer().await?.read(vec![target_table.to_owned()]).await?;
        let batch = batches.iter().find(|batch| batch.num_rows() > 0);
        Ok((files, batch.map(|batch| self.held(batch, 0)).transpose()?))
    }

    fn held(&self, batch: &RecordBatch, row: usize) -> Result<Held, ControlError> {
        let columns = Columns { batch };
        let read = || -> Result<Held, arrow::error::ArrowError> {
            let owner = match columns.text("host", row)? {
                Some(host) => Some(Owner {
                    host,
                    boot_id: columns.text("boot_id", row)?.unwrap_or_default(),
                    pid: columns.number("pid", row)?.unwrap_or_default(),
                    process_start: columns.number("process_start", row)?.unwrap_or_default(),
                }),
                None => None,
            };
            let epoch = columns.number("epoch", row)?.unwrap_or_default();
            Ok(Held { owner, epoch, heartbeat_at: columns.time("heartbeat_at", row)? })
        };
        read().map_err(|source| self.table.malformed(source))
    }

    fn row(
        &self,
        target_table: &str,
        owner: Option<&Owner>,
        epoch: i64,
        now: DateTime<Utc>,
    ) -> Result<RecordBatch, ControlError> {
        let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as Arc<dyn Array>;
        let number = |value: Option<i64>| Arc::new(Int64Array::from(vec![value])) as Arc<dyn Array>;
        let heartbeat = TimestampMicrosecondArray::from(vec![now.timestamp_micros()]).with_timezone("UTC");
        RecordBatch::try_new(
            lease_schema(),
            vec![
                text(Some(target_table)),
                text(owner.map(|owner| owner.host.as_str())),
                text(owner.map(|owner| owner.boot_id.as_str())),
                number(owner.map(|owner| owner.pid)),
                number(owner.map(|owner| owner.process_start)),
                number(Some(epoch)),
                Arc::new(heartbeat),
            ],
        )
        .map_err(|source| self.table.malformed(source))
    }

    /// Waits until everything is written, upkeep of the table included.
    pub async fn close(self) {
        self.table.close().await;
    }
}

fn lease_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("target_table", DataType::Utf8, false),
        Field::new("host", DataType::Utf8, true),
        Field::new("boot_id", DataType::Utf8, true),
        Field::new("pid", DataType::Int64, true),
        Field::new("process_start", DataType::Int64, true),
        Field::new("epoch", DataType::Int64, false),
        Field::new("heartbeat_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}
