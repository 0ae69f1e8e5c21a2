//! What a run must have done, from what it left behind.

use std::fs;

use serde::Deserialize;

use super::folder::DemoFolder;
use crate::error::{Result, TestkitError};
use crate::foreign_reader::latest_version;

/// The tables that `configs/` loads.
pub(super) const TARGETS: [&str; 6] = [
    "gold.dim_customer",
    "gold.dim_date",
    "gold.dim_product",
    "gold.dim_supplier",
    "gold.fact_inventory",
    "gold.fact_sales",
];

/// The part of `target/run_results.json` that the demo looks at.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RunResults {
    #[serde(rename = "total_rows_read")]
    pub(super) rows_read: u64,
    #[serde(rename = "total_rows_written")]
    pub(super) rows_written: u64,
    results: Vec<PipelineResult>,
}

#[derive(Debug, Clone, Deserialize)]
struct PipelineResult {
    table_name: String,
    status: String,
    up_to_date: bool,
}

impl RunResults {
    /// Removes what the last run kept, so that it is not taken for the next one's.
    pub(super) fn forget(folder: &DemoFolder) -> Result<()> {
        let path = folder.run_results();
        if path.exists() { fs::remove_file(&path).map_err(TestkitError::io(&path)) } else { Ok(()) }
    }

    /// Reads what the run that has just ended kept.
    pub(super) fn of_last_run(folder: &DemoFolder) -> Result<Self> {
        let path = folder.run_results();
        let text = fs::read_to_string(&path).map_err(TestkitError::io(&path))?;
        Self::parse(&text).map_err(|error| TestkitError::Step(format!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Demands that every target was loaded.
    pub(super) fn require_success(&self) -> Result<()> {
        let mut tables: Vec<&str> = self.results.iter().map(|result| result.table_name.as_str()).collect();
        tables.sort_unstable();
        if tables != TARGETS {
            return Err(TestkitError::Step(format!("the run was about {tables:?}, not about {TARGETS:?}")));
        }
        self.require("did not succeed", |result| result.status == "SUCCESS")
    }

    /// Demands that nothing was read or written, and that every pipeline says so.
    pub(super) fn require_nothing_done(&self) -> Result<()> {
        if (self.rows_read, self.rows_written) != (0, 0) {
            return Err(TestkitError::Step(format!(
                "{} rows were read and {} written although nothing was new",
                self.rows_read, self.rows_written
            )));
        }
        self.require("was not up to date", |result| result.up_to_date)
    }

    fn require(&self, complaint: &str, holds: impl Fn(&PipelineResult) -> bool) -> Result<()> {
        match self.results.iter().find(|result| !holds(result)) {
            None => Ok(()),
            Some(result) => Err(TestkitError::Step(format!("{} {complaint}", result.table_name))),
        }
    }
}

/// The newest version of each target and of the control table.
pub(super) fn versions(folder: &DemoFolder) -> Result<Vec<(&'static str, u64)>> {
    let mut versions = Vec::new();
    for name in TARGETS.into_iter().chain(["gold.etl_control"]) {
        let version = latest_version(&folder.warehouse(), name)?;
        let version = version.ok_or_else(|| TestkitError::Step(format!("there is no table {name}")))?;
        versions.push((name, version));
    }
    Ok(versions)
}

/// Demands that no table moved.
pub(super) fn require_same_versions(before: &[(&str, u64)], after: &[(&str, u64)]) -> Result<()> {
    match before.iter().zip(after).find(|(before, after)| before != after) {
        None => Ok(()),
        Some(((name, before), (_, after))) => Err(TestkitError::Step(format!(
            "{name} went from version {before} to {after} although nothing was new"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{RunResults, TARGETS, require_same_versions};

    fn results(status: &str, up_to_date: bool, rows_written: u64) -> RunResults {
        let results: Vec<_> = TARGETS
            .iter()
            .map(|table| serde_json::json!({"table_name": table, "status": status, "up_to_date": up_to_date}))
            .collect();
        let all = serde_json::json!({
            "event": "run_finished", "total_rows_read": 0, "total_rows_written": rows_written, "results": results
        });
        RunResults::parse(&all.to_string()).unwrap()
    }

    #[test]
    fn a_run_that_did_nothing_passes_and_one_that_did_something_does_not() {
        assert!(results("SUCCESS", true, 0).require_nothing_done().is_ok());
        assert!(results("SUCCESS", true, 1).require_nothing_done().is_err());
        assert!(results("SUCCESS", false, 0).require_nothing_done().is_err());
    }

    #[test]
    fn a_run_must_load_every_table() {
        assert!(results("SUCCESS", false, 9).require_success().is_ok());
        assert!(results("FAILED", false, 9).require_success().is_err());
        let mut fewer = results("SUCCESS", false, 9);
        fewer.results.pop();
        assert!(fewer.require_success().is_err());
    }

    #[test]
    fn a_table_that_moved_is_named() {
        let error = require_same_versions(&[("a", 1), ("b", 2)], &[("a", 1), ("b", 3)]).unwrap_err();
        assert!(error.to_string().contains("b went from version 2 to 3"));
        assert!(require_same_versions(&[("a", 1)], &[("a", 1)]).is_ok());
    }
}
