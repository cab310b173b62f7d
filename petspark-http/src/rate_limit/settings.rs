//! What requests are limited to, as an operator writes it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;
use petspark_core::config::{Environment, Loader, Setting, Value};

/// How many requests one address may make.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitSettings {
    /// Whether requests are limited at all.
    pub enabled: bool,
    /// Everything that has no limit of its own.
    pub general: Limit,
    /// What changes something under `/auth`: signing in, registering, asking for mails.
    pub auth: Limit,
    /// Renewing tokens.
    pub refresh: Limit,
    /// Getting photos.
    pub media: Limit,
}

/// So many requests in so much time, and so many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    requests: NonZeroU32,
    per: Duration,
    burst: NonZeroU32,
}

impl Limit {
    /// `requests` in each `per` in the long run, `burst` of them at once. Zeros count as one, and
    /// no time as a second.
    #[must_use]
    pub const fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let requests = if let Some(requests) = NonZeroU32::new(requests) { requests } else { NonZeroU32::MIN };
        let burst = if let Some(burst) = NonZeroU32::new(burst) { burst } else { NonZeroU32::MIN };
        let per = if per.is_zero() { Duration::from_secs(1) } else { per };
        Self { requests, per, burst }
    }

    /// How long it takes until one more request is allowed.
    pub(super) fn period(self) -> Duration {
        (self.per / self.requests.get()).max(Duration::from_nanos(1))
    }

    /// How long it takes from nothing left to everything.
    pub(super) fn refill(self) -> Duration {
        self.period().saturating_mul(self.burst.get())
    }

    pub(super) fn burst(self) -> u32 {
        self.burst.get()
    }

    pub(super) fn quota(self) -> Quota {
        // The period is never zero, so there always is a quota.
        Quota::with_period(self.period()).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(self.burst)
    }
}

/// `300/1m burst 100`.
impl Value for Limit {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = || {
            let (requests, rest) = text.split_once('/')?;
            let (per, burst) = rest.split_once(" burst ")?;
            let (requests, burst) = (requests.trim().parse().ok()?, burst.trim().parse().ok()?);
            let per = Duration::parse(per.trim()).ok().filter(|per| !per.is_zero())?;
            Some(Self { requests, per, burst })
        };
        parts().ok_or_else(|| "a limit such as 300/1m burst 100".to_owned())
    }

    fn render(&self) -> String {
        format!("{}/{} burst {}", self.requests, self.per.render(), self.burst)
    }
}

impl RateLimitSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let enabled = from.get(Setting {
            key: "rate_limit.enabled",
            env: None,
            default: true,
            about: "Whether requests are limited. Load tests turn it off; production refuses that unless a proxy limits.",
        });
        let mut limit = |key, default, about| from.get(Setting { key, env: None, default, about });
        let general = limit(
            "rate_limit.general",
            Limit::new(300, minutes(1), 100),
            "Requests of one address (of IPv6 the /64): 300 a minute in the long run, 100 of them at once. Health checks don't count.",
        );
        let auth = limit(
            "rate_limit.auth",
            Limit::new(60, minutes(5), 30),
            "The same for what changes something under /auth, such as signing in and registering.",
        );
        let refresh = limit(
            "rate_limit.refresh",
            Limit::new(150, minutes(5), 30),
            "The same for renewing tokens by /auth/refresh.",
        );
        let media = limit(
            "rate_limit.media",
            Limit::new(3000, minutes(1), 1000),
            "The same for getting photos, of which a page has dozens.",
        );
        let by_proxy = from.get(Setting {
            key: "rate_limit.by_proxy",
            env: None,
            default: false,
            about: "Whether a proxy in front limits requests, so that rate_limit.enabled may be false in production.",
        });
        if from.environment() == Environment::Production && !enabled && !by_proxy {
            from.problem("rate_limit.enabled", "can't be false in production, unless rate_limit.by_proxy is true");
        }
        Self { enabled, general, auth, refresh, media }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_it_is_read() {
        let limit = Limit::parse("300/1m burst 100").unwrap();
        assert_eq!(limit, Limit::new(300, Duration::from_secs(60), 100));
        assert_eq!(Limit::parse(&limit.render()), Ok(limit));
        assert_eq!((limit.period(), limit.refill()), (Duration::from_millis(200), Duration::from_secs(20)));
        for wrong in
            ["", "300", "300/1m", "0/1m burst 1", "1/0s burst 1", "1/1m burst 0", "-1/1m burst 1", "1/1m burst x"]
        {
            assert!(Limit::parse(wrong).is_err(), "{wrong}");
        }
    }
}
