//! Sessions: what a client is told when it signs in, and the memory of which sessions are alive
//! that keeps the database out of every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;

use super::mfa::SecondFactorFor;
use super::user::{Role, User, UserStatus};
use crate::caller::{Caller, Origin, Proof};
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::error::{Failure as _, Fault, Kind};
use crate::id::{SessionId, UserId};
use crate::secret::Secret;

text_enum! {
    /// What kind of program signed in.
    pub enum ClientKind {
        /// A browser.
        Web = "web",
        /// An app on iOS.
        Ios = "ios",
        /// An app on Android.
        Android = "android",
        /// A program at a terminal.
        Cli = "cli",
    }
}

/// What is known of the device that signs in; shown to the user in the list of their sessions.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// What kind of program, if it says.
    pub kind: Option<ClientKind>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// What the device calls itself, if it says.
    pub device_name: Option<String>,
    /// Where the request came from.
    pub origin: Origin,
    /// A refresh token that the device holds from before: its session ends when a new one begins.
    pub replaces: Option<Secret>,
}

impl Client {
    /// Whoever is at that device, before they have proven who they are.
    pub(super) fn caller(&self) -> Caller {
        Caller::anonymous().from(self.origin.clone())
    }
}

/// A new session's tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Goes with every request as `Authorization: Bearer`.
    pub access: Secret,
    /// How long the access token is valid.
    pub access_ttl: Duration,
    /// Gets the next pair of tokens. Using it invalidates it.
    pub refresh: Secret,
    /// How long the session can live, however much it is used.
    pub refresh_ttl: Duration,
}

/// A user and the session they just began.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who signed in.
    pub user: User,
    /// What they sign their requests with.
    pub tokens: Tokens,
}

/// What a request needs to know of its session.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct SessionState {
    pub(super) user_id: UserId,
    pub(super) revoked: bool,
    pub(super) role: Role,
    pub(super) status: UserStatus,
    pub(super) deleted: bool,
    pub(super) session_version: i64,
    pub(super) authenticated_at: Timestamp,
    pub(super) second_factor_at: Option<Timestamp>,
    #[sqlx(try_from = "i64")]
    pub(super) acknowledged: Acknowledged,
}

/// The newest generation whose access token was used, as far as this process knows.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged(Arc<AtomicI64>);

impl From<i64> for Acknowledged {
    fn from(generation: i64) -> Self {
        Self(Arc::new(AtomicI64::new(generation)))
    }
}

impl Acknowledged {
    /// Whether `generation` is newer; to one of those who ask at the same time.
    pub(super) fn advance_to(&self, generation: i64) -> bool {
        // Reading first: nearly every request has an old generation, and shares this with others.
        self.0.load(Ordering::Relaxed) < generation && self.0.fetch_max(generation, Ordering::Relaxed) < generation
    }
}

impl SessionState {
    /// How the user proved who they are, where a role may need a second factor.
    pub(super) fn proof(&self, required_for: SecondFactorFor) -> Proof {
        Proof {
            authenticated_at: self.authenticated_at,
            second_factor_at: self.second_factor_at,
            role_withheld: self.second_factor_at.is_none() && required_for.includes(self.role),
        }
    }

    /// Whether an access token of this user and session version counts.
    pub(super) fn accepts(&self, user: UserId, session_version: i64) -> bool {
        self.user_id == user
            && !self.revoked
            && !self.deleted
            && self.status == UserStatus::Active
            && self.session_version == session_version
    }
}

/// Session states seen lately. What this process changes is forgotten at once; a change by
/// another process is noticed when the entry's time is over.
pub(super) struct SessionStates {
    seen: Cache<SessionId, Seen>,
    /// When a session was last forgotten. A look-up that began before may still be on its way,
    /// with what was true then, and must not be believed.
    forgotten: Cache<SessionId, u64>,
    all_forgotten: AtomicU64,
    /// Counts what was forgotten: our notion of before and after.
    now: AtomicU64,
}

#[derive(Clone)]
struct Seen {
    at: u64,
    state: Option<SessionState>,
}

/// Sessions remembered at most; about 15 MB.
const CAPACITY: u64 = 100_000;
/// Longer than any look-up takes.
const LOOK_UP: Duration = Duration::from_secs(120);

impl SessionStates {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            seen: Cache::builder().max_capacity(CAPACITY).time_to_live(ttl).build(),
            forgotten: Cache::builder().max_capacity(CAPACITY).time_to_live(ttl + LOOK_UP).build(),
            all_forgotten: AtomicU64::new(0),
            now: AtomicU64::new(0),
        }
    }

    /// The state of `session`, from memory or by `look_up`; callers that ask for the same one at
    /// the same time share one look-up. If it can't be known the answer is an error, never a pass.
    pub(super) async fn get<F>(
        &self,
        session: SessionId,
        look_up: impl Fn() -> F,
    ) -> Result<Option<SessionState>, Fault>
    where
        F: Future<Output = Result<Option<SessionState>, Fault>>,
    {
        // Each round but the first means that the session was forgotten meanwhile.
        for _ in 0..4 {
            let look = async {
                let at = self.now.load(Ordering::SeqCst);
                look_up().await.map(|state| Seen { at, state })
            };
            let seen = self.seen.try_get_with(session, look).await.map_err(|fault| shared(&fault))?;
            if !self.is_outdated(session, seen.at).await {
                return Ok(seen.state);
            }
            self.seen.invalidate(&session).await;
        }
        Err(Fault::unavailable("the session changes faster than it can be looked up"))
    }

    async fn is_outdated(&self, session: SessionId, at: u64) -> bool {
        at < self.all_forgotten.load(Ordering::SeqCst)
            || self.forgotten.get(&session).await.is_some_and(|forgotten| at < forgotten)
    }

    pub(super) async fn forget(&self, session: SessionId) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.forgotten.insert(session, now).await;
        self.seen.invalidate(&session).await;
    }

    pub(super) fn forget_all(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.all_forgotten.fetch_max(now, Ordering::SeqCst);
        self.seen.invalidate_all();
    }
}

/// The fault of a shared look-up: each who waited for it gets its words.
pub(super) fn shared(fault: &Fault) -> Fault {
    match fault.kind() {
        Kind::Unavailable => Fault::unavailable(fault.chain()),
        _ => Fault::internal(fault.chain()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(revoked: bool) -> SessionState {
        SessionState {
            user_id: UserId::new(),
            revoked,
            role: Role::User,
            status: UserStatus::Active,
            deleted: false,
            session_version: 0,
            authenticated_at: Timestamp::from_micros(0),
            second_factor_at: None,
            acknowledged: 0.into(),
        }
    }

    #[tokio::test]
    async fn a_look_up_that_began_before_the_session_ended_is_not_believed() {
        for forget_all in [false, true] {
            let states = SessionStates::new(Duration::from_secs(60));
            let session = SessionId::new();
            let revoked = std::cell::Cell::new(false);
            let (arrived, go_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
            let slow = || async {
                let seen = state(revoked.get());
                arrived.notify_one();
                go_on.notified().await;
                Ok(Some(seen))
            };
            let reader = states.get(session, slow);
            let writer = async {
                arrived.notified().await;
                revoked.set(true);
                if forget_all {
                    states.forget_all();
                } else {
                    states.forget(session).await;
                }
                go_on.notify_one();
                arrived.notified().await;
                go_on.notify_one();
            };
            let (seen, ()) = tokio::join!(reader, writer);
            assert!(seen.unwrap().unwrap().revoked);
            let again = states.get(session, || async { Err(Fault::internal("it is known by now")) }).await;
            assert!(again.unwrap().unwrap().revoked);
        }
    }
}
