//! How a plan is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball_plan::Plan;
use kimball_retry::FaultKind;
use serde_json::json;

use super::{DryRun, Foresight};
use crate::fixture::{dimension, fact, table};
use crate::outcome::{PipelinePreview, PreviewMode, SourceVersions};

fn versions(name: &str, alias: &str, from: Option<i64>, to: Option<i64>) -> SourceVersions {
    SourceVersions { name: name.to_owned(), alias: alias.to_owned(), from_version: from, to_version: to }
}

fn preview(mode: PreviewMode, query: &str, sources: Vec<SourceVersions>) -> Foresight {
    let is_first = mode == PreviewMode::FirstLoad;
    Foresight::Preview(PipelinePreview {
        mode,
        query: query.to_owned(),
        sources,
        expected_rows: is_first.then_some(1_250_000),
        added_columns: if is_first { Vec::new() } else { vec!["channel string".to_owned()] },
        closes: is_first.then(|| "rows that are gone would be closed".to_owned()),
        notes: Vec::new(),
    })
}

fn dry_run() -> DryRun {
    let mut sales = fact("gold.fact_sales", &["gold.dim_date", "gold.dim_gone"]);
    sales.depends_on = vec![table("gold.dim_customer")];
    let plan = Plan::of(&[dimension("gold.dim_date"), dimension("gold.dim_customer"), sales]).unwrap();
    let customers = vec![versions("silver.customers", "c", None, Some(12))];
    let orders = vec![
        versions("silver.orders", "orders", Some(3), Some(9)),
        versions("silver.lines", "lines", Some(4), Some(4)),
        versions("silver.prices", "prices", None, None),
    ];
    let unknown = Foresight::Unknown {
        kind: FaultKind::MissingTable,
        message: "silver.dates does not exist".to_owned(),
    };
    DryRun {
        previews: [
            (
                table("gold.dim_customer"),
                preview(PreviewMode::FirstLoad, "row-wise over one feed", customers),
            ),
            (table("gold.dim_date"), unknown),
            (
                table("gold.fact_sales"),
                preview(PreviewMode::Incremental, "recomputed for affected keys", orders),
            ),
        ]
        .into(),
        notes: [(table("gold.dim_date"), vec!["`audit_columns` has no effect".to_owned()])].into(),
        missing: plan.external().iter().filter(|it| it.table.table() == "dim_gone").cloned().collect(),
        plan,
        max_workers: 4,
    }
}

#[test]
fn a_plan_prints_the_waves_with_places_configs_and_versions() {
    assert_eq!(
        dry_run().to_string(),
        "\
############################################################
# Kimball Execution Plan
# Dimensions: 2, Facts: 1
# Max Workers: 4
############################################################

============================================================
Wave: Dimensions (2 pipelines)
============================================================
  gold.dim_customer (configs/dim_customer.yml)
    wave 1: needs no other pipeline
    first load: row-wise over one feed
    reads silver.customers as c, whole, at version 12
    expects about 1,250,000 rows
    rows that are gone would be closed
  gold.dim_date (configs/dim_date.yml)
    wave 1: needs no other pipeline
    cannot be foreseen: MissingTableError: silver.dates does not exist
    note: `audit_columns` has no effect

============================================================
Wave: Facts (1 pipelines)
============================================================
  gold.fact_sales (configs/fact_sales.yml)
    wave 2: after gold.dim_customer (depends_on), gold.dim_date (foreign key dim_date_key)
    incremental: recomputed for affected keys
    reads silver.orders, after version 3 up to 9
    reads silver.lines, nothing new since version 4
    reads silver.prices, which does not exist yet
    adds channel string

3 pipelines in 2 waves; nothing was run."
    );
}

#[test]
fn a_missing_table_is_told_with_who_needs_it_and_why() {
    assert_eq!(
        dry_run().obstacle().unwrap(),
        "gold.fact_sales needs gold.dim_gone (foreign key dim_gone_key), which no pipeline of this run writes \
         and the warehouse does not hold\n --> configs/fact_sales.yml\n  = help: load it first, or add its configuration"
    );
}

#[test]
fn the_json_of_a_plan_holds_the_preview_of_each_pipeline() {
    let plan = dry_run().to_json();
    let [customer, date] = &plan["waves"][0]["pipelines"].as_array().unwrap()[..] else { panic!("{plan}") };
    assert_eq!(customer["preview"]["mode"], "first_load");
    assert_eq!(
        customer["preview"]["sources"],
        json!([{"name": "silver.customers", "alias": "c", "from_version": null, "to_version": 12}])
    );
    assert_eq!(date["error_class"], "MissingTableError");
    assert_eq!(date["notes"], json!(["`audit_columns` has no effect"]));
    assert_eq!(plan["missing"][0]["table_name"], "gold.dim_gone");
}
