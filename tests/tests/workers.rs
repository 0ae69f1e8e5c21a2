//! Workers: several pipelines at a time, and no row of the control table gets lost among them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use kimball::{EventKind, PipelineExecutor};

use crate::project::Project;
use crate::shop;

const PIPELINES: usize = 8;
const ROWS: usize = 200;
const RUNS: usize = 2;

const COLUMNS: &str = "id bigint, name string, city string, since timestamp";

/// Equal pipelines, each with a source of its own; the sources are those of `sources`, or yet to be made.
fn project(sources: Option<&Project>) -> Project {
    let project = Project::of(&shop::files());
    fs::remove_dir_all(project.root().join("configs")).unwrap();
    for number in 1..=PIPELINES {
        let config = format!(
            "table_name: gold.dim_{number}\ntable_type: dimension\nscd_type: 2\n\
             keys: {{surrogate_key: sk, natural_keys: [id]}}\neffective_at: since\n\
             track_history_columns: [city]\nsources: [{{name: silver.s{number}}}]\n"
        );
        project.write(&format!("configs/dim_{number}.yml"), &config);
        if sources.is_none() {
            project.source(&format!("silver.s{number}"), COLUMNS).create();
        }
    }
    if let Some(sources) = sources {
        symlink(sources.warehouse().join("silver"), project.warehouse().join("silver")).unwrap();
    }
    project
}

/// Commits to every source: new rows, and from the second round on the old ones change.
fn change(project: &Project, round: usize) {
    let at = format!("2024-01-0{round}T00:00:00Z");
    let since = format!("timestamp '2023-0{round}-01 00:00:00'");
    let ids = round * ROWS..(round + 1) * ROWS;
    let rows: String = ids.map(|id| format!("{id} | Member {id} | Rome | 2023-0{round}-01\n")).collect();
    for number in 1..=PIPELINES {
        let source = project.source(&format!("silver.s{number}"), COLUMNS);
        if round > 1 {
            let city = format!("'City {round}'");
            source.update(&at, "id % 2 = 0", &[("city", city.as_str()), ("since", since.as_str())]);
        }
        source.insert(&at, &format!("id | name | city | since\n{rows}"));
    }
}

#[test]
fn equal_pipelines_on_four_workers_leave_every_control_row() {
    let one = project(None);
    let four = project(Some(&one));
    let (mut took_one, mut took_four) = (Duration::ZERO, Duration::ZERO);
    for round in 1..=RUNS {
        change(&one, round);
        for (project, workers, took) in [(&one, 1, &mut took_one), (&four, 4, &mut took_four)] {
            let started = Instant::now();
            let summary = project.load(&format!("-w {workers}"));
            *took += started.elapsed();
            assert_eq!(summary["successful"], PIPELINES);
            require_rows(project, round);
        }
    }
    println!(
        "{RUNS} runs of {PIPELINES} pipelines: {took_one:.1?} with 1 worker, {took_four:.1?} with 4, {:.2} times as fast",
        took_one.as_secs_f64() / took_four.as_secs_f64()
    );
    for number in 1..=PIPELINES {
        let table = format!("gold.dim_{number}");
        let count = |project: &Project| project.rows(&table).values.len();
        assert_eq!(count(&one), count(&four), "{table}");
    }
}

/// One SUCCESS row a pipeline and run.
fn require_rows(project: &Project, runs: usize) {
    let mut batches: BTreeMap<String, usize> = BTreeMap::new();
    for row in project.control() {
        assert_eq!(row.status, "SUCCESS", "{row:?}");
        *batches.entry(row.target_table).or_default() += 1;
    }
    assert_eq!(batches.len(), PIPELINES, "{batches:?}");
    assert!(batches.values().all(|rows| *rows == runs), "after {runs} runs: {batches:?}");
    project.require_honest_control();
}

#[test]
fn pipelines_that_start_when_they_are_ready_load_what_waves_load() {
    let (waves, ready) = (shop::open(), shop::open());
    for (day, run) in [shop::FIRST_RUN, shop::SECOND_RUN].into_iter().enumerate() {
        if day > 0 {
            [&waves, &ready].into_iter().for_each(shop::second_day);
        }
        waves.load(run);
        let told = ready.call(&format!("run --schedule ready {run}")).with_code(0).stdout;
        assert!(told.contains("All pipelines, each when it is ready (5 pipelines)"), "{told}");
        for table in shop::TABLES {
            assert_eq!(ready.logical_rows(table), waves.logical_rows(table), "{table} on day {}", day + 1);
        }
    }
    ready.require_honest_control();
}

#[test]
fn pipelines_of_one_run_read_the_files_that_its_first_one_found() {
    let project = Project::of(&shop::files());
    fs::remove_dir_all(project.root().join("configs")).unwrap();
    for name in ["a", "b"] {
        let config = format!(
            "table_name: gold.dim_{name}\ntable_type: dimension\nscd_type: 1\n\
             keys: {{surrogate_key: sk, natural_keys: [id]}}\n\
             sources: [{{name: people, format: csv, path: data/*.csv}}]\n"
        );
        project.write(&format!("configs/dim_{name}.yml"), &config);
    }
    project.write("data/1.csv", "id,city\n1,Rome\n");
    let late = project.root().join("data/2.csv");
    let load = || {
        let late = late.clone();
        let executor = PipelineExecutor::builder()
            .working_dir(project.root())
            .environment(BTreeMap::new())
            .max_workers(1)
            .observer(move |event| {
                if let EventKind::PipelineCompleted(_) = event.kind {
                    fs::write(&late, "id,city\n2,Oslo\n").unwrap();
                }
            })
            .build();
        let summary = executor.unwrap().run().unwrap();
        let read =
            |place: usize| (summary.results[place].rows_read, summary.results[place].sources[0].to_version);
        (read(0), read(1))
    };
    let (first, second) = load();
    assert_eq!((first.0, first), (1, second));
    let (first, second) = load();
    assert_eq!((first.0, first.1), (2, second.1), "the next run reads what came");
}
