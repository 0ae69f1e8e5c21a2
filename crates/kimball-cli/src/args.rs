//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use kimball::{
    FailurePolicy, Jitter, OnBusy, PipelineExecutor, PipelineExecutorBuilder, Refresh, RetryPolicy, Schedule,
    Selector, Settings, SettingsBuilder,
};

use crate::bundle::BundleArgs;
use crate::last_run::LastRun;

/// Loads Kimball dimensional models into Delta Lake tables from a folder of YAML files
#[derive(Debug, Parser)]
#[command(name = "kimball", version, max_term_width = 100, args_override_self = true)]
pub struct CommandLine {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
    /// Options that every verb takes
    #[command(flatten)]
    pub options: Options,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check all files and show all problems; touches no table
    Validate(Configs),
    /// Show the waves and what each pipeline would do; writes nothing
    Plan {
        /// What is planned
        #[command(flatten)]
        configs: Configs,
        /// Instead, show what has changed since `kimball compile` wrote this file; exit code 3 when it breaks something
        #[arg(long, value_name = "MANIFEST")]
        against: Option<PathBuf>,
    },
    /// Write down the project as it stands, for `plan --against`; touches no table
    Compile {
        /// What is written down
        #[command(flatten)]
        configs: Configs,
        /// Where; `-` is the standard output [default: target/manifest.json]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Run the pipelines
    Run {
        /// What to run
        #[command(flatten)]
        configs: Configs,
        /// Only show what would run, as `plan` does
        #[arg(long)]
        dry_run: bool,
    },
    /// Run again what failed or was skipped in the last run, with the same options
    Retry,
    /// Show what etl_control says: running, failed, last success, watermarks; exit code 3 when something is wrong
    Status(Status),
    /// Show every batch that etl_control knows, the newest first
    History(History),
    /// Ask the tables of the warehouse in SQL; nothing is written
    Sql(Sql),
    /// Ask the tables of the warehouse, one question after the other
    Shell,
    /// Write pages about the model: waves, stars, bus matrix, columns, batches
    Docs {
        /// What is shown
        #[command(flatten)]
        configs: Configs,
        /// Their folder [default: target/docs]
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Write the Databricks job that loads the project, as an Asset Bundle; nothing is sent
    Bundle {
        /// What the job loads
        #[command(flatten)]
        configs: Configs,
        /// What the job is
        #[command(flatten)]
        bundle: Box<BundleArgs>,
    },
    /// Make a small project that runs as it is
    Init {
        /// Its folder
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
    },
    /// Write the JSON Schema of the files, for editors with a YAML language server
    Schema {
        /// Which files
        #[arg(value_name = "FILES", value_enum, default_value_t = SchemaOf::Pipeline)]
        of: SchemaOf,
    },
    /// Write the completions of a shell
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual page, or all pages into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Write files anew where small ones, or rows that no longer count, have piled up; no row changes
    Optimize(Configs),
    /// Delete files that no version needs any more which is younger than a week, or than the tables say
    Vacuum(VacuumArgs),
}

/// The files of a project.
#[derive(Debug, Clone, Default, Args)]
pub struct Configs {
    /// Files, folders (searched recursively) or globs [default: configs]
    #[arg(value_name = "CONFIG")]
    pub paths: Vec<String>,
}

/// What `vacuum` deletes.
#[derive(Debug, Clone, Args)]
pub struct VacuumArgs {
    /// Whose files
    #[command(flatten)]
    pub configs: Configs,
    /// Hours for which a version stays readable after another one took its place [default: what the table says, a week
    /// if it says nothing]
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    pub retain: Option<f64>,
    /// Let --retain be shorter than what the table says, which cuts readers of older versions and change feeds off
    #[arg(long, requires = "retain")]
    pub allow_shorter: bool,
    /// Tell what would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What `status` shows, and what is wrong to it.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// What is looked at
    #[command(flatten)]
    pub configs: Configs,
    /// Minutes that a batch may be RUNNING
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = positive)]
    pub max_running: f64,
    /// How many times as long as usual (the median of its last 20) a batch may take
    #[arg(long, value_name = "FACTOR", default_value_t = 3.0, value_parser = positive)]
    pub max_slowdown: f64,
    /// Seconds that a batch may take at all
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub max_duration: Option<f64>,
}

/// Which batches `history` shows.
#[derive(Debug, Clone, Args)]
pub struct History {
    /// What is looked at
    #[command(flatten)]
    pub configs: Configs,
    /// So many batches and no more
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
}

/// A question to the tables.
#[derive(Debug, Clone, Args)]
pub struct Sql {
    /// One statement or several, separated by `;` [default: the standard input]
    // It may begin with a comment, as pasted queries do.
    #[arg(value_name = "SQL", conflicts_with = "file", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// A file with the statements
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where the answer is written, instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options that every verb takes, before it or after.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// More files, folders or globs
    #[arg(long = "config", value_name = "CONFIG", global = true)]
    pub configs: Vec<String>,
    /// The target of the targets file
    #[arg(short, long, value_name = "NAME", global = true)]
    pub target: Option<String>,
    /// The targets file [default: kimball.targets.yml, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub targets: Option<PathBuf>,
    /// The folder or object-store URL of all tables
    #[arg(long, value_name = "LOCATION", global = true)]
    pub warehouse: Option<String>,
    /// The schema of etl_control and the other support tables
    #[arg(long, value_name = "SCHEMA", global = true)]
    pub etl_schema: Option<String>,
    /// Only these: `name`, `+name` (and what it needs), `name+` (and what needs it), `wave:N`, `tag:NAME`,
    /// `result:failed` (of the last run)
    #[arg(short, long, value_name = "SELECTOR", value_delimiter = ',', global = true)]
    pub select: Vec<Selector>,
    /// Not these, selected or not
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',', global = true)]
    pub exclude: Vec<Selector>,
    /// Pipelines that run at a time
    #[arg(
        short = 'w',
        long,
        visible_alias = "threads",
        value_name = "N",
        default_value_t = 4,
        global = true
    )]
    pub max_workers: usize,
    /// When a pipeline may start: after all earlier waves, or as soon as what it needs has loaded
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ScheduleBy::Waves, global = true)]
    pub schedule: ScheduleBy,
    /// Start nothing more after a failure (the default)
    #[arg(short = 'x', long, conflicts_with = "keep_going", global = true)]
    pub fail_fast: bool,
    /// After a failure skip only what depends on it
    #[arg(long, global = true)]
    pub keep_going: bool,
    /// How often a pipeline is tried again after an error that may pass
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub max_retries: u32,
    /// Seconds before the first of these retries; each wait is twice the one before
    #[arg(long, value_name = "SECONDS", default_value_t = 30, global = true)]
    pub backoff_seconds: u64,
    /// Spread each of these waits by chance, between nothing and its length
    #[arg(long, global = true)]
    pub backoff_jitter: bool,
    /// Memory of the process, like 1GiB or 512MB; what does not fit spills to disk
    #[arg(long, value_name = "SIZE", value_parser = crate::size::bytes, global = true)]
    pub memory_limit: Option<u64>,
    /// The one clock reading of the run, RFC 3339, instead of the real time
    #[arg(long, value_name = "TIME", value_parser = instant, global = true)]
    pub run_time: Option<DateTime<Utc>>,
    /// Read all sources again and reconcile the tables with them; published rows and keys stay
    #[arg(long, global = true)]
    pub full_refresh: bool,
    /// With --full-refresh: rebuild the tables and swap them, losing the history that only they know
    #[arg(long, requires = "full_refresh", global = true)]
    pub allow_history_loss: bool,
    /// What to do about a table that another live process is loading
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Busy::Fail, global = true)]
    pub on_busy: Busy,
    /// How to write what was asked for; mermaid and dot are for plans, csv and parquet for answers
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// Of a run show failures and the summary only
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
    /// More logs on stderr; twice for debugging (RUST_LOG goes before it)
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// How logs are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

/// The kinds of files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Files of pipelines
    Pipeline,
    /// The targets file
    Targets,
}

/// `--schedule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleBy {
    /// After all earlier waves
    Waves,
    /// As soon as what it needs has loaded
    Ready,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs, one object a line
    Json,
    /// The waves as a Mermaid flowchart
    Mermaid,
    /// The waves as a Graphviz graph
    Dot,
    /// The same as text: columns for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// A Parquet file
    Parquet,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Text,
    /// One object a line
    Json,
}

/// `--on-busy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Busy {
    /// Fail the pipeline
    Fail,
    /// Wait until the table is free
    Wait,
}

impl CommandLine {
    /// Why these arguments do not fit together although each is right by itself.
    pub fn contradiction(&self) -> Option<String> {
        let is_plan = matches!(self.verb, Verb::Plan { against: None, .. } | Verb::Run { dry_run: true, .. });
        let is_question = matches!(self.verb, Verb::Sql(_) | Verb::Shell);
        let name = match self.options.format {
            Format::Mermaid if !is_plan => "mermaid",
            Format::Dot if !is_plan => "dot",
            Format::Csv if !is_question => "csv",
            Format::Parquet if !is_question => "parquet",
            _ => return None,
        };
        Some(match self.options.format {
            Format::Csv | Format::Parquet => {
                format!("--format {name} is for answers: use it with `sql` or `shell`")
            }
            _ => format!("--format {name} is for plans: use it with `plan` or `run --dry-run`"),
        })
    }
}

impl Options {
    /// An executor's builder that knows the files and all options.
    pub fn builder(&self, configs: &Configs) -> PipelineExecutorBuilder {
        let mut builder = PipelineExecutor::builder()
            .config_paths(configs.paths.iter().chain(&self.configs))
            .select(self.select.iter().cloned())
            .exclude(self.exclude.iter().cloned())
            .settings(self.settings());
        if let Some(target) = &self.target {
            builder = builder.target(target);
        }
        if let Some(file) = &self.targets {
            builder = builder.targets_file(file);
        }
        if let Some(warehouse) = &self.warehouse {
            builder = builder.warehouse(warehouse);
        }
        if let Some(schema) = &self.etl_schema {
            builder = builder.etl_schema(schema);
        }
        if self.select.iter().chain(&self.exclude).any(Selector::needs_results)
            && let Ok(Some(last)) = LastRun::read()
        {
            builder = builder.earlier_results(last.statuses());
        }
        builder
    }

    /// Whether only some pipelines are meant.
    pub fn is_selective(&self) -> bool {
        !(self.select.is_empty() && self.exclude.is_empty())
    }

    fn settings(&self) -> SettingsBuilder {
        let on_failure =
            if self.keep_going { FailurePolicy::KeepGoing } else { FailurePolicy::StopOnFailure };
        let on_busy = match self.on_busy {
            Busy::Fail => OnBusy::Fail,
            Busy::Wait => OnBusy::Wait,
        };
        let refresh = match (self.full_refresh, self.allow_history_loss) {
            (false, _) => Refresh::Incremental,
            (true, false) => Refresh::Reconcile,
            (true, true) => Refresh::Rebuild,
        };
        let retry = RetryPolicy::new(self.max_retries, Duration::from_secs(self.backoff_seconds));
        let retry = match self.backoff_jitter {
            true => retry.with_jitter(Jitter::Full { seed: u64::from(std::process::id()) }),
            false => retry,
        };
        let mut settings = Settings::builder()
            .max_workers(self.max_workers)
            .schedule(match self.schedule {
                ScheduleBy::Waves => Schedule::Waves,
                ScheduleBy::Ready => Schedule::Ready,
            })
            .on_failure(on_failure)
            .retry(retry)
            .on_busy(on_busy)
            .refresh(refresh);
        if let Some(bytes) = self.memory_limit {
            settings = settings.memory_limit(bytes);
        }
        if let Some(at) = self.run_time {
            settings = settings.run_time(at);
        }
        settings
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A year in seconds and more is surely meant as something else, and would not fit every unit.
        Ok(number) if number > 0.0 && number < 1e8 => Ok(number),
        _ => Err("write a number above 0".to_owned()),
    }
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.0..1e8).contains(&hours) => Ok(hours),
        _ => Err("write a number of hours, such as 168 for a week".to_owned()),
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(at.to_utc()),
        Err(error) => Err(format!("{error}; write it like 2025-01-31T00:00:00Z")),
    }
}

#[cfg(test)]
mod tests;
