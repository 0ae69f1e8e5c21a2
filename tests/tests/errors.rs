//! Mistakes that users make: each file of `errors/` holds one, and what the command says about it to the letter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use kimball_tests::columns::{batch_from_text, parse_schema};
use kimball_tests::file_tree::files_below;
use kimball_tests::golden::{Case, Ending, Step, Table, diff, settled};
use kimball_tests::source_table::{SourceTable, TableLayout};
use kimball_tests::text_table::TextTable;
use tokio::runtime::Runtime;

use crate::command::{Ended, command};
use crate::project::Project;

/// Set to 1, every case is written anew with what the command says now: read the difference before you commit it.
const BLESS_VARIABLE: &str = "KIMBALL_BLESS";

/// Part of a path: only the cases whose path holds it are tried.
const FILTER_VARIABLE: &str = "KIMBALL_CASE";

/// Mistakes that there are at least.
const MISTAKES: usize = 40;

/// Cases that are tried at a time.
const THREADS: usize = 2;

/// `kimball.targets.yml` of a case that has none of its own.
const TARGETS: &str = "version: 1\ntargets:\n  dev: {silver_schema: silver, gold_schema: gold, etl_schema: etl, \
                       warehouse: ./warehouse}\n";

#[test]
fn every_mistake_is_told_as_its_case_says() {
    let (filter, bless) = (variable(FILTER_VARIABLE), variable(BLESS_VARIABLE) == "1");
    assert!(!bless || variable("CI").is_empty(), "{BLESS_VARIABLE} is for those who read what they bless");
    let mut paths = files_below([Path::new(env!("CARGO_MANIFEST_DIR")).join("errors")]).unwrap();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "case"));
    assert!(paths.len() >= MISTAKES, "only {} cases", paths.len());
    paths.retain(|path| path.to_string_lossy().contains(&filter));
    assert!(!paths.is_empty(), "no case's path holds `{filter}`");
    let reports = in_parallel(&paths, |path| report(path, bless));
    assert!(
        reports.is_empty(),
        "{} of {} cases differ; {BLESS_VARIABLE}=1 writes them anew\n\n{}",
        reports.len(),
        paths.len(),
        reports.join("\n")
    );
}

#[allow(clippy::disallowed_methods, reason = "switches for the developer at the terminal")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn in_parallel(paths: &[PathBuf], report: impl Fn(&Path) -> Option<String> + Sync) -> Vec<String> {
    let report = &report;
    thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(paths.len().div_ceil(THREADS))
            .map(|paths| {
                scope.spawn(move || paths.iter().filter_map(|path| report(path)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// What is wrong with a case; `None` when it holds, or holds now.
fn report(path: &Path, bless: bool) -> Option<String> {
    let case = match Case::parse(path, &fs::read_to_string(path).unwrap()) {
        Ok(case) => case,
        Err(error) => return Some(format!("✗ {error}\n")),
    };
    let title = format!("✗ {}\n  {}\n", path.display(), case.proves);
    // A case that cannot be carried out must not hide what became of the others.
    let Ok(ending) = std::panic::catch_unwind(|| Workshop::open().ending_of(&case)) else {
        return Some(format!("{title}  it cannot be carried out: the reason stands above\n"));
    };
    if ending.code == Some(0) {
        return Some(format!("{title}  this is no mistake: the command succeeds\n"));
    }
    let found = ending.to_string();
    if found == case.expected {
        return None;
    }
    if bless {
        fs::write(path, case.ending_with(&ending)).unwrap();
        return None;
    }
    Some(format!("{title}{}", diff(&case.expected, &found)))
}

/// The folder that a case is carried out in.
struct Workshop {
    project: Project,
    /// The columns of each table that the case made.
    columns: BTreeMap<String, String>,
    clock: DateTime<Utc>,
}

impl Workshop {
    fn open() -> Self {
        let project = Project::of(tempfile::tempdir().unwrap().path());
        project.write("kimball.targets.yml", TARGETS);
        Self { project, columns: BTreeMap::new(), clock: "2025-01-01T00:00:00Z".parse().unwrap() }
    }

    fn ending_of(mut self, case: &Case) -> Ending {
        case.steps.iter().for_each(|step| self.carry_out(step));
        let Ended { code, stdout, stderr } = self.call(&case.command);
        let told = |text: String| settled(&text, self.project.root());
        Ending { code, stderr: told(stderr), stdout: told(stdout) }
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::File { path, text } => self.project.write(path, text),
            Step::Remove { path } => {
                let path = self.project.root().join(path);
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
            Step::Table(table) => self.create(table),
            Step::Insert { table, rows } => self.insert(table, rows),
            Step::Call(words) => {
                self.call(words).with_code(0);
            }
        }
    }

    fn call(&self, words: &[String]) -> Ended {
        Ended::of(command(self.project.root(), "").args(words))
    }

    fn create(&mut self, table: &Table) {
        let layout = TableLayout {
            schema: parse_schema(&table.columns).unwrap(),
            partition_by: Vec::new(),
            change_feed: table.change_feed,
        };
        self.columns.insert(table.name.clone(), table.columns.clone());
        let time = self.tick();
        Runtime::new().unwrap().block_on(self.table(&table.name).create(&layout, Some(time))).unwrap();
        if !table.rows.is_empty() {
            self.insert(&table.name, &table.rows);
        }
    }

    fn insert(&mut self, table: &str, rows: &str) {
        let schema = parse_schema(&self.columns[table]).unwrap();
        let rows = batch_from_text(&schema, &TextTable::parse(rows).unwrap()).unwrap();
        let time = self.tick();
        Runtime::new().unwrap().block_on(self.table(table).insert([rows], Some(time))).unwrap();
    }

    fn table(&self, name: &str) -> SourceTable {
        SourceTable::at(&self.project.warehouse(), name).unwrap()
    }

    /// The time of the next commit to a source: a minute after the last.
    fn tick(&mut self) -> DateTime<Utc> {
        self.clock += TimeDelta::minutes(1);
        self.clock
    }
}
