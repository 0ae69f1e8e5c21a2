//! The webhook: told once of each failure of a level in `alert_on`, and never in the way of a load.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

use super::{EVENTS, WEBHOOK, call, lines, open};
use crate::command::result_of;
use crate::project::Project;

const PIPELINE: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 1
keys: {surrogate_key: sk, natural_keys: [id]}
sources:
  - name: files.customers
    format: csv
    path: customers.csv
    contract:
      id: customers
      version: 1.4.0
      schema: {id: {type: bigint}}
      quality:
        - {name: known cities, rule: accepted_values, column: city, values: [Rome, Oslo]}
        - {name: some street, rule: not_null, column: street, severity: warn}
        - {name: positive, rule: expression, expression: id > 0}
";

/// Something that listens on this machine as a webhook does.
pub(super) struct Listener {
    pub(super) url: String,
    heard: Receiver<(String, String)>,
}

impl Listener {
    /// Answers every request with a status line's end, such as `200 OK`.
    pub(super) fn answering(status: &'static str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks/token-in-the-path", socket.local_addr().unwrap());
        let (tell, heard) = channel();
        thread::spawn(move || {
            // It ends with the process: nobody tells it to stop.
            for stream in socket.incoming() {
                hear(stream.unwrap(), status, &tell);
            }
        });
        Self { url, heard }
    }

    /// The requests so far: the first line of each, and its body. A request is here before it is answered.
    pub(super) fn heard(&self) -> Vec<(String, String)> {
        self.heard.try_iter().collect()
    }
}

fn hear(stream: TcpStream, status: &str, tell: &Sender<(String, String)>) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let first = line.trim_end().to_owned();
    let mut length = 0;
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    tell.send((first, String::from_utf8(body).unwrap())).unwrap();
    // Whoever asked may have gone.
    let _ = write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/// A project with these lines of its source, and more for its pipeline.
fn customers(rows: &str, more: &str) -> Project {
    let project = open(&[("dim", &format!("{PIPELINE}{more}"))]);
    project.write("customers.csv", &format!("id,city,street\n{rows}"));
    project
}

#[test]
fn a_failure_that_refuses_is_posted_once_and_nothing_else_is() {
    let hook = Listener::answering("200 OK");
    // One check fails with `error`, one with `warn`, the others hold.
    let project = customers("1,Rome,a\n2,Lima,\n", "");
    let ended = call(&project, "run --format json", &[(WEBHOOK, &hook.url)]).with_code(1);
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].0, "POST /hooks/token-in-the-path HTTP/1.1");
    let told: Value = serde_json::from_str(&heard[0].1).unwrap();
    for (key, value) in [
        ("target_table", "gold.dim_customer"),
        ("source_table", "files.customers"),
        ("contract_id", "customers"),
        ("category", "source_quality"),
        ("check_name", "known cities"),
        ("severity", "error"),
    ] {
        assert_eq!(told[key], value, "{told}");
    }
    assert_eq!((told["failed_rows"].as_i64(), told["total_rows"].as_i64()), (Some(1), Some(2)), "{told}");
    assert_eq!(told["batch_id"], project.control()[0].batch_id.as_str(), "{told}");
    assert!(!heard[0].1.contains("Lima"), "values are no business of the webhook: {told}");
    assert_eq!(result_of(&ended.summary(), "gold.dim_customer")["error_class"], "DataQualityError");
}

#[test]
fn alert_on_says_what_the_webhook_hears_of() {
    let hook = Listener::answering("204 No Content");
    let project = customers("1,Rome,a\n2,Oslo,\n", "observability: {alert_on: [warn]}\n");
    call(&project, "run", &[(WEBHOOK, &hook.url)]).with_code(0);
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].1.contains("some street"), "{heard:?}");

    project.write("customers.csv", "id,city,street\n-1,Lima,a\n");
    call(&project, "run", &[(WEBHOOK, &hook.url)]).with_code(1);
    assert_eq!(hook.heard(), [], "failures that refuse are not asked for");
    project.write("configs/dim.yml", &format!("{PIPELINE}observability: {{alert_on: [error, warn]}}\n"));
    project.write("customers.csv", "id,city,street\n-1,Lima,\n");
    call(&project, "run", &[(WEBHOOK, &hook.url)]).with_code(1);
    assert_eq!(hook.heard().len(), 3, "a post for each failure");
}

#[test]
fn nothing_is_posted_when_all_holds_or_nothing_is_new() {
    let hook = Listener::answering("200 OK");
    let project = customers("1,Rome,a\n", "observability: {alert_on: [error, warn]}\n");
    for _ in 0..2 {
        call(&project, "run", &[(WEBHOOK, &hook.url)]).with_code(0);
    }
    for line in ["validate", "plan"] {
        project.write("customers.csv", "id,city,street\n-1,Lima,\n");
        call(&project, line, &[(WEBHOOK, &hook.url)]).with_code(0);
    }
    assert_eq!(hook.heard(), []);
}

#[test]
fn the_tests_of_a_pipeline_are_told_without_a_source() {
    let hook = Listener::answering("200 OK");
    let project = customers("1,Rome,a\n", "tests: [{column: street, tests: [{accepted_values: [b]}]}]\n");
    call(&project, "run", &[(WEBHOOK, &hook.url)]).with_code(1);
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let told: Value = serde_json::from_str(&heard[0].1).unwrap();
    assert_eq!((&told["category"], &told["source_table"]), (&Value::from("test"), &Value::Null), "{told}");
}

#[test]
fn a_pipeline_names_the_variable_of_its_webhook() {
    let (own, usual) = (Listener::answering("200 OK"), Listener::answering("200 OK"));
    let project = customers("1,Lima,a\n", "observability: {webhook_env: TEAM_HOOK}\n");
    call(&project, "run", &[("TEAM_HOOK", &own.url), (WEBHOOK, &usual.url)]).with_code(1);
    assert_eq!((own.heard().len(), usual.heard().len()), (1, 0));
}

#[test]
fn a_webhook_that_is_down_or_answers_with_an_error_is_no_failure() {
    let angry = Listener::answering("500 Internal Server Error");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = format!("http://{nobody}/hooks/token-in-the-path");
    for url in [angry.url.as_str(), &down, "no url at all"] {
        let project =
            customers("1,Rome,a\n2,Oslo,\n", "observability: {alert_on: [warn], write_failure: error}\n");
        let ended = call(&project, "run --format json", &[(WEBHOOK, url)]).with_code(0);
        assert_eq!(result_of(&ended.summary(), "gold.dim_customer")["status"], "SUCCESS");
        let events = lines(&project, EVENTS, &["check_name", "status"]);
        assert!(events.contains(&"some street | FAILED".to_owned()), "{events:?}");
    }
    assert_eq!(angry.heard().len(), 1, "it is asked once");
}
