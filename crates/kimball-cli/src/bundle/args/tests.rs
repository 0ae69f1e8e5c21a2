//! What can be written behind `kimball bundle`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use clap::error::ErrorKind;

use super::super::fixture::parse;

#[test]
fn options_that_mean_nothing_together_are_refused() {
    for words in [
        &["--serverless", "--workers=2"][..],
        &["--serverless", "--existing-cluster-id=a"],
        &["--existing-cluster-id=a", "--node-type=i3.xlarge"],
        &["--retry-on-timeout", "--no-retry-on-timeout"],
    ] {
        assert_eq!(parse(words).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{words:?}");
    }
    for words in [&["--timezone=UTC"][..], &["--paused"]] {
        assert_eq!(parse(words).unwrap_err().kind(), ErrorKind::MissingRequiredArgument, "{words:?}");
    }
    for words in ["--concurrency=0", "--concurrency=101", "--cluster-key=a b", "--cluster-key="] {
        assert_eq!(parse(&[words]).unwrap_err().kind(), ErrorKind::ValueValidation, "{words}");
    }
    for empty in ["--name=", "--notebook-path=", "--email=a@b.c,"] {
        assert_eq!(parse(&[empty]).unwrap_err().kind(), ErrorKind::InvalidValue, "{empty}");
    }
}

#[test]
fn expressions_of_unix_cron_are_not_those_of_quartz() {
    for wrong in ["0 6 * * *", "0 0 6 * * *", "0 0 6 ? * ?", "daily", "0 0 6 * * ? 2026 7"] {
        let refused = parse(&["--schedule-cron", wrong]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ValueValidation, "{wrong}");
        assert!(refused.to_string().contains("0 0 6 * * ?"), "{refused}");
    }
    for right in ["0 0 6 * * ?", "0 0/15 * ? * MON-FRI", "0 0 6 L * ? 2026"] {
        assert_eq!(parse(&["--schedule-cron", right]).unwrap().schedule_cron.as_deref(), Some(right));
    }
}
