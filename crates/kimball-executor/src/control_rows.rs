//! What the control table of a target says.

use std::collections::BTreeSet;

use kimball_config::Target;
use kimball_control::{ControlError, ControlRow, ControlStore, Leases, Owner};
use kimball_lake::Warehouse;

use crate::clock;
use crate::error::{ExecutorError, PipelineError};
use crate::runtime::with_own_runtime;

/// All rows of `<etl_schema>.etl_control`, one a batch and source, in no particular order; none before the
/// first batch. Nothing is written.
///
/// ```no_run
/// # let executor = kimball_executor::PipelineExecutor::builder().build()?;
/// for row in kimball_executor::control_rows(&executor.project().target)? {
///     println!("{} {:?}", row.target_table, row.batch_status);
/// }
/// # Ok::<(), kimball_executor::ExecutorError>(())
/// ```
///
/// # Errors
/// [`ExecutorError::Warehouse`] when the table cannot be read.
pub fn control_rows(target: &Target) -> Result<Vec<ControlRow>, ExecutorError> {
    with_own_runtime(|handle| handle.block_on(control_rows_async(target)))
}

/// As [`control_rows`], on the tokio runtime of the caller.
///
/// # Errors
/// As [`control_rows`].
pub async fn control_rows_async(target: &Target) -> Result<Vec<ControlRow>, ExecutorError> {
    let rows = async {
        let warehouse = Warehouse::new(&target.warehouse, &target.storage_options)?;
        ControlStore::new(&warehouse, &target.etl_schema)?.rows().await
    };
    rows.await.map_err(|error: ControlError| ExecutorError::Warehouse(PipelineError::from(error)))
}

/// The tables of `target` that a living process is loading now. Nothing is written.
///
/// # Errors
/// [`ExecutorError::Warehouse`] when the leases cannot be read.
pub fn tables_being_loaded(target: &Target) -> Result<BTreeSet<String>, ExecutorError> {
    with_own_runtime(|handle| handle.block_on(tables_being_loaded_async(target)))
}

/// As [`tables_being_loaded`], on the tokio runtime of the caller.
///
/// # Errors
/// As [`tables_being_loaded`].
pub async fn tables_being_loaded_async(target: &Target) -> Result<BTreeSet<String>, ExecutorError> {
    let held = async {
        let warehouse = Warehouse::new(&target.warehouse, &target.storage_options)?;
        let leases = Leases::new(&warehouse, &target.etl_schema, Owner::this_process())?;
        leases.held_tables(clock::now()).await
    };
    held.await.map_err(|error: ControlError| ExecutorError::Warehouse(PipelineError::from(error)))
}
