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
    assert!(error("a: !Ref b\n").contains("`!` begins a tag, which means nothing here"));
    assert!(error("? [a, b]\n: 1\n").contains("a key is a single word"));
    assert!(error("a: &a [*a]\n").contains("inside its own anchor"));
    assert!(error("a: *nowhere\n").starts_with("this is not YAML"));
    assert!(error("a:\n\t- b\n").starts_with("this is not YAML"));
}

/// The marked text of a mistake, its message and its help.
fn told(text: &str) -> (&str, String, String) {
    let error = parse(text).unwrap_err();
    let message = error.message.trim_start_matches("this is not YAML: ").to_owned();
    (&text[error.span.start..error.span.end], message, error.help.unwrap_or_default())
}

#[test]
fn a_mistake_is_told_in_the_words_of_those_who_make_it() {
    let indented = "the indentation is wrong";
    for (text, marked, message, help) in [
        (
            "a: [*]\n",
            "*",
            "`*` begins the name of an anchor, and there is none",
            "put `*` in quotes: [\"*\"]",
        ),
        (
            "a: *.csv\n",
            "*.csv",
            "there is no anchor of this name",
            "put a text that begins with `*` in quotes",
        ),
        (
            "t: {target.gold}.dim\n",
            "{target.gold}",
            "text follows a closing brace",
            "templates have double braces: `{{ target.gold }}`",
        ),
        ("a: [x] y\n", "y", "text follows the closing `]`", "put the whole text in quotes"),
        (
            "a: \"x\\n\\customers\"\n",
            "\\c",
            "a backslash in double quotes begins an escape, and this is none",
            "use `/` or single quotes",
        ),
        (
            "a: \"C:\\Users\"\n",
            "\\U",
            "a backslash in double quotes begins an escape, and this is none",
            "use `/` or single quotes",
        ),
        (
            "k:\n  a: |\n  SELECT b,\n  c\n",
            "SELECT b,",
            "the text below `|` is not indented",
            "indent the text below `|`",
        ),
        ("a: >-  # c\nb, c\n", "b, c", "the text below `>` is not indented", "indent the text below `>`"),
        ("s:\n  - n: x\n   a: c\n", "a", indented, "this key has 3 blanks before it, the others have 4"),
        ("s:\n  - n: x\n     a: c\n", "a", indented, "this key has 5 blanks before it, the others have 4"),
        ("k:\n  a: 1\n b: 2\n", "b", indented, "this key has 1 blank before it, the others have 2"),
        ("  a: 1\nb: 2\n", "b", indented, "this key has no blanks before it, the others have 2"),
        ("a: 1\n  b: 2\n", "b", indented, "this key has 2 blanks before it, the others have none"),
        ("s:\n  - n: x\n - n: y\n", "-", indented, "this `-` has 1 blank before it, the others have 2"),
        (
            "a: |\n    x: 1\nk:\n  b: 1\n   c: 2\n",
            "c",
            indented,
            "this key has 3 blanks before it, the others have 2",
        ),
        ("k:\n\t\ta: 1\n", "\t\t", "a tab stands where YAML wants blanks", "YAML is indented with blanks"),
        (
            "k:\n  a: 1\n\tb: 2\n",
            "\t",
            "a tab stands where YAML wants blanks",
            "YAML is indented with blanks",
        ),
        (
            "t: Sales: one\n",
            ":",
            "a second colon makes a key of this text",
            "put a text that holds `: ` in quotes",
        ),
        (
            "a: [b: c: d]\n",
            ":",
            "a second colon makes a key of this text",
            "put a text that holds `: ` in quotes",
        ),
        ("a: [1, 2\nb: 3\n", "[", "this `[` is not closed", "close it with `]`"),
        ("a: {x: 1\nb: 3\n", "{", "this `{` is not closed", "close it with `}`"),
        ("a: [1, 2}\n", "[", "this `[` is closed by `}`", ""),
        ("a: [1]]\n", "]", "nothing is open that this could close", ""),
        ("a: 'x\nb: 1\n", "'", "this quote is not closed", "end the text with `'`"),
        (
            "a: 'don't'\n",
            "t'",
            "text follows the closing quote",
            "quote the whole text; a quote in it is written twice: `''`",
        ),
        ("a: @x\n", "@", "a text cannot begin with `@`", "put it in quotes"),
        (
            "a: - b\n",
            "-",
            "a list cannot begin behind its key",
            "begin it on the next line, or write `[first, second]`",
        ),
        ("a: 1\nb:2\nc: 3\n", "b:2", "a blank is missing behind the colon", "write `b: …`"),
        ("a:1\nb: 2\n", "a:1", "a blank is missing behind the colon", "write `a: …`"),
        ("t dim\nb: 1\n", "t dim", "there is no key and colon here", "write `key: value`"),
        ("a: 1\nt dim\n", "t dim", "there is no key and colon here", "write `key: value`"),
        (
            "a: b\n<<<<<<< HEAD\nc: d\n",
            "<<<<<<< HEAD",
            "two versions of the file were not brought together",
            "keep one of them, and remove the marks of the merge",
        ),
        (
            "p: !secret\n",
            "",
            "`!` begins a tag, which means nothing here",
            "put a text that begins with `!` in quotes",
        ),
    ] {
        assert_eq!(told(text), (marked, message.to_owned(), help.to_owned()), "{text:?}");
    }
}

#[test]
fn no_place_of_a_mistake_lies_outside_of_its_text() {
    let good = "a: [x, 'y', \"z\\n\"]\nk:\n  - {b: 1}\n  - c: |\n      d: ö\n    e: &f *g # h\n\ti: !j\n";
    let signs = [
        ":", "-", "*", "[", "]", "{", "}", "'", "\"", "\\", "|", ">", "\t", "\n", "#", "&", "!", "@", "ä",
        " ",
    ];
    for (at, _) in good.char_indices() {
        for sign in signs {
            let mut damaged = good.to_owned();
            damaged.insert_str(at, sign);
            for text in [&damaged[..], &damaged[..at + sign.len()]] {
                if let Err(error) = parse(text) {
                    assert!(text.get(error.span.start..error.span.end).is_some(), "{text:?}: {error:?}");
                }
            }
        }
    }
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
