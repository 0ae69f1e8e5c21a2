//! What selectors mean.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball_config::Pipeline;
use kimball_plan::Plan;

use super::{Choice, SelectionError, Selector};
use crate::fixture::{dimension, fact, table};
use crate::summary::PipelineStatus;

/// Two dimensions, a fact on each, a fact on both; `fact_a` and `dim_b` are tagged.
fn pipelines() -> Vec<Pipeline> {
    let tagged = |pipeline: Pipeline| Pipeline { tags: vec!["daily".to_owned()], ..pipeline };
    vec![
        dimension("gold.dim_a"),
        tagged(dimension("gold.dim_b")),
        tagged(fact("gold.fact_a", &["gold.dim_a"])),
        fact("gold.fact_b", &["gold.dim_b"]),
        fact("gold.fact_ab", &["gold.dim_a", "gold.dim_b"]),
    ]
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn chosen(include: &[&str], exclude: &[&str]) -> Result<Vec<String>, SelectionError> {
    let pipelines = pipelines();
    let results = [
        (table("gold.dim_a"), PipelineStatus::Success),
        (table("gold.dim_b"), PipelineStatus::Failed),
        (table("gold.fact_b"), PipelineStatus::Skipped),
    ];
    let choice = Choice {
        plan: &Plan::of(&pipelines).unwrap(),
        pipelines: &pipelines,
        results: Some(&results.into_iter().collect()),
    };
    let tables = choice.select(&selectors(include), &selectors(exclude))?;
    Ok(tables.iter().map(|table| table.table().to_owned()).collect())
}

#[test]
fn without_selectors_everything_runs() {
    assert_eq!(chosen(&[], &[]).unwrap(), ["dim_a", "dim_b", "fact_a", "fact_ab", "fact_b"]);
}

#[test]
fn a_name_is_a_table_or_its_last_part() {
    assert_eq!(chosen(&["dim_a"], &[]).unwrap(), ["dim_a"]);
    assert_eq!(chosen(&["gold.dim_a", "fact_b"], &[]).unwrap(), ["dim_a", "fact_b"]);
}

#[test]
fn a_plus_in_front_adds_what_is_needed_and_one_behind_what_needs_it() {
    assert_eq!(chosen(&["+fact_ab"], &[]).unwrap(), ["dim_a", "dim_b", "fact_ab"]);
    assert_eq!(chosen(&["dim_a+"], &[]).unwrap(), ["dim_a", "fact_a", "fact_ab"]);
    assert_eq!(chosen(&["+fact_a+"], &[]).unwrap(), ["dim_a", "fact_a"]);
}

#[test]
fn a_wave_is_selected_by_its_number() {
    assert_eq!(chosen(&["wave:1"], &[]).unwrap(), ["dim_a", "dim_b"]);
    assert_eq!(chosen(&[], &["wave:1"]).unwrap(), ["fact_a", "fact_ab", "fact_b"]);
}

#[test]
fn tags_and_results_select_and_take_a_plus_as_names_do() {
    assert_eq!(chosen(&["tag:daily"], &[]).unwrap(), ["dim_b", "fact_a"]);
    assert_eq!(chosen(&["+tag:daily"], &[]).unwrap(), ["dim_a", "dim_b", "fact_a"]);
    assert_eq!(chosen(&["result:failed"], &[]).unwrap(), ["dim_b"]);
    assert_eq!(chosen(&["result:failed+"], &["result:skipped"]).unwrap(), ["dim_b", "fact_ab"]);
    assert_eq!(chosen(&["wave:2"], &["tag:daily"]).unwrap(), ["fact_ab", "fact_b"]);
    let error = chosen(&["tag:weekly"], &[]).unwrap_err();
    assert_eq!(error.to_string(), "`tag:weekly` selects no pipeline; the project has tag:daily");
}

#[test]
fn results_are_asked_for_in_vain_when_there_was_no_run() {
    let pipelines = pipelines();
    let choice = Choice { plan: &Plan::of(&pipelines).unwrap(), pipelines: &pipelines, results: None };
    let selected = choice.select(&selectors(&["result:failed"]), &[]);
    assert_eq!(selected, Err(SelectionError::NoResults("result:failed".to_owned())));
}

#[test]
fn exclusion_goes_before_selection() {
    assert_eq!(chosen(&["dim_a+"], &["fact_ab"]).unwrap(), ["dim_a", "fact_a"]);
    assert_eq!(chosen(&["dim_a"], &["dim_a+"]), Err(SelectionError::Nothing));
}

#[test]
fn a_selector_that_means_nothing_is_an_error_that_names_the_tables() {
    let error = chosen(&["dim_c"], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`dim_c` selects no pipeline; did you mean `dim_a`? the project has gold.dim_a, gold.dim_b, gold.fact_a, gold.fact_ab, \
         gold.fact_b"
    );
    let error = |selector: &str| chosen(&[], &[selector]).unwrap_err().to_string();
    assert_eq!(error("wave:3"), "`wave:3` selects no pipeline; the project has 2 waves");
    assert!(error("golf.dim_a").contains("did you mean `gold.dim_a`? "), "{}", error("golf.dim_a"));
    assert!(error("tag:dayly+").contains("did you mean `tag:daily`? "), "{}", error("tag:dayly+"));
    assert!(!error("customers").contains("did you mean"), "{}", error("customers"));
}

#[test]
fn what_is_no_selector_is_refused() {
    for text in ["", "+", "++", "a b", "wave:0", "wave:x", "wave:", "colour:red", "../a", "tag:", "result:x"]
    {
        assert_eq!(text.parse::<Selector>(), Err(SelectionError::Syntax(text.to_owned())), "{text:?}");
    }
}
