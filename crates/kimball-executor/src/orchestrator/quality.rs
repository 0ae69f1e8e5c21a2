//! Contracts and findings of a batch: what is held against what suppliers promise, what is recorded of it, and who is told.
//!
//! Findings are evidence. They are written after the batch has ended one way or the other, and by default a table that
//! cannot be written is a warning; `observability.write_failure: error` makes it a failure of the pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kimball_config::{Observability, Pipeline, Severity};
use kimball_control::{NewestEventStore, QualityEvent, QualityEventStore};
use kimball_engine::{Batch, Finding, Findings, Upheld};
use kimball_lake::Warehouse;
use kimball_retry::{Classify, FaultKind};
use serde_json::json;
use tokio::sync::Mutex;

use super::RunContext;
use crate::clock;
use crate::error::PipelineError;
use crate::webhook;

/// The tables of findings and newest events, by schema and name; each is opened once a run.
#[derive(Debug, Default)]
pub(super) struct QualityTables {
    events: Mutex<BTreeMap<(String, String), Arc<QualityEventStore>>>,
    newest: Mutex<BTreeMap<(String, String), Arc<NewestEventStore>>>,
}

impl QualityTables {
    async fn events(
        &self,
        warehouse: &Warehouse,
        (schema, name): (String, String),
    ) -> Result<Arc<QualityEventStore>, PipelineError> {
        let mut open = self.events.lock().await;
        if let Some(store) = open.get(&(schema.clone(), name.clone())) {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(QualityEventStore::new(warehouse, &schema, &name)?);
        open.insert((schema, name), Arc::clone(&store));
        Ok(store)
    }

    async fn newest(
        &self,
        warehouse: &Warehouse,
        (schema, name): (String, String),
    ) -> Result<Arc<NewestEventStore>, PipelineError> {
        let mut open = self.newest.lock().await;
        if let Some(store) = open.get(&(schema.clone(), name.clone())) {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(NewestEventStore::new(warehouse, &schema, &name)?);
        open.insert((schema, name), Arc::clone(&store));
        Ok(store)
    }

    /// Waits until everything is written.
    pub(super) async fn close(self) {
        for store in self.events.into_inner().into_values().filter_map(Arc::into_inner) {
            store.close().await;
        }
        for store in self.newest.into_inner().into_values().filter_map(Arc::into_inner) {
            store.close().await;
        }
    }
}

impl RunContext {
    /// Holds the sources of a batch against their contracts, before anything is written.
    pub(super) async fn uphold_contracts(&self, batch: &Batch<'_>) -> Result<Upheld, PipelineError> {
        let contracts = || batch.sources.iter().filter_map(|source| source.source.contract.as_ref());
        if contracts().next().is_none() {
            return Ok(Upheld::default());
        }
        let newest = match contracts().any(|contract| contract.temporal.is_some()) {
            true => self.newest_events(&batch.pipeline.observability).await?.open().await?,
            false => None,
        };
        self.unless_cancelled(batch.uphold_contracts(newest.as_ref(), batch.findings)).await
    }

    /// Whether the sources of a batch that has nothing to read are as fresh as promised.
    pub(super) async fn uphold_freshness(&self, batch: &Batch<'_>) -> Result<(), PipelineError> {
        Ok(batch.uphold_freshness(batch.findings).await?)
    }

    /// After the commit: remembers the newest event of each key; returns what could not be written.
    pub(super) async fn remember_newest_events(
        &self,
        pipeline: &Pipeline,
        upheld: &Upheld,
    ) -> Result<Option<String>, PipelineError> {
        let written = async {
            for (source, contract, events) in &upheld.newest_events {
                let store = self.newest_events(&pipeline.observability).await?;
                store.raise(&pipeline.table.to_string(), source, contract, events).await?;
            }
            Ok(())
        };
        written.await.map_or_else(|error| unwritten(pipeline, error), |()| Ok(None))
    }

    /// Records what checks came to, and tells the webhook of failures; returns what could not be written.
    pub(super) async fn record_findings(
        &self,
        pipeline: &Pipeline,
        batch_id: Option<&str>,
        findings: Findings,
    ) -> Result<Option<String>, PipelineError> {
        let observability = &pipeline.observability;
        let findings = findings.into_vec();
        if !observability.enabled || findings.is_empty() {
            return Ok(None);
        }
        self.tell(pipeline, batch_id, &findings).await;
        let observed_at = clock::now();
        let events: Vec<QualityEvent> =
            findings.iter().map(|finding| event_of(pipeline, batch_id, observed_at, finding)).collect();
        let written = async {
            let place = self.place_of(&observability.event_table);
            let store = self.quality.events(&self.warehouse, place).await?;
            Ok(store.record(&pipeline.table.to_string(), &events).await?)
        };
        written.await.map_or_else(|error| unwritten(pipeline, error), |()| Ok(None))
    }

    /// The error of a batch whose findings are recorded now; that they could not be stands behind what was wrong first.
    pub(super) async fn with_findings(
        &self,
        pipeline: &Pipeline,
        batch_id: Option<&str>,
        findings: Findings,
        error: PipelineError,
    ) -> PipelineError {
        let unwritten = match self.record_findings(pipeline, batch_id, findings).await {
            Ok(None) => return error,
            Ok(Some(message)) => message,
            Err(unwritten) => unwritten.message_for(&pipeline.table),
        };
        let message = format!("{}\n{unwritten}", error.message_for(&pipeline.table));
        PipelineError::failed(error.kind(), &pipeline.table, message)
    }

    async fn newest_events(
        &self,
        observability: &Observability,
    ) -> Result<Arc<NewestEventStore>, PipelineError> {
        self.quality.newest(&self.warehouse, self.place_of(&observability.temporal_state_table)).await
    }

    /// The schema and the name of a table that may be written with a schema or without.
    pub(super) fn place_of(&self, table: &str) -> (String, String) {
        match table.split_once('.') {
            Some((schema, name)) => (schema.to_owned(), name.to_owned()),
            None => (self.etl_schema.clone(), table.to_owned()),
        }
    }

    /// Tells the webhook, if there is one, of the failures that it is to hear of. That it does not listen is no failure
    /// of the load: the table of events knows them all.
    async fn tell(&self, pipeline: &Pipeline, batch_id: Option<&str>, findings: &[Finding]) {
        let observability = &pipeline.observability;
        let Some(url) = observability.webhook.value.clone() else { return };
        for finding in findings {
            if finding.passed || !observability.alert_on.contains(&finding.severity) {
                continue;
            }
            let message = json!({
                "target_table": pipeline.table.to_string(),
                "source_table": finding.source,
                "batch_id": batch_id,
                "contract_id": finding.contract.as_ref().map(|(id, _)| id),
                "category": finding.category.as_str(),
                "check_name": finding.check,
                "severity": word(finding.severity),
                "failed_rows": finding.failed_rows,
                "total_rows": finding.total_rows,
                "summary": finding.details,
            });
            if let Err(reason) = webhook::post(url.clone(), message).await {
                let variable = &observability.webhook.name;
                tracing::warn!(table = %pipeline.table, %variable, %reason, "the webhook was not told");
            }
        }
    }
}

fn event_of(
    pipeline: &Pipeline,
    batch_id: Option<&str>,
    observed_at: DateTime<Utc>,
    finding: &Finding,
) -> QualityEvent {
    let count = |rows: Option<u64>| rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
    QualityEvent {
        event_id: clock::new_batch_id(),
        observed_at,
        batch_id: batch_id.map(str::to_owned),
        target_table: pipeline.table.to_string(),
        source_table: finding.source.clone(),
        contract_id: finding.contract.as_ref().map(|(id, _)| id.clone()),
        contract_version: finding.contract.as_ref().map(|(_, version)| version.clone()),
        category: finding.category.as_str().to_owned(),
        check_name: finding.check.clone(),
        severity: word(finding.severity).to_owned(),
        status: if finding.passed { "PASSED" } else { "FAILED" }.to_owned(),
        failed_rows: count(finding.failed_rows),
        total_rows: count(finding.total_rows),
        details_json: json!({ "message": finding.details }).to_string(),
        sample_failures_json: (!finding.samples.is_empty()).then(|| json!(finding.samples).to_string()),
    }
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn | Severity::Skip => "warn",
    }
}

/// What it means that evidence could not be written.
fn unwritten(pipeline: &Pipeline, error: PipelineError) -> Result<Option<String>, PipelineError> {
    let message =
        format!("findings about the data could not be recorded: {}", error.message_for(&pipeline.table));
    match pipeline.observability.write_failure {
        Severity::Error => Err(PipelineError::failed(FaultKind::Storage, &pipeline.table, message)),
        Severity::Warn | Severity::Skip => Ok(Some(message)),
    }
}
