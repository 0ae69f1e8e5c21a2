//! Patterns of dates and times as Spark writes them: `yyyy-MM-dd HH:mm:ss`.
//!
//! Letters and their widths mean what Spark's documentation of datetime patterns says; a letter that is not known here is
//! refused, never written as it stands.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Letters of a short name.
const SHORT: usize = 3;

/// A pattern, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatePattern {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    Field { field: Field, width: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Quarter,
    Month,
    Day,
    DayOfYear,
    DayName,
    HalfDay,
    /// 0 to 23.
    Hour,
    /// 1 to 12.
    HourOfHalf,
    Minute,
    Second,
    Fraction,
    /// `+01:30`, or `Z` for UTC.
    OffsetOrZ,
    /// `+0130`.
    Offset,
}

impl Field {
    fn of(letter: char, width: usize) -> Option<Self> {
        let (field, widths) = match letter {
            'y' | 'u' => (Self::Year, 1..=4),
            'Q' | 'q' => (Self::Quarter, 1..=2),
            'M' | 'L' => (Self::Month, 1..=4),
            'd' => (Self::Day, 1..=2),
            'D' => (Self::DayOfYear, 1..=3),
            'E' => (Self::DayName, 1..=4),
            'a' => (Self::HalfDay, 1..=1),
            'H' => (Self::Hour, 1..=2),
            'h' => (Self::HourOfHalf, 1..=2),
            'm' => (Self::Minute, 1..=2),
            's' => (Self::Second, 1..=2),
            'S' => (Self::Fraction, 1..=9),
            'X' => (Self::OffsetOrZ, 1..=3),
            'Z' => (Self::Offset, 1..=3),
            _ => return None,
        };
        widths.contains(&width).then_some(field)
    }

    /// Most digits that are read where one letter stands alone.
    fn most_digits(self) -> usize {
        match self {
            Self::Year => 4,
            Self::DayOfYear => 3,
            _ => 2,
        }
    }
}

impl DatePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What it holds that is not known, in words.
    pub(super) fn read(pattern: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' => push_text(&mut items, &quoted(&mut letters, pattern)?),
                letter if letter.is_ascii_alphabetic() => {
                    let mut width = 1;
                    while letters.next_if_eq(&letter).is_some() {
                        width += 1;
                    }
                    let field = Field::of(letter, width).ok_or_else(|| unknown(letter, width, pattern))?;
                    items.push(Item::Field { field, width });
                }
                '[' | ']' | '{' | '}' | '#' => return Err(unknown(letter, 1, pattern)),
                letter => push_text(&mut items, &letter.to_string()),
            }
        }
        Ok(Self { items })
    }

    /// Writes a time of UTC.
    pub(super) fn write(&self, time: DateTime<Utc>, text: &mut String) {
        let at = time.naive_utc();
        for item in &self.items {
            match item {
                Item::Text(literal) => text.push_str(literal),
                Item::Field { field, width } => write_field(*field, *width, at, text),
            }
        }
    }

    /// Reads a time of UTC, the first of 1970 where the pattern has no such part; `None` when the text is none.
    pub(super) fn parse(&self, text: &str) -> Option<NaiveDateTime> {
        let mut rest = text;
        let mut parts = Parts::default();
        for (place, item) in self.items.iter().enumerate() {
            match item {
                Item::Text(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Item::Field { field, width } => {
                    let closed_by_digits = matches!(
                        self.items.get(place + 1),
                        Some(Item::Field { field, .. }) if !matches!(field, Field::HalfDay | Field::DayName)
                    );
                    rest = parts.take(*field, *width, closed_by_digits, rest)?;
                }
            }
        }
        rest.is_empty().then_some(())?;
        parts.time()
    }
}

fn unknown(letter: char, width: usize, pattern: &str) -> String {
    let letters = letter.to_string().repeat(width);
    format!(
        "`{letters}` in the pattern `{pattern}` is not known; y, M, d, D, E, Q, H, h, a, m, s, S, X and Z are, and \
         text stands between single quotes"
    )
}

/// The text up to the quote that closes it; two quotes are one.
fn quoted(letters: &mut Peekable<Chars<'_>>, pattern: &str) -> Result<String, String> {
    let mut text = String::new();
    if letters.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if letters.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => return Ok(text),
            letter => text.push(letter),
        }
    }
    Err(format!("a quote in the pattern `{pattern}` is not closed"))
}

fn push_text(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Text(before)) => before.push_str(text),
        _ => items.push(Item::Text(text.to_owned())),
    }
}

fn write_field(field: Field, width: usize, at: NaiveDateTime, text: &mut String) {
    let number = match field {
        Field::Year if width == 2 => i64::from(at.year().rem_euclid(100)),
        Field::Year => i64::from(at.year()),
        Field::Quarter => i64::from(at.month0() / 3 + 1),
        Field::Month if width >= SHORT => return text.push_str(named(&MONTHS, at.month0(), width)),
        Field::Month => i64::from(at.month()),
        Field::Day => i64::from(at.day()),
        Field::DayOfYear => i64::from(at.ordinal()),
        Field::DayName => {
            return text.push_str(named(&DAYS, at.weekday().num_days_from_monday(), width));
        }
        Field::HalfDay => return text.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
        Field::Hour => i64::from(at.hour()),
        Field::HourOfHalf => i64::from((at.hour() + 11) % 12 + 1),
        Field::Minute => i64::from(at.minute()),
        Field::Second => i64::from(at.second()),
        Field::Fraction => {
            let nanos = format!("{:09}", at.nanosecond());
            return text.push_str(nanos.get(..width).unwrap_or(&nanos));
        }
        Field::OffsetOrZ => return text.push('Z'),
        Field::Offset => return text.push_str("+0000"),
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{number:0width$}");
}

/// A name in full with four letters, else its beginning.
fn named(names: &[&'static str], place: u32, width: usize) -> &'static str {
    let name = usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or_default();
    if width > SHORT { name } else { name.get(..SHORT).unwrap_or(name) }
}

/// What was read of a time.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    afternoon: bool,
    minute: u32,
    second: u32,
    nanosecond: u32,
    /// Seconds east of UTC.
    offset: i64,
}

impl Parts {
    /// Takes a field from the beginning of a text; what is left of it.
    fn take<'t>(
        &mut self,
        field: Field,
        width: usize,
        closed_by_digits: bool,
        text: &'t str,
    ) -> Option<&'t str> {
        match field {
            Field::Month if width >= SHORT => {
                let (month, rest) = name_in(&MONTHS, width, text)?;
                self.month = Some(month + 1);
                return Some(rest);
            }
            Field::DayName => return name_in(&DAYS, width, text).map(|(_, rest)| rest),
            Field::HalfDay => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = half.eq_ignore_ascii_case("PM");
                return (self.afternoon || half.eq_ignore_ascii_case("AM")).then_some(rest);
            }
            Field::OffsetOrZ | Field::Offset => {
                let (offset, rest) = offset(text)?;
                self.offset = offset;
                return Some(rest);
            }
            _ => {}
        }
        let alone = width == 1 && !closed_by_digits && field != Field::Fraction;
        let most = if alone { field.most_digits() } else { width };
        let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        (digits == width || (alone && digits > 0)).then_some(())?;
        let (number, rest) = text.split_at_checked(digits)?;
        let value: u32 = number.parse().ok()?;
        match field {
            Field::Year => {
                let year = i32::try_from(value).ok()?;
                self.year = Some(if width == 2 { year + 2_000 } else { year });
            }
            Field::Month => self.month = Some(value),
            Field::Day => self.day = Some(value),
            Field::DayOfYear => self.day_of_year = Some(value),
            Field::Quarter => self.month = self.month.or(value.checked_sub(1).map(|before| before * 3 + 1)),
            Field::Hour => self.hour = Some(value),
            Field::HourOfHalf => self.hour_of_half = Some((1..=12).contains(&value).then_some(value)?),
            Field::Minute => self.minute = value,
            Field::Second => self.second = value,
            Field::Fraction => self.nanosecond = value * 10_u32.pow(u32::try_from(9 - width).ok()?),
            Field::DayName | Field::HalfDay | Field::OffsetOrZ | Field::Offset => {}
        }
        Some(rest)
    }

    fn time(&self) -> Option<NaiveDateTime> {
        let year = self.year.unwrap_or(1970);
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, day)?,
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let half = self.hour_of_half.map(|hour| hour % 12 + if self.afternoon { 12 } else { 0 });
        let hour = self.hour.or(half).unwrap_or(0);
        let time = NaiveTime::from_hms_nano_opt(hour, self.minute, self.second, self.nanosecond)?;
        date.and_time(time).checked_sub_signed(TimeDelta::seconds(self.offset))
    }
}

/// The place of the name that a text begins with, whatever its case, and what is left of the text.
fn name_in<'t>(names: &[&'static str], width: usize, text: &'t str) -> Option<(u32, &'t str)> {
    names.iter().zip(0_u32..).find_map(|(name, place)| {
        let name = if width > SHORT { *name } else { name.get(..SHORT)? };
        let (begins, rest) = text.split_at_checked(name.len())?;
        begins.eq_ignore_ascii_case(name).then_some((place, rest))
    })
}

/// `Z`, `+01`, `+0130` or `+01:30` at the beginning of a text, in seconds, and what is left of the text.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let pair = |text: &str| -> Option<i64> {
        let digits = text.get(..2)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let rest = text.get(1..)?;
    let hours = pair(rest)?;
    let rest = rest.get(2..)?;
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = match pair(after) {
        Some(minutes) => (minutes, after.get(2..)?),
        None => (0, rest),
    };
    (hours <= 18 && minutes < 60).then_some((sign * (hours * 3_600 + minutes * 60), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::DatePattern;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn written(pattern: &str, time: &str) -> String {
        let mut text = String::new();
        DatePattern::read(pattern).unwrap().write(at(time), &mut text);
        text
    }

    /// What Spark 3.5 answers to `date_format`.
    #[test]
    fn times_are_written_as_spark_writes_them() {
        let time = "2024-03-05T15:04:09.120345Z";
        for (pattern, expected) in [
            ("yyyyMMdd", "20240305"),
            ("yyyy-MM-dd HH:mm:ss", "2024-03-05 15:04:09"),
            ("d.M.yy", "5.3.24"),
            ("MMM yyyy", "Mar 2024"),
            ("EEEE, d MMMM", "Tuesday, 5 March"),
            ("E", "Tue"),
            ("hh:mm a", "03:04 PM"),
            ("SSS", "120"),
            ("yyyy-'Q'Q", "2024-Q1"),
            ("D", "65"),
            ("DDD", "065"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-03-05T15:04:09Z"),
            ("h 'o''clock'", "3 o'clock"),
        ] {
            assert_eq!(written(pattern, time), expected, "{pattern}");
        }
        assert_eq!(written("hh a", "2024-03-05T00:00:00Z"), "12 AM");
        assert_eq!(written("hh a", "2024-03-05T12:00:00Z"), "12 PM");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (pattern, word) in
            [("YYYY", "`YYYY`"), ("yyyy-MM-dd w", "`w`"), ("'open", "not closed"), ("yy[MM]", "`[`")]
        {
            let refused = DatePattern::read(pattern).unwrap_err();
            assert!(refused.contains(word), "{pattern}: {refused}");
        }
    }

    #[test]
    fn texts_are_read_to_their_end() {
        for (pattern, text, expected) in [
            ("dd.MM.yyyy", "05.03.2024", Some("2024-03-05T00:00:00Z")),
            ("d/M/yyyy", "5/12/2024", Some("2024-12-05T00:00:00Z")),
            ("yyyyMMdd", "20240305", Some("2024-03-05T00:00:00Z")),
            ("yyyyMMddHHmmss", "20240305150409", Some("2024-03-05T15:04:09Z")),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "2024-03-05T15:04:09.120+01:30",
                Some("2024-03-05T13:34:09.120Z"),
            ),
            ("MMM d, yyyy h:mm a", "Mar 5, 2024 12:30 am", Some("2024-03-05T00:30:00Z")),
            ("dd-MMM-yy", "05-MAR-24", Some("2024-03-05T00:00:00Z")),
            ("HH:mm", "15:04", Some("1970-01-01T15:04:00Z")),
            ("yyyy-MM-dd", "2024-02-30", None),
            ("yyyy-MM-dd", "2024-2-3", None),
            ("yyyy-MM-dd", "2024-02-03 ", None),
            ("yyyy-MM-dd", "", None),
            ("hh a", "13 PM", None),
        ] {
            let read = DatePattern::read(pattern).unwrap().parse(text);
            assert_eq!(read.map(|time| time.and_utc()), expected.map(at), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in -2_000_000_000_i64..10_000_000_000) {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            for pattern in ["yyyy-MM-dd HH:mm:ss", "d/M/yyyy h:m:s a", "yyyyDDDHHmmss", "dd MMMM yyyy HH.mm.ssXXX"] {
                let pattern = DatePattern::read(pattern).unwrap();
                let mut text = String::new();
                pattern.write(time, &mut text);
                prop_assert_eq!(pattern.parse(&text).map(|time| time.and_utc()), Some(time), "{}", text);
            }
        }
    }
}
