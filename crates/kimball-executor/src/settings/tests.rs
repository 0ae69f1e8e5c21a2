//! Options and their bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use chrono::{DateTime, Utc};

use super::{FailurePolicy, OnBusy, Settings, SettingsError};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

#[test]
fn the_defaults_are_four_workers_that_stop_on_failure_and_never_retry() {
    let settings = Settings::builder().build().unwrap();
    assert_eq!(settings.max_workers().get(), 4);
    assert_eq!(settings.on_failure(), FailurePolicy::StopOnFailure);
    assert_eq!(settings.retry().max_retries, 0);
    assert_eq!(settings.on_busy(), OnBusy::Fail);
    assert_eq!((settings.memory_limit(), settings.run_time()), (None, None));
    assert_eq!(settings, Settings::default());
}

#[test]
fn no_worker_and_absurdly_many_workers_are_refused() {
    for workers in [0, 1025, usize::MAX] {
        assert_eq!(
            Settings::builder().max_workers(workers).build(),
            Err(SettingsError::Workers(workers)),
            "{workers}"
        );
    }
    assert_eq!(Settings::builder().max_workers(1024).build().unwrap().max_workers().get(), 1024);
}

#[test]
fn a_memory_limit_below_64_mebibytes_is_refused() {
    let least = 64 << 20;
    assert_eq!(Settings::builder().memory_limit(least - 1).build(), Err(SettingsError::Memory(least - 1)));
    assert_eq!(Settings::builder().memory_limit(least).build().unwrap().memory_limit(), Some(least));
}

#[test]
fn a_frozen_run_time_is_cut_to_microseconds() {
    let settings = Settings::builder().run_time(at("2025-01-01T00:00:00.123456789Z")).build().unwrap();
    assert_eq!(settings.run_time(), Some(at("2025-01-01T00:00:00.123456Z")));
}

#[test]
fn a_run_time_outside_the_range_of_intervals_is_refused() {
    for text in ["1899-12-31T23:59:59Z", "9999-12-31T00:00:00Z"] {
        let refused = Settings::builder().run_time(at(text)).build();
        assert_eq!(refused, Err(SettingsError::RunTime(at(text))), "{text}");
    }
    assert!(Settings::builder().run_time(at("9999-12-30T23:59:59Z")).build().is_ok());
}
