//! From a project to an executor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball_plan::PlanProblem;

use super::{PipelineExecutorBuilder, ProjectWarning};
use crate::error::ExecutorError;
use crate::fixture::{dimension, fact, project, table};
use crate::pipeline_executor::PipelineExecutor;
use crate::settings::SettingsError;

/// A dimension and a fact on it, whose dependency is implied by the foreign key only.
fn star() -> PipelineExecutorBuilder {
    let pipelines = vec![dimension("gold.dim_a"), fact("gold.fact_a", &["gold.dim_a"])];
    PipelineExecutor::builder().project(project(pipelines))
}

fn tables(executor: &PipelineExecutor) -> Vec<String> {
    executor.project().pipelines.iter().map(|pipeline| pipeline.table.to_string()).collect()
}

#[test]
fn a_project_is_planned_in_waves() {
    let executor = star().build().unwrap();
    assert_eq!(tables(&executor), ["gold.dim_a", "gold.fact_a"]);
    let labels: Vec<_> = executor.plan().waves().iter().map(|wave| wave.label().to_owned()).collect();
    assert_eq!(labels, ["Dimensions", "Facts"]);
}

#[test]
fn what_is_left_out_becomes_a_table_that_must_exist() {
    let executor = star().select(["fact_a".parse().unwrap()]).build().unwrap();
    assert_eq!(tables(&executor), ["gold.fact_a"]);
    assert_eq!(executor.plan().waves().len(), 1);
    assert!(executor.plan().external().iter().any(|external| external.table == table("gold.dim_a")));

    let executor = star().exclude(["fact_a".parse().unwrap()]).build().unwrap();
    assert_eq!(tables(&executor), ["gold.dim_a"]);
}

#[test]
fn an_undeclared_dependency_is_a_warning_and_in_prod_an_error() {
    let executor = star().build().unwrap();
    assert!(matches!(executor.warnings(), [ProjectWarning::Plan(_)]), "{:?}", executor.warnings());

    let mut prod = project(vec![dimension("gold.dim_a"), fact("gold.fact_a", &["gold.dim_a"])]);
    prod.target.name = "prod".to_owned();
    let refused = PipelineExecutor::builder().project(prod.clone()).build();
    assert!(matches!(refused, Err(ExecutorError::Undeclared(_))), "{refused:?}");

    prod.pipelines[1].depends_on = vec![table("gold.dim_a")];
    assert!(PipelineExecutor::builder().project(prod).build().is_ok());
}

#[test]
fn two_writers_of_a_table_are_refused_before_anything_runs() {
    let twice = project(vec![dimension("gold.dim_a"), dimension("gold.dim_a")]);
    let refused = PipelineExecutor::builder().project(twice).build();
    let Err(ExecutorError::Plan(problems)) = refused else { panic!("{refused:?}") };
    assert!(matches!(problems[..], [PlanProblem::SeveralWriters { .. }]));
}

#[test]
fn options_out_of_bounds_are_refused_before_any_file_is_read() {
    let refused = PipelineExecutor::builder().config_paths(["no/such/file.yml"]).max_workers(0).build();
    assert!(matches!(refused, Err(ExecutorError::Settings(SettingsError::Workers(0)))), "{refused:?}");
}

#[test]
fn files_that_are_not_there_are_a_problem_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let refused = PipelineExecutor::builder().working_dir(folder.path()).build();
    assert!(matches!(refused, Err(ExecutorError::Config(_))), "{refused:?}");
}

#[test]
fn configs_are_read_with_the_environment_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let text = "table_name: {{ layer }}.dim_a\ntable_type: dimension\n\
                keys: {surrogate_key: a_sk, natural_keys: [id]}\nsources: [{name: silver.a}]\n";
    std::fs::create_dir(folder.path().join("configs")).unwrap();
    std::fs::write(folder.path().join("configs/dim_a.yml"), text).unwrap();
    let environment = [("LAYER".to_owned(), "gold".to_owned())].into();
    let executor =
        PipelineExecutor::builder().working_dir(folder.path()).environment(environment).build().unwrap();
    assert_eq!(tables(&executor), ["gold.dim_a"]);
}
