//! Contracts of sources: what a batch reads is held against what its supplier promises, before anything is written.
//!
//! Columns, the feed and the age of a source are looked at without reading a row. All rules for rows are judged in one
//! aggregation over the rows that the batch reads, of a feed the images that are true now; only what is to be unique or in
//! order is grouped by itself.

mod order;
mod rows;
mod shape;

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use kimball_config::{Contract, Severity};
use kimball_lake::LakeTable;

pub use order::newest_event_schema;

use crate::finding::{Category, Finding, Findings, Verdicts};
use crate::source::PinnedSource;
use crate::{Batch, EngineError, Reading};

/// What contracts have to say besides errors.
#[derive(Debug, Default)]
pub struct Upheld {
    /// What did not hold and is only told.
    pub warnings: Vec<String>,
    /// The newest event of each key that the batch read, by the source and the name of the contract: what
    /// later events are held against. Rows of [`newest_event_schema`].
    pub newest_events: Vec<(String, String, Vec<RecordBatch>)>,
}

/// One source under its contract.
#[derive(Clone, Copy)]
struct Inspection<'a> {
    batch: &'a Batch<'a>,
    source: &'a PinnedSource,
    contract: &'a Contract,
    findings: &'a Findings,
}

impl Batch<'_> {
    /// Holds all sources against their contracts. `newest` is the table of the newest events so far, where it exists.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] with everything that a contract of severity `error` does not allow.
    pub async fn uphold_contracts(
        &self,
        newest: Option<&LakeTable>,
        findings: &Findings,
    ) -> Result<Upheld, EngineError> {
        let mut upheld = Upheld::default();
        let mut verdicts = Verdicts::default();
        for source in self.sources {
            let Some(contract) = &source.source.contract else { continue };
            let inspection = Inspection { batch: self, source, contract, findings };
            let has_shape = shape::judge(inspection, &mut verdicts).await?;
            inspection.judge_age(&mut verdicts).await?;
            // A column that is missing or of another type makes nonsense of what follows.
            if !has_shape || source.reading()? == Reading::Nothing {
                continue;
            }
            let rows = rows::judge(inspection, &mut verdicts).await?;
            if let Some(events) = order::judge(inspection, &rows, newest, &mut verdicts).await? {
                upheld.newest_events.push((inspection.label(), contract.id.clone(), events));
            }
        }
        upheld.warnings = verdicts.judge("checks of contracts")?;
        Ok(upheld)
    }

    /// Whether all sources are as fresh as their contracts promise: what can fail when nothing new is there.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for a source that is too old.
    pub async fn uphold_freshness(&self, findings: &Findings) -> Result<(), EngineError> {
        let mut verdicts = Verdicts::default();
        for source in self.sources {
            let Some(contract) = &source.source.contract else { continue };
            let inspection = Inspection { batch: self, source, contract, findings };
            inspection.judge_age(&mut verdicts).await?;
        }
        verdicts.judge("checks of contracts").map(drop)
    }
}

impl Inspection<'_> {
    async fn judge_age(self, verdicts: &mut Verdicts) -> Result<(), EngineError> {
        let Some(max_age) = self.contract.max_age else { return Ok(()) };
        let changed = match self.source.table() {
            Some(table) => table.commit_time(table.version()).await?,
            None => self.source.changed_at()?,
        };
        let changed = DateTime::<Utc>::from_timestamp_millis(changed).unwrap_or_default();
        let age = (self.batch.clock - changed).to_std().unwrap_or_default();
        let shown = changed.format("%Y-%m-%d %H:%M:%S UTC");
        let details = format!("the newest change is of {shown}; it may be {} s old", max_age.as_secs());
        self.told(verdicts, Category::Freshness, "max_age", Severity::Error, age <= max_age, details);
        Ok(())
    }

    /// Keeps a check that looked at no rows.
    fn told(
        self,
        verdicts: &mut Verdicts,
        category: Category,
        check: impl Into<String>,
        severity: Severity,
        passed: bool,
        details: String,
    ) {
        self.keep(verdicts, Finding { details, ..self.finding(category, check.into(), severity, passed) });
    }

    fn finding(self, category: Category, check: String, severity: Severity, passed: bool) -> Finding {
        Finding {
            source: Some(self.label()),
            contract: Some((self.contract.id.clone(), self.contract.version.clone())),
            category,
            check,
            severity,
            passed,
            failed_rows: None,
            total_rows: None,
            details: String::new(),
            samples: Vec::new(),
        }
    }

    fn keep(self, verdicts: &mut Verdicts, finding: Finding) {
        if !finding.passed {
            let rule = format!(
                "contract {} of {}: {} - {}",
                self.contract.id, self.source.source.name, finding.check, finding.details
            );
            verdicts.take(finding.severity, rule, finding.samples.clone());
        }
        self.findings.add(finding);
    }

    /// Whether values must not be shown: the pipeline protects columns of its output, and which of the source they are made
    /// of, a query does not say.
    fn has_personal_columns(self) -> bool {
        !self.batch.pipeline.pii.is_empty()
    }

    /// The source as control rows name it: with its alias where another source before it reads the same table.
    fn label(self) -> String {
        let source = &self.source.source;
        let first = self.batch.sources.iter().find(|other| other.source.name == source.name);
        match first.is_some_and(|first| first.source.alias != source.alias) {
            true => format!("{}#{}", source.name, source.alias),
            false => source.name.clone(),
        }
    }

    /// The columns that tell a row, as far as they are known: the primary key.
    fn key(self) -> Vec<String> {
        match self.contract.primary_key.is_empty() {
            true => self.source.source.primary_keys.clone(),
            false => self.contract.primary_key.clone(),
        }
    }
}

/// The rows of an inspection, as tables of one session.
struct Rows {
    session: datafusion::prelude::SessionContext,
    /// The columns of the source.
    columns: Vec<String>,
    /// Whether the rows carry the version that brought them.
    has_versions: bool,
    _feed: Option<Arc<crate::stage::Spool>>,
}
