//! What an operator sees of throttles, and how they lift them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::store::{self, Row};
use super::{Bucket, Throttle};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{Auth, AuthError, Email, Permission};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::{Fault, FieldErrors};
use crate::text::hex;

/// Something that is being counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// What.
    pub bucket: Bucket,
    /// About whom: the first 8 hexadecimal digits of the HMAC of their e-mail address, the same
    /// in every row about them; `None` for nobody in particular.
    pub subject: Option<String>,
    /// From where: an IPv4 address or the first of an IPv6 /64; `None` for anywhere.
    pub ip: Option<String>,
    /// How often.
    pub count: u64,
    /// When it was counted last.
    pub last_at: Timestamp,
    /// When it is forgotten.
    pub ends_at: Timestamp,
    /// Until when it is refused; `None` if it isn't.
    pub refused_until: Option<Timestamp>,
}

/// Which throttles to lift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichThrottles {
    /// Those about one account: its id, or an e-mail address, whoever's.
    User(String),
    /// Those about addresses in a network.
    Network(IpNet),
    /// All.
    All,
}

impl WhichThrottles {
    /// Those about an address, or about the addresses in a network such as `203.0.113.0/24`.
    ///
    /// # Errors
    /// What was expected, for a person.
    pub fn network(text: &str) -> Result<Self, &'static str> {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Self::Network).ok_or("must be an IP address or a network such as 203.0.113.0/24")
    }
}

impl Auth {
    /// What is being counted now, and who is refused; for one account, or everything.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`] for an id that is nobody's, [`AuthError::Invalid`] for what can
    /// be no address; [`AuthError::Forbidden`] without [`Permission::ManageUsers`].
    pub async fn list_throttles(&self, caller: &Caller, user: Option<&str>) -> Result<Vec<Throttled>, AuthError> {
        caller.require(Permission::ManageUsers)?;
        let throttle = &self.0.throttle;
        let subject = match user {
            Some(user) => Some(throttle.subject(&self.throttled_email(caller, user).await?)),
            None => None,
        };
        let now = self.0.clock.now();
        let rows = store::list(&self.0.db, subject.as_deref(), now).await?;
        Ok(rows.into_iter().map(|row| throttle.shown(row, now)).collect())
    }

    /// Lifts throttles, and says how many. Takes effect on every server at once.
    ///
    /// # Errors
    /// As [`Auth::list_throttles`].
    pub async fn clear_throttles(&self, caller: &Caller, which: &WhichThrottles) -> Result<u64, AuthError> {
        let (tx, cleared) = self.clear(caller, which).await?;
        tx.commit().await?;
        Ok(cleared)
    }

    /// What [`Auth::clear_throttles`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::list_throttles`].
    pub async fn preview_clear_throttles(&self, caller: &Caller, which: &WhichThrottles) -> Result<u64, AuthError> {
        Ok(self.clear(caller, which).await?.1)
    }

    async fn clear(&self, caller: &Caller, which: &WhichThrottles) -> Result<(Tx, u64), AuthError> {
        caller.require(Permission::ManageUsers)?;
        let event = Event::new(Action::ThrottleCleared);
        let (email, event) = match which {
            WhichThrottles::User(user) => {
                let email = self.throttled_email(caller, user).await?;
                let known = self.get_user(caller, &email).await;
                (email, event.on(known.ok().map(|user| Subject::User(user.id))))
            }
            WhichThrottles::Network(network) => (String::new(), event.detail("network", network.to_string())),
            WhichThrottles::All => (String::new(), event.detail("all", true)),
        };
        let mut tx = self.0.db.begin().await?;
        let cleared = match which {
            WhichThrottles::User(_) => self.0.throttle.forget(&mut tx, &email).await?,
            WhichThrottles::Network(network) => clear_network(&mut tx, network).await?,
            WhichThrottles::All => store::clear_all(&mut tx).await?,
        };
        audit::record(&mut tx, self.0.clock.now(), caller, event.detail("cleared", cleared)).await?;
        Ok((tx, cleared))
    }

    /// The address that somebody's throttles are about. It needn't be a user's.
    async fn throttled_email(&self, caller: &Caller, user: &str) -> Result<String, AuthError> {
        if let Ok(email) = Email::parse(user) {
            return Ok(email.as_str().to_owned());
        }
        match self.get_user(caller, user).await {
            Ok(user) => Ok(user.email),
            Err(AuthError::UserNotFound) if user.parse::<uuid::Uuid>().is_err() => {
                Err(AuthError::Invalid(FieldErrors::one("user", "must be a user's id or an e-mail address")))
            }
            Err(error) => Err(error),
        }
    }
}

async fn clear_network(tx: &mut Tx, network: &IpNet) -> Result<u64, Fault> {
    let mut cleared = 0;
    for ip in store::ips(tx).await? {
        if ip.parse().is_ok_and(|parsed: IpAddr| covers(network, parsed)) {
            cleared += store::clear_ip(tx, &ip).await?;
        }
    }
    Ok(cleared)
}

/// Whether a row's address lies in the network, or the network in the /64 that the row is about.
fn covers(network: &IpNet, row: IpAddr) -> bool {
    network.contains(&row) || matches!(row, IpAddr::V6(_)) && IpNet::new(row, 64).is_ok_and(|row| row.contains(network))
}

impl Throttle {
    fn shown(&self, row: Row, now: Timestamp) -> Throttled {
        let wait = self.settings.wait(&row.counted(), now);
        let digits = hex(&row.subject[..row.subject.len().min(4)]);
        Throttled {
            bucket: row.bucket,
            subject: (!row.subject.is_empty()).then_some(digits),
            ip: (!row.ip.is_empty()).then_some(row.ip),
            count: u64::try_from(row.count).unwrap_or(0),
            last_at: row.last_at,
            ends_at: row.ends_at,
            refused_until: wait.map(|wait| now.after(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_covers_the_rows_in_it_and_an_ipv6_host_its_own_64() {
        let covers = |network: &str, row: &str| covers(&network.parse().unwrap(), row.parse().unwrap());
        assert!(covers("203.0.113.0/24", "203.0.113.5") && !covers("203.0.113.0/24", "203.0.114.5"));
        assert!(covers("2001:db8::/32", "2001:db8:1:2::"));
        assert!(covers("2001:db8:1:2::77/128", "2001:db8:1:2::"));
        assert!(!covers("2001:db8:1:3::77/128", "2001:db8:1:2::"));
    }
}
