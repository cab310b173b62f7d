//! How often something may be tried, and how long to wait after that: settings and arithmetic,
//! without a database.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{Loader, Setting};
use crate::database::text_enum;

text_enum! {
    /// What is counted. In the order in which rows are locked.
    pub enum Bucket {
        /// Failed sign-ins to one account from one address.
        Pair = "pair",
        /// Failed sign-ins to one account from anywhere.
        Account = "account",
        /// Failed sign-ins from one address.
        Ip = "ip",
        /// Accounts that were tried in vain from one address.
        Spray = "spray",
        /// Registrations.
        Register = "register",
        /// Requests for a link to a new password.
        Forgot = "forgot",
        /// Requests for another verification mail.
        Resend = "resend",
    }
}

/// So many within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many; at least 1.
    pub count: u32,
    /// From the first of them on.
    pub window: Duration,
}

/// `auth.throttle.*`: when guessing is slowed down. Sources: ASVS 5.0 6.3.1, NIST SP 800-63B
/// section 5.2.2, and what peers do.
#[derive(Clone, Debug)]
pub struct ThrottleSettings {
    /// Counts successes like failures: so many sign-ins, whoever they are.
    pub strict: bool,
    /// Failures on one account from one address.
    pub pair: Limit,
    /// Failures from one address.
    pub ip: Limit,
    /// Failures on one account from anywhere, after which each attempt has to wait: 1 s, 2 s, 4 s ...
    pub account: Limit,
    /// The longest of those waits. An account is never locked.
    pub account_max_delay: Duration,
    /// Accounts tried in vain from one address.
    pub spray: Limit,
    /// How long that address is refused then.
    pub spray_block: Duration,
    /// Registrations, forgotten passwords and verification mails, each, from one address.
    pub requests_per_ip: Limit,
    /// The same for one e-mail address, wherever they come from.
    pub requests_per_email: Limit,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let limit = |count, seconds| Limit { count, window: Duration::from_secs(seconds) };
        Self {
            strict: false,
            pair: limit(5, 15 * MINUTE),
            ip: limit(30, 15 * MINUTE),
            account: limit(10, 24 * HOUR),
            account_max_delay: Duration::from_secs(MINUTE),
            spray: limit(15, 3 * HOUR),
            spray_block: Duration::from_secs(HOUR),
            requests_per_ip: limit(5, 15 * MINUTE),
            requests_per_email: limit(3, HOUR),
        }
    }
}

impl ThrottleSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let usual = Self::default();
        let mut limit = |count_key, window_key, usual: Limit, about: &'static str, window_about: &'static str| {
            let count = from.get(Setting { key: count_key, env: None, default: usual.count, about });
            let window = from.get(Setting { key: window_key, env: None, default: usual.window, about: window_about });
            if count == 0 {
                from.problem(count_key, "must be at least 1");
            }
            if window.is_zero() {
                from.problem(window_key, "must be longer than 0s");
            }
            Limit { count: count.max(1), window }
        };
        let pair = limit(
            "auth.throttle.pair_failures",
            "auth.throttle.pair_window",
            usual.pair,
            "Failed sign-ins to one account from one address, after which that address has to wait.",
            "From the first of those failures until they are forgotten.",
        );
        let ip = limit(
            "auth.throttle.ip_failures",
            "auth.throttle.ip_window",
            usual.ip,
            "Failed sign-ins from one address, to whichever accounts, after which it has to wait.",
            "From the first of those failures until they are forgotten.",
        );
        let account = limit(
            "auth.throttle.account_failures",
            "auth.throttle.account_window",
            usual.account,
            "Failed sign-ins to one account from anywhere, after which each attempt has to wait 1s, 2s, 4s and so on. Addresses from which its owner has signed in are exempt.",
            "From the first of those failures until they are forgotten.",
        );
        let spray = limit(
            "auth.throttle.spray_accounts",
            "auth.throttle.spray_window",
            usual.spray,
            "Accounts that one address may try in vain before it is refused altogether.",
            "How long an account that was tried in vain is remembered.",
        );
        let requests_per_ip = limit(
            "auth.throttle.requests_per_ip",
            "auth.throttle.requests_per_ip_window",
            usual.requests_per_ip,
            "Registrations from one address; likewise requests for a new password, and for another verification mail.",
            "From the first of those requests until they are forgotten.",
        );
        let requests_per_email = limit(
            "auth.throttle.requests_per_email",
            "auth.throttle.requests_per_email_window",
            usual.requests_per_email,
            "The same three for one e-mail address, wherever the requests come from.",
            "From the first of those requests until they are forgotten.",
        );
        Self {
            pair,
            ip,
            account,
            spray,
            requests_per_ip,
            requests_per_email,
            account_max_delay: from.get(Setting {
                key: "auth.throttle.account_max_delay",
                env: None,
                default: usual.account_max_delay,
                about: "The longest wait for an account that is being guessed at. It is never locked.",
            }),
            spray_block: from.get(Setting {
                key: "auth.throttle.spray_block",
                env: None,
                default: usual.spray_block,
                about: "How long an address is refused that tried too many accounts.",
            }),
            strict: from.get(Setting {
                key: "auth.throttle.strict",
                env: None,
                default: usual.strict,
                about: "Whether successful sign-ins count like failed ones.",
            }),
        }
    }

    /// How long a row of this bucket counts, from its first count on.
    pub(super) fn window(&self, bucket: Bucket, by_ip: bool) -> Duration {
        match bucket {
            Bucket::Spray => self.spray_block,
            _ => self.limit(bucket, by_ip).window,
        }
    }

    /// After what time a row that has ended can be of no use any more.
    pub(super) fn useful_for(&self) -> Duration {
        self.spray.window
    }

    fn limit(&self, bucket: Bucket, by_ip: bool) -> Limit {
        match bucket {
            Bucket::Pair => self.pair,
            Bucket::Account => self.account,
            Bucket::Ip => self.ip,
            Bucket::Spray => self.spray,
            Bucket::Register | Bucket::Forgot | Bucket::Resend if by_ip => self.requests_per_ip,
            Bucket::Register | Bucket::Forgot | Bucket::Resend => self.requests_per_email,
        }
    }

    /// How long to wait, if at all, after `count` attempts of which the last was at `last_at`, in
    /// a window that ends at `ends_at`.
    pub(super) fn wait(&self, row: &Counted, now: Timestamp) -> Option<Duration> {
        let limit = self.limit(row.bucket, row.by_ip);
        if row.ends_at <= now || row.count < limit.count {
            return None;
        }
        let until = match row.bucket {
            Bucket::Account => row.last_at.after(self.delay(row.count - limit.count)),
            _ => row.ends_at,
        };
        (until > now).then(|| until.since(now))
    }

    /// 1 s, doubled so many times.
    fn delay(&self, doublings: u32) -> Duration {
        Duration::from_secs(1_u64.checked_shl(doublings.min(63)).unwrap_or(u64::MAX)).min(self.account_max_delay)
    }
}

/// What was counted before the attempt in question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) bucket: Bucket,
    pub(super) by_ip: bool,
    pub(super) count: u32,
    pub(super) ends_at: Timestamp,
    pub(super) last_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_slowed_down_and_never_locked() {
        let settings = ThrottleSettings::default();
        let last_at = Timestamp::from_micros(0);
        let now = last_at.after(Duration::from_millis(1));
        let wait = |count| {
            let row = Counted {
                bucket: Bucket::Account,
                by_ip: false,
                count,
                ends_at: last_at.after(settings.account.window),
                last_at,
            };
            settings.wait(&row, now).map(|wait| wait.as_millis().div_ceil(1000))
        };
        assert_eq!(
            [0, 9, 10, 11, 12, 15, 16, 17].map(wait),
            [None, None, Some(1), Some(2), Some(4), Some(32), Some(60), Some(60)]
        );
        assert_eq!(wait(u32::MAX), Some(60));
    }

    #[test]
    fn a_window_that_is_over_counts_for_nothing() {
        let settings = ThrottleSettings::default();
        let now = Timestamp::from_micros(0);
        let row = |ends_at| Counted { bucket: Bucket::Pair, by_ip: true, count: 5, ends_at, last_at: now };
        assert_eq!(settings.wait(&row(now.after(Duration::from_secs(7))), now), Some(Duration::from_secs(7)));
        assert_eq!(settings.wait(&row(now), now), None);
    }
}
