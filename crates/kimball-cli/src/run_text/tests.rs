//! The text of whole runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball::{EventKind, FaultKind, PipelineStatus};

use super::{Detail, text_of};
use crate::fixture::{event, result, summary, table};

/// The guide's example: three dimensions, two facts, all well.
fn guide() -> Vec<EventKind> {
    let (dimensions, facts) = (["customer", "product", "date"], ["sales", "inventory"]);
    let ends = [("date", 12.3, 365), ("product", 18.5, 1_200), ("customer", 24.1, 50_000)];
    let fact_ends = [("inventory", 45.2, 120_000), ("sales", 62.8, 500_000)];
    let mut story =
        vec![EventKind::RunStarted { pipelines: 5, dimensions: 3, facts: 2, waves: 2, max_workers: 4 }];
    let mut results = Vec::new();
    wave(&mut story, &mut results, (1, "Dimensions", "dim"), &dimensions, &ends);
    wave(&mut story, &mut results, (2, "Facts", "fact"), &facts, &fact_ends);
    story.push(EventKind::RunFinished(Box::new(summary(results, 87.1))));
    story
}

fn wave(
    story: &mut Vec<EventKind>,
    results: &mut Vec<kimball::PipelineResult>,
    (number, label, prefix): (usize, &str, &str),
    starts: &[&str],
    ends: &[(&str, f64, u64)],
) {
    let name = |name: &str| format!("gold.{prefix}_{name}");
    story.push(EventKind::WaveStarted { wave: number, label: label.to_owned(), pipelines: starts.len() });
    for start in starts {
        story.push(EventKind::PipelineStarted {
            wave: number,
            table_name: table(&name(start)),
            table_type: "dimension",
            config_path: "configs/any.yml".into(),
        });
    }
    for (end, duration_seconds, rows) in ends {
        let mut result = result(&name(end), PipelineStatus::Success);
        (result.duration_seconds, result.rows_read, result.rows_written) = (*duration_seconds, *rows, *rows);
        results.push(result.clone());
        story.push(EventKind::PipelineCompleted(Box::new(result)));
    }
    story.push(EventKind::WaveFinished {
        wave: number,
        label: label.to_owned(),
        successful: ends.len(),
        failed: 0,
        skipped: 0,
        duration_seconds: 1.0,
    });
}

/// One failure after a retry, one skip, one pipeline with nothing to do.
fn trouble() -> Vec<EventKind> {
    let mut failed = result("gold.dim_product", PipelineStatus::Failed);
    failed.error_class = Some(FaultKind::Busy);
    failed.error_message = Some("another process holds the table\nsince 10:00".to_owned());
    let mut skipped = result("gold.fact_sales", PipelineStatus::Skipped);
    skipped.skip_reason = Some("needs gold.dim_product, which failed".to_owned());
    let mut idle = result("gold.dim_date", PipelineStatus::Success);
    (idle.up_to_date, idle.duration_seconds) = (true, 0.04);
    let mut one = result("gold.dim_store", PipelineStatus::Success);
    one.rows_written = 1;
    vec![
        EventKind::PipelineRetrying {
            table_name: table("gold.dim_product"),
            attempt: 1,
            delay_seconds: 30.0,
            error_class: FaultKind::Busy,
            error_message: "another process holds the table".to_owned(),
        },
        EventKind::PipelineCompleted(Box::new(idle)),
        EventKind::PipelineWarning {
            table_name: table("gold.dim_store"),
            message: "the configuration changed".to_owned(),
        },
        EventKind::PipelineCompleted(Box::new(one)),
        EventKind::PipelineFailed(Box::new(failed)),
        EventKind::PipelineSkipped(Box::new(skipped)),
    ]
}

fn text(story: Vec<EventKind>, detail: Detail) -> String {
    story.into_iter().map(|kind| text_of(&event(kind), detail)).collect()
}

#[test]
fn a_run_prints_what_the_guide_shows() {
    assert_eq!(
        text(guide(), Detail::Full),
        "\
############################################################
# Kimball Pipeline Executor
# Dimensions: 3, Facts: 2
# Max Workers: 4
############################################################

============================================================
Wave: Dimensions (3 pipelines)
============================================================
  Starting: gold.dim_customer
  Starting: gold.dim_product
  Starting: gold.dim_date
  ✓ Completed: gold.dim_date (12.3s, 365 rows)
  ✓ Completed: gold.dim_product (18.5s, 1200 rows)
  ✓ Completed: gold.dim_customer (24.1s, 50000 rows)

============================================================
Wave: Facts (2 pipelines)
============================================================
  Starting: gold.fact_sales
  Starting: gold.fact_inventory
  ✓ Completed: gold.fact_inventory (45.2s, 120000 rows)
  ✓ Completed: gold.fact_sales (62.8s, 500000 rows)

============================================================
Execution Summary:
  Total Pipelines: 5
  Successful: 5
  Failed: 0
  Skipped: 0
  Total Rows Read: 671,565
  Total Rows Written: 671,565
  Total Duration: 87.1s
============================================================
"
    );
}

#[test]
fn failures_skips_retries_and_warnings_have_lines_of_their_own() {
    assert_eq!(
        text(trouble(), Detail::Full),
        "  ↻ Retrying: gold.dim_product in 30s - attempt 1 failed: another process holds the table
  ✓ Completed: gold.dim_date (0.0s, 0 rows) - up to date
  ! Warning: gold.dim_store - the configuration changed
  ✓ Completed: gold.dim_store (0.0s, 1 rows)
  ✗ Failed: gold.dim_product - another process holds the table
      since 10:00
  ↷ Skipped: gold.fact_sales - needs gold.dim_product, which failed
"
    );
}

#[test]
fn a_quiet_run_prints_what_went_wrong_and_the_summary() {
    let quiet = text([trouble(), guide()].concat(), Detail::Quiet);
    let lines: Vec<&str> = quiet.lines().collect();
    assert!(lines[0].starts_with("  ↻ Retrying"));
    assert!(lines[1].starts_with("  ! Warning"));
    assert!(lines[2].starts_with("  ✗ Failed"));
    assert!(lines[4].starts_with("  ↷ Skipped"));
    assert_eq!(lines[6], "Execution Summary:");
    assert!(!quiet.contains("Completed") && !quiet.contains("Wave"));
}
