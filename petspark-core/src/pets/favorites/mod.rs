//! Pets that somebody likes: marking them, and finding them again. A favourite that its user may
//! not see any more is kept, unseen: it is there again when the pet or the block's end brings it back.

mod store;

use super::pet::Pet;
use super::{PetError, Pets, viewer};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::id::PetId;
use crate::page::{Key, Page, PageRequest};

impl Pets {
    /// Puts a pet among the caller's favourites, where it may be already.
    ///
    /// # Errors
    /// [`PetError::NotFound`], also for one that the caller may not see.
    pub async fn add_favorite(&self, caller: &Caller, id: PetId) -> Result<(), PetError> {
        let user = caller.user_id().ok_or(Denied::Unauthenticated)?;
        self.get(caller, id).await?;
        store::insert(&self.db, user, id, self.clock.now()).await?;
        Ok(())
    }

    /// Takes a pet from the caller's favourites, whether or not they can still see it.
    ///
    /// # Errors
    /// [`PetError::NotFound`] for one that isn't among them and that the caller may not see.
    pub async fn remove_favorite(&self, caller: &Caller, id: PetId) -> Result<(), PetError> {
        let user = caller.user_id().ok_or(Denied::Unauthenticated)?;
        match store::delete(&self.db, user, id).await? {
            true => Ok(()),
            false => self.get(caller, id).await.map(drop),
        }
    }

    /// The caller's favourites, as far as they may see them; the last chosen first.
    ///
    /// # Errors
    /// [`PetError::Invalid`] for a cursor that belongs to another list.
    pub async fn favorites(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Pet>, PetError> {
        let user = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let list = self.cursors.list(&("favorites", user));
        let after = page.after_key(&list)?;
        let sees_hidden = caller.may(Permission::ManagePets);
        let rows = store::list(&self.db, user, viewer(caller), sees_hidden, page, after).await?;
        let key = |row: &store::Favorite| Key { at: row.favorited_at, id: row.pet.id };
        Ok(Page::of(page, rows, None, key, &list).map(|row| row.pet))
    }
}
