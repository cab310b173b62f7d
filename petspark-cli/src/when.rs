//! Times on the command line: as in our own output, as a day, or as how long ago.

use petspark_core::config::Value as _;
use petspark_core::{Clock, Timestamp};

/// A point in time: `2026-11-23T12:00:00Z`, the beginning of a day in UTC as `2026-11-23`, or
/// `24h` for that long ago.
///
/// # Errors
/// What was expected instead.
pub(crate) fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = std::time::Duration::parse(text) {
        return Ok(Clock::system().now().before(ago));
    }
    let parse = |text: String| serde_json::from_value(serde_json::Value::String(text)).ok();
    parse(text.to_owned()).or_else(|| parse(format!("{text}T00:00:00Z"))).ok_or_else(|| {
        "must be a time such as 2026-11-23T12:00:00Z, a day such as 2026-11-23, or how long ago, such as 24h".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_a_day_or_how_long_ago() {
        assert_eq!(when("2026-11-23").unwrap(), when("2026-11-23T00:00:00Z").unwrap());
        assert_eq!(when("2026-11-23T02:00:00+02:00").unwrap(), when("2026-11-23").unwrap());
        assert!(when("24h").unwrap() < Clock::system().now());
        for wrong in ["", "yesterday", "24", "2026-13-01", "2026-11-23T25:00:00Z"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }
}
