//! The project as a job of Databricks, in the hands of the types that Databricks publishes for Python.

use std::process::Command;

use serde_json::{Value, json};

use crate::command::{Ended, command};
use crate::project::Project;
use crate::shop;

/// Who knows what a job is; a change makes a new environment.
const PACKAGES: &[&str] = &["databricks-sdk==0.162.0", "databricks-bundles==1.22.1", "PyYAML==6.0.4"];

/// Checks files with a job by these packages.
const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle/check_bundle.py");

/// Jobs of every shape.
const JOBS: &[&[&str]] = &[
    &[],
    &[
        "--name",
        "Kimball Daily Load",
        "--schedule-cron",
        "0 0 6 * * ?",
        "--email",
        "etl@example.com,dwh@example.com",
    ],
    &["--granularity", "table", "--workers", "0", "--task-retries", "0"],
    &["--serverless", "--timeout-seconds", "3600", "--no-retry-on-timeout", "-w", "1"],
    &["--existing-cluster-id", "0923-164208-meows279", "--schedule-cron", "0 30 5 ? * MON-FRI", "--paused"],
    &["--granularity", "table", "--select", "+fact_sales", "--target", "dev"],
];

/// The guide's project; a job needs none of its sources.
fn project() -> Project {
    Project::of(&shop::files())
}

fn bundle(project: &Project, words: &[&str]) -> Ended {
    Ended::of(command(project.root(), "bundle").args(words))
}

/// Writes the job in both forms and gives the names of the files.
fn write_both(project: &Project, words: &[&str]) -> [&'static str; 2] {
    project.write("databricks.yml", &bundle(project, words).with_code(0).stdout);
    let payload = bundle(project, &[words, &["--format", "json"]].concat()).with_code(0).stdout;
    project.write("job.json", &payload);
    ["databricks.yml", "job.json"]
}

/// What the packages say of files of the project: whether they are right, and why not.
fn check(project: &Project, files: &[&str]) -> Option<(bool, String)> {
    let python = crate::python::python("bundle-venv", PACKAGES)?;
    let mut checking = Command::new(python);
    let output = checking.arg(CHECK).args(files).current_dir(project.root()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
}

#[test]
fn the_guides_project_becomes_the_guides_job_and_nothing_is_touched() {
    let project = project();
    let files = project.files();
    let ended = bundle(&project, &["--format", "json"]).with_code(0);
    let job: Value = serde_json::from_str(&ended.stdout).unwrap();
    let tasks = job["tasks"].as_array().unwrap().iter();
    let waves: Vec<Value> = tasks
        .map(|task| {
            let inputs = task["for_each_task"]["inputs"].as_str().unwrap();
            let inputs: Value = serde_json::from_str(inputs).unwrap();
            json!([task["task_key"], task["depends_on"], inputs, task["for_each_task"]["concurrency"]])
        })
        .collect();
    assert_eq!(
        waves,
        [
            json!([
                "load_dimensions",
                null,
                ["configs/dim_customer.yml", "configs/dim_date.yml", "configs/dim_product.yml"],
                3
            ]),
            json!([
                "load_facts",
                [{"task_key": "load_dimensions"}],
                ["configs/fact_inventory.yml", "configs/fact_sales.yml"],
                2
            ]),
        ]
    );
    assert_eq!(job["name"], "kimball_dev");
    assert_eq!(
        job["tasks"][0]["for_each_task"]["task"]["notebook_task"],
        json!({
            "notebook_path": "/pipelines/run_kimball_pipeline",
            "base_parameters": {"config_file": "{{input}}"},
        })
    );
    assert!(project.files() == files, "something was written");
}

#[test]
fn jobs_of_every_shape_are_what_the_types_of_databricks_take_and_say_the_same_in_both_forms() {
    let project = project();
    for words in JOBS {
        let files = write_both(&project, words);
        let Some((right, told)) = check(&project, &files) else { return };
        assert!(right, "{words:?}: {told}");
        print!("{words:?}: {told}");
    }
}

/// What makes a job of the guide's project wrong: a key of one of its objects, what it is set to, and what is said.
fn mistakes() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let (inner, outer) = ("/tasks/0/for_each_task/task", "/tasks/1/for_each_task");
    vec![
        ("", "job_cluster", json!([]), "job_cluster"),
        (inner, "max_retires", json!(3), "max_retires"),
        (inner, "max_retries", json!("3"), "max_retries is '3'"),
        (inner, "retry_on_timeout", json!("true"), "retry_on_timeout is 'true'"),
        (inner, "job_cluster_key", json!("other"), "a cluster that the job does not have"),
        (outer, "inputs", json!(["configs/a.yml"]), "inputs is ['configs/a.yml']"),
        (outer, "inputs", json!("configs/a.yml"), "JSONDecodeError"),
        (outer, "concurrency", json!(101), "runs 101 at a time"),
        ("/tasks/1", "max_retries", json!(3), "max_retries, which is the inner task's"),
        ("/tasks/1", "task_key", json!("load facts"), "is no key of a task"),
        ("/tasks/1", "depends_on", json!([{"task_key": "load_stars"}]), "load_stars"),
        ("/job_clusters/0/new_cluster", "num_workers", json!("2"), "num_workers is '2'"),
    ]
}

#[test]
fn a_job_with_a_mistake_does_not_pass() {
    let project = project();
    let right = bundle(&project, &["--format", "json"]).with_code(0).stdout;
    let mut wrong = Vec::new();
    for (number, (place, key, value, complaint)) in mistakes().into_iter().enumerate() {
        let mut job: Value = serde_json::from_str(&right).unwrap();
        job.pointer_mut(place).unwrap()[key] = value;
        let payload = format!("{number}.json");
        project.write(&payload, &job.to_string());
        wrong.push((payload, complaint));
        // JSON is YAML.
        let whole = json!({ "bundle": { "name": "a" }, "resources": { "jobs": { "a": job } } });
        let yaml = format!("{number}.yml");
        project.write(&yaml, &whole.to_string());
        wrong.push((yaml, complaint));
    }
    let files: Vec<&str> = wrong.iter().map(|(file, _)| file.as_str()).collect();
    let Some((passes, told)) = check(&project, &files) else { return };
    assert!(!passes);
    for (file, complaint) in wrong {
        let said = |line: &str| line.starts_with(&format!("{file}: ")) && line.contains(complaint);
        assert!(told.lines().any(said), "nothing about {complaint} in {file}: {told}");
    }
}

#[test]
fn two_files_with_different_jobs_do_not_pass_together() {
    let project = project();
    write_both(&project, &[]);
    project.write("job.json", &bundle(&project, &["--format", "json", "-w", "1"]).with_code(0).stdout);
    let Some((passes, told)) = check(&project, &["databricks.yml", "job.json"]) else { return };
    assert!(!passes && told.contains("different jobs"), "{told}");
}

#[test]
fn what_databricks_would_not_take_is_an_error_and_no_job() {
    let project = project();
    for (words, told) in [
        (&["--granularity", "table", "--concurrency", "2"][..], "--concurrency is for waves"),
        (&["--format", "json", "--notebook-path", "./load.py"], "`./load.py` is relative"),
        (&["--schedule-cron", "0 6 * * *"], "Quartz wants six fields"),
        (&["--concurrency", "101"], "101"),
        (&["--format", "mermaid"], "--format mermaid is for plans"),
    ] {
        let ended = bundle(&project, words).with_code(2);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(told), "{words:?}: {}", ended.stderr);
    }
}
