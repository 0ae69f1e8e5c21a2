#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

/// The tree as short text: scalars with their style, spans left out.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => match scalar.style {
            ScalarStyle::Plain => scalar.text.clone(),
            ScalarStyle::Quoted => format!("{:?}", scalar.text),
            ScalarStyle::Literal => format!("|{:?}", scalar.text),
        },
        Value::Sequence(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|entry| format!("{}: {}", entry.key, shown(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn tree(text: &str) -> String {
    parse(text).unwrap().map_or_else(|| "none".to_owned(), |node| shown(&node))
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().message
}

#[test]
fn scalars_keep_their_text_and_style() {
    assert_eq!(
        tree("a: 010\nb: yes\nc: '010'\nd: |\n  x\n  y\ne: !!str 1\nf:\n"),
        r#"{a: 010, b: yes, c: "010", d: |"x\ny\n", e: "1", f: ~}"#
    );
}

#[test]
fn spans_are_byte_ranges_of_the_text() {
    let text = "ä: 'ö'\nsql: |\n  select 1\n";
    let Some(Node { value: Value::Mapping(entries), .. }) = parse(text).unwrap() else {
        panic!("no mapping")
    };
    let slice = |span: Span| &text[span.start..span.end];
    assert_eq!(slice(entries[0].key_span), "ä");
    assert_eq!(slice(entries[0].value.span), "'ö'");
    assert_eq!(slice(entries[1].value.span), "select 1\n");
}

#[test]
fn aliases_and_merge_keys_are_expanded_and_explicit_keys_win() {
    assert_eq!(tree("a: &a [1, 2]\nb: *a\n"), "{a: [1, 2], b: [1, 2]}");
    assert_eq!(
        tree("x: &x {k: 1, l: 2}\ny:\n  <<: *x\n  k: 3\nz: {<<: [*x, {m: 4}]}\n"),
        "{x: {k: 1, l: 2}, y: {k: 3, l: 2}, z: {k: 1, l: 2, m: 4}}"
    );
}

#[test]
fn an_empty_text_is_no_tree() {
    for text in ["", "\n\n", "# only a comment\n", "---\n"] {
        let root = parse(text).unwrap();
        assert!(root.is_none_or(|node| node.is_null()), "{text:?}");
    }
}

#[test]
fn broken_text_is_refused_at_its_place() {
    let broken = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
    assert!(broken.message.starts_with("this is not YAML"), "{}", broken.message);
    assert!(broken.span.start > 5);
    assert!(error("a: 1\n---\nb: 2\n").contains("one YAML document"));
    assert!(error("a: !Ref b\n").contains("`!Ref` means nothing"));
    assert!(error("? [a, b]\n: 1\n").contains("a key is a single word"));
    assert!(error("a: &a [*a]\n").contains("inside its own anchor"));
    assert!(error("a: *nowhere\n").starts_with("this is not YAML"));
    assert!(error("a:\n\t- b\n").starts_with("this is not YAML"));
}

#[test]
fn deep_nesting_is_refused() {
    let flow = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    parse(&flow).unwrap_err();
    let mut block = String::new();
    for level in 0..10_000 {
        writeln!(block, "{}a:", " ".repeat(level.min(2_000))).unwrap();
    }
    parse(&block).unwrap_err();
    parse(&format!("{}x", "- ".repeat(10_000))).unwrap_err();
    assert!(parse(&format!("a: {}{}", "[".repeat(50), "]".repeat(50))).is_ok());
}

#[test]
fn depth_built_from_aliases_is_refused() {
    let mut text = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned();
    for level in 1..2_000 {
        writeln!(text, "a{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]", level - 1).unwrap();
    }
    assert!(error(&text).contains("levels deep"));
}

#[test]
fn an_alias_bomb_is_refused_at_once() {
    let started = Instant::now();
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let previous = level - 1;
        writeln!(text, "a{level}: &a{level} [{}]", vec![format!("*a{previous}"); 10].join(", ")).unwrap();
    }
    assert!(error(&text).contains("values, aliases counted"));
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(900_000), vec!["*a"; 5_000].join(", "));
    assert!(error(&long).contains("of text, aliases counted"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_huge_scalar_is_refused() {
    assert!(error(&format!("a: {}\n", "x".repeat(10_000_000))).contains("longer than 1 MiB"));
    parse(&format!("{}: 1\n", "x".repeat(10_000))).unwrap_err();
}
