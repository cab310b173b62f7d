//! How many requests one address may make, counted in this process before anything else is done
//! for a request. Failed sign-ins are counted in core, for all servers together.

mod settings;

pub use settings::{Limit, RateLimitSettings};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Asks whether the server lives; never limited.
    Health,
    /// Changes something under `/auth`.
    Auth,
    Refresh,
    /// Anything else under `/auth`.
    Account,
    /// Signed by Stripe, which sends as many as there are; never limited.
    Webhook,
    /// Gets a photo, of which a page has dozens.
    Media,
    General,
}

impl Class {
    /// By the route that takes the request, which may be nested in somebody else's routes.
    pub(crate) fn of(method: &Method, route: Option<&str>) -> Self {
        let Some(route) = route else { return Self::General };
        if route.ends_with("/healthz") || route.ends_with("/readyz") {
            Self::Health
        } else if method.is_safe() && route.ends_with("/media/{*key}") {
            Self::Media
        } else if route.ends_with("/api/v1/payments/webhook") {
            Self::Webhook
        } else if !route.contains("/api/v1/auth/") {
            Self::General
        } else if method.is_safe() || route.ends_with("/auth/logout") {
            Self::Account
        } else if route.ends_with("/auth/refresh") {
            Self::Refresh
        } else {
            Self::Auth
        }
    }

    /// Whether it is about signing in, and so about nobody but the one who asks.
    pub(crate) fn is_account(self) -> bool {
        matches!(self, Self::Auth | Self::Refresh | Self::Account)
    }
}

/// The limits of all classes.
pub(crate) struct RateLimits {
    general: Bucket,
    auth: Bucket,
    refresh: Bucket,
    media: Bucket,
}

impl RateLimits {
    /// `None` when requests aren't limited.
    pub(crate) fn new(settings: &RateLimitSettings) -> Option<Self> {
        let bucket = |name, limit| Bucket::new(name, limit, DefaultClock::default());
        settings.enabled.then(|| Self {
            general: bucket("general", settings.general),
            auth: bucket("auth", settings.auth),
            refresh: bucket("refresh", settings.refresh),
            media: bucket("media", settings.media),
        })
    }

    /// Counts a request; `None` if it isn't one that counts.
    pub(crate) fn count(&self, class: Class, client: IpAddr) -> Option<Counted> {
        match class {
            Class::Health | Class::Webhook => None,
            Class::Auth => Some(self.auth.count(client)),
            Class::Refresh => Some(self.refresh.count(client)),
            Class::Media => Some(self.media.count(client)),
            Class::Account | Class::General => Some(self.general.count(client)),
        }
    }
}

/// Counts per address, by the generic cell rate algorithm: a full bucket of `burst`, which fills
/// up evenly.
struct Bucket<C: Clock = DefaultClock> {
    name: &'static str,
    limit: Limit,
    policy: HeaderValue,
    clock: C,
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, C, StateInformationMiddleware>,
    until_sweep: AtomicU32,
    /// Whether more addresses were seen lately than are kept apart.
    crowded: AtomicBool,
}

/// After so many requests the addresses are forgotten that have their whole burst again.
const SWEEP_EVERY: u32 = 4096;
/// Addresses kept apart; about 10 MB. Beyond it whole networks count as one.
const MAX_ADDRESSES: usize = 100_000;

impl<C: Clock + Clone> Bucket<C> {
    fn new(name: &'static str, limit: Limit, clock: C) -> Self {
        let policy = format!("\"{name}\";q={};w={}", limit.burst(), whole_seconds(limit.refill()));
        Self {
            name,
            limit,
            // A word and two numbers are always a valid header value.
            policy: HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("")),
            limiter: RateLimiter::new(limit.quota(), DashMapStateStore::default(), clock.clone()),
            clock,
            until_sweep: AtomicU32::new(SWEEP_EVERY),
            crowded: AtomicBool::new(false),
        }
    }

    fn count(&self, client: IpAddr) -> Counted {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.sweep();
        }
        let key = network_of(client, self.crowded.load(Ordering::Relaxed));
        let (left, wait) = match self.limiter.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(self.clock.now()))),
        };
        let full_in = self.limit.period().saturating_mul(self.limit.burst().saturating_sub(left));
        let state = format!("\"{}\";r={left};t={}", self.name, whole_seconds(full_in));
        Counted { policy: self.policy.clone(), state: HeaderValue::from_str(&state).ok(), wait }
    }

    fn sweep(&self) {
        self.until_sweep.store(SWEEP_EVERY, Ordering::Relaxed);
        self.limiter.retain_recent();
        self.crowded.store(self.limiter.len() > MAX_ADDRESSES, Ordering::Relaxed);
    }
}

/// A request that was counted, and what to tell about that.
pub(crate) struct Counted {
    policy: HeaderValue,
    state: Option<HeaderValue>,
    wait: Option<Duration>,
}

impl Counted {
    /// How long to wait, if this was one too many.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): `q` requests
    /// at once, all of them again after `w` seconds; `r` are left, all of them again in `t`.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-policy"), self.policy);
        if let Some(state) = self.state {
            headers.insert(HeaderName::from_static("ratelimit"), state);
        }
    }
}

/// Rounded up, for somebody who waits that long.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Whom an address belongs to: IPv6 is given out by the /64. In a crowd the provider, by the size
/// of networks that those hold at least.
fn network_of(client: IpAddr, crowded: bool) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(if crowded { Ipv4Addr::from_bits(ip.to_bits() & !0xffff) } else { ip }),
        IpAddr::V6(ip) => {
            let keep: u32 = if crowded { 32 } else { 64 };
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - keep))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn bucket(limit: &str) -> (Bucket<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = <Limit as petspark_core::config::Value>::parse(limit).unwrap();
        (Bucket::new("general", limit, clock.clone()), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(counted: Counted) -> (String, String) {
        let mut headers = HeaderMap::new();
        counted.write(&mut headers);
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        (text("ratelimit-policy"), text("ratelimit"))
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_request_at_a_time() {
        let (bucket, clock) = bucket("10/1m burst 3");
        let first = bucket.count(ip("203.0.113.1"));
        assert_eq!(headers(first), ("\"general\";q=3;w=18".to_owned(), "\"general\";r=2;t=6".to_owned()));
        assert!((0..2).all(|_| bucket.count(ip("203.0.113.1")).wait().is_none()));
        let refused = bucket.count(ip("203.0.113.1"));
        assert_eq!(refused.wait(), Some(Duration::from_secs(6)));
        assert_eq!(headers(refused).1, "\"general\";r=0;t=18");
        assert!(bucket.count(ip("203.0.113.2")).wait().is_none(), "another address");
        clock.advance(Duration::from_millis(5999));
        assert_eq!(bucket.count(ip("203.0.113.1")).wait(), Some(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert!(bucket.count(ip("203.0.113.1")).wait().is_none());
        assert!(bucket.count(ip("203.0.113.1")).wait().is_some());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_a_mapped_address_as_what_it_is() {
        let (bucket, _) = bucket("1/1m burst 1");
        assert!(bucket.count(ip("2001:db8:0:1::1")).wait().is_none());
        assert!(bucket.count(ip("2001:db8:0:1:ffff::2")).wait().is_some());
        assert!(bucket.count(ip("2001:db8:0:2::1")).wait().is_none());
        assert!(bucket.count(ip("::ffff:203.0.113.1")).wait().is_none());
        assert!(bucket.count(ip("203.0.113.1")).wait().is_some());
    }

    #[test]
    fn addresses_with_nothing_on_them_are_forgotten() {
        let (bucket, clock) = bucket("60/1m burst 2");
        let address = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(n));
        (0..SWEEP_EVERY).for_each(|n| drop(bucket.count(address(n))));
        assert_eq!(bucket.limiter.len(), SWEEP_EVERY as usize);
        clock.advance(Duration::from_secs(10));
        (0..SWEEP_EVERY).for_each(|_| drop(bucket.count(address(0))));
        assert_eq!(bucket.limiter.len(), 1);
    }

    #[test]
    fn a_crowd_of_addresses_is_counted_by_networks() {
        let (bucket, _) = bucket("1/1h burst 1");
        let crowd = u32::try_from(MAX_ADDRESSES).unwrap() + SWEEP_EVERY;
        (0..crowd).for_each(|n| drop(bucket.count(IpAddr::V4(Ipv4Addr::from_bits(n)))));
        let before = bucket.limiter.len();
        (0..10_000).for_each(|n| drop(bucket.count(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)))));
        assert_eq!(bucket.limiter.len(), before + 1);
    }

    #[test]
    fn a_request_counts_by_its_route() {
        let class = |method: Method, route| Class::of(&method, Some(route));
        assert_eq!(class(Method::GET, "/healthz"), Class::Health);
        assert_eq!(class(Method::GET, "/backend/readyz"), Class::Health);
        assert_eq!(class(Method::GET, "/backend/media/{*key}"), Class::Media);
        assert_eq!(class(Method::PUT, "/media/{*key}"), Class::General);
        assert_eq!(class(Method::POST, "/api/v1/auth/login"), Class::Auth);
        assert_eq!(class(Method::POST, "/backend/api/v1/auth/refresh"), Class::Refresh);
        assert_eq!(class(Method::GET, "/api/v1/auth/me"), Class::Account);
        assert_eq!(class(Method::POST, "/api/v1/auth/logout"), Class::Account);
        assert_eq!(class(Method::POST, "/backend/api/v1/payments/webhook"), Class::Webhook);
        assert_eq!(class(Method::POST, "/api/v1/pets"), Class::General);
        assert_eq!(Class::of(&Method::GET, None), Class::General);
    }
}
