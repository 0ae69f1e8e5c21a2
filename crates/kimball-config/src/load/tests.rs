#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
use std::fs;

use super::*;
use crate::model::*;

mod companions;

mod fingerprints;
mod hostile;
mod messages;
mod references;
mod rendering;

/// A folder with files, and a request for all of `configs`.
fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, LoadRequest) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let request = LoadRequest {
        configs: vec!["configs".to_owned()],
        working_dir: folder.path().to_path_buf(),
        ..LoadRequest::default()
    };
    (folder, request)
}

/// `file:line: message` of each problem.
fn shown(outcome: &LoadOutcome) -> Vec<String> {
    let place = |problem: &Problem| {
        let file = problem.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        let line = problem.location.as_ref().map(|location| location.line).unwrap_or_default();
        format!("{file}:{line}: {}", problem.message)
    };
    outcome.problems.iter().map(place).collect()
}

const DIM_CUSTOMER: &str = "\
# {{ target.gold_schema }} holds the customers
table_name: {{ target.gold_schema }}.dim_customer
table_type: dimension
scd_type: 2
keys:
  surrogate_key: customer_sk
  natural_keys: [customer_id]
surrogate_key_strategy: hash
effective_at: updated_at
track_history_columns: [first_name, last_name, email, address]
default_rows:
  -1: \"Unknown\"
  -2: \"N/A\"
sources:
  - name: {{ target.silver_schema }}.customers
    alias: c
    cdc_strategy: cdf
    primary_keys: [customer_id]  # for CDF deduplication
transformation_sql: |
  -- the latest customers
  SELECT
    c.customer_id,
    c.first_name,
    c.updated_at
  FROM c
audit_columns: true
";

const DIM_PRODUCT: &str = "\
table_name: {{ target.gold_schema }}.dim_product
table_type: dimension
scd_type: 1
surrogate_key: product_sk
natural_keys: [product_id]
sources:
  - name: {{ target.silver_schema }}.products
    alias: p
    cdc_strategy: cdf
delete_strategy: soft
";

const DIM_DATE: &str = "\
table_name: {{ target.gold_schema }}.dim_date
table_type: dimension
keys: {surrogate_key: date_sk, natural_keys: [date_id]}
sources:
  - name: calendar
    format: csv
    path: data/calendar.csv
    options: {header: yes, SEP: ';'}
table_description: >
  One row a day.
";

const FACT_SALES: &str = "\
table_name: {{ target.gold_schema }}.fact_sales
table_type: fact
merge_keys: [order_item_id]
depends_on:
  - {{ target.gold_schema }}.dim_customer
foreign_keys:
  - column: customer_sk
    references: {{ target.gold_schema }}.dim_customer
    dimension_key: customer_sk
    lookup:
      source_columns: [customer_id]
      event_time: order_date
      not_applicable_when: customer_id < 0
  - column: product_sk
    references: {{ target.gold_schema }}.dim_product
sources:
  - {name: \"{{ target.silver_schema }}.order_items\", alias: oi, primary_keys: [order_item_id]}
  - {name: \"{{ target.silver_schema }}.orders\", alias: o}
  - {name: \"{{ target.gold_schema }}.dim_product\", alias: p, cdc_strategy: full}
transformation_sql: |
  SELECT oi.order_item_id, o.customer_id, p.product_sk, o.order_date, oi.quantity
  FROM oi
  JOIN o ON oi.order_id = o.order_id
  LEFT JOIN p ON oi.product_id = p.product_id
";

const FACT_INVENTORY: &str = "\
table_name: {{ target.gold_schema }}.fact_inventory
table_type: fact
merge_keys: [snapshot_date, product_id]
append_only: true
fact_pattern: transaction
grain: one stock movement
measures:
  - {name: quantity, aggregation: sum, additivity: additive}
sources:
  - name: {{ target.silver_schema }}.movements
    cdc_strategy: append
";

const TARGETS: &str = "\
version: 1
targets:
  dev: {catalog: workspace, silver_schema: silver, gold_schema: gold, etl_schema: ops, warehouse: lake}
  prod: {silver_schema: p_silver, gold_schema: p_gold, etl_schema: p_ops, warehouse: 's3://bucket/lake'}
";

fn guide_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("kimball.targets.yml", TARGETS),
        ("configs/dim_customer.yml", DIM_CUSTOMER),
        ("configs/dims/dim_product.yaml", DIM_PRODUCT),
        ("configs/dims/dim_date.yml", DIM_DATE),
        ("configs/facts/fact_sales.yml", FACT_SALES),
        ("configs/facts/fact_inventory.yml", FACT_INVENTORY),
        ("configs/notes.txt", "no pipeline"),
    ]
}

#[test]
fn a_pipeline_says_how_rows_are_taken_out_or_else_its_target() {
    let strategies = |targets: &str| {
        let copying = format!("{DIM_CUSTOMER}merge_strategy: copy_on_write\n");
        let files = [
            ("kimball.targets.yml", targets),
            ("configs/a.yml", copying.as_str()),
            ("configs/b.yml", DIM_PRODUCT),
            ("configs/c.yml", DIM_DATE),
        ];
        let (_folder, request) = project(&files);
        let project = load_project(&request).project.unwrap();
        project.pipelines.iter().map(|pipeline| pipeline.merge_strategy).collect::<Vec<_>>()
    };
    use MergeStrategy::{CopyOnWrite, MergeOnRead};
    assert_eq!(strategies(TARGETS), [CopyOnWrite, MergeOnRead, MergeOnRead]);
    let all = TARGETS.replace("{catalog: workspace", "{merge_strategy: copy_on_write, catalog: workspace");
    assert_ne!(all, TARGETS);
    assert_eq!(strategies(&all), [CopyOnWrite; 3]);
}

#[test]
fn the_example_project_of_the_guide_loads() {
    let (folder, request) = project(&guide_files());
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    let project = outcome.project.unwrap();
    let names: Vec<_> = project.pipelines.iter().map(|pipeline| pipeline.table.to_string()).collect();
    assert_eq!(
        names,
        ["gold.dim_customer", "gold.dim_date", "gold.dim_product", "gold.fact_inventory", "gold.fact_sales"]
    );
    assert_eq!(project.target.name, "dev");
    assert_eq!(project.target.etl_schema, "ops");
    assert_eq!(project.target.warehouse, folder.path().join("lake").display().to_string());
    assert_eq!(project.target.base_dir, folder.path());

    let customer = &project.pipelines[0];
    assert_eq!(customer.config_path, Path::new("configs/dim_customer.yml"));
    assert_eq!(customer.transformation.as_ref().unwrap().line, 20);
    assert!(customer.missing.close);
    assert_eq!(customer.notes, Vec::<String>::new());
    let TableKind::Dimension(dimension) = &customer.kind else { panic!("no dimension") };
    assert_eq!(dimension.natural_keys, ["customer_id"]);
    assert_eq!(dimension.member_labels.get(&-1).unwrap(), "Unknown");
    let Scd::Type2(history) = &dimension.scd else { panic!("no history") };
    assert_eq!(history.effective_at.as_deref(), Some("updated_at"));

    let date = &project.pipelines[1];
    assert_eq!(date.description.as_deref(), Some("One row a day."));
    let SourceLocation::Files { format, path, options } = &date.sources[0].location else {
        panic!("no files")
    };
    assert_eq!(*format, FileFormat::Csv);
    assert_eq!(*path, folder.path().join("data/calendar.csv").display().to_string());
    assert_eq!(options.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["header=true", "sep=;"]);
    assert_eq!(date.sources[0].strategy, CdcStrategy::Full);

    let sales = &project.pipelines[4];
    assert!(!sales.missing.close);
    assert_eq!(sales.notes, Vec::<String>::new());
    let TableKind::Fact(fact) = &sales.kind else { panic!("no fact") };
    let lookup = fact.foreign_keys[0].lookup.as_ref().unwrap();
    assert_eq!(lookup.dimension_columns, ["customer_id"]);
    assert_eq!(lookup.invalid_action, InvalidAction::Error);
    assert_eq!(lookup.early_arriving, EarlyArriving::Skeleton);
    assert!(lookup.detect_fanout);
}

#[test]
fn the_flag_goes_before_the_target_and_the_target_before_the_environment() {
    let plain = "table_name: gold.dim\ntable_type: dimension\nsurrogate_key: sk\nnatural_keys: id\nsources: [{name: s.t}]\n";
    let (folder, mut request) = project(&[("configs/dim.yml", plain)]);
    let in_folder = |name: &str| folder.path().join(name).display().to_string();
    let target = |request: &LoadRequest| {
        let target = load_project(request).project.unwrap().target;
        (target.name, target.warehouse, target.etl_schema)
    };
    let expect =
        |name: &str, warehouse: String, schema: &str| (name.to_owned(), warehouse, schema.to_owned());
    assert_eq!(target(&request), expect("default", in_folder("warehouse"), "gold"));
    request.environment = [("KIMBALL_WAREHOUSE", "env_lake"), ("KIMBALL_ETL_SCHEMA", "env_ops")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    assert_eq!(target(&request), expect("default", in_folder("env_lake"), "env_ops"));
    fs::create_dir(folder.path().join("env")).unwrap();
    fs::write(folder.path().join("env/targets.yml"), TARGETS).unwrap();
    request.targets_file = Some("env/targets.yml".into());
    assert_eq!(target(&request), expect("dev", in_folder("env/lake"), "ops"));
    request.target = Some("prod".to_owned());
    assert_eq!(target(&request), expect("prod", "s3://bucket/lake".to_owned(), "p_ops"));
    request.warehouse = Some("flag_lake".to_owned());
    request.etl_schema = Some("flag_ops".to_owned());
    assert_eq!(target(&request), expect("prod", in_folder("flag_lake"), "flag_ops"));
}

#[test]
fn all_problems_of_all_files_are_reported_in_one_go() {
    let (_folder, request) = project(&[
        ("configs/a.yml", "tabel_name: gold.a\ntable_type: dimensoin\nsources: []\n"),
        ("configs/b.yml", "table_name: gold.b\ntable_type: fact\nsources: [{name: s.t}]\nmystery: 1\n"),
        ("configs/c.yml", "a: [1\nb: 2\n"),
        ("configs/d.yml", "table_name: {{ nope }}\nother: {{ also.nope }}\n"),
        ("configs/e.yml", ""),
        (
            "configs/f.yml",
            "table_name: gold.f\ntable_type: dimension\nkeys: {surrogate_key: sk, natural_keys: [id]}\nsources: [{name: s.t}]\n",
        ),
    ]);
    let outcome = load_project(&request);
    assert!(outcome.project.is_none());
    let shown = shown(&outcome);
    let expected = [
        "configs/a.yml:1: unknown key `tabel_name` in a pipeline",
        "configs/a.yml:2: `table_type` must be `dimension` or `fact`, found `dimensoin`",
        "configs/a.yml:3: `sources` needs one source at least",
        "configs/b.yml:2: a fact needs `merge_keys`",
        "configs/b.yml:4: unknown key `mystery` in a pipeline",
        "configs/c.yml:1: this is not YAML: this `[` is not closed",
        "configs/d.yml:1: `nope` is not defined",
        "configs/d.yml:2: `also.nope` is not defined",
        "configs/e.yml:1: this file is empty",
    ];
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown} is not {expected}");
    }
}

#[test]
fn two_files_for_one_table_are_an_error_at_both() {
    let same = "table_name: gold.dim\ntable_type: dimension\nsurrogate_key: sk\nnatural_keys: id\nsources: [{name: s.t}]\n";
    let (_folder, request) = project(&[
        ("configs/a.yml", same),
        ("configs/b.yml", "# moved\ntable_name: other.gold.dim\nbroken: 1\n"),
    ]);
    let shown = shown(&load_project(&request));
    assert!(
        shown
            .contains(&"configs/a.yml:1: the table `gold.dim` is also written by `configs/b.yml`".to_owned())
    );
    assert!(
        shown
            .contains(&"configs/b.yml:2: the table `gold.dim` is also written by `configs/a.yml`".to_owned())
    );
}

#[test]
fn the_dimension_that_a_foreign_key_names_has_to_fit() {
    let fact = FACT_SALES.replace("dimension_key: customer_sk", "dimension_key: customer_key");
    let fact =
        fact.replace("references: {{ target.gold_schema }}.dim_product", "references: gold.fact_inventory");
    let product = DIM_PRODUCT.replace("delete_strategy: soft", "delete_strategy: hard");
    let mut files = guide_files();
    files.retain(|(name, _)| !name.contains("sales") && !name.contains("dim_product"));
    files.push(("configs/facts/fact_sales.yml", &fact));
    files.push(("configs/dims/dim_product.yaml", &product));
    let hard = FACT_INVENTORY
        .replace("measures:", "foreign_keys: [{column: p, references: gold.dim_product}]\nmeasures:");
    files.retain(|(name, _)| !name.contains("inventory"));
    files.push(("configs/facts/fact_inventory.yml", &hard));
    let (_folder, request) = project(&files);
    assert_eq!(
        shown(&load_project(&request)),
        [
            "configs/dims/dim_product.yaml:10: `delete_strategy: hard` would leave keys of `gold.fact_inventory` without their member",
            "configs/facts/fact_sales.yml:9: the surrogate key of `gold.dim_customer` is `customer_sk`, not `customer_key`",
            "configs/facts/fact_sales.yml:15: `gold.fact_inventory` is a fact: a foreign key references a dimension",
        ]
    );
}

#[test]
fn a_warning_does_not_stop_the_load() {
    let warned = DIM_CUSTOMER.replace("[first_name,", "[customer_id, first_name,");
    let (_folder, request) = project(&[("kimball.targets.yml", TARGETS), ("configs/a.yml", &warned)]);
    let outcome = load_project(&request);
    assert!(outcome.project.is_some());
    assert_eq!((outcome.errors().count(), outcome.warnings().count()), (0, 1));
}

#[test]
fn a_project_without_its_targets_file_says_what_is_missing() {
    let (_folder, request) = project(&[("configs/a.yml", DIM_PRODUCT)]);
    let outcome = load_project(&request);
    assert_eq!(outcome.problems[0].message, "`target.gold_schema` is not defined");
    assert!(outcome.problems[0].help.is_some());
}

#[test]
fn the_pipelines_of_the_demo_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let request =
        LoadRequest { configs: vec!["configs".to_owned()], working_dir: root, ..LoadRequest::default() };
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    assert!(outcome.project.is_some());
}

#[test]
fn the_pipelines_of_the_documentation_load() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let pipelines: Vec<(String, &str)> = blocks
        .filter(|block| block.starts_with("table_name"))
        .enumerate()
        .map(|(number, block)| (format!("configs/{number}.yml"), block))
        .collect();
    let mut files: Vec<(&str, &str)> = vec![("kimball.targets.yml", TARGETS)];
    files.extend(pipelines.iter().map(|(name, block)| (name.as_str(), *block)));
    let (_folder, request) = project(&files);
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    let loaded = outcome.project.unwrap().pipelines;
    assert_eq!((loaded.len(), pipelines.len()), (3, 3));
    assert!(loaded.iter().all(|pipeline| pipeline.notes.is_empty()));
}
