use super::*;

/// A dimension of a type with these mini-dimensions, each in a line.
fn minis(scd_type: u8, items: &[&str]) -> String {
    let items = items.iter().map(|item| format!("\n  - {{{item}}}")).collect::<String>();
    dimension(&format!("scd_type: {scd_type}\nmini_dimensions:{items}"))
}

const BANDS: &str = "table: gold.bands, surrogate_key: band_sk, columns: [age, income]";

#[test]
fn any_dimension_may_have_mini_dimensions() {
    let Dimension { mini_dimensions, scd, .. } = settings(&minis(1, &[BANDS]));
    assert_eq!(scd, Scd::Type1);
    assert_eq!(
        mini_dimensions,
        [MiniDimension {
            table: TableName::parse("gold.bands").unwrap(),
            surrogate_key: "band_sk".to_owned(),
            columns: vec!["age".to_owned(), "income".to_owned()],
        }]
    );
    let seven = "scd_type: 7\neffective_at: e\ntrack_history_columns: ['*']\ndurable_key: dk";
    let seven = settings(&dimension(&format!("{seven}\nmini_dimensions: [{{{BANDS}}}]")));
    assert_eq!(seven.mini_dimensions, mini_dimensions);
    assert_eq!(settings(&dimension("mini_dimensions: []")).mini_dimensions, []);
}

#[test]
fn type_4_may_do_with_mini_dimensions_and_type_5_needs_them() {
    assert_eq!(settings(&minis(4, &[BANDS])).scd, Scd::Type4 { history: None });
    let five = settings(&minis(5, &[BANDS]));
    assert_eq!((five.scd, five.mini_dimensions.len()), (Scd::Type5, 1));
    assert_eq!(messages(&dimension("scd_type: 5")), ["type 5 needs `mini_dimensions`"]);
    assert_eq!(messages(&dimension("scd_type: 5\nmini_dimensions: []")), ["type 5 needs `mini_dimensions`"]);
    assert_eq!(
        messages(&dimension("scd_type: 4\nmini_dimensions: []")),
        ["type 4 needs `history_table` or `mini_dimensions`"]
    );
}

#[test]
fn a_mini_dimension_needs_its_table_its_key_and_its_columns() {
    assert_eq!(
        read(&minis(1, &["table: bands", "surrogate_key: __k, columns: []", "tabel: x"])).problems,
        [
            "7: a mini-dimension needs `surrogate_key`",
            "7: a mini-dimension needs `columns`",
            "7: `bands` is not a table name: write `schema.table` or `catalog.schema.table`",
            "8: a mini-dimension needs `table`",
            "8: `__k` is no name for a column: `__` is reserved for system columns",
            "8: `columns` needs one name at least",
            "9: a mini-dimension needs `surrogate_key`",
            "9: a mini-dimension needs `columns`",
            "9: unknown key `tabel` in a mini-dimension",
        ]
    );
}

#[test]
fn a_mini_dimension_is_a_table_of_its_own() {
    let with_table = |table: &str| BANDS.replace("gold.bands", table);
    assert_eq!(
        read(&minis(1, &[BANDS, &with_table("main.gold.bands"), &with_table("gold.dim")])).problems,
        [
            "8: `main.gold.bands` is already the history table or a mini-dimension of this dimension",
            "9: a mini-dimension must be another table than its dimension",
        ]
    );
    assert_eq!(
        messages(&format!("{}history_table: gold.bands\n", minis(4, &[BANDS]))),
        ["`gold.bands` is already the history table or a mini-dimension of this dimension"]
    );
}

#[test]
fn the_columns_of_a_mini_dimension_are_attributes_once_each() {
    let with_columns = |columns: &str| BANDS.replace("age, income", columns);
    assert_eq!(messages(&minis(1, &[&with_columns("age, Age")])), ["`Age` is in `columns` twice"]);
    assert_eq!(
        messages(&minis(1, &[&with_columns("age, BAND_SK")])),
        ["`BAND_SK` is the surrogate key of the mini-dimension: it cannot be one of its columns"]
    );
    assert_eq!(
        messages(&minis(1, &[&with_columns("age, sk")])),
        ["`sk` is the surrogate key of the dimension: it is no attribute"]
    );
    let warned = read(&minis(1, &[&with_columns("age, id")]));
    assert_eq!(
        warned.problems,
        ["7: `id` is a natural key: the mini-dimension would get a row for every member"]
    );
    assert!(warned.pipeline.is_some());
}

#[test]
fn the_keys_on_a_row_of_type_5_are_columns_of_their_own() {
    let other = BANDS.replace("gold.bands", "gold.others");
    let with_key = |key: &str| BANDS.replace("band_sk", key);
    assert_eq!(
        messages(&minis(5, &[BANDS, &other.replace("band_sk", "Band_SK")])),
        ["`Band_SK` is already the surrogate key of `gold.bands`: a type 5 dimension holds the keys of its \
          mini-dimensions"]
    );
    assert_eq!(
        messages(&minis(5, &[&with_key("SK")])),
        ["`SK` is already the surrogate key of the dimension: a type 5 dimension holds the keys of its \
          mini-dimensions"]
    );
    assert_eq!(
        messages(&minis(5, &[&with_key("id")])),
        ["`id` is already a natural key of the dimension: a type 5 dimension holds the keys of its \
          mini-dimensions"]
    );
    assert_eq!(messages(&minis(4, &[BANDS, &other])), Vec::<String>::new());
}

#[test]
fn a_dimension_has_no_more_mini_dimensions_than_anyone_designs() {
    let items: Vec<String> =
        (0..5_000).map(|number| BANDS.replace("bands", &format!("bands_{number}"))).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    assert_eq!(messages(&minis(1, &items)), ["a dimension has at most 100 mini-dimensions"]);
    assert_eq!(settings(&minis(1, &items[..100])).mini_dimensions.len(), 100);
}
