//! Who is asking. Every service method that has a rule takes a [`Caller`] and decides by it.

use crate::auth::Role;
use crate::id::{SessionId, UserId};

/// Who is asking: a signed-in user, an operator at a terminal, or the system itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Who);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    User { id: UserId, role: Role, session: SessionId },
    Operator { name: String },
}

impl Caller {
    /// A user who proved to be one; made by [`Auth::authenticate`](crate::auth::Auth::authenticate).
    pub(crate) fn user(id: UserId, role: Role, session: SessionId) -> Self {
        Self(Who::User { id, role, session })
    }

    /// Somebody with the database's own credentials in their hands, who may do anything; `name`
    /// says who, for the record.
    pub fn operator(name: impl Into<String>) -> Self {
        Self(Who::Operator { name: name.into() })
    }

    /// The user, if it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        match self.0 {
            Who::User { id, .. } => Some(id),
            Who::Operator { .. } => None,
        }
    }

    /// The session, if a user is asking.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match self.0 {
            Who::User { session, .. } => Some(session),
            Who::Operator { .. } => None,
        }
    }

    /// Whether the caller has at least this role. An operator has every role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        match &self.0 {
            Who::User { role: own, .. } => *own >= role,
            Who::Operator { .. } => true,
        }
    }

    /// Whether this is that user.
    #[must_use]
    pub fn is(&self, user: UserId) -> bool {
        self.user_id() == Some(user)
    }
}

/// For logs and audit: `user:<id>` or the operator's name.
impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Who::User { id, .. } => write!(f, "user:{id}"),
            Who::Operator { name } => f.write_str(name),
        }
    }
}
