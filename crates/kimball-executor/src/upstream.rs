//! What must exist before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use kimball_config::{TableName, nearest};
use kimball_plan::{ExternalTable, Plan, Reason};

use crate::error::PipelineError;

/// What is found in the place of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The table.
    There,
    /// Nothing.
    Missing {
        /// A table of the warehouse that is called nearly so.
        near: Option<TableName>,
    },
}

/// The tables that pipelines read, point at by a foreign key or name in `depends_on`, that no pipeline of the plan writes
/// and that `look` does not find. All are looked for at the same time.
///
/// Each with the table that is called nearly so, if there is one. Sources outside the warehouse are not among them: a path
/// that leads nowhere is the failure of the pipeline that reads it.
pub(crate) async fn missing(
    plan: &Plan,
    look: impl AsyncFn(&TableName) -> Result<Presence, PipelineError>,
) -> Result<Vec<ExternalTable>, PipelineError> {
    let is_source_alone = |table: &TableName| {
        let mut needed = plan.external().iter().filter(|external| external.table == *table);
        needed.all(|external| external.reason == Reason::ReadsSource)
    };
    let tables: BTreeSet<&TableName> = plan.external().iter().map(|external| &external.table).collect();
    let looks = tables.into_iter().map(|table| {
        let found = look(table);
        async move { (table, found.await) }
    });
    let mut gone: BTreeMap<&TableName, Option<TableName>> = BTreeMap::new();
    for (table, found) in join_all(looks).await {
        match found {
            Ok(Presence::There) => {}
            Ok(Presence::Missing { near }) => {
                gone.insert(table, near);
            }
            // The pipeline that reads it sees for itself, and is tried again where that may help.
            Err(error) if is_source_alone(table) => {
                tracing::debug!(%table, %error, "a source could not be looked for");
            }
            Err(error) => return Err(error),
        }
    }
    let missing = plan.external().iter().filter_map(|external| {
        let stored = gone.get(&external.table)?.clone();
        let near = match external.reason {
            Reason::ReadsSource => stored.or_else(|| near(plan, external)),
            _ => near(plan, external).or(stored),
        };
        Some(ExternalTable { near, ..external.clone() })
    });
    Ok(missing.collect())
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

    use kimball_config::TableName;
    use kimball_plan::{ExternalTable, Plan};
    use kimball_retry::FaultKind;

    use super::{Presence, missing};
    use crate::error::PipelineError;
    use crate::fixture::{dimension, fact, table};

    const NOWHERE: Presence = Presence::Missing { near: None };

    /// The pipeline, the table and the one that may be meant.
    fn told(missing: &[ExternalTable]) -> Vec<String> {
        let near =
            |it: &ExternalTable| it.near.as_ref().map(|near| format!(" ({near}?)")).unwrap_or_default();
        missing.iter().map(|it| format!("{} {}{}", it.pipeline, it.table, near(it))).collect()
    }

    #[tokio::test]
    async fn a_table_that_is_neither_planned_nor_there_is_missing_and_each_is_asked_for_once() {
        let mut declared = dimension("gold.dim_a");
        declared.depends_on = vec![table("gold.dim_there"), table("gold.dim_gone")];
        let plan = Plan::of(&[declared, fact("gold.fact_a", &["gold.dim_a", "gold.dim_gone"])]).unwrap();
        let asked = RefCell::new(Vec::new());

        let missing = missing(&plan, async |table| {
            asked.borrow_mut().push(table.to_string());
            Ok(if table.table() == "dim_gone" { NOWHERE } else { Presence::There })
        })
        .await
        .unwrap();

        assert_eq!(told(&missing), ["gold.dim_a gold.dim_gone", "gold.fact_a gold.dim_gone"]);
        let mut asked = asked.into_inner();
        asked.sort();
        assert_eq!(asked, ["gold.dim_gone", "gold.dim_there", "silver.dim_a", "silver.fact_a"]);
    }

    #[tokio::test]
    async fn a_source_that_is_not_there_is_missing_unless_a_pipeline_of_the_plan_writes_it() {
        // The fact reads what it writes.
        let mut writer = dimension("silver.fact_a");
        writer.sources = dimension("gold.dim_b").sources;
        let plan = Plan::of(&[writer, fact("gold.fact_a", &[])]).unwrap();
        let missing = missing(&plan, async |table| {
            Ok(if table.table() == "dim_b" { NOWHERE } else { Presence::There })
        })
        .await
        .unwrap();
        assert_eq!(told(&missing), ["silver.fact_a silver.dim_b"]);
    }

    #[tokio::test]
    async fn a_missing_table_is_told_from_one_that_is_called_nearly_so() {
        let mut misspelled = fact("gold.fact_a", &["gold.dim_custmer"]);
        misspelled.depends_on =
            vec![table("golf.dim_customer"), table("gold.fact_aa"), table("gold.dim_other")];
        let plan = Plan::of(&[misspelled, dimension("gold.dim_customer")]).unwrap();
        let missing = missing(&plan, async |table| {
            let near = (table.schema() == "silver").then(|| self::table("silver.customers"));
            Ok(Presence::Missing { near })
        })
        .await
        .unwrap();
        assert_eq!(
            told(&missing),
            [
                "gold.dim_customer silver.dim_customer (silver.customers?)",
                "gold.fact_a gold.dim_custmer (gold.dim_customer?)",
                "gold.fact_a gold.dim_other",
                "gold.fact_a gold.fact_aa",
                "gold.fact_a golf.dim_customer (gold.dim_customer?)",
                "gold.fact_a silver.fact_a (silver.customers?)",
            ]
        );
    }

    #[tokio::test]
    async fn a_source_that_cannot_be_looked_for_is_left_to_its_pipeline_and_another_table_is_an_error() {
        let failed = |table: &TableName| PipelineError::failed(FaultKind::Transient, table, "timed out");
        let alone = Plan::of(&[dimension("gold.dim_a")]).unwrap();
        assert_eq!(missing(&alone, async |table| Err(failed(table))).await.unwrap(), []);
        let pointing = Plan::of(&[fact("gold.fact_a", &["gold.dim_a"])]).unwrap();
        let refused = missing(&pointing, async |table| Err(failed(table))).await;
        assert!(matches!(refused, Err(PipelineError::Failed { kind: FaultKind::Transient, .. })));
    }
}
