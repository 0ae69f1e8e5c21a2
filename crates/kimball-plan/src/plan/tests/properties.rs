//! What holds for every plan, against a naive model of it.

use std::collections::{BTreeMap, BTreeSet};

use kimball_config::Pipeline;
use proptest::prelude::*;

use crate::fixture::{Needs, dimension, fact, name};
use crate::{Plan, PlanProblem};

/// Table numbers with, for each, the numbers it needs and how.
type Wiring = BTreeMap<usize, BTreeMap<usize, Link>>;

#[derive(Debug, Clone, Copy)]
enum Link {
    Source,
    ForeignKey,
    Declared,
}

fn table(number: usize) -> String {
    format!("gold.t{number:02}")
}

fn pipelines(wiring: &Wiring) -> Vec<Pipeline> {
    let pipelines = wiring.iter().map(|(number, needs)| {
        let is_fact = needs.values().any(|link| matches!(link, Link::ForeignKey)) || number % 3 == 0;
        let start = if is_fact { fact(&table(*number)) } else { dimension(&table(*number)) };
        needs.iter().fold(start, |pipeline, (needed, link)| match link {
            Link::Source => pipeline.reads(&table(*needed)),
            Link::ForeignKey => pipeline.references(&format!("k{needed}"), &table(*needed)),
            Link::Declared => pipeline.depends_on(&table(*needed)),
        })
    });
    pipelines.collect()
}

fn links() -> impl Strategy<Value = Vec<(usize, usize, Link)>> {
    let link = prop_oneof![Just(Link::Source), Just(Link::ForeignKey), Just(Link::Declared)];
    prop::collection::vec((0..1_000_usize, 0..1_000_usize, link), 0..60)
}

/// Any wiring of up to 20 tables, with or without circles.
fn any_wiring() -> impl Strategy<Value = Wiring> {
    (1..=20_usize, links()).prop_map(|(tables, links)| {
        let mut wiring: Wiring = (0..tables).map(|number| (number, BTreeMap::new())).collect();
        for (from, to, link) in links {
            wiring.entry(from % tables).or_default().insert(to % tables, link);
        }
        wiring
    })
}

/// A wiring without circles, whose order of names has nothing to do with the order of dependencies.
fn circle_free_wiring() -> impl Strategy<Value = Wiring> {
    (1..=30_usize, links())
        .prop_flat_map(|(tables, links)| {
            (Just(links), Just((0..tables).collect::<Vec<usize>>()).prop_shuffle())
        })
        .prop_map(|(links, order)| {
            let tables = order.len();
            let mut wiring: Wiring = (0..tables).map(|number| (number, BTreeMap::new())).collect();
            for (a, b, link) in links {
                let (low, high) = ((a % tables).min(b % tables), (a % tables).max(b % tables));
                if low < high {
                    wiring.entry(order[high]).or_default().insert(order[low], link);
                }
            }
            wiring
        })
}

/// The number of tables on the longest chain, by relaxing every link as often as there are tables.
fn longest_chain(wiring: &Wiring) -> usize {
    let mut length: BTreeMap<usize, usize> = wiring.keys().map(|number| (*number, 1)).collect();
    for _ in wiring {
        for (number, needs) in wiring {
            for needed in needs.keys() {
                let longer = length[needed] + 1;
                let known = length.entry(*number).or_insert(1);
                *known = (*known).max(longer);
            }
        }
    }
    length.into_values().max().unwrap_or(0)
}

/// Whether some table can be reached from itself, by taking away tables that need nothing until none goes.
fn has_circle(wiring: &Wiring) -> bool {
    let mut left = wiring.clone();
    loop {
        let free: BTreeSet<usize> = left
            .iter()
            .filter(|(_, needs)| needs.keys().all(|n| !left.contains_key(n)))
            .map(|(n, _)| *n)
            .collect();
        if free.is_empty() {
            return !left.is_empty();
        }
        left.retain(|number, _| !free.contains(number));
    }
}

fn planned(wiring: &Wiring) -> Plan {
    Plan::of(&pipelines(wiring)).unwrap()
}

proptest! {
    #[test]
    fn every_pipeline_stands_in_exactly_one_wave(wiring in circle_free_wiring()) {
        let plan = planned(&wiring);
        let mut tables: Vec<_> = plan.waves().iter().flat_map(|wave| wave.tables()).cloned().collect();
        tables.sort();
        let all: Vec<_> = wiring.keys().map(|number| name(&table(*number))).collect();
        prop_assert_eq!(tables, all);
        prop_assert!(plan.waves().iter().all(|wave| !wave.tables().is_empty()));
    }

    #[test]
    fn no_dependency_stands_inside_or_after_the_wave_of_what_needs_it(wiring in circle_free_wiring()) {
        let plan = planned(&wiring);
        let wave = |number: usize| plan.wave_of(&name(&table(number))).unwrap().number();
        for (number, needs) in &wiring {
            for needed in needs.keys() {
                prop_assert!(wave(*needed) < wave(*number), "{needed} is needed by {number}");
            }
        }
    }

    #[test]
    fn there_are_as_many_waves_as_the_longest_chain_has_pipelines(wiring in circle_free_wiring()) {
        prop_assert_eq!(planned(&wiring).waves().len(), longest_chain(&wiring));
    }

    #[test]
    fn every_pipeline_stands_in_the_first_wave_it_can(wiring in circle_free_wiring()) {
        let plan = planned(&wiring);
        for pipeline in plan.pipelines() {
            let place = plan.place_of(&pipeline.table).unwrap();
            prop_assert_eq!(place.after.is_empty(), pipeline.wave == 1);
        }
    }

    #[test]
    fn the_plan_is_the_same_for_any_order_of_the_pipelines(
        (wiring, shuffled) in circle_free_wiring().prop_flat_map(|wiring| {
            let shuffled = Just(pipelines(&wiring)).prop_shuffle();
            (Just(wiring), shuffled)
        })
    ) {
        let (one, other) = (planned(&wiring), Plan::of(&shuffled).unwrap());
        prop_assert_eq!(one.to_json().to_string(), other.to_json().to_string());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn problems_are_the_same_for_any_order_of_the_pipelines(
        (wiring, shuffled) in any_wiring().prop_flat_map(|wiring| {
            let shuffled = Just(pipelines(&wiring)).prop_shuffle();
            (Just(wiring), shuffled)
        })
    ) {
        prop_assert_eq!(Plan::of(&pipelines(&wiring)), Plan::of(&shuffled));
    }

    #[test]
    fn a_project_is_refused_exactly_when_it_has_a_circle(wiring in any_wiring()) {
        prop_assert_eq!(Plan::of(&pipelines(&wiring)).is_err(), has_circle(&wiring));
    }

    #[test]
    fn every_reported_cycle_is_a_real_path_and_without_them_no_circle_is_left(wiring in any_wiring()) {
        let mut wiring = wiring;
        let number = |table: &kimball_config::TableName| table.table()[1..].parse::<usize>().unwrap();
        for problem in Plan::of(&pipelines(&wiring)).err().unwrap_or_default() {
            let PlanProblem::Cycle { path, reasons, .. } = problem else {
                return Err(TestCaseError::fail("every table has one writer"));
            };
            prop_assert_eq!(path.first(), path.last());
            prop_assert_eq!(path.len(), reasons.len() + 1);
            let inner: BTreeSet<_> = path.iter().skip(1).collect();
            prop_assert_eq!(inner.len(), path.len() - 1, "no table is passed twice");
            for (step, reasons) in path.windows(2).zip(&reasons) {
                let link = wiring.get_mut(&number(&step[0])).unwrap().remove(&number(&step[1]));
                prop_assert!(link.is_some(), "{} does not need {}", step[0], step[1]);
                prop_assert_eq!(reasons.len(), 1);
            }
        }
        prop_assert!(!has_circle(&wiring));
    }

    #[test]
    fn downstream_is_what_a_naive_search_reaches(wiring in circle_free_wiring()) {
        let plan = planned(&wiring);
        for start in wiring.keys() {
            let mut reached = BTreeSet::from([*start]);
            for _ in &wiring {
                let more = wiring.iter().filter(|(_, needs)| needs.keys().any(|n| reached.contains(n)));
                let more: Vec<usize> = more.map(|(number, _)| *number).collect();
                reached.extend(more);
            }
            reached.remove(start);
            let mut downstream = plan.downstream_of(&name(&table(*start)));
            downstream.sort();
            prop_assert_eq!(downstream, reached.iter().map(|n| name(&table(*n))).collect::<Vec<_>>());
        }
    }
}
