//! The one place that reads the wall clock, and the [`Timestamp`] everything stores.
//! Durations measured for logs and timeouts use `std::time::Instant` where they are taken.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time in UTC with microsecond precision, the finest that both engines keep.
///
/// PostgreSQL stores it as `timestamptz`, SQLite as integer microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Twenty-four hours.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    ///
    /// Years outside 0 to 9999 can't be written as RFC 3339 and are moved to that range's ends.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        // 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z
        Self(micros.clamp(-62_167_219_200_000_000, 253_402_300_799_999_999))
    }

    /// For constants, which are known to be in range.
    pub(crate) const fn from_micros_const(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as in the `NumericDate` of RFC 7519.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The same instant as the `time` crate's type.
    #[must_use]
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The calendar day in UTC.
    #[must_use]
    pub fn date(self) -> time::Date {
        self.to_datetime().date()
    }

    /// This instant plus `duration`, stopping at the end of year 9999.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(duration)))
    }

    /// This instant minus `duration`, stopping at year 0.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(duration)))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self::from_micros(i64::try_from(at.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX))
    }
}

/// As files have it; `time`'s own conversion panics after the year 9999.
impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        Self::from_micros(match at.duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        })
    }
}

/// A time before 1970 becomes that year's beginning.
impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with `Z`, for example `2026-11-22T21:49:38.123456Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(Self::from).map_err(de::Error::custom)
    }
}

/// Where services get the time from: the system, or a clock that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `at` until [`Clock::advance`] moves it. Clones share the hand.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.as_micros()))))
    }

    /// Moves a manual clock forward; a system clock can't be moved and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(micros(by), Ordering::SeqCst);
        }
    }

    /// The time now, truncated to microseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hand) => Timestamp::from_micros(hand.load(Ordering::SeqCst)),
            #[allow(clippy::disallowed_methods, reason = "this is the place that reads time")]
            None => Timestamp::from(OffsetDateTime::now_utc()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_cut_not_rounded_because_postgresql_would_round_them_up() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_999).unwrap();
        assert_eq!(Timestamp::from(at).as_micros(), 1);
    }

    #[test]
    fn a_timestamp_survives_its_text_form() {
        let at = Timestamp::from_micros(1_795_384_178_123_456);
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, "\"2026-11-22T21:49:38.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), at);
    }

    #[test]
    fn a_file_may_be_of_any_time() {
        for micros in [-1, 0, 1, 1_795_384_178_123_456] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::from(SystemTime::from(at)), at.max(Timestamp::from_micros(0)));
        }
        let late = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        assert_eq!(Timestamp::from(late), Timestamp::from_micros(i64::MAX));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_micros(5)).as_micros(), -5);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let twin = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(twin.now().as_seconds(), 2);
        assert_eq!(twin.now(), clock.now());
    }
}
