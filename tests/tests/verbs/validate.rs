//! What a check of the files tells besides problems.

use serde_json::Value;

use crate::project::Project;
use crate::verbs::{begun, edit, objects};

const NOTE: &str = "declare_constraints has no effect; keys are checked on every load";

/// The project that `kimball init` makes, with a key that has no effect.
fn noted() -> Project {
    let project = begun();
    let type_line = "table_type: dimension\n";
    edit(&project, "configs/dim_product.yml", type_line, &format!("{type_line}declare_constraints: true\n"));
    project
}

#[test]
fn notes_are_shown_beside_problems_and_leave_the_files_valid() {
    let project = noted();
    let ended = project.call("validate").with_code(0);
    assert_eq!(ended.stderr, format!("note: {NOTE}\n --> configs/dim_product.yml\n\n"));
    assert_eq!(ended.stdout, "✓ 3 pipelines in 2 waves: no problems, 1 note\n");
    let quiet = project.call("validate --quiet").with_code(0);
    assert_eq!((quiet.stderr.as_str(), quiet.stdout), ("", ended.stdout));
}

#[test]
fn notes_are_objects_of_their_own() {
    let ended = noted().call("validate --format json").with_code(0);
    let told = objects(&ended);
    let events: Vec<&Value> = told.iter().map(|object| &object["event"]).collect();
    assert_eq!(events, ["note", "validated"]);
    assert_eq!(
        (&told[0]["table_name"], &told[0]["file"], &told[0]["message"]),
        (&Value::from("gold.dim_product"), &Value::from("configs/dim_product.yml"), &Value::from(NOTE))
    );
    assert_eq!(told[1]["valid"], true);
}
