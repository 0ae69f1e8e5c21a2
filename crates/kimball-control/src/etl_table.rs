//! A table of the ETL schema: made by the first who writes it, and written by one committer a process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use kimball_lake::{LakeError, LakeTable, NewTable, SharedTable, TableId, Warehouse};
use tokio::sync::OnceCell;

use crate::ControlError;
use crate::committer::{Committer, Target};
use crate::compaction::Compaction;

/// What a table looks like.
#[derive(Debug)]
pub(crate) struct Design {
    pub(crate) name: &'static str,
    pub(crate) schema: fn() -> SchemaRef,
    pub(crate) partition_columns: &'static [&'static str],
    /// How long people can look back with `TIMESTAMP AS OF`, as an interval of Delta.
    pub(crate) log_kept: &'static str,
}

/// The table; nothing is read or made before it is needed.
#[derive(Debug)]
pub(crate) struct EtlTable {
    design: &'static Design,
    target: Target,
    committer: OnceCell<Committer>,
    /// As it was last opened, for the committer to go on from.
    seen: Mutex<Option<LakeTable>>,
}

impl EtlTable {
    /// The table of `etl_schema`, or [`LakeError::InvalidName`] when that is no plain folder name.
    pub(crate) fn new(
        warehouse: &Warehouse,
        etl_schema: &str,
        design: &'static Design,
    ) -> Result<Self, LakeError> {
        Self::named(warehouse, etl_schema, design.name, design)
    }

    /// The same under another name.
    pub(crate) fn named(
        warehouse: &Warehouse,
        etl_schema: &str,
        name: &str,
        design: &'static Design,
    ) -> Result<Self, LakeError> {
        let target = Target {
            warehouse: warehouse.clone(),
            table: TableId::new(etl_schema, name)?,
            partition_columns: design.partition_columns,
            compaction: None,
        };
        Ok(Self { design, target, committer: OnceCell::new(), seen: Mutex::default() })
    }

    /// The same table, whose small files are merged.
    pub(crate) fn compacted(mut self, compaction: Compaction) -> Self {
        self.target.compaction = Some(compaction);
        self
    }

    /// The table as it stands; `None` before the first write.
    pub(crate) async fn open(&self) -> Result<Option<LakeTable>, ControlError> {
        let opened = self.target.warehouse.open(&self.target.table).await?;
        if !self.committer.initialized() {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&opened);
        }
        Ok(opened)
    }

    /// Who writes the table, which is made where it is missing.
    pub(crate) async fn committer(&self) -> Result<&Committer, ControlError> {
        self.committer
            .get_or_try_init(async || {
                let opened = self.create_if_absent().await?;
                Ok(Committer::start(self.target.clone(), opened))
            })
            .await
    }

    /// The error of rows that do not have the columns of the table.
    pub(crate) fn malformed(&self, source: ArrowError) -> ControlError {
        ControlError::Columns { table: self.target.table.to_string(), source }
    }

    /// The error of a change that others came before.
    pub(crate) fn contention(&self) -> ControlError {
        ControlError::Contention { table: self.target.table.to_string(), attempts: 1 }
    }

    /// Waits until everything is written, upkeep of the table included.
    pub(crate) async fn close(self) {
        if let Some(committer) = self.committer.into_inner() {
            committer.close().await;
        }
    }

    /// The table, if it was there. Somebody else may make it at the same time.
    async fn create_if_absent(&self) -> Result<Option<SharedTable>, ControlError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(table) = seen {
            return Ok(Some(SharedTable::of(table).await?));
        }
        let opened = || self.target.warehouse.open_shared(&self.target.table);
        if let Some(table) = opened().await? {
            return Ok(Some(table));
        }
        let Design { schema, partition_columns, log_kept, .. } = self.design;
        let new = NewTable {
            partition_by: partition_columns.iter().map(|&column| column.to_owned()).collect(),
            properties: BTreeMap::from([("delta.logRetentionDuration".to_owned(), (*log_kept).to_owned())]),
            ..NewTable::default()
        };
        match self.target.warehouse.create(&self.target.table, &schema(), &new).await {
            Ok(_) => Ok(None),
            Err(error) => match opened().await? {
                Some(table) => Ok(Some(table)),
                None => Err(error.into()),
            },
        }
    }
}
