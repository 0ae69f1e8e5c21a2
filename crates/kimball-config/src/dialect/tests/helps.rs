//! What problems mark and what they advise.

use super::*;

/// The marked text, the message and the help of each problem of a file.
fn told(text: &str) -> Vec<(String, String, String)> {
    let file = SourceFile::new(Path::new("a.yml"), text.to_owned());
    let findings = Findings::new(&file);
    let root = yaml::parse(file.text()).unwrap().unwrap();
    read_pipeline(&findings, &root, Path::new("/base"));
    let marked = |problem: crate::problem::Problem| {
        let at = problem.location.unwrap();
        let marked = at.source_line.chars().skip(at.column - 1).take(at.width).collect();
        (marked, problem.message, problem.help.unwrap_or_default())
    };
    findings.finish().0.into_iter().map(marked).collect()
}

fn check(text: &str, marked: &str, message: &str, help: &str) {
    assert_eq!(told(text), [(marked.to_owned(), message.to_owned(), help.to_owned())], "{text}");
}

#[test]
fn what_has_to_be_there_is_shown_by_an_example() {
    check(
        &dimension("").replace("surrogate_key: sk, ", ""),
        "keys",
        "a dimension needs `keys.surrogate_key`",
        "name the column that a run fills with it, such as `surrogate_key: customer_sk`",
    );
    check(
        &dimension("").replace(", natural_keys: [id]", ""),
        "keys",
        "a dimension needs `keys.natural_keys`",
        "name the columns that tell members apart in the source, such as `natural_keys: [customer_id]`",
    );
    check(
        &dimension("").replace("table_type: dimension\n", ""),
        "table_name: gold.dim",
        "a pipeline needs `table_type`",
        "write `table_type: dimension` or `table_type: fact`",
    );
    check(
        &history("").replace("effective_at: changed_at\n", ""),
        "2",
        "type 2 needs `effective_at`",
        "name the column that says since when a row is true, such as `effective_at: updated_at`",
    );
}

#[test]
fn what_is_misspelled_is_not_missing_as_well() {
    for (text, marked, message, meant) in [
        (dimension("").replace("natural_keys", "natural_key"), "natural_key", "`keys`", "natural_keys"),
        (dimension("").replace("keys: {", "kyes: {"), "kyes", "a pipeline", "keys"),
        (dimension("").replace("table_name", "tabel_name"), "tabel_name", "a pipeline", "table_name"),
        (dimension("").replace("{name:", "{nmae:"), "nmae", "a source", "name"),
        (fact("").replace("merge_keys", "merge_key"), "merge_key", "a pipeline", "merge_keys"),
        (history("").replace("effective_at", "efective_at"), "efective_at", "a pipeline", "effective_at"),
    ] {
        check(
            &text,
            marked,
            &format!("unknown key `{marked}` in {message}"),
            &format!("did you mean `{meant}`?"),
        );
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_told_how_it_is_written() {
    check(
        &fact("append_only: 'yes'"),
        "'yes'",
        "`append_only` must be true or false, found `yes`",
        "leave the quotes out",
    );
    check(&fact("depends_on: 2"), "2", "`depends_on` must be a list, found `2`", "write `[2]`");
    check(
        &fact("").replace("sources: [{name: silver.t}]", "sources:\n  name: silver.t"),
        "name: silver.t",
        "`sources` must be a list, found a mapping",
        "begin each entry of `sources` with `- `",
    );
    check(
        &dimension("").replace("[id]", "'country, id'"),
        "'country, id'",
        "`country, id` is no name for a column: it holds ','",
        "write a list: [country, id]",
    );
    check(
        &dimension("").replace("gold.dim", "'{target.gold}.dim'"),
        "'{target.gold}.dim'",
        "`{target.gold}.dim` is not a table name: `{target` may hold letters, digits, `_` and `-` only",
        "templates have double braces: `{{ … }}`",
    );
}

#[test]
fn the_types_of_dimensions_are_told_when_there_is_none_of_that_number() {
    let problems = told(&dimension("scd_type: 8"));
    assert_eq!((problems.len(), problems[0].0.as_str()), (1, "8"));
    for number in 0..=7 {
        assert!(problems[0].2.contains(&format!("{number} ")), "{}", problems[0].2);
    }
}

#[test]
fn sources_are_marked_where_they_go_wrong() {
    let sources = |sources: &str| dimension("").replace("[{name: silver.t}]", sources);
    check(
        &sources("[{name: crm.c}, {name: shop.c}]\ntransformation_sql: SELECT 1 FROM c"),
        "shop.c",
        "the alias `c` is taken by the source `crm.c`",
        "give each source an `alias` of its own",
    );
    check(
        &sources("[{name: c, format: csv, path: x, options: {seperator: ';'}}]"),
        "seperator",
        "unknown option `seperator` of a csv source",
        "did you mean `sep`? the options are `header`, `sep`, `delimiter`, `quote`, `escape`, `comment`, `multiline`, `nullvalue`, \
         `inferschema`",
    );
    check(
        &sources("[{name: c, format: json, path: x, options: {multiLine: true}}]"),
        "true",
        "the option `multiline` of a json source can only be `false`",
        "a json file holds one object a line: write each object, also those of an array, on a line of its own",
    );
    check(
        &sources("[{name: c, format: parquet, path: x, options: {mergeShcema: true}}]"),
        "mergeShcema",
        "unknown option `mergeshcema` of a parquet source",
        "did you mean `mergeschema`?",
    );
    check(
        &sources("[{name: c, format: parquet, path: x, options: {header: true}}]"),
        "header",
        "unknown option `header` of a parquet source",
        "remove it: parquet files are read without options",
    );
    let near = told(&sources("[{name: c, format: csv, path: x, options: {haeder: true}}]"));
    assert!(near[0].2.starts_with("did you mean `header`? the options are `header`, "), "{}", near[0].2);
}

#[test]
fn keys_of_the_old_dialect_name_no_verb_that_is_not_there() {
    let (_, _, help) = told(&fact("vacuum_after_merge: true")).remove(0);
    assert_eq!(help, "files that no version needs are left alone; remove it");
}
