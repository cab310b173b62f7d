//! Who doesn't want to meet whom. Neither of two people with a block between them sees the
//! other's pets, from the moment that it is there; that they don't, `pets` sees to.

use super::{People, store};
use crate::auth::Denied;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Fault, FieldErrors, failure};
use crate::id::UserId;
use crate::page::{Key, Page, PageRequest, invalid_page};

/// Somebody whom the caller blocks.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Blocked {
    /// Who.
    pub id: UserId,
    /// The name others see.
    pub display_name: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// Why somebody can't be blocked, or the list not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Oneself, or a cursor that is none.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// Nobody who could be met.
    #[error("There is no such user.")]
    NotFound,
    /// See [`People::MAX_BLOCKS`].
    #[error("You can't block more than {} people.", People::MAX_BLOCKS)]
    TooMany,
    /// No user is asking.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    BlockError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        NotFound => (Kind::NotFound, "AUTH_007"),
        TooMany => (Kind::Conflict, "USER_001"),
    },
    asks { Denied(denied), Fault(fault) }
}

invalid_page!(BlockError);

impl People {
    /// Most people whom one user can block. Some more get through if they are blocked at the
    /// same moment.
    pub const MAX_BLOCKS: u32 = 10_000;

    /// Keeps the caller and a user from seeing each other's pets. Moderators and administrators
    /// go on seeing everything. Blocking twice is blocking once.
    ///
    /// # Errors
    /// [`BlockError::NotFound`], [`BlockError::TooMany`]; [`BlockError::Invalid`] for oneself.
    pub async fn block(&self, caller: &Caller, user: UserId) -> Result<(), BlockError> {
        let own = caller.user_id().ok_or(Denied::Unauthenticated)?;
        if own == user {
            return Err(BlockError::Invalid(FieldErrors::one("id", "must be somebody else")));
        }
        if store::add_block(&self.db, own, user, i64::from(Self::MAX_BLOCKS), self.clock.now()).await? {
            return Ok(());
        }
        match store::is_blocked(&self.db, own, user).await? {
            Some(true) => Ok(()),
            Some(false) => Err(BlockError::TooMany),
            None => Err(BlockError::NotFound),
        }
    }

    /// Takes a block back, if there is one.
    ///
    /// # Errors
    /// [`BlockError::Denied`] when no user is asking.
    pub async fn unblock(&self, caller: &Caller, user: UserId) -> Result<(), BlockError> {
        let own = caller.user_id().ok_or(Denied::Unauthenticated)?;
        Ok(store::remove_block(&self.db, own, user).await?)
    }

    /// Whom the caller blocks, the last first.
    ///
    /// # Errors
    /// [`BlockError::Invalid`] for a foreign cursor.
    pub async fn blocked(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Blocked>, BlockError> {
        let own = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let list = self.auth.cursors().list(&("blocked", own));
        let rows = store::list_blocked(&self.db, own, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, |row| Key { at: row.created_at, id: row.id }, &list))
    }
}
