//! The secrets that rows were tokenized with: under another one, equal values are equal no more.

use kimball_config::{PiiColumn, Pipeline, Protection, SecretReference};
use kimball_engine::Refresh;
use kimball_lake::LakeTable;
use kimball_retry::FaultKind;

use super::RunContext;
use crate::error::PipelineError;

/// The transaction with the fingerprint of the secret that a column was tokenized with.
fn secret_id(pipeline: &Pipeline, column: &str) -> String {
    format!("{}#secret/{}", pipeline.table, column.to_lowercase())
}

/// The tokenized columns of a pipeline with their secrets, where the environment has them, and their fingerprints.
fn tokenized(pipeline: &Pipeline) -> impl Iterator<Item = (&PiiColumn, &SecretReference, i64)> {
    pipeline.pii.iter().filter_map(|personal| match &personal.protection {
        Protection::Tokenize { secret } => Some((personal, secret, secret.fingerprint()?.cast_signed())),
        _ => None,
    })
}

/// The transactions that a batch commits with its rows.
pub(super) fn transactions(pipeline: &Pipeline) -> impl Iterator<Item = (String, i64)> {
    tokenized(pipeline).map(|(personal, _, fingerprint)| (secret_id(pipeline, &personal.column), fingerprint))
}

impl RunContext {
    /// Refuses to go on under another secret. A full refresh tokenizes all rows anew, which only a rebuild can do where
    /// rows are found by their tokens.
    pub(super) async fn require_same_secrets(
        &self,
        pipeline: &Pipeline,
        target: &LakeTable,
    ) -> Result<(), PipelineError> {
        if self.refresh == Refresh::Rebuild {
            return Ok(());
        }
        for (personal, secret, fingerprint) in tokenized(pipeline) {
            let column = &personal.column;
            let stored = target.transaction(&secret_id(pipeline, column)).await?;
            let is_identity = pipeline.is_identity(column);
            let is_allowed = self.refresh == Refresh::Reconcile && !is_identity;
            if stored.is_none_or(|stored| stored == fingerprint) || is_allowed {
                continue;
            }
            let way = match is_identity {
                true => "rebuild the table with `--full-refresh --allow-history-loss`",
                false => "tokenize all rows anew with `--full-refresh`",
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
