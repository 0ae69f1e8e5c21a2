//! What must exist before anything is written.

use std::collections::BTreeMap;

use kimball_config::{TableName, nearest};
use kimball_plan::{ExternalTable, Plan, Reason};

use crate::error::PipelineError;

/// The tables that pipelines point at by a foreign key or `depends_on`, that no pipeline of the plan writes
/// and for which `exists` says no.
///
/// Each with the table of the plan that is called nearly so, if there is one.
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
            missing.push(ExternalTable { near: near(plan, external), ..external.clone() });
        }
    }
    Ok(missing)
}

/// The table of another pipeline that is called as the missing one, in another schema or nearly.
fn near(plan: &Plan, missing: &ExternalTable) -> Option<TableName> {
    let wanted = missing.table.table();
    let others = || plan.pipelines().map(|other| &other.table).filter(|other| **other != missing.pipeline);
    let called = |name: &str| others().find(|other| other.table() == name).cloned();
    called(wanted).or_else(|| called(nearest(wanted, others().map(TableName::table))?))
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

    #[tokio::test]
    async fn a_missing_table_is_told_from_one_that_is_called_nearly_so() {
        let mut misspelled = fact("gold.fact_a", &["gold.dim_custmer"]);
        misspelled.depends_on =
            vec![table("golf.dim_customer"), table("gold.fact_aa"), table("gold.dim_other")];
        let plan = Plan::of(&[misspelled, dimension("gold.dim_customer")]).unwrap();
        let missing = missing(&plan, async |_| Ok(false)).await.unwrap();
        let near = missing.iter().map(|it| (it.table.to_string(), it.near.as_ref().map(ToString::to_string)));
        let customer = || Some("gold.dim_customer".to_owned());
        assert_eq!(
            near.collect::<Vec<_>>(),
            [
                ("gold.dim_custmer".to_owned(), customer()),
                ("gold.dim_other".to_owned(), None),
                ("gold.fact_aa".to_owned(), None),
                ("golf.dim_customer".to_owned(), customer()),
            ]
        );
    }
}
