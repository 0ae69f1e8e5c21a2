//! What can be written on the command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use kimball::{FailurePolicy, Jitter, OnBusy};

use super::{CommandLine, Format, Verb};

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(line.split(' '))
}

fn refused(line: &str) -> ErrorKind {
    parse(line).expect_err(line).kind()
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn options_work_before_and_after_the_verb() {
    for line in ["kimball -w 2 --warehouse w run a.yml", "kimball run a.yml --warehouse w --threads 2"] {
        let parsed = parse(line).unwrap();
        assert_eq!(
            (parsed.options.max_workers, parsed.options.warehouse.as_deref()),
            (2, Some("w")),
            "{line}"
        );
    }
}

#[test]
fn without_options_a_run_has_the_promised_defaults() {
    let settings = parse("kimball run").unwrap().options.settings().build().unwrap();
    assert_eq!(settings.max_workers().get(), 4);
    assert_eq!(settings.on_failure(), FailurePolicy::StopOnFailure);
    assert_eq!(settings.retry().max_retries, 0);
    assert_eq!(settings.on_busy(), OnBusy::Fail);
    assert_eq!((settings.memory_limit(), settings.run_time()), (None, None));
}

#[test]
fn every_option_reaches_the_settings() {
    let line = "kimball run --keep-going --max-retries 3 --backoff-seconds 7 --memory-limit 1GiB \
                --run-time 2025-01-31T12:00:00+02:00 --on-busy wait -w 9 --backoff-jitter";
    let settings = parse(line).unwrap().options.settings().build().unwrap();
    assert_eq!(settings.on_failure(), FailurePolicy::KeepGoing);
    assert_eq!((settings.retry().max_retries, settings.retry().backoff.as_secs()), (3, 7));
    assert!(matches!(settings.retry().jitter, Jitter::Full { .. }));
    assert_eq!(settings.memory_limit(), Some(1 << 30));
    assert_eq!(settings.run_time().unwrap().to_rfc3339(), "2025-01-31T10:00:00+00:00");
    assert_eq!(settings.on_busy(), OnBusy::Wait);
    assert_eq!(settings.max_workers().get(), 9);
}

#[test]
fn fail_fast_and_keep_going_exclude_each_other_as_do_quiet_and_verbose() {
    assert!(parse("kimball run -x").is_ok());
    assert_eq!(refused("kimball run -x --keep-going"), ErrorKind::ArgumentConflict);
    assert_eq!(refused("kimball run -q -v"), ErrorKind::ArgumentConflict);
}

#[test]
fn selectors_are_checked_and_may_stand_in_one_argument() {
    let parsed = parse("kimball run -s dim_a+,wave:1 -s +gold.fact_b --exclude dim_c").unwrap();
    assert_eq!((parsed.options.select.len(), parsed.options.exclude.len()), (3, 1));
    assert_eq!(refused("kimball run -s wave:x"), ErrorKind::ValueValidation);
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for line in [
        "kimball run --memory-limit lots",
        "kimball run --run-time yesterday",
        "kimball run --run-time 2025-01-31",
        "kimball run -w -1",
    ] {
        assert!(matches!(refused(line), ErrorKind::ValueValidation | ErrorKind::UnknownArgument), "{line}");
    }
    assert_eq!(refused("kimball run --format xml"), ErrorKind::InvalidValue);
    assert_eq!(refused("kimball"), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
}

#[test]
fn configs_come_as_arguments_and_as_options() {
    let parsed = parse("kimball plan a.yml b --config c/*.yml").unwrap();
    let Verb::Plan { configs, .. } = parsed.verb else { panic!("no plan") };
    assert_eq!(configs.paths, ["a.yml", "b"]);
    assert_eq!(parsed.options.configs, ["c/*.yml"]);
}

#[test]
fn pictures_are_for_plans() {
    for line in ["kimball plan --format dot", "kimball run --dry-run --format mermaid", "kimball run"] {
        assert_eq!(parse(line).unwrap().contradiction(), None, "{line}");
    }
    for line in ["kimball run --format dot", "kimball status --format mermaid"] {
        assert!(parse(line).unwrap().contradiction().is_some(), "{line}");
    }
    assert_eq!(parse("kimball run --format json").unwrap().options.format, Format::Json);
}
