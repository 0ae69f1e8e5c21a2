use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Loads one file and wants an error, soon.
fn refused(bytes: &[u8]) -> Vec<String> {
    let (folder, request) = project(&[("configs/other.txt", "")]);
    fs::write(folder.path().join("configs/a.yml"), bytes).unwrap();
    let started = Instant::now();
    let outcome = load_project(&request);
    assert!(outcome.project.is_none());
    assert!(outcome.errors().count() > 0);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    outcome.problems.iter().for_each(|problem| assert!(problem.to_string().len() < 5_000));
    shown(&outcome)
}

#[test]
fn bombs_end_in_an_error() {
    refused(format!("a: {}1{}\n", "[".repeat(10_000), "]".repeat(10_000)).as_bytes());
    refused(format!("a: {}\n", "{a: ".repeat(10_000)).as_bytes());
    refused(format!("{}1\n", "- ".repeat(10_000)).as_bytes());
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        writeln!(aliases, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 10].join(", "))
            .unwrap();
    }
    refused(aliases.as_bytes());
    refused(&vec![b'x'; 10_000_000]);
    refused(format!("table_name: {}\n", "x".repeat(3_000_000)).as_bytes());
    refused(b"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}");
    refused(b"a: \xff\xfe\n");
    refused(b"\0\0\0");
}

#[test]
fn a_file_full_of_errors_reports_some_of_them() {
    let mut text = String::new();
    for key in 0..20_000 {
        writeln!(text, "key_{key}: 1").unwrap();
    }
    let shown = refused(text.as_bytes());
    assert_eq!(shown.len(), 101);
    assert!(shown.iter().any(|line| line.contains("more problems are not shown")), "{:?}", shown.first());
}

#[test]
fn hostile_sql_ends_in_an_error() {
    let with_sql = |sql: &str| {
        let quoted = sql.replace('\'', "''");
        format!(
            "table_name: a.b\ntable_type: fact\nmerge_keys: [x]\nsources: [{{name: s.t}}]\ntransformation_sql: '{quoted}'\n"
        )
    };
    for sql in [
        format!("SELECT {}1{} FROM t", "(".repeat(50_000), ")".repeat(50_000)),
        format!("SELECT {}1 FROM t", "1+".repeat(200_000)),
        format!("SELECT {}1 FROM t", "NOT ".repeat(40_000)),
        format!("SELECT {}1{} FROM t", "(SELECT ".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT '{}", "x".repeat(900_000)),
        format!("SELECT CASE {} FROM t", "WHEN 1 THEN CASE ".repeat(5_000)),
    ] {
        let shown = refused(with_sql(&sql).as_bytes());
        let blamed =
            |line: &String| line.contains("transformation_sql") || line.contains("longer than 1 MiB");
        assert!(shown.iter().any(blamed), "{shown:?}");
    }
}

#[test]
fn nested_constructs_that_the_sql_parser_retries_do_not_stall_it() {
    let started = Instant::now();
    let words = [
        "CASE",
        "CASE WHEN",
        "CAST",
        "POSITION",
        "FLOOR",
        "CEIL",
        "CONVERT",
        "OVERLAY",
        "INTERVAL",
        "NOT",
        "IN",
        "LOCALTIME",
        "CURRENT_DATE",
        "ARRAY",
        "TRIM",
        "EXTRACT",
        "f",
    ];
    for word in words {
        for follower in
            [" (", " ", " [", "((", "(1, ", " x -> (", " CASE WHEN ", " CAST(", " INTERVAL ", " 1 + "]
        {
            for depth in [3, 5, 10, 40] {
                let sql = format!("SELECT {}", format!("{word}{follower}").repeat(depth));
                let text = format!(
                    "table_name: a.b\ntable_type: fact\nmerge_keys: [x]\nsources: [{{name: s.t}}]\ntransformation_sql: |\n  {sql}\n"
                );
                let file = SourceFile::new(Path::new("a.yml"), text);
                let (_, problems) = load_file(file, &TemplateContext::default(), Path::new("/"));
                assert!(!problems.is_empty(), "{sql}");
            }
        }
    }
    assert!(started.elapsed() < Duration::from_secs(100), "{:?}", started.elapsed());
}

#[test]
fn a_long_but_honest_query_is_let_through() {
    let sql = format!("SELECT {}1 AS x FROM t", "1 + ".repeat(12_000));
    let text = format!(
        "table_name: a.b\ntable_type: fact\nmerge_keys: [x]\nsources: [{{name: s.t}}]\ntransformation_sql: {sql}\n"
    );
    let (_folder, request) = project(&[("configs/a.yml", &text)]);
    assert_eq!(shown(&load_project(&request)), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_load_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (folder, request) = project(&[("configs/other.txt", "")]);
        fs::write(folder.path().join("configs/a.yml"), bytes).unwrap();
        let outcome = load_project(&request);
        prop_assert!(outcome.project.is_some() || outcome.errors().count() > 0);
        outcome.problems.iter().for_each(|problem| { let _ = problem.to_string(); });
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_load_panic(
        file in 0_usize..5,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), "[ -~\\n\u{e4}{}%#:\\[\\]&*|>'\"-]{0,6}", 0_usize..12), 1..6),
    ) {
        let mut text = [DIM_CUSTOMER, DIM_PRODUCT, DIM_DATE, FACT_SALES, FACT_INVENTORY][file].to_owned();
        for (index, replacement, length) in cuts {
            let mut at = index.index(text.len() + 1);
            while !text.is_char_boundary(at) { at -= 1; }
            let mut end = (at + length).min(text.len());
            while !text.is_char_boundary(end) { end -= 1; }
            text.replace_range(at..end.max(at), &replacement);
        }
        let (_folder, request) = project(&[("kimball.targets.yml", TARGETS), ("configs/a.yml", &text)]);
        let outcome = load_project(&request);
        prop_assert_eq!(outcome.project.is_none(), outcome.errors().count() > 0);
        for problem in &outcome.problems {
            prop_assert!(problem.location.as_ref().is_none_or(|at| at.line <= text.lines().count() + 1));
            let _ = problem.to_string();
        }
    }
}
