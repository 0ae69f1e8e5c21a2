//! What selectors mean.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use kimball_plan::Plan;

use super::{SelectionError, Selector, select};
use crate::fixture::{dimension, fact};

/// Two dimensions, a fact on each, a fact on both.
fn plan() -> Plan {
    Plan::of(&[
        dimension("gold.dim_a"),
        dimension("gold.dim_b"),
        fact("gold.fact_a", &["gold.dim_a"]),
        fact("gold.fact_b", &["gold.dim_b"]),
        fact("gold.fact_ab", &["gold.dim_a", "gold.dim_b"]),
    ])
    .unwrap()
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn chosen(include: &[&str], exclude: &[&str]) -> Result<Vec<String>, SelectionError> {
    let tables = select(&plan(), &selectors(include), &selectors(exclude))?;
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
fn exclusion_goes_before_selection() {
    assert_eq!(chosen(&["dim_a+"], &["fact_ab"]).unwrap(), ["dim_a", "fact_a"]);
    assert_eq!(chosen(&["dim_a"], &["dim_a+"]), Err(SelectionError::Nothing));
}

#[test]
fn a_selector_that_means_nothing_is_an_error_that_names_the_tables() {
    let error = chosen(&["dim_c"], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`dim_c` selects no pipeline; the project has gold.dim_a, gold.dim_b, gold.fact_a, gold.fact_ab, \
         gold.fact_b"
    );
    assert!(matches!(chosen(&[], &["wave:3"]), Err(SelectionError::NoMatch { .. })));
}

#[test]
fn what_is_no_selector_is_refused() {
    for text in ["", "+", "++", "a b", "wave:0", "wave:x", "wave:", "colour:red", "../a"] {
        assert_eq!(text.parse::<Selector>(), Err(SelectionError::Syntax(text.to_owned())), "{text:?}");
    }
    assert!(matches!("tag:daily".parse::<Selector>(), Err(SelectionError::Unsupported(..))));
}
