//! The secrets that rows were tokenized with: under another one, equal values are equal no more.

use kimball_config::{FactLoading, PiiColumn, Pipeline, Protection, Scd, SecretReference, TableKind};
use kimball_engine::Refresh;
use kimball_lake::LakeTable;
use kimball_retry::FaultKind;

use super::RunContext;
use crate::error::PipelineError;

/// The transaction with the fingerprint of the secret that a column was tokenized with.
fn secret_id(pipeline: &Pipeline, column: &str) -> String {
    format!("{}#secret/{}", pipeline.table, column.to_lowercase())
}

/// The tokenized columns of a pipeline with their secrets, where the environment has them, and the transactions that
/// tell them.
fn tokenized(pipeline: &Pipeline) -> impl Iterator<Item = (&PiiColumn, &SecretReference, (String, i64))> {
    pipeline.pii.iter().filter_map(|personal| match &personal.protection {
        Protection::Tokenize { secret } => {
            let id = secret_id(pipeline, &personal.column);
            let fingerprint = secret.fingerprint(&id)?.cast_signed();
            Some((personal, secret, (id, fingerprint)))
        }
        _ => None,
    })
}

/// The transactions that a batch commits with its rows.
pub(super) fn transactions(pipeline: &Pipeline) -> impl Iterator<Item = (String, i64)> {
    tokenized(pipeline).map(|(_, _, transaction)| transaction)
}

/// Whether a full refresh gives every row of the table the values that its source has now: no row keeps what it held
/// before.
fn is_written_anew(pipeline: &Pipeline) -> bool {
    let overwrites = match &pipeline.kind {
        TableKind::Dimension(dimension) => match &dimension.scd {
            Scd::Type1 | Scd::Type5 => true,
            Scd::Type4 { history } => history.is_none(),
            Scd::Type0 | Scd::Type2(_) | Scd::Type3 { .. } | Scd::Type6 { .. } | Scd::Type7 { .. } => false,
        },
        TableKind::Fact(fact) => fact.loading == FactLoading::Upsert,
    };
    overwrites && (pipeline.missing.close || !pipeline.is_snapshot())
}

impl RunContext {
    /// Refuses to go on under another secret. A full refresh tokenizes all rows anew; only a rebuild can do that where
    /// rows are found by their tokens, or keep what they held.
    pub(super) async fn require_same_secrets(
        &self,
        pipeline: &Pipeline,
        target: &LakeTable,
    ) -> Result<(), PipelineError> {
        if self.refresh == Refresh::Rebuild {
            return Ok(());
        }
        for (personal, secret, (id, fingerprint)) in tokenized(pipeline) {
            let column = &personal.column;
            let stored = target.transaction(&id).await?;
            let is_renewed = is_written_anew(pipeline) && !pipeline.is_identity(column);
            let is_allowed = self.refresh == Refresh::Reconcile && is_renewed;
            if stored.is_none_or(|stored| stored == fingerprint) || is_allowed {
                continue;
            }
            let way = match is_renewed {
                true => "tokenize all rows anew with `--full-refresh`",
                false => "rebuild the table with `--full-refresh --allow-history-loss`",
            };
            let message = format!(
                "the environment variable `{}` holds another secret than the one that `{column}` was tokenized with, so \
                 that equal values would get different tokens; set it to that secret again, or {way}",
                secret.name
            );
            return Err(PipelineError::failed(FaultKind::Config, &pipeline.table, message));
        }
        Ok(())
    }
}
