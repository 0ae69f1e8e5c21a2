//! `kimball init`: the project runs at once, and its README tells the truth.

use std::fs;

use serde_json::Value;

use crate::command::{Ended, command};
use crate::project::Project;
use crate::verbs::{begun, edit, objects};

/// The questions that the project's README asks, in turn.
fn questions(project: &Project) -> Vec<String> {
    let readme = fs::read_to_string(project.root().join("README.md")).unwrap();
    let asks = |line: &str| Some(line.strip_prefix("    kimball sql \"")?.strip_suffix('"')?.to_owned());
    readme.lines().filter_map(asks).collect()
}

fn ask(project: &Project, question: &str) -> Vec<Value> {
    objects(&Ended::of(command(project.root(), "sql --format json").arg(question)).with_code(0))
}

#[test]
fn the_project_runs_at_once_and_does_what_its_readme_says() {
    let project = begun();
    assert_eq!(project.call("validate").with_code(0).stderr, "");
    project.call("plan").with_code(0);
    let first = project.load("");
    assert!(first["results"].as_array().unwrap().iter().all(|result| result["rows_written"] != 0), "{first}");
    project.call("status").with_code(0);
    let again = project.load("");
    assert!(
        again["results"].as_array().unwrap().iter().all(|result| result["up_to_date"] == true),
        "{again}"
    );

    let questions = questions(&project);
    let [sales, versions] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!(ask(&project, sales).len(), 4);
    let before = ask(&project, versions);
    assert_eq!(before.len(), 1, "{before:?}");

    // A customer moves, and buys something after that.
    edit(
        &project,
        "data/customers.csv",
        "1,Ada Lovelace,London,consumer,2025-01-01",
        "1,Ada Lovelace,Turin,consumer,2025-03-01",
    );
    let sales_file = fs::read_to_string(project.root().join("data/sales.csv")).unwrap();
    project.write("data/sales.csv", &format!("{sales_file}2001,1,2025-03-02T09:00:00Z,1,P1,1,4.50\n"));
    project.load("");
    project.call("status").with_code(0);
    let after = ask(&project, versions);
    let is_current = |row: &&Value| row["__is_current"] == true;
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after.iter().find(is_current).unwrap()["city"], "Turin");
    assert_eq!(after.iter().find(|row| !is_current(row)).unwrap()["__valid_to"], "2025-03-01T00:00:00Z");
    let bought = ask(
        &project,
        "SELECT DISTINCT f.sale_id, c.city FROM gold.fact_sales f JOIN gold.dim_customer c USING (customer_key) \
         WHERE f.customer_id = 1 ORDER BY f.sale_id",
    );
    let cities: Vec<&Value> = bought.iter().map(|row| &row["city"]).collect();
    assert_eq!(cities, ["London", "Turin"]);
}

#[test]
fn the_project_is_made_in_the_folder_that_is_named_and_its_files_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Ended::of(&mut command(folder.path(), "init deep/shop")).with_code(0);
    let made: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix("made ")).collect();
    assert!(made.iter().all(|file| folder.path().join(file).is_file()), "{made:?}");
    assert!(
        made.contains(&"deep/shop/kimball.targets.yml") && made.contains(&"deep/shop/README.md"),
        "{made:?}"
    );
    assert!(
        ended.stdout.contains("cd deep/shop\n") && ended.stdout.contains("kimball run\n"),
        "{}",
        ended.stdout
    );
    Ended::of(&mut command(&folder.path().join("deep/shop"), "run -q")).with_code(0);
}

#[test]
fn nothing_is_made_where_a_file_would_be_overwritten() {
    let project = begun();
    let before = project.files();
    let ended = project.call("init").with_code(2);
    assert!(ended.stderr.contains("is there already; nothing was made"), "{}", ended.stderr);
    assert!(project.files() == before);

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README.md"), "mine").unwrap();
    let ended = Ended::of(&mut command(folder.path(), "init")).with_code(2);
    assert!(ended.stderr.contains("README.md"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(folder.path().join("README.md")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // What else lies in a folder is in nobody's way.
    fs::rename(folder.path().join("README.md"), folder.path().join("notes.md")).unwrap();
    Ended::of(&mut command(folder.path(), "init")).with_code(0);
}
