//! The calendar: a source that is a file.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, Weekday};

/// The first and the last year of the calendar, which are those of TPC-H's orders.
const YEARS: (i32, i32) = (1992, 1998);

/// One line a day, with a header.
pub(super) fn csv() -> String {
    let mut text =
        String::from("calendar_date,year,quarter,month,month_name,day_of_month,day_name,is_weekend\n");
    let first = NaiveDate::from_ymd_opt(YEARS.0, 1, 1);
    let days = first.into_iter().flat_map(|first| first.iter_days()).take_while(|day| day.year() <= YEARS.1);
    for day in days {
        let is_weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{day},{},{},{},{},{},{},{is_weekend}",
            day.year(),
            day.month0() / 3 + 1,
            day.month(),
            day.format("%B"),
            day.day(),
            day.format("%A"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::csv;

    #[test]
    fn every_day_of_the_seven_years_is_there_once() {
        let text = csv();
        let days: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(days.len(), 5 * 365 + 2 * 366);
        assert_eq!(days.first(), Some(&"1992-01-01,1992,1,1,January,1,Wednesday,false"));
        assert_eq!(days.last(), Some(&"1998-12-31,1998,4,12,December,31,Thursday,false"));
        assert!(days.contains(&"1996-02-29,1996,1,2,February,29,Thursday,false"));
        assert!(days.contains(&"1998-08-01,1998,3,8,August,1,Saturday,true"));
    }
}
