//! What must exist before anything is written.

use std::collections::BTreeMap;

use kimball_config::TableName;
use kimball_plan::{ExternalTable, Plan, Reason};

use crate::error::PipelineError;

/// The tables that pipelines point at by a foreign key or `depends_on`, that no pipeline of the plan writes
/// and for which `exists` says no.
///
/// A missing source is not among them: it is the failure of the pipeline that reads it.
pub(crate) async fn missing(
    plan: &Plan,
    exists: impl AsyncFn(&TableName) -> Result<bool, PipelineError>,
) -> Result<Vec<ExternalTable>, PipelineError> {
    let mut asked: BTreeMap<&TableName, bool> = BTreeMap::new();
    let mut missing = Vec::new();
    for external in plan.external() {
        if external.reason == Reason::ReadsSource {
            continue;
        }
        let there = match asked.get(&external.table) {
            Some(there) => *there,
            None => exists(&external.table).await?,
        };
        asked.insert(&external.table, there);
        if !there {
            missing.push(external.clone());
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::cell::RefCell;

    use kimball_plan::Plan;

    use super::missing;
    use crate::fixture::{dimension, fact, table};

    #[tokio::test]
    async fn a_table_that_is_neither_planned_nor_there_is_missing_and_each_is_asked_for_once() {
        let mut declared = dimension("gold.dim_a");
        declared.depends_on = vec![table("gold.dim_there"), table("gold.dim_gone")];
        let plan = Plan::of(&[declared, fact("gold.fact_a", &["gold.dim_a", "gold.dim_gone"])]).unwrap();
        let asked = RefCell::new(Vec::new());

        let missing = missing(&plan, async |table| {
            asked.borrow_mut().push(table.to_string());
            Ok(table.table() == "dim_there")
        })
        .await
        .unwrap();

        let missing: Vec<_> = missing.iter().map(|it| format!("{} {}", it.pipeline, it.table)).collect();
        assert_eq!(missing, ["gold.dim_a gold.dim_gone", "gold.fact_a gold.dim_gone"]);
        let mut asked = asked.into_inner();
        asked.sort();
        assert_eq!(asked, ["gold.dim_gone", "gold.dim_there"]);
    }
}
