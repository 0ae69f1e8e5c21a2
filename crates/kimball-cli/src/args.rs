//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use kimball::{
    FailurePolicy, Jitter, OnBusy, PipelineExecutor, PipelineExecutorBuilder, Refresh, RetryPolicy, Schedule,
    Selector, Settings, SettingsBuilder,
};

/// Loads Kimball dimensional models into Delta Lake tables from a folder of YAML files
#[derive(Debug, Parser)]
#[command(name = "kimball", version, max_term_width = 100)]
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
    Plan(Configs),
    /// Run the pipelines
    Run {
        /// What to run
        #[command(flatten)]
        configs: Configs,
        /// Only show what would run, as `plan` does
        #[arg(long)]
        dry_run: bool,
    },
    /// Show what etl_control says: running, failed, last success, watermarks
    Status(Configs),
    /// Write files anew where small ones, or rows that no longer count, have piled up; no row changes
    Optimize(Configs),
}

/// The files of a project.
#[derive(Debug, Clone, Default, Args)]
pub struct Configs {
    /// Files, folders (searched recursively) or globs [default: configs]
    #[arg(value_name = "CONFIG")]
    pub paths: Vec<String>,
}

/// Options that every verb takes, before it or after.
#[derive(Debug, Args)]
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
    /// Only these: `name`, `+name` (and what it needs), `name+` (and what needs it), `wave:N`
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
    /// How to write what was asked for; mermaid and dot are for plans
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
        let is_plan = matches!(self.verb, Verb::Plan(_) | Verb::Run { dry_run: true, .. });
        let name = match self.options.format {
            Format::Mermaid => "mermaid",
            Format::Dot => "dot",
            Format::Text | Format::Json => return None,
        };
        (!is_plan).then(|| format!("--format {name} is for plans: use it with `plan` or `run --dry-run`"))
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
        builder
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

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(at.to_utc()),
        Err(error) => Err(format!("{error}; write it like 2025-01-31T00:00:00Z")),
    }
}

#[cfg(test)]
mod tests;
