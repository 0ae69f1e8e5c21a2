//! The block that users read and the object that programs read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use serde_json::json;

use super::{Ending, ExecutionSummary, PipelineResult, PipelineStatus, thousands};
use crate::fixture::{dimension, load_of, summary_of_three};

#[test]
fn a_summary_prints_as_the_block_of_the_guide() {
    assert_eq!(
        summary_of_three().to_string(),
        "\
============================================================
Execution Summary:
  Total Pipelines: 3
  Successful: 1
  Failed: 1
  Skipped: 1
  Total Rows Read: 1,234,567
  Total Rows Written: 1,234,567
  Total Duration: 87.1s
============================================================"
    );
}

#[test]
fn a_comma_stands_between_each_three_digits() {
    let texts = [0, 7, 999, 1_000, 671_565, 1_000_000, u64::MAX].map(thousands);
    assert_eq!(texts, ["0", "7", "999", "1,000", "671,565", "1,000,000", "18,446,744,073,709,551,615"]);
}

#[test]
fn a_summary_serialises_with_exactly_the_promised_fields() {
    assert_eq!(
        serde_json::to_value(summary_of_three()).unwrap(),
        json!({
            "total_pipelines": 3, "successful": 1, "failed": 1, "skipped": 1,
            "total_rows_read": 1_234_567, "total_rows_written": 1_234_567,
            "total_duration_seconds": 87.149, "interrupted": false,
            "results": [
                {
                    "table_name": "gold.dim_date", "table_type": "dimension",
                    "config_path": "configs/dim_date.yml", "status": "SUCCESS",
                    "rows_read": 1_234_567, "rows_written": 1_234_567, "rows_inserted": 1_234_567,
                    "rows_updated": 0, "rows_deleted": 0, "rows_expired": 0, "rows_repaired": 0, "rows_restated": 0,
                    "members_inferred": 0, "up_to_date": false,
                    "attempts": 1, "duration_seconds": 12.345, "batch_id": "b-1",
                    "error_class": null, "error_message": null, "skip_reason": null,
                    "sources": [{"name": "silver.dates", "alias": "dates", "from_version": null, "to_version": 7}],
                },
                {
                    "table_name": "gold.dim_product", "table_type": "dimension",
                    "config_path": "configs/dim_product.yml", "status": "FAILED",
                    "rows_read": 0, "rows_written": 0, "rows_inserted": 0,
                    "rows_updated": 0, "rows_deleted": 0, "rows_expired": 0, "rows_repaired": 0, "rows_restated": 0,
                    "members_inferred": 0, "up_to_date": false,
                    "attempts": 2, "duration_seconds": 1.5, "batch_id": "b-2",
                    "error_class": "DataQualityError", "error_message": "2 rows have no product_id",
                    "skip_reason": null,
                    "sources": [{"name": "silver.products", "alias": "products", "from_version": 3, "to_version": 5}],
                },
                {
                    "table_name": "gold.fact_sales", "table_type": "fact",
                    "config_path": "configs/fact_sales.yml", "status": "SKIPPED",
                    "rows_read": 0, "rows_written": 0, "rows_inserted": 0,
                    "rows_updated": 0, "rows_deleted": 0, "rows_expired": 0, "rows_repaired": 0, "rows_restated": 0,
                    "members_inferred": 0, "up_to_date": false,
                    "attempts": 0, "duration_seconds": 0.0, "batch_id": null,
                    "error_class": null, "error_message": null,
                    "skip_reason": "gold.dim_product failed", "sources": [],
                },
            ],
        })
    );
}

#[test]
fn only_a_summary_without_failures_and_skips_is_a_success() {
    let took = Duration::from_secs(1);
    let loaded = || PipelineResult::loaded(&dimension("gold.a"), load_of(1), 1, took);
    let skipped = || PipelineResult::skipped(&dimension("gold.b"), "the run was interrupted".to_owned());
    assert!(ExecutionSummary::of(vec![loaded()], took, Ending::Complete).is_success());
    assert!(!ExecutionSummary::of(vec![loaded(), skipped()], took, Ending::Interrupted).is_success());
    assert!(!summary_of_three().is_success());
    let failed: Vec<_> = summary_of_three().failures().map(|result| result.status).collect();
    assert_eq!(failed, [PipelineStatus::Failed]);
}
