//! A job of Databricks, field for field as `jobs/create` and Asset Bundles call it. What is not set is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_yaml::SingleQuoted;

/// A job with its tasks in an order in which they may run.
#[derive(Debug, Serialize)]
pub struct Job {
    /// What people call it.
    pub name: String,
    /// What it does.
    pub tasks: Vec<Task>,
    /// The clusters that its tasks share; none on serverless compute and on a cluster that is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub job_clusters: Vec<JobCluster>,
    /// When it runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Who hears of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_notifications: Option<EmailNotifications>,
    /// Always 1: a second run would only find the tables busy.
    pub max_concurrent_runs: u32,
}

/// One step of a job.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Task {
    /// A wave.
    Wave(WaveTask),
    /// A pipeline.
    Load(LoadTask),
}

/// Loads all pipelines of a wave, several at a time. It has no retries of its own, which Databricks refuses: its
/// inner task has them.
#[derive(Debug, Serialize)]
pub struct WaveTask {
    /// What it is called in the job.
    pub task_key: String,
    /// The wave before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskDependency>,
    /// What is done for each config.
    pub for_each_task: ForEachTask,
}

/// Runs a task once for each of its inputs.
#[derive(Debug, Serialize)]
pub struct ForEachTask {
    /// A JSON array of config files, as text: the API has no list here. JSON is full of double quotes, which YAML
    /// shows as they are between single ones only.
    pub inputs: SingleQuoted<String>,
    /// How many run at a time.
    pub concurrency: usize,
    /// What runs.
    pub task: LoadTask,
}

/// Loads one pipeline by running the notebook.
#[derive(Debug, Serialize)]
pub struct LoadTask {
    /// What it is called in the job.
    pub task_key: String,
    /// The pipelines that it needs; empty inside of a wave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskDependency>,
    /// The job cluster it runs on. On serverless compute a notebook names no cluster at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_cluster_key: Option<String>,
    /// The cluster that it runs on and that is there without the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_cluster_id: Option<String>,
    /// Tries after the first; said even when there are none, or the Databricks CLI asks for it.
    pub max_retries: u32,
    /// Milliseconds between the start of a failed try and the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_retry_interval_millis: Option<u64>,
    /// Whether a time-out is tried again, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on_timeout: Option<bool>,
    /// Seconds that a try may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// What it does.
    pub notebook_task: NotebookTask,
}

/// Runs the guide's notebook, which has the widget `config_file`.
#[derive(Debug, Serialize)]
pub struct NotebookTask {
    /// Where it lies.
    pub notebook_path: String,
    /// The values of its widgets.
    pub base_parameters: BaseParameters,
}

/// The widgets of the guide's notebook.
#[derive(Debug, Serialize)]
pub struct BaseParameters {
    /// The config to load, or the reference to the input of a for-each task.
    pub config_file: String,
}

/// A task that has to succeed before.
#[derive(Debug, Serialize)]
pub struct TaskDependency {
    /// Its key.
    pub task_key: String,
}

/// A cluster that lives as long as a run of the job.
#[derive(Debug, Serialize)]
pub struct JobCluster {
    /// What tasks call it.
    pub job_cluster_key: String,
    /// What it is.
    pub new_cluster: NewCluster,
}

/// The machines of a cluster.
#[derive(Debug, Serialize)]
pub struct NewCluster {
    /// The Databricks Runtime.
    pub spark_version: String,
    /// The kind of machine.
    pub node_type_id: String,
    /// Machines besides the driver.
    pub num_workers: u32,
    /// What a cluster without workers has to say so that Spark runs on its driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spark_conf: BTreeMap<&'static str, &'static str>,
    /// The same for those who count machines.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_tags: BTreeMap<&'static str, &'static str>,
}

/// When a job runs by itself.
#[derive(Debug, Serialize)]
pub struct Schedule {
    /// Six or seven fields.
    pub quartz_cron_expression: String,
    /// As Java calls it.
    pub timezone_id: String,
    /// Whether it counts already.
    pub pause_status: PauseStatus,
}

/// Whether a schedule counts.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PauseStatus {
    /// Not yet.
    Paused,
    /// It does.
    Unpaused,
}

/// Who hears of the runs of a job.
#[derive(Debug, Serialize)]
pub struct EmailNotifications {
    /// Addresses.
    pub on_failure: Vec<String>,
}

impl Job {
    /// What the job is called where only letters, digits and `_` will do: in a bundle, and as the name of one.
    pub fn resource_key(&self) -> String {
        let lower = self.name.to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let key = words.collect::<Vec<_>>().join("_");
        match key.starts_with(|c: char| c.is_ascii_lowercase()) {
            true => key,
            false => format!("job_{key}").trim_end_matches('_').to_owned(),
        }
    }

    /// The path of the notebook when it is not one of the workspace.
    pub fn relative_notebook(&self) -> Option<&str> {
        let path = match self.tasks.first()? {
            Task::Wave(wave) => &wave.for_each_task.task.notebook_task.notebook_path,
            Task::Load(load) => &load.notebook_task.notebook_path,
        };
        (!path.starts_with('/')).then_some(path)
    }
}
