//! What a refresh token is worth, by what the database says of its session. Renewing acts by it, and whoever
//! inspects a token is told it; that only one of many callers renews is for the statement in the store.

use std::time::Duration;

use super::refresh_token::Presented;
use super::store::SessionRow;
use super::user::UserStatus;
use crate::clock::Timestamp;

/// What comes of presenting a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is the session's present one.
    Renews,
    /// It was used already: the answer got lost, or another tab was quicker. Gives what that gave.
    SameAgain,
    /// The session was ended, or its user may not sign in.
    SessionEnded,
    /// The session wasn't renewed for too long, or was begun too long ago.
    SessionExpired,
    /// Signed by us, yet the database is older: it was restored, or a key leaked.
    Newer,
    /// Outdated on purpose a moment ago, by a new password or a second factor.
    Overtaken,
    /// Used already, by somebody else than who has its successor: the session ends.
    Stolen,
}

impl Worth {
    pub(super) fn of(presented: Presented, row: &SessionRow, now: Timestamp, grace: Duration) -> Self {
        if row.revoked_at.is_some() || row.deleted || row.status != UserStatus::Active {
            return Self::SessionEnded;
        }
        if row.expires_at() <= now {
            return Self::SessionExpired;
        }
        if row.generation <= presented.generation {
            return if row.generation == presented.generation { Self::Renews } else { Self::Newer };
        }
        let is_recent = now.since(row.rotated_at) <= grace;
        if presented.generation < row.floor_generation {
            let nothing_since = row.generation == row.floor_generation;
            return if is_recent && nothing_since { Self::Overtaken } else { Self::Stolen };
        }
        let is_predecessor = row.generation == presented.generation + 1;
        let has_arrived = row.acknowledged_generation >= row.generation;
        if is_predecessor && (is_recent || !has_arrived) { Self::SameAgain } else { Self::Stolen }
    }

    /// Whether it gets the next pair of tokens.
    pub(super) fn is_renewed(self) -> bool {
        matches!(self, Self::Renews | Self::SameAgain)
    }
}

impl SessionRow {
    /// When it ends by itself.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.idle_expires_at.min(self.absolute_expires_at)
    }
}
