//! Conditions leave out row groups and pages, and addresses stay what they are.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;

use super::Lake;

/// Three row groups, whose keys rise.
const ROWS: i64 = 300_000;

fn rows() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("text {row:06}"))));
    RecordBatch::try_from_iter([("id", numbers), ("name", texts)]).unwrap()
}

/// Row groups that a plan left out.
fn pruned(plan: &dyn ExecutionPlan) -> usize {
    let metrics = plan.metrics().unwrap_or_default();
    let own = metrics.iter().filter_map(|metric| match metric.value() {
        MetricValue::PruningMetrics { name, pruning_metrics } if name == "row_groups_pruned_statistics" => {
            Some(pruning_metrics.pruned())
        }
        _ => None,
    });
    own.sum::<usize>() + plan.children().into_iter().map(|child| pruned(child.as_ref())).sum::<usize>()
}

/// Rows that come out of the scan at the bottom of a plan.
fn scanned(plan: &dyn ExecutionPlan) -> usize {
    match plan.children().first() {
        Some(child) => scanned(child.as_ref()),
        None => plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or_default(),
    }
}

#[tokio::test]
async fn a_condition_leaves_out_what_cannot_hold_it_and_every_row_keeps_its_address() {
    let mut lake = Lake::create(&rows(), &[]).await;
    lake.remove("id % 1000 = 7").await;
    let sql = "SELECT id, name, __kimball_file, __kimball_row FROM t WHERE id >= 140000 AND id <= 140009";
    let expected = (140_000..140_010).filter(|id| id % 1000 != 7);
    assert_eq!(
        lake.live(sql).await,
        expected.map(|id| format!("{id}|text {id:06}|0|{id}")).collect::<Vec<_>>()
    );

    let session = SessionContext::new();
    session.register_table("t", Arc::new(lake.table.live_rows().await.unwrap())).unwrap();
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    collect(Arc::clone(&plan), session.task_ctx()).await.unwrap();
    assert_eq!(pruned(plan.as_ref()), 2);
    assert!(scanned(plan.as_ref()) < 10_000, "{} rows are read", scanned(plan.as_ref()));
}

#[tokio::test]
async fn a_condition_on_an_address_is_none_on_the_file() {
    let lake = Lake::create(&rows(), &[]).await;
    let found =
        lake.live("SELECT id FROM t WHERE __kimball_row = 5 AND __kimball_file = 0 AND id < 10").await;
    assert_eq!(found, ["5"]);
}
