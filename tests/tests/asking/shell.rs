//! `kimball shell`, whose questions come from a pipe.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use crate::asking::{Asked, with_input};
use crate::command::{Ended, Running, command, pause, wait_until};

fn shell(options: &str, input: &str) -> Ended {
    let asked = Asked::shared();
    with_input(&mut command(asked.project.root(), &format!("shell {options}")), input)
}

#[test]
fn the_shell_answers_what_comes_from_a_pipe() {
    let input = "SELECT count(*) AS n\nFROM gold.dim_product\nWHERE product_id > 0;\nSELECT 'a;b' AS t";
    let ended = shell("", input).with_code(0);
    assert_eq!(ended.stdout, "  n\n----\n 60\n(1 row)\n t\n-----\n a;b\n(1 row)\n");
    assert_eq!(ended.stderr, "", "a pipe needs no greeting");
    assert_eq!(shell("--format json", input).with_code(0).stdout, "{\"n\":60}\n{\"t\":\"a;b\"}\n");
    assert_eq!(shell("", "").with_code(0).stdout, "");
}

#[test]
fn the_first_error_ends_the_shell_when_nobody_is_there_to_answer() {
    let ended =
        shell("--format json", "SELECT 1 AS a; SELECT * FROM gold.nothing; SELECT 3 AS c;").with_code(2);
    assert_eq!(ended.stdout, "{\"a\":1}\n");
    assert!(ended.stderr.contains("there is no table `gold.nothing`"), "{}", ended.stderr);
}

#[test]
fn the_shell_reads_tables_as_they_were_and_tells_what_the_asker_should_know() {
    let ended =
        shell("--format csv", "SELECT city FROM dim_customer TIMESTAMP AS OF '2020-01-01';").with_code(0);
    assert_eq!(ended.stdout, "city\n");
    assert!(
        ended.stderr.starts_with("note: gold.dim_customer did not exist at 2020-01-01"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_answer_that_was_given_up_does_not_look_like_an_empty_one() {
    let asked = Asked::shared();
    let folder = tempfile::tempdir().unwrap();
    let (questions, told) = (folder.path().join("questions"), folder.path().join("told"));
    let endless = "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS s WHERE s.value % 7 = 9;";
    fs::write(&questions, format!("SELECT 1 AS begun;\n{endless}\n")).unwrap();
    let mut shell = command(asked.project.root(), "shell");
    shell.stdin(File::open(questions).unwrap()).stdout(File::create(&told).unwrap()).stderr(Stdio::null());
    let mut running = Running::start_as_it_is(&mut shell);
    wait_until("the first answer is there", || fs::read_to_string(&told).unwrap().contains("(1 row)"));
    // The second question has begun soon after.
    pause(Duration::from_millis(500));
    running.interrupt();
    running.wait();
    let told = fs::read_to_string(told).unwrap();
    assert!(!told.contains("(0 rows)"), "{told}");
}
