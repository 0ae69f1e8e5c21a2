//! Times such as `2026-01-31 09:30:00`.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::findings::Findings;
use crate::reader::{Located, clip};

/// Reads a time, which is UTC where it names no zone (semantics 1.1), a day being its midnight; reports what is none.
pub(crate) fn read(findings: &Findings<'_>, text: &Located<String>, key: &str) -> Option<DateTime<Utc>> {
    let parsed = parse(text.value.trim());
    if parsed.is_none() {
        let found = clip(text.value.trim());
        let message = format!("`{key}` must be a time such as `2025-01-31 09:30:00`, found `{found}`");
        findings.error_with_help(text.span, message, "a time without a zone is one of UTC");
    }
    parsed
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    let at = match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => day.and_time(NaiveTime::MIN).and_utc(),
        Err(_) => parse_with_clock(&text.replacen(' ', "T", 1))?,
    };
    (1..=9999).contains(&at.year()).then_some(at)
}

fn parse_with_clock(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let at = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_read_in_their_usual_spellings() {
        for (text, micros) in [
            ("2024-02-01", 1_706_745_600_000_000),
            ("2024-02-01 00:00:00", 1_706_745_600_000_000),
            ("2024-02-01T00:00:00Z", 1_706_745_600_000_000),
            ("2024-02-01T01:30:00+01:30", 1_706_745_600_000_000),
            ("2024-02-01 01:30:00.000+01:30", 1_706_745_600_000_000),
            ("2024-02-01 00:01", 1_706_745_660_000_000),
            ("2024-02-01T00:00:00.25", 1_706_745_600_250_000),
        ] {
            assert_eq!(parse(text).map(|at| at.timestamp_micros()), Some(micros), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024",
            "2024-13-01",
            "2024-02-30 00:00:00",
            "1706745600",
            "-9999-01-01",
            "10000-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
