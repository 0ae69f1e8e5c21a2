#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kimball_config::{FileFormat, Pipeline, SourceLocation};

use crate::fixture::{Needs, dimension, fact, name, names};
use crate::{Dependency, ExternalTable, Plan, PlanProblem, Reason};

mod maps_and_tests;
mod properties;

fn retail() -> Vec<Pipeline> {
    vec![
        dimension("gold.dim_customer").reads("silver.customers"),
        dimension("gold.dim_product").reads("silver.products"),
        dimension("gold.dim_date"),
        fact("gold.fact_sales")
            .reads("silver.orders")
            .references("customer_sk", "gold.dim_customer")
            .references("product_sk", "gold.dim_product")
            .references("date_sk", "gold.dim_date"),
        fact("gold.fact_inventory").references("product_sk", "gold.dim_product"),
    ]
}

fn wave_tables(plan: &Plan) -> Vec<Vec<String>> {
    plan.waves().iter().map(|wave| wave.tables().iter().map(ToString::to_string).collect()).collect()
}

fn problems(pipelines: &[Pipeline]) -> Vec<String> {
    Plan::of(pipelines).unwrap_err().iter().map(PlanProblem::summary).collect()
}

#[test]
fn dimensions_stand_before_the_facts_that_reference_them() {
    let plan = Plan::of(&retail()).unwrap();
    assert_eq!(
        wave_tables(&plan),
        [
            vec!["gold.dim_customer", "gold.dim_date", "gold.dim_product"],
            vec!["gold.fact_inventory", "gold.fact_sales"]
        ]
    );
    let labels: Vec<_> = plan.waves().iter().map(|wave| (wave.number(), wave.label())).collect();
    assert_eq!(labels, [(1, "Dimensions"), (2, "Facts")]);
}

#[test]
fn no_pipelines_make_a_plan_without_waves() {
    let plan = Plan::of(&[]).unwrap();
    assert!(plan.waves().is_empty());
    assert_eq!(plan.pipelines().count(), 0);
}

#[test]
fn a_fact_that_references_nothing_stands_in_the_first_wave() {
    let plan = Plan::of(&[dimension("gold.d"), fact("gold.f"), fact("gold.g").reads("gold.f")]).unwrap();
    assert_eq!(wave_tables(&plan), [vec!["gold.d", "gold.f"], vec!["gold.g"]]);
    assert_eq!(plan.wave_of(&name("gold.f")).unwrap().label(), "Dimensions and Facts");
}

#[test]
fn a_source_that_another_pipeline_writes_is_loaded_first_whatever_the_kind() {
    let plan =
        Plan::of(&[dimension("gold.dim_best_customer").reads("gold.fact_sales"), fact("gold.fact_sales")]);
    assert_eq!(wave_tables(&plan.unwrap()), [["gold.fact_sales"], ["gold.dim_best_customer"]]);
}

#[test]
fn depends_on_alone_orders_two_pipelines() {
    let plan = Plan::of(&[dimension("gold.a").depends_on("gold.b"), dimension("gold.b")]).unwrap();
    assert_eq!(wave_tables(&plan), [["gold.b"], ["gold.a"]]);
    let labels: Vec<_> = plan.waves().iter().map(|wave| wave.label().to_owned()).collect();
    assert_eq!(labels, ["Dimensions 1", "Dimensions 2"]);
}

#[test]
fn files_and_delta_paths_make_no_dependency() {
    let file = SourceLocation::Files {
        format: FileFormat::Csv,
        path: "/in/gold.b/*.csv".to_owned(),
        options: Default::default(),
    };
    let path = SourceLocation::DeltaPath("/elsewhere/gold/b".to_owned());
    let plan =
        Plan::of(&[dimension("gold.a").reads_from(file).reads_from(path), dimension("gold.b")]).unwrap();
    assert_eq!(plan.waves().len(), 1);
    assert!(plan.external().is_empty());
}

#[test]
fn a_name_with_its_catalog_and_one_without_are_the_same_table() {
    let plan = Plan::of(&[dimension("gold.a").reads("main.gold.b"), dimension("gold.b")]).unwrap();
    assert_eq!(wave_tables(&plan), [["gold.b"], ["gold.a"]]);
}

#[test]
fn a_dependency_keeps_every_reason_once() {
    let sales = fact("gold.sales")
        .reads("gold.d")
        .references("buyer_sk", "gold.d")
        .references("seller_sk", "gold.d")
        .depends_on("gold.d")
        .depends_on("gold.d");
    let plan = Plan::of(&[sales, dimension("gold.d")]).unwrap();
    let key = |column: &str| Reason::ForeignKey { column: column.to_owned() };
    let reasons = vec![Reason::ReadsSource, key("buyer_sk"), key("seller_sk"), Reason::Declared];
    assert_eq!(plan.dependencies_of(&name("gold.sales")), [Dependency { table: name("gold.d"), reasons }]);
}

#[test]
fn the_place_of_a_pipeline_names_what_keeps_it_from_standing_earlier() {
    let plan = Plan::of(&[
        dimension("gold.a"),
        dimension("gold.b").reads("gold.a"),
        fact("gold.f").references("a_sk", "gold.a").references("b_sk", "gold.b"),
    ])
    .unwrap();
    let place = |table| plan.place_of(&name(table)).unwrap().to_string();
    assert_eq!(place("gold.a"), "wave 1: needs no other pipeline");
    assert_eq!(place("gold.b"), "wave 2: after gold.a (source)");
    assert_eq!(place("gold.f"), "wave 3: after gold.b (foreign key b_sk)");
    assert_eq!(plan.place_of(&name("gold.unknown")), None);
}

#[test]
fn those_come_first_that_the_longest_chains_wait_for() {
    let plan = Plan::of(&[
        fact("gold.alone"),
        dimension("gold.lone_dim"),
        fact("gold.on_lone").references("sk", "gold.lone_dim"),
        dimension("gold.z"),
        dimension("gold.a").reads("gold.z"),
        fact("gold.f").references("a_sk", "gold.a").references("z_sk", "gold.z"),
    ])
    .unwrap();
    let order: Vec<String> = plan.critical_first().into_iter().map(ToString::to_string).collect();
    assert_eq!(order, ["gold.z", "gold.lone_dim", "gold.a", "gold.alone", "gold.on_lone", "gold.f"]);
}

#[test]
fn downstream_is_everything_that_needs_a_table_directly_or_not() {
    let plan = Plan::of(&[
        dimension("gold.z"),
        dimension("gold.a").reads("gold.z"),
        fact("gold.f").references("a_sk", "gold.a"),
        fact("gold.alone"),
        fact("gold.both").references("z_sk", "gold.z").depends_on("gold.f"),
    ])
    .unwrap();
    assert_eq!(plan.downstream_of(&name("gold.z")), names(&["gold.a", "gold.f", "gold.both"]));
    assert_eq!(plan.downstream_of(&name("gold.f")), names(&["gold.both"]));
    assert_eq!(plan.downstream_of(&name("gold.both")), []);
}

#[test]
fn a_table_that_no_pipeline_writes_is_external_with_every_reason() {
    let sales = fact("gold.sales").reads("silver.orders").references("d_sk", "gold.d").depends_on("gold.d");
    let plan = Plan::of(&[sales]).unwrap();
    let external = |table, reason| ExternalTable {
        pipeline: name("gold.sales"),
        table: name(table),
        reason,
        config_path: PathBuf::from("configs/sales.yml"),
        near: None,
    };
    assert_eq!(
        plan.external(),
        [
            external("gold.d", Reason::ForeignKey { column: "d_sk".to_owned() }),
            external("gold.d", Reason::Declared),
            external("silver.orders", Reason::ReadsSource),
        ]
    );
    assert_eq!(plan.waves().len(), 1);
}

#[test]
fn a_dependency_that_depends_on_does_not_name_is_a_warning() {
    let sales =
        fact("gold.sales").references("a_sk", "gold.a").references("b_sk", "gold.b").depends_on("gold.a");
    let plan = Plan::of(&[sales, dimension("gold.a"), dimension("gold.b")]).unwrap();
    let warnings: Vec<_> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["gold.sales needs gold.b (foreign key b_sk), which its depends_on does not name"]);
    assert_eq!(plan.warnings()[0].config_path(), PathBuf::from("configs/sales.yml"));
}

#[test]
fn two_writers_of_one_table_are_a_problem_that_names_both_files() {
    let pipelines = [
        dimension("main.gold.a").in_file("b.yml"),
        dimension("gold.a").in_file("a.yml"),
        dimension("gold.c"),
    ];
    assert_eq!(
        problems(&pipelines),
        ["gold.a is written by 2 pipelines: a.yml and b.yml; a table has one writer"]
    );
}

#[test]
fn three_writers_of_one_table_are_one_problem() {
    let writer = |path| dimension("gold.a").in_file(path);
    assert_eq!(
        problems(&[writer("c.yml"), writer("a.yml"), writer("b.yml")]),
        ["gold.a is written by 3 pipelines: a.yml, b.yml and c.yml; a table has one writer"]
    );
}

#[test]
fn a_cycle_is_named_in_full_with_the_reasons() {
    let pipelines = [
        dimension("gold.c").depends_on("gold.a"),
        dimension("gold.b").reads("gold.c"),
        fact("gold.a").references("b_sk", "gold.b"),
        fact("gold.behind").reads("gold.a"),
    ];
    let found = Plan::of(&pipelines).unwrap_err();
    assert_eq!(
        found[0].summary(),
        "cycle: gold.a → gold.b → gold.c → gold.a; gold.a needs gold.b (foreign key b_sk), \
         gold.b needs gold.c (source), gold.c needs gold.a (depends_on)"
    );
    assert_eq!(
        found[0].to_string(),
        "cycle: gold.a → gold.b → gold.c → gold.a\n \
         --> configs/a.yml: gold.a needs gold.b (foreign key b_sk)\n \
         --> configs/b.yml: gold.b needs gold.c (source)\n \
         --> configs/c.yml: gold.c needs gold.a (depends_on)\n  \
         = help: remove one of these dependencies"
    );
    assert_eq!(found[0].help(), Some("remove one of these dependencies"));
    assert_eq!(found.len(), 1);
    let files = ["configs/a.yml", "configs/b.yml", "configs/c.yml"].map(PathBuf::from);
    assert_eq!(found[0].config_paths(), files);
}

#[test]
fn a_pipeline_that_needs_itself_is_a_cycle() {
    let pipelines = [dimension("gold.a").reads("gold.a"), dimension("gold.b")];
    assert_eq!(problems(&pipelines), ["cycle: gold.a → gold.a; gold.a needs itself (source)"]);
}

#[test]
fn every_writer_conflict_and_every_cycle_is_reported_at_once() {
    let pipelines = [
        dimension("gold.twice").in_file("1.yml"),
        dimension("gold.twice").in_file("2.yml").reads("gold.twice"),
        dimension("gold.a").reads("gold.b").reads("gold.c"),
        dimension("gold.b").reads("gold.a"),
        dimension("gold.c").reads("gold.a"),
        dimension("gold.x").reads("gold.y"),
        dimension("gold.y").reads("gold.x"),
    ];
    let paths = |problem: &PlanProblem| match problem {
        PlanProblem::SeveralWriters { table, .. } => vec![table.to_string()],
        PlanProblem::Cycle { path, .. } => path.iter().map(ToString::to_string).collect(),
    };
    let found: Vec<_> = Plan::of(&pipelines).unwrap_err().iter().map(paths).collect();
    assert_eq!(
        found,
        [
            vec!["gold.twice"],
            vec!["gold.a", "gold.b", "gold.a"],
            vec!["gold.a", "gold.c", "gold.a"],
            vec!["gold.twice", "gold.twice"],
            vec!["gold.x", "gold.y", "gold.x"],
        ]
    );
}

/// A type 4 dimension with a history table and a mini-dimension.
fn customers() -> Pipeline {
    dimension("gold.customers").with_history("gold.customer_history").with_mini("gold.segments")
}

#[test]
fn a_companion_that_is_needed_puts_the_pipeline_that_writes_it_first() {
    let plan = Plan::of(&[
        dimension("gold.a").reads("gold.customer_history"),
        fact("gold.b").references("segment_sk", "gold.segments"),
        dimension("gold.c").depends_on("main.gold.segments"),
        customers(),
    ])
    .unwrap();
    assert_eq!(wave_tables(&plan), [vec!["gold.customers"], vec!["gold.a", "gold.b", "gold.c"]]);
    let place = |table| plan.place_of(&name(table)).unwrap().to_string();
    assert_eq!(place("gold.a"), "wave 2: after gold.customers (source gold.customer_history)");
    assert_eq!(place("gold.b"), "wave 2: after gold.customers (foreign key segment_sk to gold.segments)");
    assert_eq!(place("gold.c"), "wave 2: after gold.customers (depends_on main.gold.segments)");
    assert_eq!(plan.external(), []);
    assert_eq!(plan.downstream_of(&name("gold.customers")), names(&["gold.a", "gold.b", "gold.c"]));
}

#[test]
fn a_pipeline_needed_by_several_of_its_tables_is_one_dependency() {
    let sales = fact("gold.sales")
        .references("customer_sk", "gold.customers")
        .references("segment_sk", "gold.segments")
        .depends_on("gold.segments");
    let plan = Plan::of(&[sales, customers()]).unwrap();
    assert_eq!(
        plan.place_of(&name("gold.sales")).unwrap().to_string(),
        "wave 2: after gold.customers (foreign key customer_sk, foreign key segment_sk to gold.segments, \
         depends_on gold.segments)"
    );
    assert_eq!(plan.dependencies_of(&name("gold.sales")).len(), 1);
    assert_eq!(plan.warnings(), []);
}

#[test]
fn a_companion_that_depends_on_does_not_name_is_a_warning() {
    let sales = fact("gold.sales").references("segment_sk", "gold.segments");
    let plan = Plan::of(&[sales, customers()]).unwrap();
    let warnings: Vec<_> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "gold.sales needs gold.customers (foreign key segment_sk to gold.segments), which its depends_on does \
          not name"
        ]
    );
}

#[test]
fn a_companion_closes_a_cycle_as_an_own_table_does() {
    assert_eq!(
        problems(&[customers().reads("gold.customer_history")]),
        [
            "cycle: gold.customers → gold.customers; gold.customers needs itself (source gold.customer_history)"
        ]
    );
    assert_eq!(
        problems(&[customers().reads("gold.bands"), dimension("gold.bands").depends_on("gold.segments")]),
        ["cycle: gold.bands → gold.customers → gold.bands; gold.bands needs gold.customers (depends_on \
          gold.segments), gold.customers needs gold.bands (source)"]
    );
}

#[test]
fn two_writers_of_a_companion_are_a_problem_whoever_owns_it() {
    let pipelines = [
        customers().in_file("c.yml"),
        dimension("gold.members").with_mini("main.gold.segments").in_file("b.yml"),
        dimension("gold.customer_history").in_file("a.yml"),
    ];
    let expected = [
        "gold.customer_history is written by 2 pipelines: a.yml and c.yml; a table has one writer",
        "main.gold.segments is written by 2 pipelines: b.yml and c.yml; a table has one writer",
    ];
    assert_eq!(problems(&pipelines), expected);
    let [first, second, third] = pipelines;
    assert_eq!(problems(&[third, first, second]), expected);
}

/// A chain of half of them, the other half fanned out behind its end, each of those with ten foreign keys.
fn chain_and_fan(pipelines: usize) -> Vec<Pipeline> {
    let half = pipelines / 2;
    let link = |index: usize| format!("gold.dim_{index:05}");
    let chain = (0..half).map(|index| match index {
        0 => dimension(&link(0)),
        _ => dimension(&link(index)).reads(&link(index - 1)),
    });
    let fan = (half..pipelines).map(|index| {
        let keys = (0..10).map(|key| (format!("k{key}"), link(half - 1 - key)));
        keys.fold(fact(&format!("gold.fact_{index:05}")), |fact, (key, table)| fact.references(&key, &table))
    });
    chain.chain(fan).collect()
}

#[test]
fn thousands_of_pipelines_are_planned_without_a_quadratic_step() {
    let pipelines = chain_and_fan(5_000);
    let started = Instant::now();
    let plan = Plan::of(&pipelines).unwrap();
    let took = started.elapsed();
    assert_eq!(plan.waves().len(), 2_501);
    // A bound that a quadratic step misses by far and a busy machine does not.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_circle_of_thousands_of_pipelines_is_found_without_running_out_of_stack() {
    let link = |index: usize| format!("gold.t{index:05}");
    let ring: Vec<_> =
        (0..5_000).map(|index| dimension(&link(index)).reads(&link((index + 1) % 5_000))).collect();
    let found = Plan::of(&ring).unwrap_err();
    let PlanProblem::Cycle { path, .. } = &found[0] else { unreachable!("{found:?}") };
    assert_eq!((found.len(), path.len()), (1, 5_001));
}
