//! What can be said about the job that `kimball bundle` writes.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

/// The options of `kimball bundle`; the defaults are the guide's.
#[derive(Debug, Clone, Args)]
pub struct BundleArgs {
    /// The name of the job [default: kimball_TARGET; kimball without a targets file]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The notebook that loads one config: a path in the workspace, or one relative to the bundle
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/pipelines/run_kimball_pipeline",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub notebook_path: String,
    /// What is a task of the job
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Granularity::Wave)]
    pub granularity: Granularity,
    /// Pipelines of a wave that run at a time [default: --max-workers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub concurrency: Option<u32>,
    /// How often Databricks tries a pipeline again, whatever the error
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub task_retries: u32,
    /// Seconds between the start of a failed try and the next
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(..=2_000_000)
    )]
    pub retry_interval_seconds: u32,
    /// Try again after a time-out, too (the default)
    #[arg(long, conflicts_with = "no_retry_on_timeout")]
    pub retry_on_timeout: bool,
    /// Do not try again after a time-out
    #[arg(long)]
    pub no_retry_on_timeout: bool,
    /// Seconds that a pipeline may take [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub timeout_seconds: Option<u32>,
    /// When the job runs, as a Quartz expression like "0 0 6 * * ?"; without it somebody has to start it
    #[arg(long, value_name = "CRON", value_parser = quartz)]
    pub schedule_cron: Option<String>,
    /// The time zone of --schedule-cron, like Europe/Vienna
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        requires = "schedule_cron",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub timezone: String,
    /// Deploy the schedule without starting it
    #[arg(long, requires = "schedule_cron")]
    pub paused: bool,
    /// Databricks Runtime of the job cluster
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "14.3.x-scala2.12",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub spark_version: String,
    /// Machines of the job cluster
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "Standard_DS3_v2",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub node_type: String,
    /// Workers of the job cluster; 0 for a single machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub workers: u32,
    /// What the job cluster is called
    #[arg(long, value_name = "KEY", default_value = "etl_cluster", value_parser = key)]
    pub cluster_key: String,
    /// Run on serverless compute instead of a job cluster
    #[arg(
        long,
        conflicts_with_all = ["existing_cluster_id", "spark_version", "node_type", "workers", "cluster_key"]
    )]
    pub serverless: bool,
    /// Run on a cluster that is there instead of a job cluster
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["spark_version", "node_type", "workers", "cluster_key"],
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub existing_cluster_id: Option<String>,
    /// Who gets a mail when a run of the job fails
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub email: Vec<String>,
}

/// `--granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Granularity {
    /// A wave: one notebook for each of its configs, after the wave before
    Wave,
    /// A pipeline: after those it needs
    Table,
}

/// A Quartz expression: not the five fields of Unix, and a question mark for one of the two days. Whether the
/// fields mean anything is for Databricks to say.
fn quartz(text: &str) -> Result<String, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let days = match fields.as_slice() {
        [_, _, _, of_month, _, of_week] | [_, _, _, of_month, _, of_week, _] => [*of_month, *of_week],
        _ => {
            return Err("Quartz wants six fields (second, minute, hour, day of month, month, day of week) \
                        or seven with the year, like \"0 0 6 * * ?\""
                .to_owned());
        }
    };
    match days.iter().filter(|day| **day == "?").count() {
        1 => Ok(fields.join(" ")),
        _ => Err("Quartz wants `?` for either the day of month (fourth) or the day of week (sixth), \
                  like \"0 0 6 * * ?\""
            .to_owned()),
    }
}

/// A key as the Jobs API takes it.
fn key(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (1..=100).contains(&text.len()) && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("a key has one to 100 letters, digits, `_` and `-`".to_owned()),
    }
}

#[cfg(test)]
mod tests;
