//! Configurations that nobody would write: bytes changed by chance, trees put together wrongly, names that would leave
//! the warehouse. Loading them ends, soon and without a panic, and a table that is accepted lies in its warehouse.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kimball::{LoadRequest, Project, load_project};
use kimball_lake::{TableId, Warehouse};

use super::clock::now;
use super::dice::Dice;
use super::{Proof, Refuted};
use crate::error::{Result, TestkitError};
use crate::file_tree::files_below;

/// Files that are loaded together: most of the time is spent on opening folders.
const TOGETHER: usize = 100;
/// How long these may take, on the slowest machine.
const SOON: Duration = Duration::from_secs(60);
/// Changes of one text at most.
const CHANGES: usize = 6;

/// Pieces that mean something to YAML, templates, SQL, paths or numbers.
const PIECES: &[&str] = &[
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: *a",
    "|\n",
    ">\n",
    "\t",
    "\r",
    "\0",
    "#",
    "'",
    "\"",
    "!!binary ",
    "!!str",
    "---\n",
    "...\n",
    "? ",
    "{{",
    "}}",
    "{% for i in range(9) %}",
    "{% endfor %}",
    "{{ target.gold_schema }}",
    "{{ undefined }}",
    "../",
    "/etc/passwd",
    "..",
    "a/b",
    "%2e%2e",
    "file:///",
    "\u{feff}",
    "\u{202e}",
    "é",
    "\u{1F4A5}",
    "99999999999999999999",
    "-1",
    "1e999",
    ".nan",
    "~",
    "null",
    "true",
    "yes",
    "SELECT 1",
    "; DROP TABLE x",
    "--",
    "/*",
    "(",
    ")",
    "table_name: ",
    "sources: ",
    "scd_type: ",
    "keys: ",
    "foreign_keys: ",
    "tests: ",
    "merge_keys: ",
];

/// Loads `proof.cases` inputs.
///
/// # Errors
/// When a folder cannot be written.
pub fn prove(proof: &Proof, tell: impl Fn(&str)) -> Result<Option<Refuted>> {
    let seeds = seeds()?;
    let mut dice = Dice::new(proof.seed);
    let folder = tempfile::tempdir().map_err(TestkitError::io("temp dir"))?;
    let (mut loaded, mut accepted) = (0, 0);
    while loaded < proof.cases {
        let inputs: Vec<Vec<u8>> =
            (0..TOGETHER.min(proof.cases - loaded)).map(|_| draw(&mut dice, &seeds)).collect();
        match load_all(folder.path(), &inputs)? {
            Ok(count) => accepted += count,
            Err(_) => {
                // One of them by itself.
                for input in &inputs {
                    if let Err(wrong) = load_all(folder.path(), std::slice::from_ref(input))? {
                        return keep(proof, input, wrong).map(Some);
                    }
                }
                return Ok(Some(Refuted {
                    difference: "some files fail together alone".to_owned(),
                    scenario: None,
                }));
            }
        }
        loaded += inputs.len();
        if loaded.is_multiple_of(100_000) {
            tell(&format!("{loaded} inputs, {accepted} of them accepted"));
        }
    }
    // A proof that reads nothing but garbage proves little.
    if accepted == 0 {
        return Ok(Some(Refuted { difference: "no input was accepted".to_owned(), scenario: None }));
    }
    tell(&format!("{loaded} inputs, {accepted} of them accepted"));
    Ok(None)
}

/// Every configuration of the repository's own examples and tests.
fn seeds() -> Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["../configs", "shop", "stories", "scenarios"].map(|folder| root.join(folder));
    let mut seeds = Vec::new();
    for path in files_below(folders)? {
        if path.extension().is_some_and(|kind| kind == "yml" || kind == "yaml") {
            let text = fs::read_to_string(&path).map_err(TestkitError::io(&path))?;
            seeds.extend(pipelines_of(&text));
        }
    }
    seeds.sort();
    seeds.dedup();
    Ok(seeds)
}

/// The configurations inside a scenario, or the text itself.
fn pipelines_of(text: &str) -> Vec<String> {
    let scenario: std::result::Result<BTreeMap<String, serde_json::Value>, _> = serde_yaml::from_str(text);
    let configs = scenario.ok().and_then(|scenario| scenario.get("configs").cloned());
    match configs.as_ref().and_then(serde_json::Value::as_object) {
        Some(configs) => configs.values().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        None => vec![text.to_owned()],
    }
}

fn draw(dice: &mut Dice, seeds: &[String]) -> Vec<u8> {
    let mut text = dice.one(seeds).map(|text| text.clone().into_bytes()).unwrap_or_default();
    if dice.chance(15) {
        // The first half of one and the second of another.
        let other = dice.one(seeds).map(|text| text.clone().into_bytes()).unwrap_or_default();
        text.truncate(dice.below(text.len() + 1));
        text.extend(other.into_iter().skip(dice.below(200)));
    }
    for _ in 0..=dice.below(CHANGES) {
        change(dice, &mut text);
    }
    text
}

fn change(dice: &mut Dice, text: &mut Vec<u8>) {
    let at = dice.below(text.len() + 1);
    let end = (at + dice.below(40)).min(text.len());
    match dice.below(7) {
        0 => drop(text.drain(at..end)),
        1 => {
            let again = text[at..end].to_vec();
            text.splice(at..at, again);
        }
        2 if at < text.len() => text[at] = u8::try_from(dice.below(256)).unwrap_or_default(),
        3 => {
            // A line goes elsewhere, with what it is indented by.
            let lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if let Some(line) = dice.one(&lines).cloned() {
                text.splice(at..at, [b"\n".as_slice(), &line, b"\n"].concat());
            }
        }
        4 => {
            let deep = dice.word(&["[", "{a: ", "- ", "("]).repeat(dice.below(300));
            text.splice(at..at, deep.into_bytes());
        }
        _ => {
            let piece = dice.word(PIECES);
            text.splice(at..at, piece.into_bytes());
        }
    }
}

/// Loads files together and one by one; says how many are accepted, or what is wrong.
fn load_all(folder: &Path, inputs: &[Vec<u8>]) -> Result<std::result::Result<usize, String>> {
    let configs = folder.join("configs");
    let _ = fs::remove_dir_all(&configs);
    fs::create_dir_all(&configs).map_err(TestkitError::io(&configs))?;
    for (number, input) in inputs.iter().enumerate() {
        let path = configs.join(format!("{number:03}.yml"));
        fs::write(&path, input).map_err(TestkitError::io(&path))?;
    }
    let started = now();
    let mut accepted = 0;
    let whole = [vec!["configs".to_owned()]];
    let single = (0..inputs.len()).map(|number| vec![format!("configs/{number:03}.yml")]);
    for files in whole.into_iter().chain(single) {
        let request = LoadRequest {
            configs: files,
            working_dir: folder.to_path_buf(),
            warehouse: Some(folder.join("warehouse").display().to_string()),
            ..LoadRequest::default()
        };
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| load_project(&request))) else {
            return Ok(Err("loading it panics".to_owned()));
        };
        if let Some(project) = &outcome.project {
            accepted += 1;
            if let Some(escaped) = escaped(project) {
                return Ok(Err(escaped));
            }
        }
    }
    match started.elapsed() < SOON {
        true => Ok(Ok(accepted)),
        false => Ok(Err(format!("loading it takes {:?}", started.elapsed()))),
    }
}

/// A table that does not lie in the warehouse.
fn escaped(project: &Project) -> Option<String> {
    let warehouse = Warehouse::new(&project.target.warehouse, &BTreeMap::new()).ok()?;
    let root = warehouse.locate(&TableId::new("a", "b").ok()?).ok()?;
    let root = root.join("../../").ok()?;
    let lies_elsewhere = |name: &kimball::TableName| match TableId::new(name.schema(), name.table()) {
        Err(_) => true,
        Ok(id) => warehouse.locate(&id).is_ok_and(|place| !place.as_str().starts_with(root.as_str())),
    };
    let names = project
        .pipelines
        .iter()
        .flat_map(|pipeline| [&pipeline.table].into_iter().chain(pipeline.companions()));
    let found = names.into_iter().find(|name| lies_elsewhere(name));
    found.map(|name| format!("`{name}` is accepted and lies outside the warehouse"))
}

fn keep(proof: &Proof, input: &[u8], wrong: String) -> Result<Refuted> {
    fs::create_dir_all(&proof.failures).map_err(TestkitError::io(&proof.failures))?;
    let path: PathBuf = proof.failures.join("config.yml");
    fs::write(&path, input).map_err(TestkitError::io(&path))?;
    Ok(Refuted { difference: wrong, scenario: Some(path) })
}
