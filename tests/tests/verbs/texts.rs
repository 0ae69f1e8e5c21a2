//! What editors, shells and readers of manuals go by.

use std::fs;

use serde_json::Value;

use crate::project::Project;
use crate::verbs::begun;

/// The verbs that the help of the command lists.
fn verbs(project: &Project) -> Vec<String> {
    let help = project.call("--help").with_code(0).stdout;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<String> =
        listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(verbs.len() > 10, "{help}");
    verbs.into_iter().filter(|verb| verb != "help").collect()
}

#[test]
fn the_schema_is_the_one_that_init_made_and_knows_the_keys_of_its_files() {
    let project = begun();
    let schema = project.call("schema").with_code(0).stdout;
    assert_eq!(schema, fs::read_to_string(project.root().join("kimball.schema.json")).unwrap());
    assert_eq!(project.call("schema pipeline").with_code(0).stdout, schema);
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let properties = &schema["properties"];
    for key in ["table_name", "scd_type", "sources", "foreign_keys", "tags"] {
        assert!(properties[key].is_object(), "{key}");
    }
    let targets: Value = serde_json::from_str(&project.call("schema targets").with_code(0).stdout).unwrap();
    assert!(targets["properties"]["targets"].is_object());
    project.call("schema nothing").with_code(2);
}

#[test]
fn every_shell_completes_every_verb() {
    let project = begun();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = project.call(&format!("completions {shell}")).with_code(0).stdout;
        for word in verbs(&project).iter().map(String::as_str).chain(["keep-going"]) {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    project.call("completions tcsh").with_code(2);
}

#[test]
fn the_manual_is_roff_and_has_a_page_for_every_verb() {
    let project = begun();
    let page = project.call("man").with_code(0).stdout;
    assert!(page.starts_with(['.', '\'']), "{}", &page[..80]);
    assert!(page.lines().any(|line| line.starts_with(".TH kimball 1")), "{page}");
    assert_eq!(project.call("man pages").with_code(0).stdout, "");
    for verb in verbs(&project) {
        let page = fs::read_to_string(project.root().join(format!("pages/kimball-{verb}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{verb}");
    }
}

#[test]
fn the_documentation_has_every_verb_and_every_option() {
    let project = begun();
    let documentation = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let documentation = fs::read_to_string(documentation).unwrap();
    for verb in verbs(&project) {
        assert!(documentation.contains(&format!("| `{verb}`")), "docs/cli.md has no `{verb}`");
        let help = project.call(&format!("{verb} --help")).with_code(0).stdout;
        // An option begins a line that is indented by two or by six.
        let lines = help.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --"));
        let options = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
        for option in options.map(|option| option.trim_end_matches('.')) {
            assert!(
                option == "--help" || documentation.contains(&format!("`{option}")),
                "docs/cli.md has no {option} of {verb}"
            );
        }
    }
}
