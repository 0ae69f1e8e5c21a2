//! The targets file: where tables live, and what templates see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::Value as TemplateValue;

use crate::dialect::keys::{TARGET, TARGETS_FILE};
use crate::dialect::read_merge_strategy;
use crate::discover::TARGETS_FILE_NAME;
use crate::findings::Findings;
use crate::load::LoadRequest;
use crate::location::{absolute, absolute_path_or_url, no_storage, unknown_storage};
use crate::model::MergeStrategy;
use crate::name::is_identifier;
use crate::near_file::nearest_path;
use crate::problem::Problem;
use crate::read_file::read_file;
use crate::reader::{Located, MapReader, clip};
use crate::secret::{self, SecretKeys, is_reference, is_secret_name};
use crate::source_text::{SourceFile, Span};
use crate::suggest::nearest;
use crate::yaml::{Node, Value, YamlError, parse};

/// The name of the target when there is no targets file.
const DEFAULT_TARGET: &str = "default";
/// The target that is taken when several are there and none is named.
const PREFERRED_TARGET: &str = "dev";
/// Keys of a target that templates do not see.
const NO_TEXTS: [&str; 3] = ["storage_options", "control_history_days", "merge_strategy"];
/// The warehouse when nothing names one.
const DEFAULT_WAREHOUSE: &str = "./warehouse";
/// The environment variable that names the warehouse where neither a flag nor the target does.
const WAREHOUSE_VARIABLE: &str = "KIMBALL_WAREHOUSE";
/// What a targets file looks like.
const EXAMPLE: &str = "write `version: 1` and `targets: {dev: {warehouse: ./warehouse, gold_schema: gold}}`";

/// The chosen target, before the ETL schema is known for sure.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChosenTarget {
    pub(crate) name: String,
    /// `warehouse` as the flag, the file or the environment gives it, absolute or a URL.
    pub(crate) warehouse: String,
    /// `etl_schema`, if the flag, the file or the environment gives one.
    pub(crate) etl_schema: Option<String>,
    pub(crate) storage_options: BTreeMap<String, String>,
    pub(crate) control_history_days: Option<u32>,
    pub(crate) merge_strategy: MergeStrategy,
    pub(crate) base_dir: PathBuf,
    /// What templates see as `target.*`.
    pub(crate) template_values: BTreeMap<String, TemplateValue>,
}

/// One target of the file.
#[derive(Debug, Default)]
struct FileTarget {
    settings: BTreeMap<String, String>,
    storage_options: BTreeMap<String, String>,
    control_history_days: Option<u32>,
    merge_strategy: MergeStrategy,
}

/// The targets file of a request: the named one, or the default one if it is there.
pub(crate) fn targets_path(request: &LoadRequest, working_dir: &Path) -> Option<PathBuf> {
    match &request.targets_file {
        Some(named) => Some(named.clone()),
        None => working_dir.join(TARGETS_FILE_NAME).is_file().then(|| PathBuf::from(TARGETS_FILE_NAME)),
    }
}

/// Chooses the target of a request.
///
/// Without one, the files cannot be judged: most of what they say depends on it.
pub(crate) fn choose_target(
    request: &LoadRequest,
    working_dir: &Path,
    targets_path: Option<&Path>,
) -> (Option<ChosenTarget>, Vec<Problem>) {
    let (targets, mut problems) = match targets_path {
        Some(path) => read_targets(working_dir, path),
        None => (None, Vec::new()),
    };
    let base_dir = targets_path
        .map(|path| absolute(working_dir, path))
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| absolute(working_dir, Path::new("")));
    let file = match (targets_path, targets) {
        (Some(path), Some(targets)) => Some((path, targets)),
        (None, _) => None,
        (Some(_), None) => return (None, problems),
    };
    let (name, target) = match pick(request, file) {
        Ok(picked) => picked,
        Err(problem) => {
            problems.push(*problem);
            return (None, problems);
        }
    };
    let environment = |name: &str| request.environment.get(name).filter(|value| !value.is_empty());
    let named = target.settings.get("warehouse").map(String::as_str);
    let (warehouse, problem) = warehouse(request, named, working_dir, &base_dir);
    problems.extend(problem);
    let etl_schema = request
        .etl_schema
        .as_ref()
        .or_else(|| target.settings.get("etl_schema"))
        .or_else(|| environment("KIMBALL_ETL_SCHEMA"))
        .cloned();
    if let Some(schema) = etl_schema.as_ref().filter(|schema| !is_identifier(schema)) {
        problems.push(Problem::error(format!("the ETL schema `{}` is no name of a schema", clip(schema))));
    }
    let template_values = target
        .settings
        .iter()
        .map(|(key, value)| (key.clone(), TemplateValue::from(value.as_str())))
        .collect();
    let chosen = ChosenTarget {
        name,
        warehouse,
        etl_schema,
        storage_options: target.storage_options,
        control_history_days: target.control_history_days,
        merge_strategy: target.merge_strategy,
        base_dir,
        template_values,
    };
    (Some(chosen), problems)
}

/// The warehouse that the flag, the target or the environment names, absolute or a URL; with a problem where it is none and
/// stands outside of the targets file, whose own were checked at their places.
fn warehouse(
    request: &LoadRequest,
    setting: Option<&str>,
    working_dir: &Path,
    base_dir: &Path,
) -> (String, Option<Problem>) {
    let variable = request.environment.get(WAREHOUSE_VARIABLE).filter(|value| !value.is_empty());
    let (text, base, stands_in) = match (&request.warehouse, setting, variable) {
        (Some(flag), ..) => (flag.as_str(), working_dir, Some("`--warehouse`".to_owned())),
        (None, Some(setting), _) => (setting, base_dir, None),
        (None, None, Some(text)) => {
            (text.as_str(), working_dir, Some(format!("the environment variable `{WAREHOUSE_VARIABLE}`")))
        }
        (None, None, None) => (DEFAULT_WAREHOUSE, working_dir, None),
    };
    let problem = unknown_storage(text).zip(stands_in).map(|(scheme, stands_in)| {
        Problem::error(no_storage(&clip(scheme))).with_help(format!("it stands in {stands_in}"))
    });
    (absolute_path_or_url(text, base), problem)
}

/// The named target, the only one, or `dev`.
fn pick(
    request: &LoadRequest,
    file: Option<(&Path, BTreeMap<String, FileTarget>)>,
) -> Result<(String, FileTarget), Box<Problem>> {
    let wanted = request.target.as_deref();
    let Some((path, mut targets)) = file else {
        return match wanted {
            Some(name) if name != DEFAULT_TARGET => {
                let message = format!("there is no target `{}`: there is no targets file", clip(name));
                let help = format!("write `{TARGETS_FILE_NAME}` or name a file with `--targets`");
                Err(Problem::error(message).with_help(help).into())
            }
            _ => Ok((DEFAULT_TARGET.to_owned(), FileTarget::default())),
        };
    };
    let known = targets.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let name = match wanted {
        Some(name) => name.to_owned(),
        None if targets.len() == 1 => targets.keys().next().cloned().unwrap_or_default(),
        None if targets.contains_key(PREFERRED_TARGET) => PREFERRED_TARGET.to_owned(),
        None => {
            let problem = Problem::error("there are several targets and none is chosen").in_file(path);
            return Err(problem.with_help(format!("choose one with `--target`: {known}")).into());
        }
    };
    if let Some(target) = targets.remove(&name) {
        return Ok((name, target));
    }
    let hint = match nearest(&name, targets.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? the targets are {known}"),
        None => format!("the targets are {known}"),
    };
    let problem = Problem::error(format!("there is no target `{}`", clip(&name))).in_file(path);
    Err(problem.with_help(hint).into())
}

/// Reads and checks a whole targets file; `None` when it holds no targets at all.
fn read_targets(working_dir: &Path, named: &Path) -> (Option<BTreeMap<String, FileTarget>>, Vec<Problem>) {
    let path = working_dir.join(named);
    if !path.exists() {
        return (None, vec![no_targets_file(working_dir, named)]);
    }
    let mut file = match read_file(&path, named) {
        Ok(file) => file,
        Err(problem) => return (None, vec![*problem]),
    };
    let root = parse(file.text());
    hide_secrets(&mut file, root.as_ref());
    let findings = Findings::new(&file);
    let root = match root {
        Ok(Some(root)) if !root.is_null() => root,
        Ok(_) => {
            let message = "a targets file needs `version: 1` and `targets`";
            findings.error_with_help(Span::default(), message, EXAMPLE);
            return (None, findings.finish().0);
        }
        Err(error) => {
            findings.error_with(error.span, error.message, error.help);
            return (None, findings.finish().0);
        }
    };
    let targets = MapReader::open(&findings, &root, &TARGETS_FILE).and_then(|reader| read_all(&reader));
    (targets, findings.finish().0)
}

fn no_targets_file(working_dir: &Path, named: &Path) -> Problem {
    let problem = Problem::error(format!("there is no targets file `{}`", named.display()));
    let usual = || {
        let usual = PathBuf::from(TARGETS_FILE_NAME);
        working_dir.join(&usual).is_file().then_some(usual)
    };
    match nearest_path(working_dir, named).or_else(usual) {
        Some(near) => problem.with_help(format!("did you mean `{}`?", near.display())),
        None => problem,
    }
}

/// Keeps what is secret out of every excerpt: of the values that are read, and of all lines that look like it where the
/// file is no YAML.
fn hide_secrets(file: &mut SourceFile, root: Result<&Option<Node>, &YamlError>) {
    let mut hidden = secret::in_urls(file.written());
    match root {
        Ok(Some(root)) => {
            let found = secret::in_tree(root, SecretKeys::Targets);
            hidden.extend(found.into_iter().map(|span| span.start..span.end));
        }
        Ok(None) | Err(_) => hidden.extend(secret::in_text(file.written(), SecretKeys::Targets)),
    }
    file.hide(hidden);
}

fn read_all(reader: &MapReader<'_>) -> Option<BTreeMap<String, FileTarget>> {
    let findings = reader.findings();
    if reader.required("version").is_some()
        && let Some(version) = reader.integer("version", 1)
        && version.value != 1
    {
        findings.error(version.span, format!("version {} is not known: write `version: 1`", version.value));
    }
    let node = reader.required("targets")?;
    let Value::Mapping(entries) = &node.value else {
        findings.error(node.span, format!("`targets` must be a mapping, found {}", node.kind()));
        return None;
    };
    let mut targets = BTreeMap::new();
    for entry in entries {
        if !is_identifier(&entry.key) {
            let message = format!("`{}` is no name of a target", clip(&entry.key));
            findings.error(entry.key_span, message);
            continue;
        }
        // A target that cannot be read is still a target that exists.
        let target = if entry.value.is_null() {
            FileTarget::default()
        } else {
            MapReader::open(findings, &entry.value, &TARGET)
                .map(|target| read_target(&target))
                .unwrap_or_default()
        };
        if targets.insert(entry.key.clone(), target).is_some() {
            findings.error(entry.key_span, format!("the target `{}` is there twice", entry.key));
        }
    }
    if targets.is_empty() {
        findings.error(node.span, "`targets` needs one target at least");
        return None;
    }
    Some(targets)
}

fn read_target(target: &MapReader<'_>) -> FileTarget {
    let mut settings = BTreeMap::new();
    for key in TARGET.keys.iter().filter(|key| !NO_TEXTS.contains(key)) {
        let Some(text) = target.text(key) else { continue };
        let is_name = key.ends_with("_schema") || *key == "catalog";
        if is_name && !is_identifier(&text.value) {
            let message = format!("`{key}` may hold letters, digits, `_` and `-` only");
            target.findings().error(text.span, message);
        }
        if let Some(scheme) = unknown_storage(&text.value).filter(|_| *key == "warehouse") {
            target.findings().error(text.span, no_storage(&clip(scheme)));
        }
        settings.insert((*key).to_owned(), text.value);
    }
    let options = target.texts("storage_options").unwrap_or_default();
    options.iter().for_each(|(name, value)| refuse_secret(target, name, value));
    let storage_options = options.into_iter().map(|(name, value)| (name, value.value)).collect();
    FileTarget {
        settings,
        storage_options,
        control_history_days: control_history_days(target),
        merge_strategy: read_merge_strategy(target).unwrap_or_default(),
    }
}

fn control_history_days(target: &MapReader<'_>) -> Option<u32> {
    let days = target.integer("control_history_days", 1)?;
    let fits = u32::try_from(days.value).ok();
    if fits.is_none() {
        let message = format!("`control_history_days` must be at most {}, found {}", u32::MAX, days.value);
        target.findings().error(days.span, message);
    }
    fits
}

/// Secrets are references, never values.
fn refuse_secret(target: &MapReader<'_>, name: &str, value: &Located<String>) {
    if is_secret_name(name) && !is_reference(&value.value) {
        target.findings().error_with_help(
            value.span,
            format!("`{}` is a secret: it must be a reference", clip(name)),
            "write `env://NAME` for the environment variable that holds it",
        );
    }
}

#[cfg(test)]
mod tests;
