//! Who is asking, and from where. Every service method that has a rule takes a [`Caller`] and
//! decides by it; what it did is written down under the caller's name.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{Denied, Permission, Role, Scopes};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, UserId};

/// Who is asking: a signed-in user, another service by its API key, nobody in particular, an
/// operator at a terminal, or the system itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    who: Who,
    origin: Origin,
}

/// Where a request comes from, for the record. Nothing is allowed or refused to a [`Caller`] by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, proxies seen through.
    pub ip: Option<IpAddr>,
    /// What the request is called in the log.
    pub request_id: Option<Arc<str>>,
}

/// How a user's session proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// When the password was last given in this session.
    pub(crate) authenticated_at: Timestamp,
    /// When a second factor was last given in this session, if ever.
    pub(crate) second_factor_at: Option<Timestamp>,
    /// The user's role needs a second factor, and this session has none: it counts for nothing.
    pub(crate) role_withheld: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    User { id: UserId, role: Role, session: SessionId, proof: Proof },
    Operator { name: String },
    ApiKey { id: ApiKeyId, scopes: Scopes },
    System,
}

impl Caller {
    /// A user who proved to be one; made by [`Auth::authenticate`](crate::auth::Auth::authenticate).
    pub(crate) fn user(id: UserId, role: Role, session: SessionId, proof: Proof) -> Self {
        Who::User { id, role, session, proof }.into()
    }

    /// A service that proved to have a key; made by [`Auth::authenticate`](crate::auth::Auth::authenticate).
    pub(crate) fn api_key(id: ApiKeyId, scopes: Scopes) -> Self {
        Who::ApiKey { id, scopes }.into()
    }

    /// Nobody who has proven anything: signing in, asking for a new password.
    #[must_use]
    pub fn anonymous() -> Self {
        Who::Anonymous.into()
    }

    /// PetSpark itself, in a job. May do anything.
    #[must_use]
    pub fn system() -> Self {
        Who::System.into()
    }

    /// Somebody with the database's own credentials in their hands, who may do anything; `name`
    /// says who, for the record: `cli:USER@HOST`.
    pub fn operator(name: impl Into<String>) -> Self {
        Who::Operator { name: name.into() }.into()
    }

    /// The same caller, asking from there.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Where the request comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The user, if it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        match self.who {
            Who::User { id, .. } => Some(id),
            Who::Anonymous | Who::ApiKey { .. } | Who::Operator { .. } | Who::System => None,
        }
    }

    /// The session, if a user is asking.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match self.who {
            Who::User { session, .. } => Some(session),
            Who::Anonymous | Who::ApiKey { .. } | Who::Operator { .. } | Who::System => None,
        }
    }

    /// How the user proved who they are, if a user is asking.
    pub(crate) fn proof(&self) -> Option<Proof> {
        match self.who {
            Who::User { proof, .. } => Some(proof),
            Who::Anonymous | Who::ApiKey { .. } | Who::Operator { .. } | Who::System => None,
        }
    }

    /// Whether the caller has at least this role. An operator and the system have every role, an
    /// API key has none: services ask for a [permission](Caller::require). A user whose role needs
    /// a second factor has it only in a session that gave one.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        match &self.who {
            Who::User { role: own, proof, .. } => *own >= role && (role == Role::User || !proof.role_withheld),
            Who::Operator { .. } | Who::System => true,
            Who::Anonymous | Who::ApiKey { .. } => false,
        }
    }

    /// Lets those pass whose role or scopes allow this.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        let allowed = match &self.who {
            Who::Anonymous => return Err(Denied::Unauthenticated),
            Who::ApiKey { scopes, .. } => scopes.contains(permission),
            Who::User { .. } | Who::Operator { .. } | Who::System => self.has_role(permission.role()),
        };
        match allowed {
            true => Ok(()),
            false if self.lacks_second_factor_for(permission.role()) => Err(Denied::SecondFactorRequired),
            false => Err(Denied::Forbidden),
        }
    }

    /// Whether role or scopes allow this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.require(permission).is_ok()
    }

    /// Whether the caller would have this role if their session had a second factor.
    fn lacks_second_factor_for(&self, role: Role) -> bool {
        matches!(&self.who, Who::User { role: own, .. } if *own >= role) && !self.has_role(role)
    }

    /// Whether this is that user.
    #[must_use]
    pub fn is(&self, user: UserId) -> bool {
        self.user_id() == Some(user)
    }
}

impl From<Who> for Caller {
    fn from(who: Who) -> Self {
        Self { who, origin: Origin::default() }
    }
}

/// For logs and audit: `user:<id>`, `apikey:<id>`, the operator's name, `anonymous` or `system`.
impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.who {
            Who::User { id, .. } => write!(f, "user:{id}"),
            Who::Operator { name } => f.write_str(name),
            Who::ApiKey { id, .. } => write!(f, "apikey:{id}"),
            Who::Anonymous => f.write_str("anonymous"),
            Who::System => f.write_str("system"),
        }
    }
}
