//! A process that is killed: whatever moment it is, the next run brings everything to where an undisturbed run
//! would have brought it (semantics 9).

use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::command::{Running, pause};
use crate::project::{CONTROL, ControlRow, Project};
use crate::shop;

/// Attempts to kill a process at one point of its work. Each of them is likely to meet it.
const ATTEMPTS: usize = 40;

/// Kills at random moments on each of the two days.
const RANDOM_KILLS: usize = 5;

/// An undisturbed project after its first and its second day, and the states before these runs.
struct Twin {
    before_first: Project,
    after_first: Project,
    before_second: Project,
    after_second: Project,
    first_took: Duration,
    second_took: Duration,
}

impl Twin {
    /// The twin that the tests of this module share while one of them runs.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Twin>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let twin = Arc::new(Self::new());
            *shared = Arc::downgrade(&twin);
            twin
        })
    }

    fn new() -> Self {
        let before_first = shop::open();
        let after_first = before_first.copy();
        let first_took = took(|| drop(after_first.load(shop::FIRST_RUN)));
        let before_second = after_first.copy();
        shop::second_day(&before_second);
        let after_second = before_second.copy();
        let second_took = took(|| drop(after_second.load(shop::SECOND_RUN)));
        Self { before_first, after_first, before_second, after_second, first_took, second_took }
    }
}

fn took(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Demands that every table holds what the twin's holds, and that the control table is honest.
fn require_same(project: &Project, twin: &Project, when: &str) {
    for table in shop::TABLES {
        let (ours, theirs) = (project.logical_rows(table), twin.logical_rows(table));
        let surplus: Vec<_> = ours.iter().filter(|row| !theirs.contains(row)).take(3).collect();
        let lost: Vec<_> = theirs.iter().filter(|row| !ours.contains(row)).take(3).collect();
        assert!(
            ours == theirs,
            "{when}: {table} has {} rows, its twin {}; for example\n+ {surplus:?}\n- {lost:?}",
            ours.len(),
            theirs.len()
        );
    }
    project.require_honest_control();
}

/// Runs copies of `before` until one is killed at `moment` and left `found` true of what the dead process left.
pub fn killed_at<T>(
    before: &Project,
    line: &str,
    what: &str,
    moment: impl Fn(&Project) -> bool,
    found: impl Fn(&Project) -> Option<T>,
) -> (Project, T) {
    for _ in 0..ATTEMPTS {
        let project = before.copy();
        let mut run = project.start(line);
        if run.reaches(|| moment(&project)) {
            run.kill();
            if let Some(found) = found(&project) {
                return (project, found);
            }
        }
    }
    panic!("{ATTEMPTS} processes ended or went on before they could be killed {what}");
}

/// The version of the commit that the next batch of `target` makes: version 0 only makes the table.
fn next_batch_version(project: &Project, target: &str) -> u64 {
    project.next_version(target).max(1)
}

/// Kills a run between the target's commit and the end of its control row; gives the row it left.
fn killed_after_commit(before: &Project, line: &str, target: &str) -> (Project, ControlRow) {
    let version = next_batch_version(before, target);
    let is_committed = |project: &Project| project.commit_file(target, version).exists();
    let found = |project: &Project| {
        let running = project.running(target);
        running.first().filter(|_| is_committed(project)).cloned()
    };
    killed_at(before, line, "between commit and control row", is_committed, found)
}

/// Kills a run after its control row says RUNNING and before the target's commit; gives that row.
fn killed_before_commit(before: &Project, line: &str, target: &str) -> (Project, ControlRow) {
    let version = next_batch_version(before, target);
    let first_row = before.next_version(CONTROL);
    let partition = format!("\"target_table\":\"{target}\"");
    let is_begun = |project: &Project| {
        let commits = (first_row..).map(|version| fs::read_to_string(project.commit_file(CONTROL, version)));
        commits.map_while(Result::ok).any(|commit| commit.contains(&partition))
    };
    let found = |project: &Project| {
        let running = project.running(target);
        running.first().filter(|_| !project.commit_file(target, version).exists()).cloned()
    };
    killed_at(before, line, "between control row and commit", is_begun, found)
}

fn ended(project: &Project, running: &ControlRow) -> ControlRow {
    let is_same =
        |row: &ControlRow| row.batch_id == running.batch_id && row.source_table == running.source_table;
    let rows: Vec<_> = project.control().into_iter().filter(is_same).collect();
    let [row] = rows.as_slice() else { panic!("not one row of the killed batch: {rows:#?}") };
    row.clone()
}

#[test]
fn a_batch_killed_between_its_commit_and_its_control_row_is_settled_and_counts_once() {
    let twin = Twin::shared();
    let first = (&twin.before_first, shop::FIRST_RUN, &twin.after_first);
    let second = (&twin.before_second, shop::SECOND_RUN, &twin.after_second);
    for ((before, line, after), target) in
        [(first, "gold.dim_customer"), (second, "gold.fact_sales"), (second, "gold.fact_inventory")]
    {
        let (project, running) = killed_after_commit(before, &format!("run {line}"), target);
        project.load(line);
        let settled = ended(&project, &running);
        assert_eq!((settled.status.as_str(), &settled.error_message), ("SUCCESS", &None), "{target}");
        let same_source =
            |row: &ControlRow| row.target_table == target && row.source_table == running.source_table;
        let of_twin = after
            .control()
            .into_iter()
            .filter(same_source)
            .filter_map(|row| row.last_processed_version)
            .max();
        assert_eq!(settled.last_processed_version, of_twin, "{target}: the watermark of the settled batch");
        require_same(&project, after, &format!("{target}, killed after its commit"));
    }
}

#[test]
fn a_batch_killed_before_its_commit_failed_and_the_next_one_loads_everything() {
    let twin = Twin::shared();
    let first = (&twin.before_first, shop::FIRST_RUN, &twin.after_first);
    let second = (&twin.before_second, shop::SECOND_RUN, &twin.after_second);
    for ((before, line, after), target) in [(first, "gold.dim_customer"), (second, "gold.fact_sales")] {
        let (project, running) = killed_before_commit(before, &format!("run {line}"), target);
        project.load(line);
        let dead = ended(&project, &running);
        assert_eq!(dead.status, "FAILED", "{target}");
        assert_eq!(
            dead.last_processed_version, running.last_processed_version,
            "{target}: no watermark moved"
        );
        assert!(dead.error_message.as_deref().is_some_and(|message| message.starts_with("CancelledError: ")));
        require_same(&project, after, &format!("{target}, killed before its commit"));
    }
}

#[test]
fn after_a_kill_at_any_moment_one_more_run_makes_up_for_it() {
    let twin = Twin::shared();
    let mut random = Random(20_241_123);
    let first = (&twin.before_first, shop::FIRST_RUN, &twin.after_first, twin.first_took);
    let second = (&twin.before_second, shop::SECOND_RUN, &twin.after_second, twin.second_took);
    for (before, line, after, took) in [first, second] {
        for _ in 0..RANDOM_KILLS {
            let delay = took.mul_f64(random.fraction());
            let project = before.copy();
            let mut run: Running = project.start(&format!("run {line}"));
            pause(delay);
            run.kill();
            println!("killed after {delay:?} of {took:?}: {} batches left open", open_batches(&project));
            project.load(line);
            require_same(&project, after, &format!("killed after {delay:?}"));
        }
    }
}

fn open_batches(project: &Project) -> usize {
    project.control().iter().filter(|row| row.status == "RUNNING").count()
}

/// A small generator of numbers that are the same in every run of the test (splitmix64).
struct Random(u64);

impl Random {
    /// From 0.05 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        0.05 + 0.95 * unit
    }
}
