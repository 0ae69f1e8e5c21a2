//! Foreign keys and the files of the dimensions that they point at.
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

#[test]
fn skeletons_are_no_default_where_members_are_not_looked_up_by_their_natural_keys() {
    let two_keys = dimension(1).replace("[id]", "[id, region]");
    let lookup =
        |columns: &str| fact(TO_DIM, &format!("source_columns: [a, b], dimension_columns: {columns}"));
    let with = |columns: &str| settled(&[("configs/a.yml", &two_keys), ("configs/b.yml", &lookup(columns))]);
    for columns in ["[id, region]", "[Region, ID]"] {
        assert_eq!(with(columns), (EarlyArriving::Skeleton, Vec::new()), "{columns}");
    }
    let note = "d_sk: it is not looked up by exactly the natural keys of gold.dim, so early facts get -3 and are \
                repaired later";
    assert_eq!(with("[id, email]"), (EarlyArriving::Default, vec![note.to_owned()]));
}

#[test]
fn a_dimension_that_the_project_does_not_load_gets_no_skeletons() {
    let alone = fact(TO_DIM, "source_columns: [id]");
    let note =
        "d_sk: gold.dim is not a pipeline of this project, so early facts get -3 and are repaired later";
    assert_eq!(settled(&[("configs/b.yml", &alone)]), (EarlyArriving::Default, vec![note.to_owned()]));
}

#[test]
fn what_the_file_says_goes_before_the_default() {
    for (word, early_arriving) in [("default", EarlyArriving::Default), ("error", EarlyArriving::Error)] {
        let said = fact(TO_DIM, &format!("source_columns: [id], early_arriving: {word}"));
        assert_eq!(
            settled(&[("configs/a.yml", &dimension(2)), ("configs/b.yml", &said)]),
            (early_arriving, Vec::new())
        );
        assert_eq!(settled(&[("configs/b.yml", &said)]), (early_arriving, Vec::new()));
    }
}

#[test]
fn skeletons_that_a_file_asks_for_have_to_be_possible() {
    let asking = |key: &str, columns: &str| {
        fact(key, &format!("source_columns: [a], dimension_columns: {columns}, early_arriving: skeleton"))
    };
    let line = "configs/b.yml:9: ";
    for (number, key, columns, message) in [
        (1, TO_DIM, "[id]", None),
        (2, TO_DIM, "[id]", None),
        (7, TO_DIM, "[ID]", None),
        (
            3,
            TO_DIM,
            "[id]",
            Some("`gold.dim` is a type 3 dimension: skeletons are for dimensions of types 1, 2 and 7"),
        ),
        (
            2,
            TO_DIM,
            "[email]",
            Some(
                "a skeleton needs the natural keys of `gold.dim`, `id`: `dimension_columns` must be exactly these",
            ),
        ),
        (
            5,
            "references: gold.m\n    dimension_key: m_sk",
            "[a]",
            Some("`gold.m` is a mini-dimension: skeletons are for dimensions of types 1, 2 and 7"),
        ),
        (
            1,
            "references: gold.other\n    dimension_key: sk",
            "[id]",
            Some("no pipeline of this project writes `gold.other`: it cannot get skeletons"),
        ),
    ] {
        let (_folder, request) =
            project(&[("configs/a.yml", &dimension(number)), ("configs/b.yml", &asking(key, columns))]);
        let expected: Vec<String> = message.iter().map(|message| format!("{line}{message}")).collect();
        assert_eq!(shown(&load_project(&request)), expected, "{number} {key}");
    }
}

#[test]
fn a_dimension_whose_file_has_errors_is_not_missing() {
    let asking = fact(TO_DIM, "source_columns: [id], early_arriving: skeleton");
    for broken in [dimension(1).replace("scd_type: 1", "scd_type: one"), "table_name: [".to_owned()] {
        let (_folder, request) = project(&[("configs/a.yml", &broken), ("configs/b.yml", &asking)]);
        let shown = shown(&load_project(&request));
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with("configs/a.yml:"), "{shown:?}");
    }
}

#[test]
fn a_fact_has_the_same_fingerprint_alone_and_with_its_dimension() {
    let text = fact(TO_DIM, "source_columns: [id]");
    let fingerprint = |files: &[(&str, &str)]| {
        let (_folder, request) = project(files);
        let pipelines = load_project(&request).project.unwrap().pipelines;
        pipelines.into_iter().find(|pipeline| pipeline.table_type() == "fact").unwrap().fingerprint
    };
    let together = [("configs/a.yml", dimension(1)), ("configs/b.yml", text.clone())];
    let together: Vec<(&str, &str)> = together.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(settled(&together).0, EarlyArriving::Skeleton);
    assert_eq!(fingerprint(&together), fingerprint(&[("configs/b.yml", &text)]));
}

/// A fact whose query gives the foreign key `d_sk`, with what it comes to in the project of these files: the surrogate
/// key that it is checked in, and the notes of the fact.
fn given(files: &[(&str, &str)], key: &str) -> (Option<String>, Vec<String>) {
    let fact = format!(
        "table_name: gold.sales\ntable_type: fact\nmerge_keys: [n]\nsources: [{{name: silver.sales}}]\n\
         foreign_keys: [{{column: d_sk, {key}}}]\n"
    );
    let mut all = files.to_vec();
    all.push(("configs/z.yml", fact.as_str()));
    let (_folder, request) = project(&all);
    let outcome = load_project(&request);
    assert_eq!(shown(&outcome), Vec::<String>::new());
    let mut pipelines = outcome.project.unwrap().pipelines;
    let pipeline = pipelines.pop().unwrap();
    let TableKind::Fact(mut fact) = pipeline.kind else { panic!("no fact") };
    (fact.foreign_keys.remove(0).dimension_key, pipeline.notes)
}

#[test]
fn a_key_of_the_query_is_looked_for_in_the_surrogate_key_of_the_table_it_references() {
    let text = dimension(5);
    let files = [("configs/a.yml", text.as_str())];
    let checked = |key: &str| (Some(key.to_owned()), Vec::<String>::new());
    assert_eq!(given(&files, "references: gold.dim"), checked("sk"));
    assert_eq!(given(&files, "references: gold.dim, dimension_key: sk"), checked("sk"));
    assert_eq!(given(&files, "references: gold.m"), checked("m_sk"));
    assert_eq!(given(&files, "references: gold.other, dimension_key: key"), checked("key"));
    let note = "d_sk: gold.other is not a pipeline of this project and dimension_key is not set, so nothing checks that \
                its keys exist there";
    assert_eq!(given(&files, "references: gold.other"), (None, vec![note.to_owned()]));
}

#[test]
fn the_surrogate_key_that_a_file_leaves_out_is_no_part_of_its_fingerprint() {
    let fact = "table_name: gold.sales\ntable_type: fact\nmerge_keys: [n]\nsources: [{name: silver.sales}]\n\
                foreign_keys: [{column: d_sk, references: gold.dim}]\n";
    let fingerprint = |files: &[(&str, &str)]| {
        let (_folder, request) = project(files);
        load_project(&request).project.unwrap().pipelines.pop().unwrap().fingerprint
    };
    let alone = [("configs/z.yml", fact)];
    let dimension = dimension(1);
    assert_eq!(fingerprint(&[("configs/a.yml", dimension.as_str()), alone[0]]), fingerprint(&alone));
}

#[test]
fn only_a_type_7_dimension_has_the_durable_key_of_a_relationship() {
    let durable = |key: &str| {
        format!(
            "{TO_DIM}\n    relationship: type7\n    durable_column: d_dk\n    durable_dimension_key: {key}"
        )
    };
    let fact = |key: &str| fact(&durable(key), "source_columns: [id], event_time: at");
    for (number, key, message) in [
        (7, "dk", None),
        (7, "sk", Some("configs/b.yml:11: the durable key of `gold.dim` is `dk`, not `sk`")),
        (2, "dk", Some("configs/b.yml:9: `gold.dim` is a type 2 dimension: only type 7 has a durable key")),
    ] {
        let (_folder, request) =
            project(&[("configs/a.yml", &dimension(number)), ("configs/b.yml", &fact(key))]);
        let expected: Vec<&str> = message.into_iter().collect();
        assert_eq!(shown(&load_project(&request)), expected, "{number} {key}");
    }
    let (_folder, request) = project(&[("configs/b.yml", &fact("dk"))]);
    assert_eq!(shown(&load_project(&request)), Vec::<String>::new());
}

#[test]
fn a_restatement_without_versions_is_noted() {
    let restated = fact(
        &format!("{TO_DIM}\n    restate_on_late_dimension: true"),
        "source_columns: [id], event_time: at",
    );
    let notes = |number| settled(&[("configs/a.yml", &dimension(number)), ("configs/b.yml", &restated)]).1;
    for number in [2, 6, 7] {
        assert_eq!(notes(number), Vec::<String>::new());
    }
    assert_eq!(
        notes(1),
        ["d_sk: restate_on_late_dimension has no effect, as gold.dim is a type 1 dimension"]
    );
}

#[test]
fn identities_that_are_protected_differently_are_told_of() {
    let token = |column: &str, secret: &str| {
        format!("pii: {{columns: [{{column: {column}, strategy: tokenize, secret_ref: env://{secret}}}]}}\n")
    };
    let hash = |column: &str| format!("pii: {{columns: [{{column: {column}, strategy: fast_hash}}]}}\n");
    let notes = |of_dimension: &str, of_fact: &str, lookup: &str| {
        let dimension = format!("{}{of_dimension}", dimension(1));
        let fact = format!("{}{of_fact}", fact(TO_DIM, lookup));
        let mut notes = settled(&[("configs/a.yml", &dimension), ("configs/b.yml", &fact)]).1;
        // Others are about the secrets, which are not there.
        notes.retain(|note| note.starts_with("d_sk: "));
        notes
    };
    let (same, renamed) = ("source_columns: [id]", "source_columns: [ID2], dimension_columns: [id]");
    let none = Vec::<String>::new();
    assert_eq!(notes(&token("id", "KEY"), &token("ID", "KEY"), same), none);
    assert_eq!(notes(&token("id", "KEY"), &token("id2", "KEY"), renamed), none);
    assert_eq!(notes(&hash("id"), &hash("id"), same), none);
    // What is hashed is the name in the query, which this does not tell.
    assert_eq!(notes(&hash("id"), &hash("ID"), "source_columns: [Id], dimension_columns: [id]"), none);
    assert_eq!(notes(&token("note", "KEY"), "", same), none, "no identity");
    assert_eq!(
        notes(&token("id", "KEY"), "", same),
        [
            "d_sk: `id` is looked up as it is, and `id` of gold.dim is kept as a token of the secret `KEY`: unless a \
          source holds protected values already, no member is ever found"
        ]
    );
    let differing = [
        (token("id", "KEY"), token("id", "OTHER"), same),
        (token("id", "KEY"), hash("id"), same),
        (String::new(), token("id", "KEY"), same),
        // The name of the column goes into its hash.
        (hash("id"), hash("ID2"), renamed),
    ];
    for (of_dimension, of_fact, lookup) in differing {
        assert_eq!(notes(&of_dimension, &of_fact, lookup).len(), 1, "{of_dimension} {of_fact}");
    }
}
