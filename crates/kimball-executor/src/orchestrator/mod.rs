//! One pipeline, one batch.

use chrono::{DateTime, Utc};
use kimball_config::{Pipeline, TableName, Target};
use kimball_retry::FaultKind;

use crate::error::PipelineError;
use crate::outcome::{PipelineLoad, PipelinePreview};
use crate::settings::Settings;

/// What all pipelines of one run share.
#[derive(Debug)]
pub(crate) struct RunContext {}

impl RunContext {
    pub(crate) async fn open(
        _target: &Target,
        _settings: &Settings,
        _run_time: DateTime<Utc>,
    ) -> Result<Self, PipelineError> {
        Ok(Self {})
    }

    /// Flushes the control store's committer; must be called at the end.
    pub(crate) async fn close(self) -> Result<(), PipelineError> {
        Ok(())
    }

    /// Whether a table exists.
    pub(crate) async fn table_exists(&self, _table: &TableName) -> Result<bool, PipelineError> {
        Ok(true)
    }

    /// What one pipeline would read.
    pub(crate) async fn preview(&self, pipeline: &Pipeline) -> Result<PipelinePreview, PipelineError> {
        Err(PipelineError::failed(FaultKind::Internal, &pipeline.table, "loading is not built yet"))
    }

    /// One attempt at one pipeline.
    pub(crate) async fn load(&self, pipeline: &Pipeline, _attempt: u32) -> Result<PipelineLoad, PipelineError> {
        Err(PipelineError::failed(FaultKind::Internal, &pipeline.table, "loading is not built yet"))
    }
}
