//! Two processes, one table: a second one never touches what a living one loads (semantics 9).

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use kimball_control::{LeaseAttempt, Leases, Owner};
use kimball_lake::{Commit, CommitOutcome, LakeError, NewTable, TableId, Warehouse};

use crate::command::{Ended, Running, command, pause, result_of, wait_until};
use crate::project::{CONTROL, Project};
use crate::shop;

const TABLE: &str = "gold.dim_customer";

/// Attempts to stop a process in the middle of a load.
const ATTEMPTS: usize = 40;

/// A project whose first load stands still, with its lease taken and its batch open.
fn stopped_in_a_load() -> (Project, Running) {
    let sources = shop::open();
    for _ in 0..ATTEMPTS {
        let project = sources.copy();
        let mut run = project.start(&format!("run -s {TABLE} {}", shop::FIRST_RUN));
        // Version 0 makes the control table, version 1 holds the RUNNING row.
        if run.reaches(|| project.commit_file(CONTROL, 1).exists()) {
            run.pause();
            if project.running(TABLE).len() == 1 && project.committed_batches(TABLE).is_empty() {
                return (project, run);
            }
        }
    }
    panic!("{ATTEMPTS} loads ended before they could be stopped");
}

#[test]
fn a_table_that_a_living_process_loads_is_busy() {
    let (project, mut first) = stopped_in_a_load();
    let before = project.control();

    let second = project.call(&format!("run --format json -s {TABLE} --on-busy fail")).with_code(1);
    let summary = second.summary();
    let result = result_of(&summary, TABLE);
    assert_eq!((&result["status"], &result["error_class"]), (&"FAILED".into(), &"TableBusyError".into()));
    let message = result["error_message"].as_str().unwrap();
    assert!(message.contains("--on-busy wait"), "{message}");
    let told = project.call(&format!("run -s {TABLE}")).with_code(1).stdout;
    assert!(told.contains(&format!("  ✗ Failed: {TABLE} - process ")), "{told}");
    assert_eq!(project.control(), before, "the open batch of the living process was touched");

    first.go_on();
    assert!(first.wait().success());
    let control = project.control();
    assert_eq!(control.len(), 1, "{control:#?}");
    project.require_honest_control();
    assert_eq!(result_of(&project.load(&format!("-s {TABLE}")), TABLE)["up_to_date"], true);
}

/// A second process that waits for the table.
struct Waiting {
    process: Running,
    output: PathBuf,
}

impl Waiting {
    fn start(project: &Project) -> Self {
        let output = project.root().join("waiting.jsonl");
        let line = format!("run --format json -s {TABLE} --on-busy wait");
        let file = fs::File::create(&output).unwrap();
        let process = Running::start_as_it_is(command(project.root(), &line).stdout(file));
        let mut waiting = Self { process, output };
        wait_until("the second process begins", || waiting.said().contains("\"pipeline_started\""));
        // It asks for the lease again and again; no message tells that it does.
        pause(Duration::from_secs(1));
        assert!(!waiting.process.has_ended(), "it did not wait: {}", waiting.said());
        waiting
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Demands that it finds the table loaded by somebody else.
    fn require_up_to_date(mut self) {
        let code = self.process.wait().code();
        let ended = Ended { code, stdout: self.said(), stderr: String::new() }.with_code(0);
        let summary = ended.summary();
        let result = result_of(&summary, TABLE);
        assert_eq!((&result["up_to_date"], &result["rows_read"]), (&true.into(), &0.into()), "{result}");
    }
}

#[test]
fn who_waits_for_a_busy_table_finds_it_loaded() {
    let (project, mut first) = stopped_in_a_load();
    let second = Waiting::start(&project);
    assert_eq!(project.running(TABLE).len(), 1);
    first.go_on();
    assert!(first.wait().success());
    second.require_up_to_date();
    let control = project.control();
    assert_eq!(control.len(), 1, "every batch once: {control:#?}");
    project.require_honest_control();
}

#[test]
fn who_waited_while_others_loaded_a_newer_version_takes_that_for_no_recreated_source() {
    let (project, mut first) = stopped_in_a_load();
    let second = Waiting::start(&project);
    second.process.pause();
    first.go_on();
    assert!(first.wait().success());
    shop::second_day(&project);
    let third = project.load(&format!("-s {TABLE} {}", shop::SECOND_RUN));
    assert_eq!(result_of(&third, TABLE)["up_to_date"], false);
    second.process.go_on();
    second.require_up_to_date();
    assert_eq!(project.control().len(), 2);
    project.require_honest_control();
}

#[test]
fn the_table_of_a_dead_process_is_free_at_once() {
    let (project, mut first) = stopped_in_a_load();
    first.kill();
    let result = project.load(&format!("-s {TABLE} --on-busy fail {}", shop::FIRST_RUN));
    assert_eq!(result_of(&result, TABLE)["status"], "SUCCESS");
    let statuses: Vec<String> = project.control().into_iter().map(|row| row.status).collect();
    assert_eq!(statuses.len(), 2);
    assert!(
        statuses.contains(&"FAILED".to_owned()) && statuses.contains(&"SUCCESS".to_owned()),
        "{statuses:?}"
    );
    project.require_honest_control();
}

#[test]
fn two_processes_that_start_together_load_every_batch_once() {
    let project = shop::open();
    let line = format!("run --on-busy wait {}", shop::FIRST_RUN);
    let errors = ["1.err", "2.err"].map(|name| project.root().join(name));
    let mut both = errors.each_ref().map(|path| {
        let file = fs::File::create(path).unwrap();
        Running::start_as_it_is(command(project.root(), &line).stdout(Stdio::null()).stderr(file))
    });
    assert!(both.iter_mut().all(|run| run.wait().success()));
    for path in errors {
        assert_eq!(fs::read_to_string(path).unwrap(), "", "a race for a log that was mended is no news");
    }
    project.require_honest_control();
    for table in shop::TABLES {
        assert_eq!(project.committed_batches(table).len(), 1, "{table}");
    }
}

/// A process of another machine, of which this one cannot tell whether it lives.
fn elsewhere() -> Owner {
    Owner { host: "elsewhere".to_owned(), boot_id: "another".to_owned(), pid: 1, process_start: 1 }
}

#[tokio::test]
async fn who_was_silent_for_long_loses_the_lease_and_cannot_commit_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::new(folder.path().to_str().unwrap(), &Default::default()).unwrap();
    let (far, near) = (elsewhere(), Owner::this_process());
    let [far, near] = [far, near].map(|owner| Leases::new(&warehouse, "etl", owner).unwrap());
    let noon: DateTime<Utc> = "2025-01-01T12:00:00Z".parse().unwrap();
    let minutes = |count| noon + TimeDelta::minutes(count);
    let LeaseAttempt::Taken(mut lost) = far.take("gold.t", noon).await.unwrap() else { panic!("busy") };

    let early = near.take("gold.t", minutes(14)).await.unwrap();
    assert!(matches!(early, LeaseAttempt::Busy(owner) if owner.host == "elsewhere"));
    // A clock that goes back makes nobody silent.
    assert!(matches!(near.take("gold.t", minutes(-90)).await.unwrap(), LeaseAttempt::Busy(_)));
    let LeaseAttempt::Taken(taken) = near.take("gold.t", minutes(16)).await.unwrap() else { panic!("busy") };
    assert!(taken.is_inherited() && taken.epoch() > lost.epoch());

    let table = TableId::new("gold", "t").unwrap();
    let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
    let made = warehouse.create(&table, &columns, &NewTable::default()).await.unwrap();
    let commit = |epoch| Commit { lease: Some(epoch), ..Commit::default() };
    let live = made.live_rows().await.unwrap();
    made.commit(&live, commit(taken.epoch())).await.unwrap();
    // The old holder wakes up, whatever version it knows.
    let newest = made.refreshed().await.unwrap();
    let live = newest.live_rows().await.unwrap();
    let refused = newest.commit(&live, commit(lost.epoch())).await;
    assert!(matches!(refused, Err(LakeError::LeaseLost { held, found, .. }) if held < found), "{refused:?}");
    let live = made.live_rows().await.unwrap();
    assert_eq!(made.commit(&live, commit(lost.epoch())).await.unwrap(), CommitOutcome::Conflict);
    assert!(!far.renew(&mut lost, minutes(17)).await.unwrap(), "a lost lease was renewed");
}

#[tokio::test]
async fn a_lease_that_could_not_be_given_back_is_taken_again_by_its_own_process_alone() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::new(folder.path().to_str().unwrap(), &Default::default()).unwrap();
    let leases = || Leases::new(&warehouse, "etl", Owner::this_process()).unwrap();
    let (ours, others) = (leases(), leases());
    let noon: DateTime<Utc> = "2025-01-01T12:00:00Z".parse().unwrap();
    let LeaseAttempt::Taken(first) = ours.take("gold.t", noon).await.unwrap() else { panic!("busy") };
    assert!(matches!(ours.take("gold.t", noon).await.unwrap(), LeaseAttempt::Busy(_)), "it is in use");
    let epoch = first.epoch();
    drop(first);
    assert!(matches!(others.take("gold.t", noon).await.unwrap(), LeaseAttempt::Busy(_)));
    let LeaseAttempt::Taken(again) = ours.take("gold.t", noon).await.unwrap() else { panic!("busy") };
    assert!(again.is_inherited() && again.epoch() > epoch);
    ours.release(again, noon).await.unwrap();
    assert!(matches!(others.take("gold.t", noon).await.unwrap(), LeaseAttempt::Taken(_)));
}
