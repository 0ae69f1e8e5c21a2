//! `kimball bundle`: the project as a job of Databricks.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::stderr;

mod args;
#[cfg(test)]
mod fixture;
mod job;
mod task_keys;
mod tasks;

pub use args::BundleArgs;

use job::Job;

/// What stands above a bundle, for whoever finds it beside a notebook.
const HEAD: &str =
    "# Rendered by `kimball bundle`: render it again when pipelines come, go or need others.\n";

/// Jobs with more tasks than this are only taken by version 2.2 of the Jobs API.
const TASKS_OF_OLD_CLIENTS: usize = 100;

/// Writes the job that loads the project: a Databricks Asset Bundle, or what `jobs/create` takes. No table is
/// looked at and nothing is sent.
pub fn bundle(configs: &Configs, bundle: &BundleArgs, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(configs).build()?;
    if !options.quiet {
        executor.warnings().iter().for_each(stderr::line);
    }
    let target = &executor.project().target.name;
    let job = tasks::job(executor.plan(), target, bundle, options.max_workers)?;
    let text = match options.format {
        Format::Json => json_of(&job)?,
        _ => yaml_of(&job)?,
    };
    if job.tasks.len() > TASKS_OF_OLD_CLIENTS && !options.quiet {
        stderr::note(format_args!(
            "{} tasks need Jobs API 2.2, which the Databricks CLI speaks from 0.244.0 on",
            job.tasks.len()
        ));
    }
    let mut output = Output::new(io::stdout());
    output.write(text);
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

/// The job as the whole `databricks.yml` of a bundle.
fn yaml_of(job: &Job) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct File<'a> {
        bundle: Named<'a>,
        resources: Resources<'a>,
    }
    #[derive(Serialize)]
    struct Named<'a> {
        name: &'a str,
    }
    #[derive(Serialize)]
    struct Resources<'a> {
        jobs: BTreeMap<&'a str, &'a Job>,
    }
    let key = job.resource_key();
    let file =
        File { bundle: Named { name: &key }, resources: Resources { jobs: BTreeMap::from([(&*key, job)]) } };
    let options = serde_yaml::ser_options! { compact_list_indent: false, prefer_block_scalars: false };
    let yaml = serde_yaml::to_string_with_options(&file, options)
        .map_err(|error| Failure::Output(io::Error::other(error)))?;
    Ok(format!("{HEAD}{yaml}"))
}

/// The job as one line: the body of a request to `jobs/create`.
fn json_of(job: &Job) -> Result<String, Failure> {
    if let Some(path) = job.relative_notebook() {
        return Err(Failure::Obstacle(format!(
            "the notebook `{path}` is relative: only a bundle is deployed together with its notebook; name its path in the workspace, which begins with `/`, or leave --format json out"
        )));
    }
    Ok(serde_json::to_string(job).map_err(|error| Failure::Output(error.into()))? + "\n")
}

#[cfg(test)]
mod tests;
