//! Order, failures, retries and stops, with loads that touch no table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::unbounded;
use kimball_config::{Pipeline, TableName};
use kimball_plan::Plan;
use kimball_retry::{FaultKind, RetryBudget, RetryPolicy};
use tokio::runtime::Builder;

use super::{LoadPipeline, Run, dispatch};
use crate::cancel::CancelToken;
use crate::error::PipelineError;
use crate::events::{Emitter, Event, EventKind};
use crate::fixture::{dimension, fact, load_of, table};
use crate::outcome::{FailedLoad, PipelineLoad};
use crate::settings::{FailurePolicy, Schedule, Settings, SettingsBuilder};
use crate::summary::{PipelineResult, PipelineStatus, RunId};

/// Loads whatever the function says; the last part of the table and the attempt are its arguments.
struct Scripted<F>(F);

impl<F> LoadPipeline for Scripted<F>
where
    F: Fn(&str, u32) -> Result<PipelineLoad, PipelineError> + Sync,
{
    async fn load(&self, pipeline: &Pipeline, attempt: u32) -> Result<PipelineLoad, FailedLoad> {
        tokio::task::yield_now().await;
        (self.0)(pipeline.table.table(), attempt).map_err(FailedLoad::from)
    }
}

struct Outcome {
    results: Vec<PipelineResult>,
    events: Vec<Event>,
}

impl Outcome {
    /// `dim_a SUCCESS`, in the order of the results.
    fn statuses(&self) -> Vec<String> {
        self.results.iter().map(|it| format!("{} {}", it.table_name.table(), it.status)).collect()
    }

    fn result(&self, name: &str) -> &PipelineResult {
        self.results.iter().find(|it| it.table_name.table() == name).unwrap()
    }

    /// `pipeline_started dim_a`, `wave_started 1`, in the order of the events.
    fn story(&self) -> Vec<String> {
        let told = |event: &Event| match &event.kind {
            EventKind::WaveStarted { wave, .. } | EventKind::WaveFinished { wave, .. } => wave.to_string(),
            EventKind::PipelineStarted { table_name, .. }
            | EventKind::PipelineRetrying { table_name, .. }
            | EventKind::PipelineWarning { table_name, .. } => table_name.table().to_owned(),
            EventKind::PipelineCompleted(result)
            | EventKind::PipelineFailed(result)
            | EventKind::PipelineSkipped(result) => result.table_name.table().to_owned(),
            EventKind::RunStarted { .. } | EventKind::RunFinished(_) => String::new(),
        };
        self.events.iter().map(|event| format!("{} {}", event.kind.name(), told(event))).collect()
    }
}

fn run_until(
    cancel: &CancelToken,
    pipelines: &[Pipeline],
    settings: SettingsBuilder,
    load: impl Fn(&str, u32) -> Result<PipelineLoad, PipelineError> + Sync,
) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, events) = unbounded();
    let emitter = Emitter::new(RunId::new(), Vec::new(), vec![sender]);
    let plan = Plan::of(pipelines).unwrap();
    let settings = settings.build().unwrap();
    let handle = runtime.handle();
    let budget = RetryBudget::default();
    let run = Run {
        plan: &plan,
        pipelines,
        settings: &settings,
        cancel,
        budget: &budget,
        emitter: &emitter,
        handle,
    };
    let results = dispatch(&run, &Scripted(load)).unwrap();
    drop(emitter);
    Outcome { results, events: events.iter().collect() }
}

fn run(
    pipelines: &[Pipeline],
    settings: SettingsBuilder,
    load: impl Fn(&str, u32) -> Result<PipelineLoad, PipelineError> + Sync,
) -> Outcome {
    run_until(&CancelToken::new(), pipelines, settings, load)
}

fn fails(kind: FaultKind) -> Result<PipelineLoad, PipelineError> {
    Err(PipelineError::failed(kind, &table("gold.any"), "something is wrong"))
}

fn pause(time: Duration) {
    let _ = crossbeam::channel::after(time).recv();
}

fn settings() -> SettingsBuilder {
    Settings::builder()
}

fn retrying(retries: u32, backoff: Duration) -> SettingsBuilder {
    settings().retry(RetryPolicy::new(retries, backoff))
}

/// Two dimensions; a fact on each; a fact on both.
fn star() -> Vec<Pipeline> {
    vec![
        fact("gold.fact_ab", &["gold.dim_a", "gold.dim_b"]),
        fact("gold.fact_b", &["gold.dim_b"]),
        dimension("gold.dim_b"),
        fact("gold.fact_a", &["gold.dim_a"]),
        dimension("gold.dim_a"),
    ]
}

#[test]
fn results_stand_in_the_order_of_the_plan_and_nothing_starts_before_its_wave() {
    let outcome = run(&star(), settings().max_workers(1), |_, _| Ok(load_of(5)));
    assert_eq!(
        outcome.story(),
        [
            "wave_started 1",
            "pipeline_started dim_a",
            "pipeline_completed dim_a",
            "pipeline_started dim_b",
            "pipeline_completed dim_b",
            "wave_finished 1",
            "wave_started 2",
            "pipeline_started fact_a",
            "pipeline_completed fact_a",
            "pipeline_started fact_ab",
            "pipeline_completed fact_ab",
            "pipeline_started fact_b",
            "pipeline_completed fact_b",
            "wave_finished 2",
        ]
    );
    assert_eq!(
        outcome.statuses(),
        ["dim_a SUCCESS", "dim_b SUCCESS", "fact_a SUCCESS", "fact_ab SUCCESS", "fact_b SUCCESS"]
    );
    assert_eq!(outcome.result("fact_ab").rows_written, 5);
}

#[test]
fn when_ready_a_pipeline_starts_though_another_of_an_earlier_wave_still_loads() {
    let in_both = Barrier::new(2);
    let outcome = run(&star(), settings().max_workers(2).schedule(Schedule::Ready), |name, _| {
        // They meet, or the test hangs.
        if ["dim_b", "fact_a"].contains(&name) {
            in_both.wait();
        }
        Ok(load_of(1))
    });
    assert!(outcome.results.iter().all(PipelineResult::is_success));
    let story = outcome.story();
    assert_eq!((story[0].as_str(), story[story.len() - 1].as_str()), ("wave_started 1", "wave_finished 1"));
    assert_eq!(story.len(), 2 + 2 * star().len());
}

#[test]
fn when_ready_what_others_wait_for_starts_first() {
    let mut pipelines = star();
    pipelines.push(fact("gold.far", &["gold.fact_b"]));
    let outcome = run(&pipelines, settings().max_workers(1).schedule(Schedule::Ready), |_, _| Ok(load_of(1)));
    let started = outcome
        .story()
        .into_iter()
        .filter_map(|line| line.strip_prefix("pipeline_started ").map(str::to_owned));
    assert_eq!(started.collect::<Vec<_>>(), ["dim_b", "dim_a", "fact_b", "fact_a", "fact_ab", "far"]);
}

#[test]
fn as_many_pipelines_load_at_a_time_as_there_are_workers_and_no_more() {
    let pipelines: Vec<_> = (0..6).map(|index| dimension(&format!("gold.dim_{index}"))).collect();
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Three meet or the test hangs; a fourth would show in the maximum.
    let together = Barrier::new(3);
    let outcome = run(&pipelines, settings().max_workers(3), |_, _| {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        together.wait();
        running.fetch_sub(1, Ordering::SeqCst);
        Ok(load_of(1))
    });
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(outcome.results.iter().all(PipelineResult::is_success));
}

#[test]
fn a_failure_stops_what_has_not_started_and_everything_appears() {
    let loaded = Mutex::new(Vec::new());
    let outcome = run(&star(), settings().max_workers(1), |name, _| {
        loaded.lock().unwrap().push(name.to_owned());
        if name == "dim_a" { fails(FaultKind::DataQuality) } else { Ok(load_of(1)) }
    });
    assert_eq!(
        outcome.statuses(),
        ["dim_a FAILED", "dim_b SKIPPED", "fact_a SKIPPED", "fact_ab SKIPPED", "fact_b SKIPPED"]
    );
    assert_eq!(*loaded.lock().unwrap(), ["dim_a"]);
    let reason = |name| outcome.result(name).skip_reason.clone().unwrap();
    assert_eq!(reason("dim_b"), "the run stopped when gold.dim_a failed");
    assert_eq!(reason("fact_a"), "needs gold.dim_a, which failed");
    assert_eq!(reason("fact_b"), "the run stopped when gold.dim_a failed");
    let failed = outcome.result("dim_a");
    assert_eq!(failed.error_class, Some(FaultKind::DataQuality));
    assert_eq!((failed.attempts, failed.rows_written), (1, 0));
}

#[test]
fn what_is_loading_when_another_fails_finishes() {
    let pipelines = [dimension("gold.dim_a"), dimension("gold.dim_b"), dimension("gold.dim_c")];
    let both_run = Barrier::new(2);
    let outcome = run(&pipelines, settings().max_workers(2), |name, _| {
        both_run.wait();
        if name == "dim_a" {
            return fails(FaultKind::Sql);
        }
        // Long enough for the failure to be recorded first.
        pause(Duration::from_millis(200));
        Ok(load_of(1))
    });
    assert_eq!(outcome.statuses(), ["dim_a FAILED", "dim_b SUCCESS", "dim_c SKIPPED"]);
}

#[test]
fn keeping_going_skips_only_what_depends_on_the_failure() {
    let mut far = dimension("gold.far");
    far.depends_on = vec![table("gold.fact_a")];
    let pipelines = [star(), vec![far]].concat();
    let outcome = run(&pipelines, settings().on_failure(FailurePolicy::KeepGoing), |name, _| {
        if name == "dim_a" { fails(FaultKind::Sql) } else { Ok(load_of(1)) }
    });
    assert_eq!(
        outcome.statuses(),
        [
            "dim_a FAILED",
            "dim_b SUCCESS",
            "fact_a SKIPPED",
            "fact_ab SKIPPED",
            "fact_b SUCCESS",
            "far SKIPPED"
        ]
    );
    assert_eq!(
        outcome.result("far").skip_reason.as_deref(),
        Some("needs gold.dim_a, which failed"),
        "the reason is the failure itself, not the skip in between"
    );
}

#[test]
fn an_error_that_may_pass_is_tried_again_and_told() {
    let pipelines = [dimension("gold.dim_a")];
    let outcome = run(&pipelines, retrying(3, Duration::from_millis(1)), |_, attempt| {
        if attempt < 3 { fails(FaultKind::Conflict) } else { Ok(load_of(1)) }
    });
    assert_eq!(
        outcome.story()[1..5],
        [
            "pipeline_started dim_a",
            "pipeline_retrying dim_a",
            "pipeline_retrying dim_a",
            "pipeline_completed dim_a"
        ]
    );
    assert_eq!(
        (outcome.result("dim_a").status, outcome.result("dim_a").attempts),
        (PipelineStatus::Success, 3)
    );
}

#[test]
fn retries_end_after_the_last_one_granted() {
    let tries = AtomicUsize::new(0);
    let outcome = run(&[dimension("gold.dim_a")], retrying(2, Duration::ZERO), |_, _| {
        tries.fetch_add(1, Ordering::SeqCst);
        fails(FaultKind::Transient)
    });
    assert_eq!(tries.into_inner(), 3);
    assert_eq!(
        (outcome.result("dim_a").status, outcome.result("dim_a").attempts),
        (PipelineStatus::Failed, 3)
    );
}

#[test]
fn an_error_that_will_not_pass_is_not_tried_again() {
    let outcome =
        run(&[dimension("gold.dim_a")], retrying(3, Duration::ZERO), |_, _| fails(FaultKind::DataQuality));
    assert_eq!(outcome.result("dim_a").attempts, 1);
}

#[test]
fn cancelling_ends_the_wait_for_a_retry_at_once_and_nothing_new_starts() {
    let cancel = CancelToken::new();
    let started = Instant::now();
    let outcome = run_until(&cancel, &star(), retrying(3, Duration::from_secs(600)), |name, _| {
        if name == "dim_a" {
            return fails(FaultKind::Busy);
        }
        pause(Duration::from_millis(50));
        cancel.cancel();
        Ok(load_of(1))
    });
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(
        outcome.statuses(),
        ["dim_a FAILED", "dim_b SUCCESS", "fact_a SKIPPED", "fact_ab SKIPPED", "fact_b SKIPPED"]
    );
    let message = outcome.result("dim_a").error_message.clone().unwrap();
    assert!(
        message.ends_with("something is wrong; not tried again, as the run was interrupted"),
        "{message}"
    );
    assert_eq!(outcome.result("fact_b").skip_reason.as_deref(), Some("the run was interrupted"));
}

#[test]
fn a_run_cancelled_before_it_began_skips_everything() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let outcome = run_until(&cancel, &star(), settings(), |_, _| Ok(load_of(1)));
    assert!(outcome.results.iter().all(|result| result.status == PipelineStatus::Skipped));
    assert_eq!(outcome.results.len(), 5);
}

#[test]
fn a_panic_is_the_failure_of_its_pipeline_alone() {
    let pipelines = [dimension("gold.dim_a"), dimension("gold.dim_b")];
    let settings = settings().max_workers(1).on_failure(FailurePolicy::KeepGoing);
    let outcome = run(&pipelines, settings, |name, _| {
        assert!(name != "dim_a", "index 3 of 2");
        Ok(load_of(1))
    });
    assert_eq!(outcome.statuses(), ["dim_a FAILED", "dim_b SUCCESS"]);
    let failed = outcome.result("dim_a");
    assert_eq!(failed.error_class, Some(FaultKind::Internal));
    assert!(failed.error_message.as_deref().unwrap().ends_with("unexpectedly: index 3 of 2"));
}

#[test]
fn warnings_of_a_load_are_told_before_its_end() {
    let outcome = run(&[dimension("gold.dim_a")], settings(), |_, _| {
        Ok(PipelineLoad { warnings: vec!["the feed was vacuumed".to_owned()], ..load_of(1) })
    });
    assert_eq!(
        outcome.story()[1..4],
        ["pipeline_started dim_a", "pipeline_warning dim_a", "pipeline_completed dim_a"]
    );
}

#[test]
fn every_pipeline_starts_at_most_once_and_ends_once_however_the_loads_end() {
    let pipelines: Vec<_> = (0..40)
        .map(|index| {
            let mut pipeline = dimension(&format!("gold.p_{index:02}"));
            let needed = (1..4).map(|step| index * step / 5).filter(|needed| *needed < index);
            pipeline.depends_on = needed.map(|needed| table(&format!("gold.p_{needed:02}"))).collect();
            pipeline.depends_on.dedup();
            pipeline
        })
        .collect();
    let policies = [FailurePolicy::StopOnFailure, FailurePolicy::KeepGoing];
    let ways = policies
        .into_iter()
        .flat_map(|policy| [Schedule::Waves, Schedule::Ready].map(|schedule| (policy, schedule)));
    for ((policy, schedule), seed) in ways.flat_map(|way| (0..20).map(move |seed| (way, seed))) {
        let fails_here = |name: &str| name.bytes().map(usize::from).sum::<usize>() * (seed + 3) % 11 == 0;
        let outcome = run(&pipelines, settings().on_failure(policy).schedule(schedule), |name, _| {
            if fails_here(name) { fails(FaultKind::Sql) } else { Ok(load_of(1)) }
        });
        assert_eq!(outcome.results.len(), 40);
        let story = outcome.story();
        let place = |line: String| story.iter().position(|told| *told == line);
        for pipeline in &pipelines {
            let name = pipeline.table.table();
            let status = outcome.result(name).status;
            let needed_all_loaded =
                pipeline.depends_on.iter().all(|needed| outcome.result(needed.table()).is_success());
            let expected = match (needed_all_loaded, fails_here(name)) {
                (false, _) => PipelineStatus::Skipped,
                (true, true) => PipelineStatus::Failed,
                (true, false) => PipelineStatus::Success,
            };
            if policy == FailurePolicy::KeepGoing || status != PipelineStatus::Skipped {
                assert_eq!(status, expected, "seed {seed}, {policy:?}: {name}");
            }
            if let Some(started) = place(format!("pipeline_started {name}")) {
                let is_over = |needed: &TableName| {
                    place(format!("pipeline_completed {}", needed.table())) < Some(started)
                };
                assert!(
                    pipeline.depends_on.iter().all(is_over),
                    "seed {seed}, {schedule:?}: {name} starts early"
                );
            }
            let ends = story.iter().filter(|line| ends(line, name)).count();
            assert_eq!(ends, 1, "seed {seed}, {policy:?}: {name}");
        }
    }
}

fn ends(line: &str, name: &str) -> bool {
    ["completed", "failed", "skipped"].iter().any(|end| line == format!("pipeline_{end} {name}").as_str())
}
