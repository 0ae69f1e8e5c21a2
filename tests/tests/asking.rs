//! `kimball sql` and `kimball shell`: the guide's operational queries word for word, and what else somebody asks the
//! tables of a warehouse.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::command::{Ended, command};
use crate::crash::killed_at;
use crate::project::{CONTROL, Project};
use crate::shop;

mod formats;
mod names;
mod refusals;
mod shell;
mod travel;

const TABLE: &str = "gold.dim_customer";

/// The guide's section "Operational Queries", word for word.
const OPERATIONAL_QUERIES: &str = "\
-- Currently running pipelines
SELECT target_table, batch_started_at,\x20
       datediff(minute, batch_started_at, current_timestamp()) as running_minutes
FROM gold.etl_control
WHERE batch_status = 'RUNNING';

-- Failed pipelines in last 24 hours
SELECT target_table, source_table, batch_started_at, error_message
FROM gold.etl_control
WHERE batch_status = 'FAILED'
  AND batch_completed_at > current_timestamp() - INTERVAL 24 HOURS;

-- Average load times by table (SLA monitoring)
SELECT target_table,
       avg(datediff(second, batch_started_at, batch_completed_at)) as avg_seconds,
       max(datediff(second, batch_started_at, batch_completed_at)) as max_seconds,
       count(*) as run_count
FROM gold.etl_control
WHERE batch_status = 'SUCCESS'
GROUP BY target_table
ORDER BY avg_seconds DESC;

-- Time-travel: What was the state at midnight?
SELECT * FROM gold.etl_control TIMESTAMP AS OF '2025-01-01 00:00:00'
WHERE target_table = 'gold.dim_customer';
";

/// Half a day before the midnight that the guide asks for, in milliseconds since 1970.
const BEFORE_MIDNIGHT: i64 = 1_735_646_400_000;

/// The example project after its two days. Questions change nothing, so the tests of this module share it.
pub struct Asked {
    pub project: Project,
    /// The version of the dimension after each day.
    pub versions: [u64; 2],
    /// The rows of the control table after the first day.
    pub first_control: Vec<Value>,
    /// When the last of them was written.
    pub first_ended: String,
}

const CONTROL_ROWS: &str = "SELECT * FROM gold.etl_control ORDER BY target_table, batch_started_at";

impl Asked {
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Asked>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let asked = Arc::new(Self::new());
            *shared = Arc::downgrade(&asked);
            asked
        })
    }

    fn new() -> Self {
        let project = shop::open();
        project.source("bronze.customers", "id bigint").create();
        project.load(&format!("-s dim_customer,dim_product {}", shop::FIRST_RUN));
        let first = project.next_version(TABLE) - 1;
        let first_control = rows(&project, CONTROL_ROWS);
        let history = rows(&project, &format!("DESCRIBE HISTORY {CONTROL}"));
        let first_ended = text_of(&history[0]["timestamp"]);
        shop::second_day(&project);
        project.load(&format!("-s dim_customer,dim_product {}", shop::SECOND_RUN));
        let versions = [first, project.next_version(TABLE) - 1];
        Self { project, versions, first_control, first_ended }
    }
}

/// `kimball sql` with these options, asked `question`.
pub fn asking(folder: &Path, options: &str, question: &str) -> Command {
    let mut asking = command(folder, &format!("sql {options}"));
    asking.arg(question);
    asking
}

pub fn ask(project: &Project, options: &str, question: &str) -> Ended {
    Ended::of(&mut asking(project.root(), options, question))
}

/// The answer to `question`, an object a row.
pub fn rows(project: &Project, question: &str) -> Vec<Value> {
    objects(&ask(project, "--format json", question).with_code(0).stdout)
}

/// The value of a question that has one.
pub fn value(project: &Project, question: &str) -> Value {
    let rows = rows(project, question);
    let [Value::Object(row)] = rows.as_slice() else { panic!("{question}: {rows:?}") };
    assert_eq!(row.len(), 1, "{question}: {row:?}");
    row.values().next().unwrap().clone()
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Runs a command that reads `input`.
pub fn with_input(command: &mut Command, input: &str) -> Ended {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // It may have ended without reading on.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A project with a batch that succeeded, one that failed, and one whose process was killed.
fn troubled() -> Project {
    let project = shop::open();
    project.load(&format!("-s {TABLE}"));
    shop::second_day(&project);
    let config = "configs/dim_customer.yml";
    let text = fs::read_to_string(project.root().join(config)).unwrap();
    project.write(config, &text.replace("AS customer_name, city,", "AS customer_name, cty AS city,"));
    project.call(&format!("run -s {TABLE}")).with_code(1);
    let first = project.next_version(CONTROL);
    let begun = |project: &Project| project.commit_file(CONTROL, first).exists();
    let open = |project: &Project| (!project.running("gold.dim_product").is_empty()).then_some(());
    killed_at(&project, "run -s gold.dim_product", "with a batch that says RUNNING", begun, open).0
}

/// Makes all that the control table holds by now older than the midnight that the guide asks for.
fn predate_control(project: &Project) {
    for version in 0..project.next_version(CONTROL) {
        let file = project.commit_file(CONTROL, version);
        let mut actions = objects(&fs::read_to_string(&file).unwrap());
        for action in &mut actions {
            if let Some(commit) = action.get_mut("commitInfo") {
                commit["timestamp"] = BEFORE_MIDNIGHT.into();
            }
        }
        fs::write(file, actions.iter().map(|action| format!("{action}\n")).collect::<String>()).unwrap();
    }
}

#[test]
fn the_guides_four_operational_queries_run_word_for_word_and_say_what_they_promise() {
    let project = troubled();
    predate_control(&project);
    project.write("operational_queries.sql", OPERATIONAL_QUERIES);
    let ended = project.call("sql --format json --file operational_queries.sql").with_code(0);
    assert_eq!(ended.stderr, "");
    let answers = objects(&ended.stdout);
    let all_with =
        |column: &str| -> Vec<&Value> { answers.iter().filter(|row| row.get(column).is_some()).collect() };

    let [running] = all_with("running_minutes")[..] else { panic!("{answers:#?}") };
    assert_eq!(running["target_table"], "gold.dim_product");
    assert_eq!(running["running_minutes"], 0);

    let failed = |row: &&Value| row.as_object().unwrap().len() == 4 && row.get("error_message").is_some();
    let failed: Vec<&Value> = answers.iter().filter(failed).collect();
    let [failed] = failed[..] else { panic!("{answers:#?}") };
    assert_eq!(
        (&failed["target_table"], &failed["source_table"]),
        (&TABLE.into(), &"silver.customers".into())
    );
    assert!(text_of(&failed["error_message"]).starts_with("SqlError: "), "{failed}");

    let [average] = all_with("run_count")[..] else { panic!("{answers:#?}") };
    assert_eq!((&average["target_table"], &average["run_count"]), (&TABLE.into(), &1.into()));
    assert!(average["avg_seconds"].as_f64().unwrap() <= average["max_seconds"].as_f64().unwrap());

    let at_midnight: Vec<&Value> = all_with("updated_at");
    let statuses: Vec<&Value> = at_midnight.iter().map(|row| &row["batch_status"]).collect();
    assert_eq!(statuses.len(), 2, "{answers:#?}");
    assert!(statuses.contains(&&"SUCCESS".into()) && statuses.contains(&&"FAILED".into()), "{statuses:?}");
}

#[test]
fn without_trouble_the_four_queries_answer_with_headings_and_a_note() {
    let asked = Asked::shared();
    let ended = ask(&asked.project, "", OPERATIONAL_QUERIES).with_code(0);
    assert_eq!(ended.stdout.matches("(0 rows)\n").count(), 3, "{}", ended.stdout);
    assert!(
        ended.stdout.contains(" target_table | batch_started_at | running_minutes\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("(2 rows)\n"), "{}", ended.stdout);
    // The control table was made after the guide's midnight.
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("note: gold.etl_control did not exist at 2025-01-01 00:00:00"));
}
