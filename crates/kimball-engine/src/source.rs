//! A pipeline's sources, each pinned to one version for the batch.

use kimball_config::{CdcStrategy, Source};
use kimball_lake::{FileSource, LakeTable};

use crate::EngineError;

/// A source at the version that a batch reads.
#[derive(Debug, Clone)]
pub struct PinnedSource {
    /// What the configuration says of it.
    pub source: Source,
    /// Its rows.
    pub rows: PinnedRows,
    /// The version up to which earlier batches read it; `None` before the first.
    pub watermark: Option<i64>,
}

/// Where a pinned source's rows lie.
#[derive(Debug, Clone)]
pub enum PinnedRows {
    /// A Delta table at one version.
    Table(LakeTable),
    /// Files as listed at one moment.
    Files(FileSource),
}

/// What a batch reads of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All rows of the pinned version.
    Whole,
    /// The change feed from this version on.
    Changes {
        /// First version to read.
        from: i64,
    },
    /// Nothing: the source did not move.
    Nothing,
}

impl PinnedSource {
    /// The version that the batch reads up to.
    pub fn version(&self) -> i64 {
        match &self.rows {
            PinnedRows::Table(table) => table.version(),
            PinnedRows::Files(files) => files.version(),
        }
    }

    /// Whether there is something that earlier batches have not read.
    pub fn moved(&self) -> bool {
        self.watermark != Some(self.version())
    }

    /// Whether the batch reads changes, not a whole snapshot.
    pub fn is_feed(&self) -> bool {
        self.source.strategy != CdcStrategy::Full
    }

    /// What a batch reads of this source.
    ///
    /// # Errors
    /// [`EngineError::Recreated`] when the table's version lies below the watermark.
    pub fn reading(&self) -> Result<Reading, EngineError> {
        let version = self.version();
        if let (PinnedRows::Table(_), Some(watermark)) = (&self.rows, self.watermark)
            && watermark > version
        {
            return Err(EngineError::Recreated { source_name: self.source.name.clone(), version, watermark });
        }
        if !self.is_feed() {
            return Ok(Reading::Whole);
        }
        let started = self.source.starting_version.and_then(|start| i64::try_from(start).ok());
        match (self.watermark, started) {
            (Some(watermark), _) if watermark == version => Ok(Reading::Nothing),
            (Some(watermark), _) => Ok(Reading::Changes { from: watermark + 1 }),
            (None, Some(start)) => Ok(Reading::Changes { from: start }),
            (None, None) => Ok(Reading::Whole),
        }
    }

    /// Bytes of its data files, in all of which rows may lie.
    ///
    /// # Errors
    /// [`EngineError::Lake`] when they cannot be listed.
    pub(crate) async fn bytes(&self) -> Result<u64, EngineError> {
        Ok(match &self.rows {
            PinnedRows::Table(table) => table.bytes().await?,
            PinnedRows::Files(files) => files.bytes()?,
        })
    }

    /// When its rows last changed, in milliseconds since 1970, where files tell; 0 where nothing does.
    ///
    /// # Errors
    /// [`EngineError::Lake`] when they cannot be looked at.
    pub(crate) fn changed_at(&self) -> Result<i64, EngineError> {
        Ok(match &self.rows {
            PinnedRows::Table(_) => 0,
            PinnedRows::Files(files) => files.changed_at()?,
        })
    }

    /// The Delta table, if it is one.
    pub fn table(&self) -> Option<&LakeTable> {
        match &self.rows {
            PinnedRows::Table(table) => Some(table),
            PinnedRows::Files(_) => None,
        }
    }
}
