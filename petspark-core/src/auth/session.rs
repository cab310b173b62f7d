//! Sessions: what a client is told when it signs in, and the memory of which sessions are alive
//! that keeps the database out of every request.

use std::net::IpAddr;
use std::time::Duration;

use moka::future::Cache;

use super::user::{Role, User, UserStatus};
use crate::database::text_enum;
use crate::error::Fault;
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
    /// Where the request came from.
    pub ip: Option<IpAddr>,
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
}

impl SessionState {
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
pub(super) struct SessionStates(Cache<SessionId, Option<SessionState>>);

/// Sessions remembered at most; about 15 MB.
const CAPACITY: u64 = 100_000;

impl SessionStates {
    pub(super) fn new(ttl: Duration) -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(ttl).build())
    }

    /// The state of `session`, from memory or by `look_up`; callers that ask for the same one at
    /// the same time share one look-up. If it can't be known the answer is an error, never a pass.
    pub(super) async fn get(
        &self,
        session: SessionId,
        look_up: impl Future<Output = Result<Option<SessionState>, Fault>>,
    ) -> Result<Option<SessionState>, Fault> {
        self.0.try_get_with(session, look_up).await.map_err(|fault| {
            // The fault is shared by all who waited; each gets its words.
            let words = fault.chain();
            match crate::error::Failure::kind(&*fault) {
                crate::error::Kind::Unavailable => Fault::unavailable(words),
                _ => Fault::internal(words),
            }
        })
    }

    pub(super) async fn forget(&self, session: SessionId) {
        self.0.invalidate(&session).await;
    }

    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}
