//! Tokens: what only the holder of a secret can make of a value.

use std::collections::BTreeMap;

use super::{KEY, call, lines, open};
use crate::project::{Project, Source};

const SECRET: &str = "pepper-that-nobody-may-read";

/// HMAC-SHA-256 under the secret, as any other tool computes it.
const TOKENS: [(&str, &str); 4] = [
    ("65a8245a8bf164a475481bdacff919b60cf5256ffd73b51a701d444594b5589f", "A"),
    ("74340d3682b2e37163ae9be846de551a4f4b7f1a80ade40c3153033a009e7c1d", "B"),
    ("19bd517f6bc6895ddd328b6ccb3decdda13446239f1d15d39d02937e6a69fa55", "C"),
    ("2a52ea47f0899d208e711b16219b7e0b4e19d855a98ed56f152d66ab1c7a4349", "Z"),
];

const CUSTOMERS: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 2
keys: {surrogate_key: sk, natural_keys: [email]}
effective_at: since
track_history_columns: [city]
sources: [{name: silver.customers}]
pii: {columns: [{column: email, strategy: tokenize, secret_ref: env://TOKEN_KEY}]}
";

const DAYS: &str = "
table_name: gold.fact_day
table_type: fact
merge_keys: [email, day]
sources: [{name: silver.orders}, {name: silver.lines}]
transformation_sql: |
  SELECT o.email, o.day, count(*) AS n, sum(l.qty) AS qty
  FROM orders o JOIN lines l ON l.order_id = o.id GROUP BY o.email, o.day
pii: {columns: [{column: email, strategy: tokenize, secret_ref: env://TOKEN_KEY}]}
foreign_keys:
  - {column: customer_sk, references: gold.dim_customer, dimension_key: sk, lookup: {source_columns: [email], event_time: day}}
";

struct Sources {
    customers: Source,
    orders: Source,
    lines: Source,
}

fn sources(project: &Project) -> Sources {
    let sources = Sources {
        customers: project.source("silver.customers", "email string, city string, since timestamp"),
        orders: project.source("silver.orders", "id bigint, email string, day date"),
        lines: project.source("silver.lines", "order_id bigint, line int, qty bigint"),
    };
    for source in [&sources.customers, &sources.orders, &sources.lines] {
        source.create();
    }
    sources
}

fn first_day(sources: &Sources) {
    let at = "2024-02-01T12:00:00Z";
    sources.customers.insert(at, "email|city|since\na@x|Rome|2024-01-01\nb@x|Oslo|2024-01-01\n");
    sources.orders.insert(
        at,
        "id|email|day\n1|a@x|2024-02-01\n2|a@x|2024-02-01\n3|b@x|2024-02-01\n4|z@x|2024-02-01\n5|NULL|2024-02-01\n",
    );
    sources.lines.insert(at, "order_id|line|qty\n1|1|1\n1|2|2\n2|1|4\n3|1|8\n4|1|16\n5|1|32\n");
}

/// A member moves, one leaves, one comes; an order changes hands, one goes, lines come and go.
fn second_day(sources: &Sources) {
    let at = "2024-02-02T12:00:00Z";
    let moved = [("city", "'Bari'"), ("since", "timestamp '2024-02-02'")];
    sources.customers.update(at, "email = 'a@x'", &moved);
    sources.customers.delete(at, "email = 'b@x'");
    sources.customers.insert(at, "email|city|since\nc@x|Lima|2024-02-02\n");
    sources.orders.update(at, "id = 2", &[("email", "'b@x'")]);
    sources.orders.delete(at, "id = 4");
    sources.orders.insert(at, "id|email|day\n6|c@x|2024-02-02\n7|a@x|2024-02-02\n");
    sources.lines.delete(at, "order_id = 1 AND line = 1");
    sources.lines.insert(at, "order_id|line|qty\n3|2|64\n5|2|128\n6|1|256\n7|1|512\n");
}

fn run(project: &Project, day: &str) {
    call(project, &format!("run --run-time {day}T18:00:00Z"), &[(KEY, SECRET)]).with_code(0);
}

/// Lines with a letter for each token.
fn shown(project: &Project, table: &str, columns: &[&str]) -> Vec<String> {
    let read =
        |line: &String| TOKENS.iter().fold(line.clone(), |line, (token, name)| line.replace(token, name));
    let mut shown: Vec<String> = lines(project, table, columns).iter().map(read).collect();
    shown.sort();
    shown
}

#[test]
fn tokens_are_keys_that_follow_their_sources_and_meet_in_lookups() {
    let project = open(&[("dim", CUSTOMERS), ("fact", DAYS)]);
    let sources = sources(&project);
    first_day(&sources);
    run(&project, "2024-02-01");
    second_day(&sources);
    run(&project, "2024-02-02");

    let members: Vec<String> = shown(
        &project,
        "gold.dim_customer",
        &["email", "city", "__valid_from", "__is_current", "__is_deleted"],
    )
    .into_iter()
    .filter(|line| line.starts_with(['A', 'B', 'C', 'Z']) && !line.starts_with("Bad"))
    .collect();
    assert_eq!(
        members,
        [
            "A | Bari | 2024-02-02 00:00:00 | true | false",
            "A | Rome | 2024-01-01 00:00:00 | false | false",
            "B | Oslo | 2024-01-01 00:00:00 | false | true",
            "C | Lima | 2024-02-02 00:00:00 | true | false",
            "Z | Missing | 2024-02-01 00:00:00 | true | false",
        ]
    );

    let versions: BTreeMap<String, String> = shown(&project, "gold.dim_customer", &["sk", "email", "city"])
        .into_iter()
        .map(|line| {
            line.split_once(" | ").map(|(key, version)| (key.to_owned(), version.to_owned())).unwrap()
        })
        .collect();
    let facts: Vec<String> =
        shown(&project, "gold.fact_day", &["customer_sk", "email", "day", "n", "qty", "__is_deleted"])
            .into_iter()
            .map(|line| {
                let (key, row) = line.split_once(" | ").unwrap();
                format!("{} <- {row}", versions[key])
            })
            .collect();
    let mut expected = [
        "A | Rome <- A | 2024-02-01 | 1 | 2 | false",
        "A | Bari <- A | 2024-02-02 | 1 | 512 | false",
        "B | Oslo <- B | 2024-02-01 | 3 | 76 | false",
        "C | Lima <- C | 2024-02-02 | 1 | 256 | false",
        "Missing | Missing <- NULL | 2024-02-01 | 2 | 160 | false",
        "Z | Missing <- Z | 2024-02-01 | 1 | 16 | true",
    ];
    let mut found = facts;
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_was_loaded_day_by_day_is_what_is_loaded_at_once() {
    let columns = ["email", "day", "n", "qty"];
    let daily = open(&[("dim", CUSTOMERS), ("fact", DAYS)]);
    let of_daily = sources(&daily);
    first_day(&of_daily);
    run(&daily, "2024-02-01");
    second_day(&of_daily);
    run(&daily, "2024-02-02");
    let mut kept: Vec<String> = shown(&daily, "gold.fact_day", &["email", "day", "n", "qty", "__is_deleted"]);
    kept.retain(|line| line.ends_with(" | false"));
    let kept: Vec<String> = kept.iter().map(|line| line.trim_end_matches(" | false").to_owned()).collect();

    let at_once = open(&[("dim", CUSTOMERS), ("fact", DAYS)]);
    let of_once = sources(&at_once);
    first_day(&of_once);
    second_day(&of_once);
    run(&at_once, "2024-02-02");
    assert_eq!(kept, shown(&at_once, "gold.fact_day", &columns));

    let before = daily.next_version("gold.fact_day");
    run(&daily, "2024-02-02");
    assert_eq!(daily.next_version("gold.fact_day"), before, "there is nothing new");
}

#[test]
fn another_secret_makes_other_tokens() {
    let project = open(&[("dim", CUSTOMERS)]);
    let sources = sources(&project);
    sources.customers.insert("2024-02-01T12:00:00Z", "email|city|since\na@x|Rome|2024-01-01\n");
    call(&project, "run", &[(KEY, "another-pepper")]).with_code(0);
    let emails = lines(&project, "gold.dim_customer", &["email"]);
    let other = "805276e96e05f0f829ec444003171e03f6d66072fe4007743527c7d87def3986";
    assert!(emails.contains(&other.to_owned()), "{emails:?}");
}

#[test]
fn a_table_goes_on_under_its_own_secret_alone() {
    let project = open(&[("dim", CUSTOMERS)]);
    let sources = sources(&project);
    sources.customers.insert("2024-02-01T12:00:00Z", "email|city|since\na@x|Rome|2024-01-01\n");
    run(&project, "2024-02-01");
    sources.customers.insert("2024-02-02T12:00:00Z", "email|city|since\nb@x|Oslo|2024-02-02\n");
    let before = project.next_version("gold.dim_customer");

    for line in ["run", "run --full-refresh"] {
        let said = call(&project, line, &[(KEY, "another-pepper")]).with_code(1).stdout;
        for word in ["TOKEN_KEY", "`email`", "--allow-history-loss"] {
            assert!(said.contains(word), "{line}: {said}");
        }
        assert!(!said.contains("another-pepper"), "{said}");
    }
    assert_eq!(project.next_version("gold.dim_customer"), before, "nothing is loaded");
    let statuses = lines(&project, "gold.etl_control", &["batch_status"]);
    assert_eq!(statuses, ["FAILED", "FAILED", "SUCCESS"], "who asks for failures sees both");

    run(&project, "2024-02-02");
    assert_eq!(lines(&project, "gold.dim_customer", &["city", "__is_current"]).len(), 6);

    call(&project, "run --full-refresh --allow-history-loss", &[(KEY, "another-pepper")]).with_code(0);
    let emails = lines(&project, "gold.dim_customer", &["email"]);
    assert!(!emails.iter().any(|email| email == TOKENS[0].0), "{emails:?}");
}

#[test]
fn a_dropped_column_is_in_no_table_and_protected_values_are_nowhere() {
    let pipeline = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 4
keys: {surrogate_key: sk, natural_keys: [email]}
history_table: gold.hist_customer
track_history_columns: [\"*\"]
mini_dimensions: [{table: gold.mini_customer, surrogate_key: mini_sk, columns: [name]}]
sources: [{name: silver.customers}]
pii:
  columns:
    - {column: email, strategy: tokenize, secret_ref: env://TOKEN_KEY}
    - {column: name, strategy: mask, reveal_prefix: 1}
    - {column: phone, strategy: null}
    - {column: ssn, strategy: drop}
";
    let columns = "email string, name string, phone string, ssn string, city string";
    let project = open(&[("dim", pipeline)]);
    let source = project.source("silver.customers", columns);
    source.create();
    source.insert("2024-02-01T12:00:00Z", "email|name|phone|ssn|city\na@x|Alice|0171-77|SSN-99|Rome\n");
    run(&project, "2024-02-01");
    source.update("2024-02-02T12:00:00Z", "true", &[("name", "'Berta'"), ("ssn", "'SSN-98'")]);
    run(&project, "2024-02-02");
    for table in ["gold.dim_customer", "gold.hist_customer", "gold.mini_customer"] {
        let rows = project.rows(table);
        assert!(!rows.columns.iter().any(|column| column == "ssn"), "{table}: {:?}", rows.columns);
        let values: Vec<&str> = rows.values.iter().flatten().flatten().map(String::as_str).collect();
        for personal in ["a@x", "Alice", "Berta", "0171", "SSN", "ssn"] {
            assert!(
                !values.iter().any(|value| value.contains(personal)),
                "{table} holds {personal}: {values:?}"
            );
        }
    }
    let masked = lines(&project, "gold.hist_customer", &["field", "value"]);
    assert!(masked.contains(&"name | B**********".to_owned()), "{masked:?}");
}
