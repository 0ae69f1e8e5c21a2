//! Durations such as `2 hours` or `30m`.

use std::time::Duration;

use crate::findings::Findings;
use crate::reader::{Located, clip};

/// Reads a duration; reports what is none.
pub(crate) fn read(findings: &Findings<'_>, text: &Located<String>, key: &str) -> Option<Duration> {
    let parsed = parse(text.value.trim());
    if parsed.is_none() {
        let found = clip(text.value.trim());
        let message = format!("`{key}` must be a duration such as `2 hours` or `30m`, found `{found}`");
        findings.error(text.span, message);
    }
    parsed
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    let seconds = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "s" | "second" | "seconds" => 1,
        "m" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(text[..digits].parse::<u64>().ok()? * seconds))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn durations_are_read_in_their_usual_spellings() {
        for (text, seconds) in [("2 hours", 7_200), ("30m", 1_800), ("1 DAY", 86_400), ("0 s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "hours", "2", "2 weeks", "-1 h", "1.5h", "9999999999 s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
