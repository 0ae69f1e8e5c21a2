//! What an early fact does, which its file may leave to the dimension's.
use super::*;

/// A dimension of a type with the natural key `id`.
fn dimension(number: u8) -> String {
    let history = "effective_at: e\ntrack_history_columns: ['*']";
    let more = match number {
        2 => history.to_owned(),
        3 => "previous_columns: {city: old_city}".to_owned(),
        4 => "history_table: gold.h".to_owned(),
        5 => "mini_dimensions: [{table: gold.m, surrogate_key: m_sk, columns: [a]}]".to_owned(),
        6 => format!("{history}\ncurrent_value_columns: [a]"),
        7 => format!("{history}\ndurable_key: dk"),
        _ => String::new(),
    };
    format!(
        "table_name: gold.dim\ntable_type: dimension\nscd_type: {number}\nsurrogate_key: sk\n\
         natural_keys: [id]\nsources: [{{name: silver.t}}]\n{more}\n"
    )
}

/// A fact whose foreign key `d_sk` is looked up with these settings.
fn fact(key: &str, lookup: &str) -> String {
    format!(
        "table_name: gold.sales\ntable_type: fact\nmerge_keys: [n]\nsources: [{{name: silver.sales}}]\n\
         foreign_keys:\n  - column: d_sk\n    {key}\n    lookup: {{{lookup}}}\n"
    )
}

const TO_DIM: &str = "references: gold.dim\n    dimension_key: sk";

/// What the fact's only lookup does with early facts, and the notes of the fact.
fn settled(files: &[(&str, &str)]) -> (EarlyArriving, Vec<String>) {
    let (_folder, request) = project(files);
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    let pipelines = outcome.project.unwrap().pipelines;
    let pipeline = pipelines.into_iter().find(|pipeline| pipeline.table_type() == "fact").unwrap();
    let TableKind::Fact(mut fact) = pipeline.kind else { panic!("no fact") };
    (fact.foreign_keys.remove(0).lookup.unwrap().early_arriving, pipeline.notes)
}

#[test]
fn skeletons_are_the_default_of_types_1_2_and_7_alone() {
    for number in 0..=7 {
        let (early_arriving, notes) = settled(&[
            ("configs/a.yml", &dimension(number)),
            ("configs/b.yml", &fact(TO_DIM, "source_columns: [id]")),
        ]);
        let expected = match number {
            1 | 2 | 7 => EarlyArriving::Skeleton,
            _ => EarlyArriving::Default,
        };
        assert_eq!((early_arriving, notes), (expected, Vec::new()), "{number}");
    }
}
