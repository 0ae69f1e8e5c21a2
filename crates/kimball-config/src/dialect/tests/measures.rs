use super::*;

#[test]
fn measures_are_declarations_that_are_checked_for_form() {
    assert_eq!(
        messages(&fact(
            "measures:\n- {name: m, additivity: semi_additive}\n\
             - {name: m, aggregation: median, additivity: additive, non_additive_dimensions: [d]}"
        )),
        [
            "a semi-additive measure needs `non_additive_dimensions`",
            "the measure `m` is there twice",
            "`aggregation` must be `sum`, `avg`, `min`, `max`, `count` or `count_distinct`, found `median`",
            "`non_additive_dimensions` is for `additivity: semi_additive`",
        ]
    );
}

#[test]
fn a_measure_is_additive_unless_the_file_says_otherwise() {
    let read = read(&fact(
        "measures:\n- {name: amount}\n- {name: price, aggregation: avg, additivity: non_additive}\n\
         - {name: stock, aggregation: sum, additivity: semi_additive, non_additive_dimensions: [day, hour]}",
    ));
    assert_eq!((read.problems, read.notes), (Vec::new(), Vec::new()));
    let Some(TableKind::Fact(fact)) = read.pipeline.map(|pipeline| pipeline.kind) else { panic!("no fact") };
    let measure = |column: &str, aggregation, additivity| Measure {
        column: column.to_owned(),
        aggregation,
        additivity,
    };
    let along = vec!["day".to_owned(), "hour".to_owned()];
    assert_eq!(
        fact.measures,
        [
            measure("amount", None, Additivity::Additive),
            measure("price", Some(Aggregation::Avg), Additivity::NonAdditive),
            measure("stock", Some(Aggregation::Sum), Additivity::SemiAdditive(along)),
        ]
    );
}

#[test]
fn every_aggregation_has_its_word() {
    for (word, aggregation) in [
        ("sum", Aggregation::Sum),
        ("avg", Aggregation::Avg),
        ("min", Aggregation::Min),
        ("max", Aggregation::Max),
        ("count", Aggregation::Count),
        ("count_distinct", Aggregation::CountDistinct),
    ] {
        let measures =
            fact_settings(&fact(&format!("measures: [{{name: m, aggregation: {word}}}]"))).measures;
        assert_eq!(measures[0].aggregation, Some(aggregation));
    }
}

#[test]
fn the_sum_of_what_is_not_additive_is_a_warning() {
    let read = read(&fact("measures:\n- {name: margin, aggregation: sum, additivity: non_additive}"));
    assert_eq!(read.problems, ["6: `margin` is not additive: its sum says nothing"]);
    assert!(read.pipeline.is_some());
}

#[test]
fn a_measure_is_no_dimension_of_itself() {
    assert_eq!(
        messages(&fact("measures: [{name: m, additivity: semi_additive, non_additive_dimensions: [M]}]")),
        ["`M` is the measure itself, which is no dimension"]
    );
}
