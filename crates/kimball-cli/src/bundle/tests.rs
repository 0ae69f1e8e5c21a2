//! The jobs that plans become, word for word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball::Plan;
use serde_json::{Value, json};

use super::fixture::{lone, parse, plan, shop};
use super::{json_of, tasks, yaml_of};
use crate::failure::Failure;

mod limits;
mod names;

fn yaml(plan: &Plan, words: &[&str]) -> Result<String, Failure> {
    yaml_of(&tasks::job(plan, "default", &parse(words).unwrap(), 4)?)
}

fn payload(plan: &Plan, words: &[&str]) -> Value {
    let job = tasks::job(plan, "default", &parse(words).unwrap(), 4).unwrap();
    serde_json::from_str(&json_of(&job).unwrap()).unwrap()
}

fn refusal(plan: &Plan, words: &[&str], max_workers: usize) -> String {
    let refused = tasks::job(plan, "default", &parse(words).unwrap(), max_workers);
    match refused.and_then(|job| json_of(&job)) {
        Err(Failure::Obstacle(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wave_becomes_a_for_each_task_after_the_wave_before_and_its_inner_task_is_what_is_tried_again() {
    assert_eq!(
        yaml(&shop(), &[]).unwrap(),
        r#"# Rendered by `kimball bundle`: render it again when pipelines come, go or need others.
bundle:
  name: kimball
resources:
  jobs:
    kimball:
      name: kimball
      tasks:
        - task_key: load_dimensions
          for_each_task:
            inputs: '["configs/dim_customer.yml","configs/dim_date.yml"]'
            concurrency: 2
            task:
              task_key: load_dimensions_iteration
              job_cluster_key: etl_cluster
              max_retries: 3
              min_retry_interval_millis: 30000
              retry_on_timeout: true
              notebook_task:
                notebook_path: /pipelines/run_kimball_pipeline
                base_parameters:
                  config_file: "{{input}}"
        - task_key: load_facts_1
          depends_on:
            - task_key: load_dimensions
          for_each_task:
            inputs: '["configs/fact_sales.yml","configs/fact_stock.yml"]'
            concurrency: 2
            task:
              task_key: load_facts_1_iteration
              job_cluster_key: etl_cluster
              max_retries: 3
              min_retry_interval_millis: 30000
              retry_on_timeout: true
              notebook_task:
                notebook_path: /pipelines/run_kimball_pipeline
                base_parameters:
                  config_file: "{{input}}"
        - task_key: load_facts_2
          depends_on:
            - task_key: load_facts_1
          for_each_task:
            inputs: '["configs/fact_margin.yml"]'
            concurrency: 1
            task:
              task_key: load_facts_2_iteration
              job_cluster_key: etl_cluster
              max_retries: 3
              min_retry_interval_millis: 30000
              retry_on_timeout: true
              notebook_task:
                notebook_path: /pipelines/run_kimball_pipeline
                base_parameters:
                  config_file: "{{input}}"
      job_clusters:
        - job_cluster_key: etl_cluster
          new_cluster:
            spark_version: 14.3.x-scala2.12
            node_type_id: Standard_DS3_v2
            num_workers: 2
      max_concurrent_runs: 1
"#
    );
}

#[test]
fn by_table_a_pipeline_becomes_a_task_after_those_it_needs_itself() {
    let words =
        ["--granularity", "table", "--serverless", "--no-retry-on-timeout", "--notebook-path", "./load.py"];
    let some = plan(&[
        ("gold.dim_customer", &[]),
        ("gold.dim_date", &[]),
        ("gold.fact_sales", &["gold.dim_customer", "gold.dim_date"]),
    ]);
    assert_eq!(
        yaml(&some, &words).unwrap(),
        r#"# Rendered by `kimball bundle`: render it again when pipelines come, go or need others.
bundle:
  name: kimball
resources:
  jobs:
    kimball:
      name: kimball
      tasks:
        - task_key: load_dim_customer
          max_retries: 3
          min_retry_interval_millis: 30000
          retry_on_timeout: false
          notebook_task:
            notebook_path: ./load.py
            base_parameters:
              config_file: configs/dim_customer.yml
        - task_key: load_dim_date
          max_retries: 3
          min_retry_interval_millis: 30000
          retry_on_timeout: false
          notebook_task:
            notebook_path: ./load.py
            base_parameters:
              config_file: configs/dim_date.yml
        - task_key: load_fact_sales
          depends_on:
            - task_key: load_dim_customer
            - task_key: load_dim_date
          max_retries: 3
          min_retry_interval_millis: 30000
          retry_on_timeout: false
          notebook_task:
            notebook_path: ./load.py
            base_parameters:
              config_file: configs/fact_sales.yml
      max_concurrent_runs: 1
"#
    );
}

#[test]
fn tasks_by_table_know_nothing_of_waves() {
    let job = payload(&shop(), &["--granularity", "table"]);
    let tasks = job["tasks"].as_array().unwrap().iter();
    let needs = tasks.map(|task| {
        let needs = task["depends_on"].as_array().into_iter().flatten();
        (task["task_key"].clone(), needs.map(|need| need["task_key"].clone()).collect::<Vec<_>>())
    });
    assert_eq!(
        needs.collect::<Vec<_>>(),
        [
            (json!("load_dim_customer"), vec![]),
            (json!("load_dim_date"), vec![]),
            (json!("load_fact_sales"), vec![json!("load_dim_customer"), json!("load_dim_date")]),
            (json!("load_fact_stock"), vec![json!("load_dim_date")]),
            (json!("load_fact_margin"), vec![json!("load_fact_sales")]),
        ]
    );
}

#[test]
fn in_json_it_is_one_line_as_jobs_create_takes_it_and_what_is_not_set_is_not_there() {
    let words = [
        "--name=Kimball Daily Load",
        "--existing-cluster-id=0923-164208-meows279",
        "--task-retries=0",
        "--timeout-seconds=3600",
        "--schedule-cron=0 0 6 * * ?",
        "--timezone=Europe/Vienna",
        "--paused",
        "--email=etl@example.com,dwh@example.com",
    ];
    let job = tasks::job(&lone("configs/a.yml"), "default", &parse(&words).unwrap(), 4).unwrap();
    assert_eq!(
        json_of(&job).unwrap(),
        concat!(
            r#"{"name":"Kimball Daily Load","tasks":[{"task_key":"load_dimensions","for_each_task":"#,
            r#"{"inputs":"[\"configs/a.yml\"]","concurrency":1,"task":{"task_key":"load_dimensions_iteration","#,
            r#""existing_cluster_id":"0923-164208-meows279","max_retries":0,"timeout_seconds":3600,"#,
            r#""notebook_task":{"notebook_path":"/pipelines/run_kimball_pipeline","#,
            r#""base_parameters":{"config_file":"{{input}}"}}}}}],"#,
            r#""schedule":{"quartz_cron_expression":"0 0 6 * * ?","timezone_id":"Europe/Vienna","#,
            r#""pause_status":"PAUSED"},"email_notifications":{"on_failure":["etl@example.com","#,
            r#""dwh@example.com"]},"max_concurrent_runs":1}"#,
            "\n"
        )
    );
}

#[test]
fn a_schedule_counts_at_once_and_in_utc_unless_told_otherwise() {
    let job = payload(&shop(), &["--schedule-cron", "0 30 5 ? * MON-FRI"]);
    assert_eq!(
        job["schedule"],
        json!({
            "quartz_cron_expression": "0 30 5 ? * MON-FRI", "timezone_id": "UTC", "pause_status": "UNPAUSED",
        })
    );
}

#[test]
fn a_job_cluster_is_what_the_user_wants_even_a_single_machine() {
    let words =
        ["--spark-version=15.4.x-scala2.12", "--node-type=i3.xlarge", "--workers=0", "--cluster-key=c-1"];
    let job = payload(&shop(), &words);
    assert_eq!(
        job["job_clusters"],
        json!([{
            "job_cluster_key": "c-1",
            "new_cluster": {
                "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0,
                "spark_conf": {
                    "spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]",
                },
                "custom_tags": { "ResourceClass": "SingleNode" },
            },
        }])
    );
    assert_eq!(job["tasks"][0]["for_each_task"]["task"]["job_cluster_key"], "c-1");
}

#[test]
fn the_target_names_the_job_and_the_name_its_key() {
    let named = |target: &str, words: &[&str]| {
        let job = tasks::job(&shop(), target, &parse(words).unwrap(), 4).unwrap();
        (job.name.clone(), job.resource_key())
    };
    let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    assert_eq!(named("default", &[]), pair("kimball", "kimball"));
    assert_eq!(named("prod", &[]), pair("kimball_prod", "kimball_prod"));
    assert_eq!(
        named("prod", &["--name=Kimball Daily Load"]),
        pair("Kimball Daily Load", "kimball_daily_load")
    );
    assert_eq!(named("prod", &["--name=24/7"]), pair("24/7", "job_24_7"));
    assert_eq!(named("prod", &["--name=…"]), pair("…", "job"));
}

#[test]
fn both_forms_say_the_same() {
    for words in
        [&[][..], &["--granularity=table", "--workers=0"], &["--schedule-cron=0 0 6 * * ?", "--email=a@b.c"]]
    {
        let read: Value = serde_yaml::from_str(&yaml(&shop(), words).unwrap()).unwrap();
        assert_eq!(read["resources"]["jobs"]["kimball"], payload(&shop(), words), "{words:?}");
    }
}
