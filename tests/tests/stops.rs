//! Ctrl-C: a run stops before its commits or ends them, and the next run goes on from there.

use std::fs;
use std::process::Stdio;

use crate::command::{Running, command};
use crate::project::{CONTROL, Project};
use crate::shop;

/// Rows of a source that takes a while to load.
const MANY: usize = 150_000;

/// Attempts to meet a load in the middle.
const ATTEMPTS: usize = 20;

/// A project whose customers are many, and what its first run says.
fn slow() -> Project {
    let project = shop::open();
    let rows = (1_000..1_000 + MANY).map(|id| format!("{id},n{id},c{},2023-01-01\n", id % 7));
    project.write("data/many.csv", &format!("id,name,city,updated_at\n{}", rows.collect::<String>()));
    project.write(
        "configs/dim_many.yml",
        "table_name: gold.dim_many\ntable_type: dimension\nscd_type: 2\neffective_at: updated_at\n\
         track_history_columns: ['*']\nkeys: {surrogate_key: sk, natural_keys: [id]}\n\
         sources: [{name: many, format: csv, path: data/many.csv}]\n",
    );
    project
}

/// Starts a run and sends Ctrl-C when its batch has begun; the exit code, and what it said.
fn interrupted(project: &Project, times: usize) -> (Option<i32>, String, String) {
    let (told, said) = (project.root().join("told"), project.root().join("said"));
    let (stdout, stderr) = (fs::File::create(&told).unwrap(), fs::File::create(&said).unwrap());
    let line = format!("run configs/dim_many.yml {}", shop::FIRST_RUN);
    let mut run = Running::start_as_it_is(
        command(project.root(), &line).stdin(Stdio::null()).stdout(stdout).stderr(stderr),
    );
    assert!(run.reaches(|| project.commit_file(CONTROL, 1).exists()), "it ended before its batch began");
    for _ in 0..times {
        run.interrupt();
    }
    let code = run.wait().code();
    (code, fs::read_to_string(told).unwrap(), fs::read_to_string(said).unwrap())
}

/// Demands that the next run loads everything, whatever the last one left.
fn require_next_run_loads(project: &Project) {
    project.load(&format!("configs/dim_many.yml {}", shop::FIRST_RUN));
    assert_eq!(project.rows("gold.dim_many").values.len(), MANY + 4);
    project.require_honest_control();
}

#[test]
fn an_interrupted_run_stops_inside_a_load_says_so_and_leaves_nothing_half_done() {
    for _ in 0..ATTEMPTS {
        let project = slow();
        let (code, told, said) = interrupted(&project, 1);
        if project.committed_batches("gold.dim_many").len() == 1 {
            // It was past the point of no return, and ended its commit.
            continue;
        }
        assert_eq!(code, Some(130), "{told}{said}");
        assert!(said.starts_with("interrupted: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let control = project.control();
        let [row] = control.as_slice() else { panic!("{control:#?}") };
        assert_eq!(row.status, "FAILED");
        assert!(row.error_message.as_deref().unwrap().starts_with("CancelledError: "), "{row:?}");
        assert!(!project.commit_file("gold.dim_many", 0).exists(), "a table that holds nothing stayed");
        require_next_run_loads(&project);
        return;
    }
    panic!("{ATTEMPTS} runs ended before they could be interrupted");
}

#[test]
fn a_second_interrupt_leaves_at_once_and_the_next_run_settles() {
    for _ in 0..ATTEMPTS {
        let project = slow();
        let (code, told, said) = interrupted(&project, 2);
        if code == Some(0) {
            // It had ended before it could be interrupted.
            continue;
        }
        assert_eq!(code, Some(130), "{told}{said}");
        require_next_run_loads(&project);
        return;
    }
    panic!("{ATTEMPTS} runs ended before they could be interrupted");
}

#[test]
fn who_waits_for_a_busy_table_can_be_interrupted() {
    let line = format!("run configs/dim_many.yml {}", shop::FIRST_RUN);
    let stopped = (0..ATTEMPTS).find_map(|_| {
        let project = slow();
        let mut first = project.start(&line);
        assert!(first.reaches(|| project.commit_file(CONTROL, 1).exists()));
        first.pause();
        let is_loading = !project.running("gold.dim_many").is_empty();
        (is_loading && project.committed_batches("gold.dim_many").is_empty()).then_some((project, first))
    });
    let (project, mut first) = stopped.expect("no load could be stopped in the middle");
    let mut second = project.start("run configs/dim_many.yml --on-busy wait");
    crate::command::pause(std::time::Duration::from_secs(2));
    assert!(!second.has_ended());
    second.interrupt();
    assert_eq!(second.wait().code(), Some(130));
    assert_eq!(project.running("gold.dim_many").len(), 1, "the batch of the living process was touched");
    first.go_on();
    assert!(first.wait().success());
    project.require_honest_control();
}
