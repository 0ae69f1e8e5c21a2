//! The guide's example project, as its readers would run it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::command::{Ended, result_of};
use crate::project::{CONTROL, Project};
use crate::shop;

/// The guide's section "Example Output", word for word.
const EXAMPLE_OUTPUT: &str = "\
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
";

/// The lines of a run with every table called alike and every number written alike.
fn shape(text: &str) -> Vec<String> {
    text.lines().map(line_shape).collect()
}

fn line_shape(line: &str) -> String {
    let mut shape = String::new();
    for word in line.split_inclusive([' ', '(']) {
        let body = word.trim_end_matches([' ', '(']);
        let end = &word[body.len()..];
        let digits = body.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',' || c == '.');
        if body.starts_with("gold.") {
            shape.push_str("TABLE");
        } else if digits.len() < body.len() {
            // A comma behind a number belongs to the sentence.
            let comma = if digits.is_empty() && body.ends_with(',') { "," } else { "" };
            shape.push_str(&format!("N{comma}{digits}"));
        } else {
            shape.push_str(body);
        }
        shape.push_str(end);
    }
    shape
}

/// The newest version of every Delta table in the warehouse.
fn versions(project: &Project) -> BTreeMap<String, u64> {
    let mut versions = BTreeMap::new();
    for schema in ["silver", "gold"] {
        for entry in fs::read_dir(project.warehouse().join(schema)).unwrap() {
            let table = format!("{schema}.{}", entry.unwrap().file_name().to_str().unwrap());
            versions.insert(table.clone(), project.next_version(&table));
        }
    }
    versions
}

#[test]
fn shapes_keep_words_and_forget_names_and_numbers() {
    let line = "  ✓ Completed: gold.dim_date (12.3s, 365 rows)";
    assert_eq!(line_shape(line), "  ✓ Completed: TABLE (Ns, N rows)");
    assert_eq!(line_shape("# Dimensions: 3, Facts: 2"), "# Dimensions: N, Facts: N");
    assert_eq!(line_shape("  Total Rows Read: 671,565"), "  Total Rows Read: N");
}

#[test]
fn the_example_prints_what_the_guide_shows_and_the_third_run_changes_no_log() {
    let project = shop::open();
    let first = project.call(&format!("run {}", shop::FIRST_RUN)).with_code(0);
    assert_eq!(shape(&first.stdout), shape(EXAMPLE_OUTPUT), "{}", first.stdout);
    assert_eq!(first.stderr, "");
    for (table, rows) in [
        ("gold.dim_customer", shop::CUSTOMERS),
        ("gold.dim_product", shop::PRODUCTS),
        ("gold.dim_date", shop::DAYS),
        ("gold.fact_sales", shop::LINES),
        ("gold.fact_inventory", shop::STOCK),
    ] {
        assert!(first.stdout.contains(&format!("  Starting: {table}\n")));
        let completed =
            first.stdout.lines().find(|line| line.starts_with(&format!("  ✓ Completed: {table} (")));
        assert!(
            completed.is_some_and(|line| line.ends_with(&format!("s, {rows} rows)"))),
            "{}",
            first.stdout
        );
    }
    project.require_honest_control();

    shop::second_day(&project);
    let second = project.load(shop::SECOND_RUN);
    assert_eq!(result_of(&second, "gold.fact_inventory")["rows_inserted"], shop::PRODUCTS);
    let before = versions(&project);
    let third = project.call("run").with_code(0).stdout;
    assert_eq!(third.matches("s, 0 rows) - up to date\n").count(), shop::TABLES.len(), "{third}");
    assert!(third.contains("  Total Rows Read: 0\n  Total Rows Written: 0\n"), "{third}");
    assert_eq!(versions(&project), before);
    project.require_honest_control();
}

#[test]
fn a_plan_touches_nothing_whatever_the_state_of_the_warehouse() {
    let project = shop::open();
    let all_plans = |expected: &str| {
        let before = project.files();
        let texts = ["plan", "run --dry-run"].map(|line| {
            let plan = project.call(line).with_code(0);
            assert_eq!(plan.stderr, "");
            plan.stdout
        });
        assert_eq!(texts[0], texts[1]);
        assert!(texts[0].contains(expected), "no `{expected}` in\n{}", texts[0]);
        for table in shop::TABLES {
            assert!(texts[0].contains(table), "{table} is missing in\n{}", texts[0]);
        }
        let json = project.call("plan --format json").with_code(0);
        assert!(
            json.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "{}",
            json.stdout
        );
        let after = project.files();
        let changed: Vec<_> =
            after.iter().filter(|(path, content)| before.get(*path) != Some(content)).collect();
        assert!(after.len() == before.len() && changed.is_empty(), "changed: {changed:?}");
    };
    all_plans("first load");
    assert!(!project.warehouse().join("gold").exists());
    project.load(shop::FIRST_RUN);
    all_plans("up to date");
    shop::second_day(&project);
    all_plans("incremental");
}

#[test]
fn exit_codes_and_streams_are_what_scripts_rely_on() {
    let project = shop::open();
    let loaded = project.call("run").with_code(0);
    assert!(!loaded.stdout.is_empty() && loaded.stderr.is_empty());

    fs::write(project.commit_file("silver.products", 0), "nonsense").unwrap();
    let failed = project.call("run").with_code(1);
    assert!(failed.stdout.contains("  ✗ Failed: gold.dim_product - "), "{}", failed.stdout);
    assert!(failed.stdout.contains("  Failed: 1\n") && failed.stderr.is_empty(), "{}", failed.stderr);

    fs::rename(project.warehouse().join("silver/products"), project.root().join("aside")).unwrap();
    let refused = project.call("run").with_code(2);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("silver.products"), "{refused:?}");

    project.write("configs/dim_date.yml", "table_name: [\n");
    let refused = project.call("run").with_code(2);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("configs/dim_date.yml"), "{refused:?}");
    let misused = project.call("run --on-busy sometimes").with_code(2);
    assert!(misused.stdout.is_empty() && misused.stderr.contains("--on-busy"), "{misused:?}");
}

#[test]
fn the_last_json_line_is_the_whole_summary() {
    let project = shop::open();
    fs::write(project.commit_file("silver.stock", 0), "nonsense").unwrap();
    let ended = project.call(&format!("run --format json --keep-going {}", shop::FIRST_RUN)).with_code(1);
    assert_eq!(ended.stderr, "");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run_id = &lines[0]["run_id"];
    for line in &lines {
        assert_eq!((&line["schema"], &line["run_id"]), (&1.into(), run_id));
        let at = line["at"].as_str().unwrap();
        assert!(at.ends_with('Z') && at.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{at}");
    }
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(
        (events[0], events[1], events[events.len() - 1]),
        ("run_started", "wave_started", "run_finished")
    );
    for (event, count) in
        [("pipeline_started", 5), ("pipeline_completed", 4), ("pipeline_failed", 1), ("wave_finished", 2)]
    {
        assert_eq!(events.iter().filter(|name| **name == event).count(), count, "{events:?}");
    }

    let summary = lines.last().unwrap();
    for (field, value) in [("total_pipelines", 5), ("successful", 4), ("failed", 1), ("skipped", 0)] {
        assert_eq!(summary[field], value, "{field}");
    }
    let sum = |field: &str| -> u64 {
        summary["results"].as_array().unwrap().iter().map(|result| result[field].as_u64().unwrap()).sum()
    };
    assert_eq!(summary["total_rows_read"], sum("rows_read"));
    assert_eq!(summary["total_rows_written"], sum("rows_written"));
    assert!(summary["total_duration_seconds"].as_f64().unwrap() > 0.0);
    require_fields(summary);
    let stock = result_of(summary, "gold.fact_inventory");
    let failed: Vec<_> = project.control().into_iter().filter(|row| row.status == "FAILED").collect();
    assert_eq!(
        failed.iter().map(|row| row.batch_id.as_str().into()).collect::<Vec<Value>>(),
        [stock["batch_id"].clone()]
    );
    let kept = fs::read_to_string(project.root().join("target/run_results.json")).unwrap();
    assert_eq!(kept.trim_end(), ended.stdout.lines().last().unwrap());
}

/// Every field of a result, and what some of them say.
fn require_fields(summary: &Value) {
    for result in summary["results"].as_array().unwrap() {
        let fields = [
            "table_name",
            "table_type",
            "config_path",
            "status",
            "rows_read",
            "rows_written",
            "rows_inserted",
            "rows_updated",
            "rows_deleted",
            "rows_expired",
            "rows_repaired",
            "rows_restated",
            "members_inferred",
            "attempts",
            "duration_seconds",
            "batch_id",
            "error_class",
            "error_message",
            "skip_reason",
            "sources",
            "up_to_date",
        ];
        for field in fields {
            assert!(result.get(field).is_some(), "no {field} in {result}");
        }
    }
    let sales = result_of(summary, "gold.fact_sales");
    for (field, value) in [
        ("table_type", Value::from("fact")),
        ("config_path", "configs/fact_sales.yml".into()),
        ("status", "SUCCESS".into()),
        ("rows_read", (shop::ORDERS + shop::LINES).into()),
        ("rows_written", shop::LINES.into()),
        ("rows_inserted", shop::LINES.into()),
        ("attempts", 1.into()),
        ("error_class", Value::Null),
        ("skip_reason", Value::Null),
    ] {
        assert_eq!(sales[field], value, "{field}");
    }
    assert!(sales["batch_id"].is_string());
    let lines = &sales["sources"][0];
    assert_eq!((&lines["name"], &lines["alias"]), (&"silver.order_lines".into(), &"order_lines".into()));
    assert_eq!((&lines["from_version"], &lines["to_version"]), (&Value::Null, &1.into()));
    let stock = result_of(summary, "gold.fact_inventory");
    assert_eq!((&stock["status"], &stock["error_class"]), (&"FAILED".into(), &"StorageError".into()));
    assert!(stock["error_message"].as_str().unwrap().contains("silver.stock"), "{stock}");
}

/// The guide's section "Handle Partial Failures".
#[test]
fn after_a_partial_failure_the_next_run_skips_what_is_done_and_resumes_what_is_not() {
    let project = shop::open();
    project.load(shop::FIRST_RUN);
    shop::second_day(&project);
    let sound = fs::read_to_string(project.root().join("configs/dim_product.yml")).unwrap();
    project.write("configs/dim_product.yml", &sound.replace("SELECT id AS", "SELECT no_such_column AS"));

    let failed = project.call(&format!("run {}", shop::SECOND_RUN)).with_code(1).stdout;
    assert!(failed.contains("  ✓ Completed: gold.dim_customer ("), "{failed}");
    let message = failed.lines().find(|line| line.starts_with("  ✗ Failed: gold.dim_product - ")).unwrap();
    assert!(message.contains("no_such_column"), "{message}");
    for fact in ["gold.fact_sales", "gold.fact_inventory"] {
        assert!(
            failed.contains(&format!("  ↷ Skipped: {fact} - needs gold.dim_product, which failed\n")),
            "{failed}"
        );
    }
    assert!(failed.contains("  Successful: 2\n  Failed: 1\n  Skipped: 2\n"), "{failed}");
    require_status_of_the_failure(&project);

    project.write("configs/dim_product.yml", &sound);
    let watermark = |source: &str| {
        project
            .control()
            .into_iter()
            .filter(|row| row.source_table == source && row.status == "SUCCESS")
            .filter_map(|row| row.last_processed_version)
            .max()
    };
    let last_success = watermark("silver.products");
    let rerun = project.load(shop::SECOND_RUN);
    assert_eq!(result_of(&rerun, "gold.dim_customer")["up_to_date"], true);
    let product = result_of(&rerun, "gold.dim_product");
    assert_eq!(product["sources"][0]["from_version"].as_i64(), last_success);
    assert_eq!(product["up_to_date"], false);
    // Six prices rise and one product goes; the rest is not read again.
    assert_eq!(
        (&product["rows_updated"], &product["rows_deleted"], &product["rows_inserted"]),
        (&6.into(), &1.into(), &0.into())
    );
    for fact in ["gold.fact_sales", "gold.fact_inventory"] {
        assert_eq!(result_of(&rerun, fact)["up_to_date"], false, "{fact}");
    }
    project.require_honest_control();
    assert!(project.call("status").with_code(0).stdout.ends_with("\n0 running, 0 failed, 6 succeeded\n"));
}

fn require_status_of_the_failure(project: &Project) {
    let status: Ended = project.call("status").with_code(3);
    assert_eq!(status.stderr, "");
    let row = status.stdout.lines().find(|line| line.starts_with("gold.dim_product ")).unwrap();
    assert!(row.contains("silver.products") && row.contains("FAILED"), "{row}");
    assert!(status.stdout.contains("✗ gold.dim_product from silver.products\n"), "{}", status.stdout);
    assert!(status.stdout.contains("no_such_column"), "{}", status.stdout);
    let json = project.call("status --format json").with_code(3).stdout;
    let states: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let product = states.iter().find(|state| state["target_table"] == "gold.dim_product").unwrap();
    assert_eq!((&product["batch_status"], &product["last_processed_version"]), (&"FAILED".into(), &1.into()));
    assert!(product["error_message"].as_str().unwrap().starts_with("SqlError: "), "{product}");
    assert!(project.control().iter().all(|row| row.status != "RUNNING"), "{CONTROL} has an open batch");
}
