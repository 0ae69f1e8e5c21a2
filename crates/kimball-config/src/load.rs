//! From the names on a command line to a checked project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dialect::{PipelineFile, read_pipeline};
use crate::discover::{find_beside, find_files};
use crate::findings::Findings;
use crate::location::absolute;
use crate::model::{Pipeline, Project, Protection, Target};
use crate::problem::{Problem, ProblemSeverity};
use crate::project::{self, Loaded};
use crate::read_file::read_file;
use crate::secret::{self, SecretKeys};
use crate::source_text::{SourceFile, Span};
use crate::targets::{ChosenTarget, choose_target, targets_path};
use crate::template::{TemplateContext, render};
use crate::yaml;

mod contracts;

/// What to load, and everything the load may know about its surroundings.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// Files, folders (searched for `*.yml` and `*.yaml`, recursively) and globs, relative to `working_dir`.
    pub configs: Vec<String>,
    /// The name of the target (`--target`).
    pub target: Option<String>,
    /// The targets file, relative to `working_dir`; by default `kimball.targets.yml` there, if it exists.
    pub targets_file: Option<PathBuf>,
    /// `--warehouse`: goes before the target's own.
    pub warehouse: Option<String>,
    /// `--etl-schema`: goes before the target's own.
    pub etl_schema: Option<String>,
    /// The environment variables that templates and defaults may use.
    pub environment: BTreeMap<String, String>,
    /// Where relative names start; empty means the process's own working directory.
    pub working_dir: PathBuf,
}

/// A project, or what is wrong with it.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// Present exactly when no problem is an error.
    pub project: Option<Project>,
    /// All problems of all files, in the order of files and lines.
    pub problems: Vec<Problem>,
}

impl LoadOutcome {
    /// The problems that stop the load.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == ProblemSeverity::Error)
    }

    /// The problems that do not stop it.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == ProblemSeverity::Warning)
    }
}

/// Loads the files of a request and checks them together. What lies beside a file that is named by itself is known, so
/// that the file means the same alone and with its folder; it is not checked.
///
/// Reads files, touches no table. Never panics, whatever the files hold.
pub fn load_project(request: &LoadRequest) -> LoadOutcome {
    let working_dir = &request.working_dir;
    let targets_path = targets_path(request, working_dir);
    let (target, mut problems) = choose_target(request, working_dir, targets_path.as_deref());
    let absolute_targets = targets_path.map(|path| absolute(working_dir, &path));
    let (files, missing) = find_files(&request.configs, working_dir, absolute_targets.as_deref());
    problems.extend(missing);
    let Some(target) = target else {
        return LoadOutcome { project: None, problems };
    };
    let context = TemplateContext::new(&request.environment, &target.name, &target.template_values);
    let load = |named: &Path| -> Result<(Loaded, Vec<Problem>), Box<Problem>> {
        let path = working_dir.join(named);
        let (mut item, mut found) = load_file(read_file(&path, named)?, &context, &target.base_dir);
        found.extend(contracts::resolve(&mut item, &path, &target.base_dir));
        resolve_secrets(&mut item, &request.environment);
        Ok((item, found))
    };
    let mut loaded = Vec::with_capacity(files.len());
    for named in &files {
        match load(named) {
            Ok((item, found)) => {
                problems.extend(found);
                loaded.push(item);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    let beside = find_beside(&files, working_dir, absolute_targets.as_deref());
    let sound = beside.iter().filter_map(|named| load(named).ok()).filter(|(_, found)| !has_errors(found));
    let known = project::without_rivals(sound.map(|(item, _)| item).collect(), &loaded);
    problems.extend(project::check(&mut loaded, &known));
    problems.sort_by(|left, right| sort_key(left).cmp(&sort_key(right)));
    let project = if has_errors(&problems) { None } else { assemble(loaded, known, target) };
    LoadOutcome { project, problems }
}

fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == ProblemSeverity::Error)
}

/// Problems of no file come first, then file by file, line by line.
fn sort_key(problem: &Problem) -> (Option<&Path>, Option<(usize, usize)>) {
    let place = problem.location.as_ref().map(|location| (location.line, location.column));
    (problem.file.as_deref(), place)
}

/// The target of a request alone, for work that needs no pipeline. Its `etl_schema` is `etl` where nothing names one, as
/// no table is there to take the schema of.
///
/// # Errors
/// The problems of the targets file.
pub fn load_target(request: &LoadRequest) -> Result<Target, Vec<Problem>> {
    let path = targets_path(request, &request.working_dir);
    let (target, problems) = choose_target(request, &request.working_dir, path.as_deref());
    target.filter(|_| !has_errors(&problems)).map(|target| settled(target, "etl")).ok_or(problems)
}

/// Renders, parses and reads one file.
fn load_file(mut file: SourceFile, context: &TemplateContext, base_dir: &Path) -> (Loaded, Vec<Problem>) {
    // Until the file is a tree, whatever looks like a secret is kept out of the excerpts.
    let in_urls = secret::in_urls(file.written());
    file.hide([secret::in_text(file.written(), SecretKeys::Pipeline), in_urls.clone()].concat());
    if let Err(problems) = render(&mut file, context) {
        return (Loaded { file, read: PipelineFile::default() }, problems);
    }
    let root = yaml::parse(file.text());
    if let Ok(Some(root)) = &root {
        let secrets = secret::in_tree(root, SecretKeys::Pipeline);
        let secrets = secrets.into_iter().filter_map(|span| file.copied_from(span));
        file.hide(secrets.chain(in_urls).collect());
    }
    let findings = Findings::new(&file);
    let mut read = match root {
        Ok(Some(root)) if !root.is_null() => read_pipeline(&findings, &root, base_dir),
        Ok(_) => {
            findings.error_with_help(
                Span::default(),
                "this file is empty",
                "write a pipeline, or move the file out of the folder",
            );
            PipelineFile::default()
        }
        Err(error) => {
            findings.error_with(error.span, error.message, error.help);
            PipelineFile::default()
        }
    };
    let (problems, notes) = findings.finish();
    if let Some(pipeline) = &mut read.pipeline {
        pipeline.notes = notes;
    }
    (Loaded { file, read }, problems)
}

/// Gives secrets their values where the environment has them.
fn resolve_secrets(item: &mut Loaded, environment: &BTreeMap<String, String>) {
    let Some(pipeline) = &mut item.read.pipeline else { return };
    pipeline.observability.webhook.resolve(environment);
    for column in &mut pipeline.pii {
        let Protection::Tokenize { secret } = &mut column.protection else { continue };
        secret.resolve(environment);
        if secret.value.is_none() {
            let name = &secret.name;
            pipeline.notes.push(format!("pii: the environment variable {name} is not set; a run needs it"));
        }
    }
}

/// Puts the pipelines, which are all there, into the order of their tables.
fn assemble(loaded: Vec<Loaded>, known: Vec<Loaded>, target: ChosenTarget) -> Option<Project> {
    let in_target = |Loaded { read, .. }: Loaded| {
        let merge_strategy = read.merge_strategy.unwrap_or(target.merge_strategy);
        read.pipeline.map(|pipeline| Pipeline { merge_strategy, ..pipeline })
    };
    let mut pipelines: Vec<Pipeline> = loaded.into_iter().filter_map(in_target).collect();
    let known = known.into_iter().filter_map(in_target).collect();
    // Files come in path order: the first of them gives its schema to the support tables.
    let first_schema = pipelines.first()?.table.schema().to_owned();
    pipelines.sort_by(|left, right| left.table.cmp(&right.table));
    Some(Project { pipelines, known, target: settled(target, &first_schema) })
}

fn settled(target: ChosenTarget, other_schema: &str) -> Target {
    Target {
        name: target.name,
        warehouse: target.warehouse,
        etl_schema: target.etl_schema.unwrap_or_else(|| other_schema.to_owned()),
        storage_options: target.storage_options,
        control_history_days: target.control_history_days,
        merge_strategy: target.merge_strategy,
        base_dir: target.base_dir,
    }
}

#[cfg(test)]
mod tests;
