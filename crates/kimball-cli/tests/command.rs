//! The command as a shell sees it: streams and exit codes, as far as no table is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const DIMENSION: &str = "\
table_name: gold.dim_a
table_type: dimension
keys: {surrogate_key: a_sk, natural_keys: [id]}
sources: [{name: silver.a, alias: a}]
";

const FACT: &str = "\
table_name: gold.fact_a
table_type: fact
merge_keys: [id]
sources: [{name: silver.f, alias: f}]
depends_on: [gold.dim_a]
";

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A folder with these files below `configs`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(folder.path().join("configs")).unwrap();
        fs::write(folder.path().join("configs").join(name), text).unwrap();
    }
    folder
}

fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kimball"));
    command.current_dir(folder).args(line.split_whitespace());
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "1");
    command
}

fn kimball(folder: &Path, line: &str) -> Ended {
    let output = command(folder, line).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_sound_project_is_told_in_one_line() {
    let folder = folder(&[("dim_a.yml", DIMENSION), ("fact_a.yml", FACT)]);
    let ended = kimball(folder.path(), "validate");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "✓ 2 pipelines in 2 waves: no problems\n"));
    assert_eq!(ended.stderr, "");
}

#[test]
fn all_problems_of_all_files_are_shown_at_once_on_stderr() {
    let folder = folder(&[("a.yml", &DIMENSION.replace("keys:", "kyes:")), ("b.yml", "table_type: pipe\n")]);
    let ended = kimball(folder.path(), "validate");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    for expected in ["`kyes`", "configs/a.yml:3:1", "kyes: {", "configs/b.yml:1:"] {
        assert!(ended.stderr.contains(expected), "no {expected} in\n{}", ended.stderr);
    }
}

#[test]
fn problems_in_json_are_an_object_a_line_and_a_verdict() {
    let folder = folder(&[("a.yml", &DIMENSION.replace("keys:", "kyes:"))]);
    let ended = kimball(folder.path(), "validate --format json");
    assert_eq!(ended.code, 2);
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (verdict, problems) = lines.split_last().unwrap();
    assert_eq!((&verdict["event"], &verdict["valid"]), (&"validated".into(), &false.into()));
    let typo = problems.iter().find(|problem| problem["line"] == 3).unwrap();
    assert_eq!((&typo["event"], &typo["file"]), (&"problem".into(), &"configs/a.yml".into()));
}

#[test]
fn a_circle_is_an_error_that_names_its_path() {
    let circle = DIMENSION.to_owned() + "depends_on: [gold.fact_a]\n";
    let folder = folder(&[("dim_a.yml", &circle), ("fact_a.yml", FACT)]);
    let ended = kimball(folder.path(), "plan --format mermaid");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("gold.dim_a → gold.fact_a → gold.dim_a"), "{}", ended.stderr);
}

#[test]
fn a_picture_of_the_waves_needs_no_warehouse() {
    let folder = folder(&[("dim_a.yml", DIMENSION), ("fact_a.yml", FACT)]);
    for format in ["mermaid", "dot"] {
        let ended = kimball(folder.path(), &format!("plan --format {format}"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.contains("gold.fact_a") && ended.stdout.ends_with('\n'));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
}

#[test]
fn missing_and_empty_folders_are_told_in_a_friendly_way() {
    let nothing = folder(&[]);
    let ended = kimball(nothing.path(), "run");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("`configs`") && ended.stderr.contains("you name"), "{}", ended.stderr);

    fs::create_dir(nothing.path().join("configs")).unwrap();
    let ended = kimball(nothing.path(), "run");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains(".yml"), "{}", ended.stderr);
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let folder = folder(&[("dim_a.yml", DIMENSION)]);
    for line in ["", "walk", "run --format dot", "run -w 0", "run --memory-limit 1B", "run -s gold.dim_b"] {
        let ended = kimball(folder.path(), line);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(!ended.stderr.is_empty(), "{line}");
    }
    for line in ["--help", "run --help", "--version"] {
        let ended = kimball(folder.path(), line);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let folder = folder(&[("dim_a.yml", DIMENSION)]);
    for line in ["plan --format dot", "validate", "--help"] {
        let mut child =
            command(folder.path(), line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{line}");
        assert!(ended.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn no_debug_dump_and_no_backtrace_reaches_a_user() {
    let folder = folder(&[("a.yml", "a: [\n"), ("b.yml", "{{ nothing }}\n")]);
    for line in ["validate", "run", "plan", "run -s +", "run --run-time now"] {
        let ended = kimball(folder.path(), line);
        assert_eq!(ended.code, 2, "{line}");
        for dump in ["Some(", "Err(", "Config([", "backtrace", "panicked", "stack"] {
            assert!(!ended.stderr.contains(dump), "{line} shows {dump}: {}", ended.stderr);
        }
    }
}

#[test]
fn before_the_first_run_status_says_so_and_writes_nothing() {
    let folder = folder(&[("dim_a.yml", DIMENSION)]);
    let ended = kimball(folder.path(), "status");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "No runs yet.\n"), "{}", ended.stderr);
    let ended = kimball(folder.path(), "status --format json");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
}
