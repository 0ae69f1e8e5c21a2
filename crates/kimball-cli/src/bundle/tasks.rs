//! From the plan of a project to a job.

use std::collections::{BTreeMap, HashMap};
use std::path::MAIN_SEPARATOR;

use kimball::{Plan, PlannedPipeline, TableName, Wave, counted};
use serde_yaml::SingleQuoted;

use super::args::{BundleArgs, Granularity};
use super::job::{
    BaseParameters, EmailNotifications, ForEachTask, Job, JobCluster, LoadTask, NewCluster, NotebookTask,
    PauseStatus, Schedule, Task, TaskDependency, WaveTask,
};
use super::task_keys::TaskKeys;
use crate::failure::Failure;

/// The most characters of the inputs of one for-each task. Older pages of the documentation say 10,000.
const INPUTS: usize = 5_000;

/// The most runs that one for-each task may have at a time.
const CONCURRENCY: usize = 100;

/// The most tasks of one job.
const TASKS: usize = 1_000;

/// What the notebook of a for-each task gets: its input.
const INPUT: &str = "{{input}}";

/// What Databricks would replace inside of a path: references of jobs, and of bundles.
const REFERENCES: [&str; 2] = ["{{", "${"];

/// The name of the target when there is no targets file.
const NO_TARGET: &str = "default";

/// The job that loads what `plan` plans in the target `target`, `max_workers` pipelines at a time unless `args`
/// say otherwise.
///
/// # Errors
/// [`Failure::Obstacle`] when Databricks would not take the job: limits, and files whose names it would misread.
pub fn job(plan: &Plan, target: &str, args: &BundleArgs, max_workers: usize) -> Result<Job, Failure> {
    let tasks = match args.granularity {
        Granularity::Wave => waves(plan, args, max_workers)?,
        Granularity::Table => pipelines(plan, args)?,
    };
    if tasks.len() > TASKS {
        return Err(Failure::Obstacle(format!(
            "a job has at most {TASKS} tasks, and this one would have {}: make several with --select",
            tasks.len()
        )));
    }
    let by_target = || match target {
        NO_TARGET => "kimball".to_owned(),
        target => format!("kimball_{target}"),
    };
    Ok(Job {
        name: args.name.clone().unwrap_or_else(by_target),
        tasks,
        job_clusters: cluster_key(args).map(|key| cluster(key, args)).into_iter().collect(),
        schedule: args.schedule_cron.clone().map(|expression| Schedule {
            quartz_cron_expression: expression,
            timezone_id: args.timezone.clone(),
            pause_status: if args.paused { PauseStatus::Paused } else { PauseStatus::Unpaused },
        }),
        email_notifications: (!args.email.is_empty())
            .then(|| EmailNotifications { on_failure: args.email.clone() }),
        max_concurrent_runs: 1,
    })
}

/// A for-each task for each wave, after the one before.
fn waves(plan: &Plan, args: &BundleArgs, max_workers: usize) -> Result<Vec<Task>, Failure> {
    let mut keys = TaskKeys::default();
    let mut tasks = Vec::new();
    let mut before: Option<String> = None;
    for wave in plan.waves() {
        let task_key = keys.claim(&format!("load_{}", wave.label().to_lowercase()));
        let inner_key = keys.claim(&format!("{task_key}_iteration"));
        let for_each_task = ForEachTask {
            inputs: inputs(plan, wave)?,
            concurrency: concurrency(wave, args, max_workers)?,
            task: load(inner_key, Vec::new(), INPUT.to_owned(), args),
        };
        let depends_on = before.replace(task_key.clone()).map(|task_key| TaskDependency { task_key });
        let depends_on = depends_on.into_iter().collect();
        tasks.push(Task::Wave(WaveTask { task_key, depends_on, for_each_task }));
    }
    Ok(tasks)
}

/// The configs of a wave as the text of a JSON array.
fn inputs(plan: &Plan, wave: &Wave) -> Result<SingleQuoted<String>, Failure> {
    let pipelines = wave.tables().iter().filter_map(|table| plan.pipeline(table));
    let files = pipelines.map(config_file).collect::<Result<Vec<String>, Failure>>()?;
    let text = serde_json::to_string(&files).map_err(|error| Failure::Output(error.into()))?;
    match text.chars().count() {
        length if length > INPUTS => Err(Failure::Obstacle(format!(
            "wave {}: a for-each task takes inputs of {INPUTS} characters, and the paths of {} make {length}: use --granularity table, or call kimball nearer to the files, so that their paths are shorter",
            wave.label(),
            counted(files.len(), "config"),
        ))),
        _ => Ok(SingleQuoted(text)),
    }
}

/// How many pipelines of a wave run at a time; never more than there are.
fn concurrency(wave: &Wave, args: &BundleArgs, max_workers: usize) -> Result<usize, Failure> {
    let asked = args.concurrency.map_or(max_workers, |concurrency| concurrency as usize);
    match asked.min(wave.tables().len()) {
        concurrency if concurrency > CONCURRENCY => Err(Failure::Obstacle(format!(
            "wave {}: a for-each task runs at most {CONCURRENCY} at a time, and --max-workers asks for {asked}: say --concurrency {CONCURRENCY}",
            wave.label()
        ))),
        concurrency => Ok(concurrency),
    }
}

/// A task for each pipeline, after those it needs.
fn pipelines(plan: &Plan, args: &BundleArgs) -> Result<Vec<Task>, Failure> {
    if args.concurrency.is_some() {
        return Err(Failure::Obstacle(
            "--concurrency is for waves: with --granularity table a pipeline starts when those it needs have succeeded".to_owned(),
        ));
    }
    let keys = keys(plan);
    let key = |table: &TableName| keys.get(table).cloned();
    let planned = plan.waves().iter().flat_map(Wave::tables).filter_map(|table| plan.pipeline(table));
    let tasks = planned.filter_map(|pipeline| {
        let needed = plan.dependencies_of(&pipeline.table).iter();
        let depends_on = needed.filter_map(|needed| key(&needed.table));
        let depends_on = depends_on.map(|task_key| TaskDependency { task_key }).collect();
        let task_key = key(&pipeline.table)?;
        Some(config_file(pipeline).map(|file| Task::Load(load(task_key, depends_on, file, args))))
    });
    tasks.collect()
}

/// What the tasks of all pipelines are called: as their tables, with the schema where two have one name.
fn keys(plan: &Plan) -> BTreeMap<&TableName, String> {
    let mut bearers: HashMap<&str, usize> = HashMap::new();
    for pipeline in plan.pipelines() {
        *bearers.entry(pipeline.table.table()).or_default() += 1;
    }
    let mut keys = TaskKeys::default();
    let named = plan.pipelines().map(|PlannedPipeline { table, .. }| {
        let key = match bearers.get(table.table()) {
            Some(1) => keys.claim(&format!("load_{}", table.table())),
            _ => keys.claim(&format!("load_{}_{}", table.schema(), table.table())),
        };
        (table, key)
    });
    named.collect()
}

/// The task that loads the config `config_file`.
fn load(
    task_key: String,
    depends_on: Vec<TaskDependency>,
    config_file: String,
    args: &BundleArgs,
) -> LoadTask {
    let is_retried = args.task_retries > 0;
    LoadTask {
        task_key,
        depends_on,
        job_cluster_key: cluster_key(args).map(str::to_owned),
        existing_cluster_id: args.existing_cluster_id.clone(),
        max_retries: args.task_retries,
        min_retry_interval_millis: is_retried.then(|| u64::from(args.retry_interval_seconds) * 1_000),
        retry_on_timeout: is_retried.then_some(!args.no_retry_on_timeout),
        timeout_seconds: args.timeout_seconds,
        notebook_task: NotebookTask {
            notebook_path: args.notebook_path.clone(),
            base_parameters: BaseParameters { config_file },
        },
    }
}

/// The key of the job cluster, if the job has one.
fn cluster_key(args: &BundleArgs) -> Option<&str> {
    (!args.serverless && args.existing_cluster_id.is_none()).then_some(args.cluster_key.as_str())
}

fn cluster(key: &str, args: &BundleArgs) -> JobCluster {
    let mut cluster = NewCluster {
        spark_version: args.spark_version.clone(),
        node_type_id: args.node_type.clone(),
        num_workers: args.workers,
        spark_conf: BTreeMap::new(),
        custom_tags: BTreeMap::new(),
    };
    if args.workers == 0 {
        cluster.spark_conf.insert("spark.databricks.cluster.profile", "singleNode");
        cluster.spark_conf.insert("spark.master", "local[*]");
        cluster.custom_tags.insert("ResourceClass", "SingleNode");
    }
    JobCluster { job_cluster_key: key.to_owned(), new_cluster: cluster }
}

/// The file of a pipeline as it was named, with `/` between folders.
fn config_file(pipeline: &PlannedPipeline) -> Result<String, Failure> {
    let path = &pipeline.config_path;
    let unfit = |why: &str| {
        Failure::Obstacle(format!("`{}` cannot be named in a job: {why}; rename it", path.display()))
    };
    let text = path.to_str().ok_or_else(|| unfit("its path is not Unicode"))?;
    if text.contains(char::is_control) {
        return Err(unfit("its path has control characters"));
    }
    if let Some(reference) = REFERENCES.into_iter().find(|reference| text.contains(reference)) {
        return Err(unfit(&format!("Databricks would take `{reference}` for a reference")));
    }
    Ok(if MAIN_SEPARATOR == '\\' { text.replace('\\', "/") } else { text.to_owned() })
}
