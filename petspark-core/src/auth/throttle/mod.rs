//! Slowing down who guesses: at passwords, at which addresses have accounts, and with mails as a
//! weapon. Counted in the database, so that all servers share the limits and a restart forgives
//! nothing. What is worth counting is decided by who calls this; general limits per address, for
//! every request, are the front door's business.
//!
//! An attempt is counted before its password is looked at, and given back if it was right: of
//! fifty guesses at the same moment five are looked at. A refused attempt counts for nothing, so
//! that hammering prolongs no wait, and from one address nobody can slow down an account for
//! others. Unknown addresses are counted like known ones. E-mail addresses are kept as an HMAC;
//! IP addresses are kept as they are, for hours, because an operator has to see who is refused.

mod limits;
mod operator;
mod purge;
mod store;

pub use limits::{Bucket, Limit, ThrottleSettings};
pub use operator::{Throttled, WhichThrottles};
pub(crate) use purge::Purge;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use moka::future::Cache;
use sha2::Sha256;

use limits::Counted;
use store::{Key, Row, SUBJECT_LEN};

use super::AuthError;
use super::keys::DerivedKey;
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Database, Tx};
use crate::error::Fault;

/// How many refused keys are remembered for the audit log.
const REMEMBERED_REFUSALS: u64 = 10_000;

pub(crate) struct Throttle {
    db: Database,
    mac: Hmac<Sha256>,
    settings: ThrottleSettings,
    /// How often each key was refused in its window, so that a flood is not written down one by one.
    refusals: Cache<(Key, Timestamp), Arc<AtomicU64>>,
}

/// Which row refuses, and for how long.
struct Refusal {
    key: Key,
    ends_at: Timestamp,
    wait: Duration,
}

impl Throttle {
    /// `key` must be the same in every process, and no other's.
    pub(super) fn new(db: Database, key: &DerivedKey, settings: ThrottleSettings) -> Result<Self, Fault> {
        Ok(Self {
            db,
            mac: Hmac::new_from_slice(&*key.key).map_err(Fault::internal)?,
            settings,
            refusals: Cache::builder().max_capacity(REMEMBERED_REFUSALS).time_to_idle(Duration::from_secs(900)).build(),
        })
    }

    /// Lets an attempt to sign in pass, and counts it. To be called before the password is looked
    /// at, and followed by [`Throttle::failed`], [`Throttle::succeeded`] or [`Throttle::undo`].
    ///
    /// # Errors
    /// [`AuthError::TooMany`], which is also written to the audit log.
    pub(super) async fn admit(&self, caller: &Caller, email: &str, now: Timestamp) -> Result<(), AuthError> {
        let keys = self.sign_in_keys(caller, email);
        let mut refusal = self.count(&keys, true, now).await?;
        // The owner isn't slowed down by others: they come from where they came from before.
        if matches!(&refusal, Some(refusal) if refusal.key.bucket == Bucket::Account)
            && self.is_at_home(caller, email, now).await?
        {
            refusal = self.count(&keys, false, now).await?;
        }
        match refusal {
            None => Ok(()),
            Some(refusal) => Err(self.refuse(refusal, caller, Action::LoginFailMax, now).await?),
        }
    }

    /// The password was wrong. Stops an address that tries one account after the other.
    pub(super) async fn failed(&self, tx: &mut Tx, caller: &Caller, now: Timestamp) -> Result<(), Fault> {
        let Some(ip) = caller.origin().ip.map(network) else { return Ok(()) };
        let since = now.before(self.settings.spray.window);
        let ends_at = now.after(self.settings.spray_block);
        store::block_sprayer(tx, &ip, self.settings.spray.count, since, now, ends_at).await
    }

    /// The password was right, and so was the second factor if there is one: this attempt wasn't
    /// a failure, and those before it from the same address on the same account are forgiven.
    pub(crate) async fn succeeded(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        email: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if self.settings.strict {
            return Ok(());
        }
        store::give_back(tx, &self.sign_in_keys(caller, email), true, now).await
    }

    /// The password wasn't looked at after all.
    pub(super) async fn undo(&self, caller: &Caller, email: &str, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.db.begin().await?;
        store::give_back(&mut tx, &self.sign_in_keys(caller, email), false, now).await?;
        tx.commit().await
    }

    /// Lets a request for a registration or a mail pass, and counts it, by where it comes from and
    /// by the address that it is about.
    ///
    /// # Errors
    /// [`AuthError::TooMany`], which is also written to the audit log.
    pub(crate) async fn check(
        &self,
        caller: &Caller,
        bucket: Bucket,
        email: &str,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let mut keys = vec![Key { bucket, subject: self.subject(email), ip: String::new() }];
        keys.extend(caller.origin().ip.map(|ip| Key { bucket, subject: Vec::new(), ip: network(ip) }));
        match self.count(&keys, true, now).await? {
            None => Ok(()),
            Some(refusal) => Err(self.refuse(refusal, caller, Action::RateLimitExceeded, now).await?),
        }
    }

    /// Forgets what was counted about somebody: they proved that the address is theirs.
    pub(crate) async fn forget(&self, tx: &mut Tx, email: &str) -> Result<u64, Fault> {
        store::clear_subject(tx, &self.subject(email)).await
    }

    /// The rows of a sign-in. Without an IP address only the account itself can be counted.
    fn sign_in_keys(&self, caller: &Caller, email: &str) -> Vec<Key> {
        let subject = self.subject(email);
        let mut keys = vec![Key { bucket: Bucket::Account, subject: subject.clone(), ip: String::new() }];
        if let Some(ip) = caller.origin().ip.map(network) {
            keys.insert(0, Key { bucket: Bucket::Pair, subject, ip: ip.clone() });
            keys.push(Key { bucket: Bucket::Ip, subject: Vec::new(), ip });
        }
        keys
    }

    /// Counts one more for each key, unless one of them has to wait: then nothing is counted.
    async fn count(&self, keys: &[Key], slow_account: bool, now: Timestamp) -> Result<Option<Refusal>, Fault> {
        // First without writing: who is refused shall cost as little as possible.
        let mut looked_at = keys.to_vec();
        if let Some(key) = keys.iter().find(|key| key.bucket == Bucket::Ip) {
            looked_at.push(Key { bucket: Bucket::Spray, ..key.clone() });
        }
        let rows = store::find(&self.db, &looked_at).await?;
        let refusal = self.refusal(rows, slow_account, now);
        if refusal.is_some() {
            return Ok(refusal);
        }
        let rows: Vec<_> =
            keys.iter().map(|key| (key.clone(), now.after(self.settings.window(key.bucket, key.is_by_ip())))).collect();
        let mut tx = self.db.begin().await?;
        let counted = store::count(&mut tx, &rows, now).await?;
        // As each row was before this attempt: somebody may have been quicker since it was read.
        let before = counted.into_iter().map(|row| Row { count: row.count - 1, last_at: row.previous_at, ..row });
        let refusal = self.refusal(before, slow_account, now);
        if refusal.is_none() {
            tx.commit().await?;
        }
        Ok(refusal)
    }

    /// What refuses: rather anything than the account's delay, of which some are exempt, and then
    /// what takes longest.
    fn refusal(&self, rows: impl IntoIterator<Item = Row>, slow_account: bool, now: Timestamp) -> Option<Refusal> {
        rows.into_iter()
            .filter(|row| slow_account || row.bucket != Bucket::Account)
            .filter_map(|row| {
                let wait = self.settings.wait(&row.counted(), now)?;
                let key = Key { bucket: row.bucket, subject: row.subject, ip: row.ip };
                Some(Refusal { key, ends_at: row.ends_at, wait })
            })
            .max_by_key(|refusal| (refusal.key.bucket != Bucket::Account, refusal.wait))
    }

    /// Whether the account's owner has signed in from this network before.
    async fn is_at_home(&self, caller: &Caller, email: &str, now: Timestamp) -> Result<bool, Fault> {
        let Some(here) = caller.origin().ip.map(network) else { return Ok(false) };
        let own = store::own_ips(&self.db, &normal(email), now).await?;
        Ok(own.iter().filter_map(|ip| ip.parse().ok()).any(|ip| network(ip) == here))
    }

    /// Writes down the 1st, 10th, 100th ... refusal of a key in its window.
    async fn refuse(
        &self,
        refusal: Refusal,
        caller: &Caller,
        action: Action,
        now: Timestamp,
    ) -> Result<AuthError, Fault> {
        let Refusal { key, ends_at, wait } = refusal;
        let bucket = key.bucket;
        let counter = self.refusals.get_with((key, ends_at), async { Arc::default() }).await;
        let refused = counter.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(%bucket, refused, wait_s = wait.as_secs(), "throttled");
        if 10_u64.pow(refused.ilog10()) == refused {
            let event = Event::new(action).failed().detail("bucket", bucket.as_str()).detail("refused", refused);
            audit::record_now(&self.db, now, caller, event).await?;
        }
        Ok(AuthError::too_many(wait))
    }

    /// An e-mail address as it is kept: so that nobody can read it, and the same in every process.
    fn subject(&self, email: &str) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(normal(email).as_bytes());
        mac.finalize().into_bytes()[..SUBJECT_LEN].to_vec()
    }
}

impl Key {
    fn is_by_ip(&self) -> bool {
        self.subject.is_empty()
    }
}

impl Row {
    fn counted(&self) -> Counted {
        Counted {
            bucket: self.bucket,
            by_ip: self.subject.is_empty(),
            count: u32::try_from(self.count).unwrap_or(0),
            ends_at: self.ends_at,
            last_at: self.last_at,
        }
    }
}

/// An address as somebody typed it, without what makes no difference.
fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_address_and_an_ipv4_one_is_in_any_notation() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.5"), "203.0.113.5");
    }
}
