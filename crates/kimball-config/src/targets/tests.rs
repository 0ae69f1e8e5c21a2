#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

/// The chosen target and `line: message` of each problem.
fn choose(text: &str, target: Option<&str>) -> (Option<ChosenTarget>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(TARGETS_FILE_NAME), text).unwrap();
    let request = LoadRequest {
        target: target.map(str::to_owned),
        working_dir: folder.path().to_path_buf(),
        ..LoadRequest::default()
    };
    let path = targets_path(&request, folder.path());
    let (chosen, problems) = choose_target(&request, folder.path(), path.as_deref());
    let line = |problem: &Problem| problem.location.as_ref().map_or(0, |at| at.line);
    let shown = problems.iter().map(|problem| format!("{}: {}", line(problem), problem.message)).collect();
    (chosen, shown)
}

const TWO: &str = "version: 1\ntargets:\n  a: {gold_schema: ga}\n  b: {gold_schema: gb}\n";

#[test]
fn the_only_target_or_dev_is_the_default() {
    let (only, problems) = choose("version: 1\ntargets:\n  live: {etl_schema: ops}\n", None);
    assert_eq!((only.unwrap().name.as_str(), problems.len()), ("live", 0));
    let (dev, problems) = choose(&TWO.replace("b:", "dev:"), None);
    assert_eq!((dev.unwrap().name.as_str(), problems.len()), ("dev", 0));
    assert_eq!(choose(TWO, None).1, ["0: there are several targets and none is chosen"]);
    assert_eq!(choose(TWO, Some("b")).0.unwrap().name, "b");
}

#[test]
fn an_unknown_target_lists_the_known_ones() {
    let request = LoadRequest { target: Some("c".to_owned()), ..LoadRequest::default() };
    let targets =
        [("a".to_owned(), FileTarget::default()), ("prod".to_owned(), FileTarget::default())].into();
    let problem = pick(&request, Some((Path::new("t.yml"), targets))).unwrap_err();
    assert_eq!(problem.message, "there is no target `c`");
    assert!(problem.help.unwrap().contains("the targets are `a`, `prod`"));
    let problem = pick(&request, None).unwrap_err();
    assert_eq!(problem.message, "there is no target `c`: there is no targets file");
}

#[test]
fn the_file_is_checked_as_a_whole() {
    assert_eq!(
        choose(
            "version: 2\ntargets:\n  a: {gold_shema: g, etl_schema: ../x}\n  b: [1]\n  'b c': {}\nextra: 1\n",
            Some("a")
        )
        .1,
        [
            "1: version 2 is not known: write `version: 1`",
            "3: unknown key `gold_shema` in a target",
            "3: `etl_schema` may hold letters, digits, `_` and `-` only",
            "4: a target is a mapping, found a list",
            "5: `b c` is no name of a target",
            "6: unknown key `extra` in a targets file",
            "0: the ETL schema `../x` is no name of a schema",
        ]
    );
    assert_eq!(choose("", None).1, ["1: a targets file needs `version: 1` and `targets`"]);
    assert_eq!(choose("version: 1\n", None).1, ["1: a targets file needs `targets`"]);
    assert_eq!(choose("version: 1\ntargets: {}\n", None).1, ["2: `targets` needs one target at least"]);
    assert_eq!(choose("a: [", None).1.len(), 1);
}

#[test]
fn the_history_of_the_control_table_is_a_number_of_days() {
    let days = |text: &str| {
        let text = format!("version: 1\ntargets:\n  a: {{control_history_days: {text}}}\n");
        let (target, problems) = choose(&text, None);
        (target.and_then(|target| target.control_history_days), problems.len())
    };
    assert_eq!(days("90"), (Some(90), 0));
    assert_eq!((days("0").1, days("soon").1, days("-3").1), (1, 1, 1));
    assert_eq!(days("4294967296"), (None, 1), "it is not taken for no limit");
    assert_eq!(choose(TWO, Some("a")).0.unwrap().control_history_days, None);
}

#[test]
fn a_target_chooses_how_rows_are_taken_out() {
    let strategy = |text: &str| {
        let text = format!("version: 1\ntargets:\n  a: {{merge_strategy: {text}}}\n");
        let (target, problems) = choose(&text, None);
        (target.map(|target| target.merge_strategy), problems)
    };
    assert_eq!(strategy("copy_on_write"), (Some(MergeStrategy::CopyOnWrite), Vec::new()));
    assert_eq!(strategy("merge_on_read").0, Some(MergeStrategy::MergeOnRead));
    assert_eq!(
        strategy("rewrite").1,
        ["3: `merge_strategy` must be `merge_on_read` or `copy_on_write`, found `rewrite`"]
    );
    assert_eq!(choose(TWO, Some("a")).0.unwrap().merge_strategy, MergeStrategy::MergeOnRead);
}

#[test]
fn secrets_are_references() {
    let text = "version: 1\ntargets:\n  a:\n    warehouse: 's3://b/w'\n    storage_options:\n\
                \x20     aws_region: eu\n      aws_secret_access_key: hunter2\n      azure_storage_account_key: 'env://KEY'\n";
    let (target, problems) = choose(text, None);
    let target = target.unwrap();
    assert_eq!(problems, ["7: `aws_secret_access_key` is a secret: it must be a reference"]);
    assert_eq!(target.warehouse, "s3://b/w");
    assert_eq!(target.storage_options.get("aws_region").unwrap(), "eu");
}

/// The problems of a targets file as they are shown, and what JSON tells of their places.
fn excerpts(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(TARGETS_FILE_NAME), text).unwrap();
    let (_, problems) = read_targets(folder.path(), Path::new(TARGETS_FILE_NAME));
    assert!(!problems.is_empty(), "{text}");
    problems.iter().map(|problem| format!("{problem}\n{problem:?}\n")).collect()
}

#[test]
fn a_secret_is_shown_by_no_problem_whatever_is_wrong_with_its_line() {
    let start = "version: 1\ntargets:\n  a:\n    storage_options:\n";
    for text in [
        format!("{start}      aws_secret_access_key: hunter2\n"),
        format!("{start}      aws_secret_access_key: ['hunter2']\n"),
        format!("{start}      aws_secret_access_key: >\n        hunter2\n        hunter2\n"),
        format!("{start}      aws_secret_access_key: 'hunter2'\n      aws_secret_access_key: hunter2b\n"),
        format!("{start}      aws_secret_access_key: \"hunter2\\q\"\n"),
        format!("{start}      aws_secret_access_key: hunter2: hunter2\n"),
        format!("{start}      aws_secret_access_key: !hunter2\n"),
        format!("{start}      aws_secret_access_key: *hunter2\n"),
        format!("{start}      aws_secret_access_key: |\n      hunter2\n"),
        format!("{start}      aws_secret_access_key: 'hunter2\n"),
        format!("{start}      sas_key:\n      - hunter2: [\n"),
        "version: 1\ntargets:\n  a: {sas_token: hunter2, warehose: x}\n".to_owned(),
        "version: 1\ntargets:\n  a: {warehose: x, storage_optoins: {sas_token: hunter2}}\n".to_owned(),
        "version: 1\ntargets: [{sas_token: hunter2}]\n".to_owned(),
        "version: 1\ntargets:\n  a: {warehouse: 'https://me:hunter2@host/x?sig=hunter2'}\n".to_owned(),
    ] {
        let shown = excerpts(&text);
        assert!(!shown.contains("hunter2") && shown.contains("****"), "{text}\n{shown}");
    }
    let shown = excerpts(&format!("{start}      aws_secret_access_key: hunter2\n"));
    assert!(
        shown.starts_with(
            "error: `aws_secret_access_key` is a secret: it must be a reference\n --> kimball.targets.yml:5:30\n  |\n\
             5 |       aws_secret_access_key: ****\n  |                              ^^^^\n  = help: write `env://NAME`"
        ),
        "{shown}"
    );
    let behind = "version: 1\ntargets:\n  a: {storage_options: {sas_token: hunter2}, warehose: x}\n";
    let shown = excerpts(behind);
    assert!(
        shown.contains(
            "3 |   a: {storage_options: {sas_token: ****}, warehose: x}\n  |                                           ^^^^^^^^\n"
        ),
        "{shown}"
    );
}

#[test]
fn a_warehouse_lies_in_a_storage_that_is_known() {
    let message = "`dbfs:` is no storage that is known: write a folder, `s3://…`, `az://…` or `gs://…`";
    let in_file = "version: 1\ntargets:\n  a: {warehouse: \"dbfs:/mnt/lake\"}\n";
    assert_eq!(choose(in_file, None).1, [format!("3: {message}")]);
    let request = |warehouse: Option<&str>| LoadRequest {
        warehouse: warehouse.map(str::to_owned),
        environment: [("KIMBALL_WAREHOUSE".to_owned(), "dbfs:/mnt/lake".to_owned())].into(),
        ..LoadRequest::default()
    };
    for (warehouse, place) in
        [(Some("dbfs:/x"), "`--warehouse`"), (None, "the environment variable `KIMBALL_WAREHOUSE`")]
    {
        let problems = crate::load_target(&request(warehouse)).unwrap_err();
        assert_eq!(problems[0].message, message);
        assert_eq!(problems[0].help, Some(format!("it stands in {place}")));
    }
    crate::load_target(&request(Some("s3://lake"))).unwrap();
}

#[test]
fn an_empty_file_is_told_what_it_may_hold() {
    for text in ["", "\n", "# later\n"] {
        let shown = excerpts(text);
        assert!(shown.contains("help: write `version: 1` and `targets: {dev: {warehouse"), "{shown}");
        assert!(shown.lines().all(|line| line.trim_end() == line), "{shown}");
    }
}

#[test]
fn a_named_file_that_is_not_there_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let request = LoadRequest {
        targets_file: Some(PathBuf::from("nowhere.yml")),
        working_dir: folder.path().to_path_buf(),
        ..LoadRequest::default()
    };
    let path = targets_path(&request, folder.path());
    let (_, problems) = choose_target(&request, folder.path(), path.as_deref());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "there is no targets file `nowhere.yml`");
    assert_eq!((&problems[0].file, &problems[0].help), (&None, &None));
    std::fs::write(folder.path().join(TARGETS_FILE_NAME), TWO).unwrap();
    let (_, problems) = choose_target(&request, folder.path(), path.as_deref());
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `kimball.targets.yml`?"));
    std::fs::write(folder.path().join("nowhere.yaml"), TWO).unwrap();
    let (_, problems) = choose_target(&request, folder.path(), path.as_deref());
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `nowhere.yaml`?"));
}

#[test]
fn files_are_not_judged_without_their_target() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(TARGETS_FILE_NAME), TWO).unwrap();
    std::fs::write(folder.path().join("a.yml"), "table_name: {{ target.gold_schema }}.a\nbroken: 1\n")
        .unwrap();
    let request = LoadRequest {
        configs: vec!["a.yml".to_owned()],
        target: Some("c".to_owned()),
        working_dir: folder.path().to_path_buf(),
        ..LoadRequest::default()
    };
    let outcome = crate::load_project(&request);
    let messages: Vec<_> = outcome.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["there is no target `c`"]);
}
