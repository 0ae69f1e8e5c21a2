#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const HEAD: &str = "name: n\nrule: [semantics 1]\nconfigs: {}\n";

fn parse(steps: &str) -> Result<Scenario> {
    Scenario::parse(&format!("{HEAD}{steps}"), Path::new("s.yaml"))
}

#[test]
fn short_and_long_forms_are_read() {
    let text = "\
sources:
  silver.a: id bigint
  silver.b: {columns: id bigint, change_feed: false, partition_by: [id]}
steps:
  - files:
      a.csv: |
        id
      b.parquet: {columns: id bigint, rows: \"id\\n1\"}
    run: {at: 2024-01-01}
    expect:
      gold.x: {rows_read: 3, message: [a, b]}
      gold.y: {warning: w}
    tables:
      gold.x: &rows |
        id
        1
      gold.y: *rows
      gold.z: {rows: id, defaults: true}
";
    let scenario = parse(text).unwrap();
    let step = &scenario.steps[0];
    assert!(matches!(&scenario.sources["silver.a"], SourceSpec::Columns(columns) if columns == "id bigint"));
    assert!(matches!(&scenario.sources["silver.b"], SourceSpec::Table(table) if !table.change_feed));
    assert!(matches!(&step.files["b.parquet"], FileSpec::Parquet(parquet) if parquet.rows == "id\n1"));
    assert_eq!(step.run.as_ref().unwrap().at.as_deref(), Some("2024-01-01"));
    assert_eq!(step.expect["gold.x"].message.as_ref().unwrap().all(), ["a", "b"]);
    assert_eq!(step.expect["gold.y"].warning.as_ref().unwrap().all(), ["w"]);
    assert!(matches!(&step.tables["gold.y"], TableExpect::Rows(rows) if rows == "id\n1\n"));
    assert!(matches!(&step.tables["gold.z"], TableExpect::Table(table) if table.defaults));
}

#[test]
fn what_a_scenario_cannot_mean_is_refused() {
    for (steps, message) in [
        ("steps: [{expect: {gold.x: {}}}]", "need a `run`"),
        ("steps: [{run: {}, refused: a, expect: {gold.x: {}}}]", "refused has no pipelines"),
        ("steps: [{write: {silver.a: [{at: 2024-01-01}]}}]", "exactly one verb"),
        ("steps: [{wirte: {}}]", "wirte"),
        ("steps: [{tables: {gold.x: \"a | b\\n1\"}}]", "gold.x: table text, line 2"),
    ] {
        let error = parse(steps).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error =
        Scenario::parse("name: n\nrule: []\nconfigs: {}\nsteps: []", Path::new("s.yaml")).unwrap_err();
    assert!(error.to_string().contains("names its rule"));
}
