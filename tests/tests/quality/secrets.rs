//! Secrets appear nowhere: not in what the command says, not in what it leaves.

use super::webhook::Listener;
use super::{KEY, WEBHOOK, call, open};
use crate::command::Ended;
use crate::project::Project;

const SECRET: &str = "pepper-that-nobody-may-read";

/// What would give the webhook away.
const PATH: &str = "token-in-the-path";

const PIPELINE: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 1
keys: {surrogate_key: sk, natural_keys: [email]}
sources:
  - name: files.customers
    format: csv
    path: customers.csv
    contract:
      id: customers
      version: 1
      schema: {email: {type: string}}
      quality: [{rule: accepted_values, column: city, values: [Rome], severity: LEVEL}]
pii: {columns: [{column: email, strategy: tokenize, secret_ref: env://TOKEN_KEY}]}
observability: {alert_on: [warn, error]}
";

const TABLES: [&str; 4] =
    ["gold.dim_customer", "gold.etl_control", "gold.etl_leases", "gold.etl_data_quality_events"];

fn customers(level: &str) -> Project {
    let project = open(&[("dim", &PIPELINE.replace("LEVEL", level))]);
    project.write("customers.csv", "email,city\na@x,Rome\nb@x,Oslo\n");
    project
}

fn require_silence(what: &str, text: &str) {
    for secret in [SECRET, PATH] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} tells {secret}");
    }
}

fn require_silent(line: &str, ended: &Ended) {
    require_silence(&format!("the output of `{line}`"), &ended.stdout);
    require_silence(&format!("the log of `{line}`"), &ended.stderr);
}

/// No file and no row of the project holds a secret. Data files are packed, so that their rows are read.
fn require_clean(project: &Project) {
    for (path, content) in project.files() {
        require_silence(&path.display().to_string(), &String::from_utf8_lossy(&content));
    }
    for table in TABLES.iter().filter(|table| project.next_version(table) > 0) {
        let rows = project.rows(table);
        for value in rows.values.iter().flatten().flatten() {
            require_silence(table, value);
        }
    }
}

#[test]
fn no_verb_says_a_secret_in_any_format_nor_at_the_documented_levels_of_logs() {
    for (level, code) in [("warn", 0), ("error", 1)] {
        for options in ["", "--format json", "-vv", "-vv --log-format json --format json"] {
            for status in ["200 OK", "500 Internal Server Error"] {
                let (project, hook) = (customers(level), Listener::answering(status));
                for (verb, code) in [("validate", 0), ("plan", 0), ("run", code), ("status", code * 3)] {
                    let line = format!("{verb} {options}");
                    let ended = call(&project, &line, &[(KEY, SECRET), (WEBHOOK, &hook.url)]).with_code(code);
                    require_silent(&line, &ended);
                }
                assert_eq!(hook.heard().len(), 1, "the webhook was told");
                assert!(project.root().join("target/run_results.json").is_file());
                require_clean(&project);
            }
        }
    }
}

#[test]
fn a_log_of_everything_that_happens_holds_no_secret_either() {
    for (option, variables) in [("-vvv", None), ("", Some(("RUST_LOG", "trace")))] {
        let (project, hook) = (customers("warn"), Listener::answering("200 OK"));
        let line = format!("run {option}");
        let mut all = vec![(KEY, SECRET), (WEBHOOK, hook.url.as_str())];
        all.extend(variables);
        let ended = call(&project, &line, &all).with_code(0);
        assert_eq!(hook.heard().len(), 1, "the webhook was told");
        require_silent(&line, &ended);
    }
}

#[test]
fn a_secret_that_is_written_into_the_file_is_refused() {
    let project = customers("warn");
    let text = PIPELINE.replace("LEVEL", "warn").replace("env://TOKEN_KEY", SECRET);
    project.write("configs/dim.yml", &text);
    let ended = call(&project, "run", &[]).with_code(2);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("must be a reference, never the secret itself"), "{told}");
}

#[test]
fn a_webhook_that_cannot_be_told_is_named_by_its_variable_only() {
    for url in [
        "http://127.0.0.1:1/token-in-the-path",
        "http://user:pepper-that-nobody-may-read@127.0.0.1:1/",
        "no url token-in-the-path",
        "ftp://127.0.0.1/token-in-the-path",
    ] {
        let project = customers("warn");
        let ended = call(&project, "run -vv", &[(KEY, SECRET), (WEBHOOK, url)]).with_code(0);
        require_silent("run -vv", &ended);
        assert!(ended.stderr.contains(WEBHOOK), "{url}:\n{}", ended.stderr);
    }
}
