//! Failures of a batch whose cause is the query of its pipeline.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use kimball_lake::{LakeError, LakeTable, fault_of};
use kimball_retry::FaultKind;

use crate::stage::{self, StageInput, Staged};
use crate::{Batch, EngineError};

impl Batch<'_> {
    /// [Stages](stage::stage) the rows of a batch; a failure of the query says where it is.
    pub(crate) async fn staged(&self, input: StageInput<'_>) -> Result<Staged, EngineError> {
        self.explained(&input, stage::stage(input).await).await
    }

    /// What staging came to; a failure that the query brought says where it is, and which rows bring it.
    pub(crate) async fn explained<T>(
        &self,
        input: &StageInput<'_>,
        result: Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match result {
            Err(EngineError::Lake(LakeError::Query(cause))) if is_of_the_query(&cause) => {
                Err(stage::blamed(input, cause).await)
            }
            other => other,
        }
    }

    /// A failure of rows that were read on their way into the table, where a value is at fault.
    pub(crate) async fn explained_run(&self, error: EngineError, target: &LakeTable) -> EngineError {
        let EngineError::Lake(LakeError::Query(cause)) = error else { return error };
        let merged_into = self.merged_into(Some(target));
        let (true, Ok(schema)) = (is_of_a_value(&cause), merged_into.map(LakeTable::schema).transpose())
        else {
            return cause.into();
        };
        stage::blamed(&self.input(schema.as_deref(), true), cause).await
    }
}

/// Whether a failure while rows are staged is one of the query or of its values, and none of storage or memory.
fn is_of_the_query(cause: &DataFusionError) -> bool {
    match cause.find_root() {
        DataFusionError::ArrowError(..) => is_of_a_value(cause),
        // The library takes what it cannot plan for a defect of its own.
        DataFusionError::Internal(_) => true,
        DataFusionError::External(_) => is_of_a_value(cause),
        _ => fault_of(cause) == FaultKind::Sql,
    }
}

fn is_of_a_value(cause: &DataFusionError) -> bool {
    match cause.find_root() {
        DataFusionError::ArrowError(source, _) => matches!(
            source.as_ref(),
            ArrowError::CastError(_)
                | ArrowError::ParseError(_)
                | ArrowError::ComputeError(_)
                | ArrowError::InvalidArgumentError(_)
                | ArrowError::ArithmeticOverflow(_)
                | ArrowError::DivideByZero
        ),
        DataFusionError::Execution(_) => true,
        // A function's own failure, such as a pattern that is none.
        DataFusionError::External(_) => fault_of(cause) == FaultKind::Internal,
        _ => false,
    }
}
