//! Output in words that are the same in every run.

use std::path::Path;

/// How much of the beginning of a text is meant by a rule.
type Matcher = fn(&str) -> Option<usize>;

/// What is written in place of what differs from run to run.
const RULES: [(&str, Matcher); 4] =
    [("[UUID]", uuid), ("[TIME]", duration), ("[NOW]", instant), ("process [PID]", process)];

/// The output of a command that was called in the folder `root`: that folder is `[ROOT]`, and UUIDs, durations such as
/// `0.3s`, numbers of processes and times after 2025 (cases are about earlier ones) are named and not shown.
pub fn settled(text: &str, root: &Path) -> String {
    let text = with_named_root(text, root);
    let mut rest = text.as_str();
    let mut settled = String::with_capacity(text.len());
    while let Some(next) = rest.chars().next() {
        let begins_word = !settled.ends_with(|c: char| c.is_alphanumeric() || c == '.');
        let mut rules = RULES.iter().filter(|_| begins_word);
        let found = rules.find_map(|(name, matcher)| Some((*name, matcher(rest)?)));
        let length = match found {
            Some((name, length)) => {
                settled.push_str(name);
                length
            }
            None => {
                settled.push(next);
                next.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    settled
}

/// The folder by the name it was given and by its real one (temporary folders are behind links on some systems), and
/// as a path from `/`, which is how object stores call their files.
fn with_named_root(text: &str, root: &Path) -> String {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let mut text = text.to_owned();
    for root in [real.display().to_string(), root.display().to_string()] {
        text = text.replace(&root, "[ROOT]").replace(root.trim_start_matches('/'), "[ROOT without its /]");
    }
    text
}

/// The length of `shape` when `text` begins like it: `0` is any digit, `x` any hexadecimal one, the rest stands for
/// itself.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let start = text.get(..shape.len())?;
    let fits = |(found, wanted): (char, char)| match wanted {
        '0' => found.is_ascii_digit(),
        'x' => found.is_ascii_hexdigit(),
        _ => found == wanted,
    };
    start.chars().zip(shape.chars()).all(fits).then_some(shape.len())
}

fn uuid(text: &str) -> Option<usize> {
    shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// `12.3s`.
fn duration(text: &str) -> Option<usize> {
    let whole = digits(text);
    let fraction = digits(text.get(whole..)?.strip_prefix('.')?);
    let end = whole + 1 + fraction;
    let after = text.get(end..)?.strip_prefix('s')?;
    (whole > 0 && fraction > 0 && !after.starts_with(char::is_alphanumeric)).then_some(end + 1)
}

/// A day after 2025, with the time of day and the zone when they are there.
fn instant(text: &str) -> Option<usize> {
    let day = shaped(text, "0000-00-00").filter(|_| ("2026".."3000").contains(&&text[..4]))?;
    let clock = text.get(day..).and_then(|rest| shaped(rest, "T00:00:00").or(shaped(rest, " 00:00:00")));
    let Some(clock) = clock else { return Some(day) };
    let rest = text.get(day + clock..).unwrap_or_default();
    let fraction = rest.strip_prefix('.').map_or(0, |rest| 1 + digits(rest));
    let zone = rest
        .get(fraction..)
        .and_then(|rest| shaped(rest, "Z").or(shaped(rest, " UTC")).or(shaped(rest, "+00:00")));
    Some(day + clock + fraction + zone.unwrap_or(0))
}

fn process(text: &str) -> Option<usize> {
    let number = digits(text.strip_prefix("process ")?);
    (number > 0).then_some("process ".len() + number)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        settled(text, Path::new("/tmp/case-1"))
    }

    #[test]
    fn the_folder_is_named_and_not_shown() {
        assert_eq!(told("no file matches `/tmp/case-1/data/*.csv`"), "no file matches `[ROOT]/data/*.csv`");
        assert_eq!(told("file:///tmp/case-1/a"), "file://[ROOT]/a");
        assert_eq!(told("CSV file tmp/case-1/a.csv"), "CSV file [ROOT without its /]/a.csv");
    }

    #[test]
    fn what_differs_between_two_runs_is_written_alike() {
        for (text, settled) in [
            (
                "  ✓ Completed: gold.dim_date (12.3s, 365 rows)",
                "  ✓ Completed: gold.dim_date ([TIME], 365 rows)",
            ),
            ("Total Duration: 0.1s\n", "Total Duration: [TIME]\n"),
            ("part-0-ae7aa757-ae42-4567-a051-8ca4c2abed7a.parquet", "part-0-[UUID].parquet"),
            ("at 2026-11-27T20:31:27.577Z.", "at [NOW]."),
            ("at 2031-01-02 03:04:05 UTC, for process 4711", "at [NOW], for process [PID]"),
            ("on 2026-11-27: nothing", "on [NOW]: nothing"),
        ] {
            assert_eq!(told(text), settled);
        }
    }

    #[test]
    fn what_a_case_says_itself_stays() {
        for text in [
            "updated_at=2025-01-01 10:00:00",
            "write it like 2025-01-31T00:00:00Z",
            "until 9999-12-31 23:59:59.999999",
            "0.750 is more than `max_close_ratio: 0.5`",
            "in 30s - version 1.2.3s, a0.1s",
            "Spectre £ and a process of orders, zwölf 1.5seconds",
        ] {
            assert_eq!(told(text), text);
        }
    }
}
