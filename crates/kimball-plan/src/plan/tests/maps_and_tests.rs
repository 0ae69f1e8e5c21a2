//! Dependencies that identity maps and tests imply, and junk dimensions.

use serde_json::json;

use super::{problems, wave_tables};
use crate::Plan;
use crate::fixture::{Needs, dimension, fact, name};

fn warnings(plan: &Plan) -> Vec<String> {
    plan.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn an_identity_map_is_loaded_before_the_fact_that_looks_through_it() {
    let sales = fact("gold.sales").references_through("d_sk", "gold.d", "gold.map").depends_on("gold.d");
    let plan = Plan::of(&[sales, dimension("gold.d"), dimension("gold.map")]).unwrap();
    assert_eq!(wave_tables(&plan), [vec!["gold.d", "gold.map"], vec!["gold.sales"]]);
    assert_eq!(
        plan.place_of(&name("gold.sales")).unwrap().to_string(),
        "wave 2: after gold.d (foreign key d_sk, depends_on), gold.map (identity map of d_sk)"
    );
    assert_eq!(
        warnings(&plan),
        ["gold.sales needs gold.map (identity map of d_sk), which its depends_on does not name"]
    );
}

#[test]
fn a_table_that_a_test_looks_into_is_loaded_first_and_needs_no_declaration() {
    let plan = Plan::of(&[dimension("gold.a").tests("b_id", "gold.b"), dimension("gold.b")]).unwrap();
    assert_eq!(plan.place_of(&name("gold.a")).unwrap().to_string(), "wave 2: after gold.b (test of b_id)");
    assert_eq!(warnings(&plan), Vec::<String>::new());
}

#[test]
fn a_test_is_no_part_of_the_warning_about_another_reason() {
    let sales = fact("gold.sales").references("d_sk", "gold.d").tests("d_sk", "gold.d");
    let plan = Plan::of(&[sales, dimension("gold.d")]).unwrap();
    assert_eq!(
        warnings(&plan),
        ["gold.sales needs gold.d (foreign key d_sk), which its depends_on does not name"]
    );
    assert_eq!(plan.dependencies_of(&name("gold.sales"))[0].reasons.len(), 2);
}

#[test]
fn a_test_of_what_the_pipeline_writes_itself_is_no_dependency() {
    let plan = Plan::of(&[
        dimension("gold.a").with_mini("gold.m").tests("parent_id", "main.gold.a").tests("m_sk", "gold.m"),
        fact("gold.f").with_junk("gold.j").tests("junk_sk", "gold.j"),
    ])
    .unwrap();
    assert_eq!(plan.waves().len(), 1);
    assert_eq!(plan.external(), []);
}

#[test]
fn two_tables_that_test_each_other_are_a_cycle() {
    assert_eq!(
        problems(&[dimension("gold.a").tests("b_id", "gold.b"), dimension("gold.b").tests("a_id", "gold.a")]),
        [
            "cycle: gold.a → gold.b → gold.a; gold.a needs gold.b (test of b_id), gold.b needs gold.a (test of a_id)"
        ]
    );
}

#[test]
fn maps_and_tested_tables_that_no_pipeline_writes_are_external() {
    let sales = fact("gold.sales")
        .references_through("d_sk", "gold.sales_d", "silver.map")
        .tests("status", "silver.statuses");
    let plan = Plan::of(&[sales, dimension("gold.sales_d")]).unwrap();
    assert_eq!(
        plan.to_json()["external"],
        json!([
            {"table_name": "silver.map", "needed_by": "gold.sales",
             "reason": {"kind": "identity_map", "column": "d_sk"}},
            {"table_name": "silver.statuses", "needed_by": "gold.sales",
             "reason": {"kind": "test", "column": "status"}},
        ])
    );
}

#[test]
fn a_junk_dimension_that_is_needed_puts_the_fact_that_writes_it_first() {
    let plan = Plan::of(&[
        fact("gold.z").with_junk("gold.flags"),
        fact("gold.a").references("flags_sk", "gold.flags"),
        dimension("gold.b").tests("flags_sk", "gold.flags"),
        fact("gold.c").references_through("d_sk", "gold.b", "gold.flags"),
    ])
    .unwrap();
    let place = |table| plan.place_of(&name(table)).unwrap().to_string();
    assert_eq!(place("gold.a"), "wave 2: after gold.z (foreign key flags_sk to gold.flags)");
    assert_eq!(place("gold.b"), "wave 2: after gold.z (test of flags_sk in gold.flags)");
    assert_eq!(
        plan.dependencies_of(&name("gold.c"))[1].to_string(),
        "gold.z (identity map of d_sk in gold.flags)"
    );
    let reasons = &plan.to_json()["waves"][1]["pipelines"][1]["dependencies"][0]["reasons"];
    assert_eq!(*reasons, json!([{"kind": "test", "column": "flags_sk", "companion": "gold.flags"}]));
}

#[test]
fn two_writers_of_a_junk_dimension_are_a_problem() {
    let writer = |table| fact(table).with_junk("gold.flags");
    assert_eq!(
        problems(&[writer("gold.a"), writer("gold.b")]),
        ["gold.flags is written by 2 pipelines: configs/a.yml and configs/b.yml; a table has one writer"]
    );
}

#[test]
fn a_fact_that_references_its_own_junk_dimension_needs_itself() {
    assert_eq!(
        problems(&[fact("gold.a").with_junk("gold.flags").references("f_sk", "gold.flags")]),
        ["cycle: gold.a → gold.a; gold.a needs itself (foreign key f_sk to gold.flags)"]
    );
}
