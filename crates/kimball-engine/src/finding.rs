//! What checks of data came to, passed or not: kept for whoever records it.

use std::sync::{Mutex, PoisonError};

use kimball_config::Severity;

/// What one check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The source that was checked; `None` for rows of the table itself.
    pub source: Option<String>,
    /// The contract that asks for it, with its version.
    pub contract: Option<(String, String)>,
    /// What kind of check it was.
    pub category: Category,
    /// Which one.
    pub check: String,
    /// What a failure means.
    pub severity: Severity,
    /// Whether it holds.
    pub passed: bool,
    /// Rows that fail, where rows were looked at.
    pub failed_rows: Option<u64>,
    /// Rows that were looked at.
    pub total_rows: Option<u64>,
    /// What was found, in words.
    pub details: String,
    /// Some failing rows, as far as they may be shown.
    pub samples: Vec<String>,
}

/// Kinds of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Columns and types of a source.
    ContractSchema,
    /// The change feed and the primary key of a source.
    ContractCdc,
    /// The age of a source.
    Freshness,
    /// Rules for rows of a source.
    SourceQuality,
    /// Events that come too late.
    LateEvent,
    /// Events that come in the wrong order.
    OutOfOrderEvent,
    /// The `tests` of a pipeline.
    Test,
}

impl Category {
    /// As it is written into events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContractSchema => "contract_schema",
            Self::ContractCdc => "contract_cdc",
            Self::Freshness => "freshness",
            Self::SourceQuality => "source_quality",
            Self::LateEvent => "late_event",
            Self::OutOfOrderEvent => "out_of_order_event",
            Self::Test => "test",
        }
    }
}

/// The findings of one batch.
#[derive(Debug, Default)]
pub struct Findings(Mutex<Vec<Finding>>);

impl Findings {
    /// Keeps a finding.
    pub(crate) fn add(&self, finding: Finding) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// Checks of this kind are about to be made, perhaps again, as the batch is computed anew.
    pub(crate) fn forget(&self, category: Category) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|finding| finding.category != category);
    }

    /// All findings, in the order in which they were made.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failing one of some checks as the errors and warnings of a batch: what refuses it, and what is only told.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    failed: Vec<(String, Vec<String>)>,
    pub(crate) warnings: Vec<String>,
}

impl Verdicts {
    /// Takes a failed check in.
    pub(crate) fn take(&mut self, severity: Severity, rule: String, offenders: Vec<String>) {
        match severity {
            Severity::Error => self.failed.push((rule, offenders)),
            Severity::Warn | Severity::Skip if offenders.is_empty() => self.warnings.push(rule),
            Severity::Warn | Severity::Skip => {
                self.warnings.push(format!("{rule}: {}", offenders.join("; ")));
            }
        }
    }

    /// The warnings, or the error; `what` are several failed ones called.
    pub(crate) fn judge(mut self, what: &str) -> Result<Vec<String>, crate::EngineError> {
        match self.failed.len() {
            0 => Ok(self.warnings),
            1 => {
                let (rule, offenders) = self.failed.swap_remove(0);
                Err(crate::EngineError::quality(rule, offenders))
            }
            count => {
                let line = |(rule, offenders): &(String, Vec<String>)| match offenders.is_empty() {
                    true => format!("\n  {rule}"),
                    false => format!("\n  {rule}: {}", offenders.join("; ")),
                };
                let lines: String = self.failed.iter().map(line).collect();
                Err(crate::EngineError::quality(format!("{count} {what} failed:{lines}"), Vec::new()))
            }
        }
    }
}
