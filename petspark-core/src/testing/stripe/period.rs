//! Calendar arithmetic of billing periods: a month after 31 January ends in February, the one after
//! that on 31 March again.

use time::{Date, Month, OffsetDateTime};

const DAY: i64 = 24 * 3600;

/// The first end of a period after `start`, counting from `anchor`. All in seconds since 1970.
pub(super) fn end(anchor: i64, start: i64, interval: &str, count: i64) -> i64 {
    let nth = |n: i64| match interval {
        "day" => anchor + n * count * DAY,
        "week" => anchor + n * count * 7 * DAY,
        "month" => months_after(anchor, n * count),
        _ => months_after(anchor, n * count * 12),
    };
    (1..).map(nth).find(|end| *end > start).unwrap_or(start)
}

fn months_after(at: i64, months: i64) -> i64 {
    let from = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = i64::from(from.year()) * 12 + i64::from(u8::from(from.month())) - 1 + months;
    let year = i32::try_from(month.div_euclid(12)).unwrap_or(9999);
    let month = Month::try_from(u8::try_from(month.rem_euclid(12) + 1).unwrap_or(1)).unwrap_or(Month::January);
    let day = from.day().min(month.length(year));
    Date::from_calendar_date(year, month, day).map_or(at, |date| from.replace_date(date).unix_timestamp())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_short_month_doesnt_shorten_the_next() {
        let anchor = datetime!(2026-01-31 10:00 UTC).unix_timestamp();
        let february = end(anchor, anchor, "month", 1);
        assert_eq!(february, datetime!(2026-02-28 10:00 UTC).unix_timestamp());
        assert_eq!(end(anchor, february, "month", 1), datetime!(2026-03-31 10:00 UTC).unix_timestamp());
    }

    #[test]
    fn years_weeks_and_days_are_counted_from_the_anchor() {
        let anchor = datetime!(2024-02-29 0:00 UTC).unix_timestamp();
        assert_eq!(end(anchor, anchor, "year", 1), datetime!(2025-02-28 0:00 UTC).unix_timestamp());
        assert_eq!(end(anchor, anchor + 15 * DAY, "week", 2), anchor + 28 * DAY);
        assert_eq!(end(anchor, anchor, "day", 3), anchor + 3 * DAY);
    }
}
