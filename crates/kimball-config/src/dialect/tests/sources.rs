use super::*;

/// A dimension over one source with these settings.
fn with_source(source: &str) -> String {
    dimension("").replace("{name: silver.t}", &format!("{{{source}}}"))
}

fn source(settings: &str) -> Source {
    pipeline(&with_source(settings)).sources.remove(0)
}

#[test]
fn a_delta_source_is_a_table_of_the_warehouse_or_a_path() {
    assert_eq!(
        source("name: cat.silver.orders, primary_keys: [id], starting_version: 3"),
        Source {
            name: "cat.silver.orders".to_owned(),
            alias: "orders".to_owned(),
            location: SourceLocation::Table(TableName::parse("silver.orders").unwrap()),
            strategy: CdcStrategy::Cdf,
            primary_keys: vec!["id".to_owned()],
            starting_version: Some(3),
            starting_timestamp: None,
            contract: None,
        }
    );
    assert_eq!(
        source("name: orders, path: lake/orders").location,
        SourceLocation::DeltaPath("/base/lake/orders".to_owned())
    );
    assert_eq!(
        source("name: o, path: 's3://b/o'").location,
        SourceLocation::DeltaPath("s3://b/o".to_owned())
    );
    assert_eq!(
        messages(&with_source("name: o, path: 'a/*'")),
        ["the `path` of a Delta table is one folder: no globs"]
    );
    assert_eq!(
        messages(&with_source("name: orders")),
        ["`orders` is not a table name: write `schema.table` or `catalog.schema.table`"]
    );
}

#[test]
fn a_source_of_files_has_a_path_and_options() {
    let files = source("name: raw.c, format: csv, path: 'd/*.csv', options: {Header: on, sep: \"\\t\"}");
    assert_eq!(files.strategy, CdcStrategy::Full);
    assert_eq!(
        files.location,
        SourceLocation::Files {
            format: FileFormat::Csv,
            path: "/base/d/*.csv".to_owned(),
            options: [("header".to_owned(), "true".to_owned()), ("sep".to_owned(), "\t".to_owned())].into(),
        }
    );
    assert_eq!(messages(&with_source("name: c, format: parquet")), ["a source of files needs `path`"]);
    assert_eq!(
        messages(&with_source("name: c, format: orc, path: x")),
        ["`format` must be `delta`, `csv`, `parquet` or `json`, found `orc`"]
    );
    assert_eq!(
        messages(&with_source("name: a.b, options: {x: y}")),
        ["`options` are for csv, parquet and json sources"]
    );
    assert_eq!(
        messages(&with_source("name: c, format: csv, path: x, options: {Sep: a, sep: b}")),
        ["the option `sep` is there twice"]
    );
}

#[test]
fn only_delta_sources_have_a_feed() {
    for strategy in ["cdf", "append"] {
        let text = with_source(&format!("name: c, format: json, path: x, cdc_strategy: {strategy}"));
        assert_eq!(
            messages(&text),
            ["files have no change feed: only Delta sources can be read with `cdf` or `append`"]
        );
    }
    assert_eq!(messages(&with_source("name: a.b, cdc_strategy: timestamp")).len(), 1);
}

#[test]
fn versions_are_whole_numbers_from_0_on() {
    assert_eq!(
        messages(&with_source("name: a.b, starting_version: -1")),
        ["`starting_version` must be at least 0, found -1"]
    );
    assert_eq!(
        messages(&with_source("name: a.b, starting_version: 1.5")),
        ["`starting_version` must be a whole number, found `1.5`"]
    );
    let full = read(&with_source("name: a.b, cdc_strategy: full, starting_version: 0"));
    assert_eq!(full.notes, ["starting_version has no effect on a source that is read in full"]);
}

#[test]
fn aliases_are_names_and_no_two_are_the_same() {
    let two = |second: &str| {
        let sources = format!("{{name: silver.t}}, {{{second}}}");
        let sql = "\ntransformation_sql: SELECT * FROM t";
        messages(&dimension("").replace("{name: silver.t}", &sources).replace("]\n\n", &format!("]{sql}\n")))
    };
    assert_eq!(two("name: bronze.T"), ["the alias `T` is taken by the source `silver.t`"]);
    assert_eq!(
        two("name: bronze.x, alias: 'a b'"),
        ["`a b` is no alias: it may hold letters, digits, `_` and `-` only"]
    );
}

#[test]
fn several_sources_need_a_query() {
    let text = dimension("").replace("{name: silver.t}", "{name: silver.t}, {name: silver.u}");
    assert_eq!(messages(&text), ["several sources need a `transformation_sql` that joins them"]);
    assert_eq!(
        messages(&dimension("").replace("[{name: silver.t}]", "[]")),
        ["`sources` needs one source at least"]
    );
    assert_eq!(
        messages(&dimension("").replace("sources: [{name: silver.t}]\n", "")),
        ["a pipeline needs `sources`"]
    );
}

#[test]
fn reader_options_are_known_and_have_fitting_values() {
    let csv =
        |options: &str| read(&with_source(&format!("name: c, format: csv, path: x, options: {{{options}}}")));
    for (options, message) in [
        ("haeder: true", "unknown option `haeder` of a csv source"),
        ("header: maybe", "the option `header` must be true or false, found `maybe`"),
        ("sep: '||'", "the option `sep` must be one character, found `||`"),
        ("sep: ä", "the option `sep` must be one character, found `ä`"),
    ] {
        assert_eq!(csv(options).problems, [format!("4: {message}")]);
    }
    assert_eq!(
        csv("samplingRatio: 0.5").notes,
        ["the option samplingratio has no effect: types are inferred from all rows"]
    );
}

#[test]
fn options_of_json_and_parquet_files_may_say_what_happens_anyway() {
    let read = |format: &str, options: &str| {
        let read = read(&with_source(&format!("name: c, format: {format}, path: x, options: {{{options}}}")));
        if let Some(pipeline) = &read.pipeline {
            let SourceLocation::Files { options, .. } = &pipeline.sources[0].location else {
                panic!("no files")
            };
            assert!(options.is_empty(), "{options:?}");
        }
        (read.problems, read.notes)
    };
    let (none, fine) = (Vec::<String>::new(), (Vec::<String>::new(), Vec::<String>::new()));
    assert_eq!(read("json", "multiLine: 'false', allowComments: no, inferSchema: true"), fine);
    assert_eq!(read("parquet", "mergeSchema: 'true', datetimeRebaseMode: CORRECTED"), fine);
    assert_eq!(read("parquet", "recursiveFileLookup: true, ignoreCorruptFiles: false"), fine);
    for (format, option, note) in [
        ("json", "mode: PERMISSIVE", "mode has no effect: a malformed line is always an error"),
        ("json", "encoding: latin1", "encoding has no effect: files are read as UTF-8"),
        (
            "json",
            "compression: gzip",
            "compression has no effect: files are decompressed as their names end: .gz, .bz2, .xz or .zst",
        ),
        (
            "parquet",
            "mergeSchema: false",
            "mergeschema has no effect: the columns are those of all files together",
        ),
    ] {
        assert_eq!(read(format, option), (none.clone(), vec![format!("the option {note}")]), "{option}");
    }
    for (format, option, message) in [
        ("json", "multiLine: true", "the option `multiline` of a json source can only be `false`"),
        (
            "json",
            "primitivesAsString: on",
            "the option `primitivesasstring` of a json source can only be `false`",
        ),
        (
            "parquet",
            "int96RebaseMode: LEGACY",
            "the option `int96rebasemode` of a parquet source can only be `corrected`",
        ),
        ("parquet", "mergeSchema: maybe", "the option `mergeschema` must be true or false, found `maybe`"),
        ("json", "sep: ';'", "unknown option `sep` of a json source"),
    ] {
        assert_eq!(read(format, option), (vec![format!("4: {message}")], none.clone()), "{option}");
    }
}
