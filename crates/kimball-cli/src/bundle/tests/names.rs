//! Names that somebody could misread.

use serde_json::{Value, json};

use super::super::fixture::{lone, plan};
use super::{payload, refusal, yaml};

#[test]
fn files_that_databricks_would_misread_are_refused() {
    for (path, reason) in [
        ("configs/{{a}}.yml", "`configs/{{a}}.yml` cannot be named in a job: Databricks would take `{{` for"),
        ("configs/${a}.yml", "Databricks would take `${` for a reference; rename it"),
        ("configs/a\n.yml", "control characters"),
    ] {
        for granularity in ["--granularity=wave", "--granularity=table"] {
            let message = refusal(&lone(path), &[granularity], 4);
            assert!(message.contains(reason), "{message}");
        }
    }
    #[cfg(unix)]
    {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;

        let message = refusal(&lone(OsString::from_vec(b"configs/\xff.yml".to_vec())), &[], 4);
        assert!(message.contains("not Unicode"), "{message}");
    }
}

#[test]
fn tables_of_one_name_in_two_schemas_are_told_apart_and_letters_that_keys_cannot_have_are_replaced() {
    let names: &[(&str, &[&str])] =
        &[("gold.dim_größe", &[]), ("gold.dim_a", &[]), ("mart.dim_a", &["gold.dim_a", "gold.dim_größe"])];
    let job = payload(&plan(names), &["--granularity=table"]);
    let keys: Vec<&Value> = job["tasks"].as_array().unwrap().iter().map(|task| &task["task_key"]).collect();
    assert_eq!(keys, ["load_gold_dim_a", "load_dim_gr__e", "load_mart_dim_a"]);
    assert_eq!(
        job["tasks"][2]["depends_on"],
        json!([{ "task_key": "load_gold_dim_a" }, { "task_key": "load_dim_gr__e" }])
    );
}

#[test]
fn names_that_yaml_would_read_as_something_else_stay_text() {
    let job = yaml(
        &lone("configs/it's: #1 \"a\"\\b.yml"),
        &[
            "--name=12:30",
            "--notebook-path=/yes: no #1",
            "--node-type=true",
            "--spark-version=1_0",
            "--cluster-key=0x1F",
        ],
    );
    let job = job.unwrap();
    for line in [
        "    job_12_30:",
        "      name: \"12:30\"",
        "            inputs: '[\"configs/it''s: #1 \\\"a\\\"\\\\b.yml\"]'",
        "                notebook_path: \"/yes: no #1\"",
        "            spark_version: \"1_0\"",
        "            node_type_id: \"true\"",
        "              job_cluster_key: \"0x1F\"",
    ] {
        assert!(job.lines().any(|found| found == line), "no {line} in\n{job}");
    }
    let read: Value = serde_yaml::from_str(&job).unwrap();
    let task = &read["resources"]["jobs"]["job_12_30"]["tasks"][0]["for_each_task"];
    let inputs: Vec<String> = serde_json::from_str(task["inputs"].as_str().unwrap()).unwrap();
    assert_eq!(inputs, ["configs/it's: #1 \"a\"\\b.yml"]);
}
