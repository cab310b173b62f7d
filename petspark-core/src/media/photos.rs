//! Photos after they were uploaded: reading, listing, deleting them, and their order.

use super::links::Links;
use super::photo::{Photo, Upload, UploadStatus};
use super::store::ListedPhotos;
use super::{Media, MediaError, Purpose, reserve, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::error::FieldErrors;
use crate::id::{PetId, UploadId, UserId};
use crate::page::{Key, Page, PageRequest};
use crate::pets::{Pet, PetError};

/// Which photos to list. Of others, only those that are shown; without a pet or an owner, the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhotoFilter {
    /// Only of this pet.
    pub pet: Option<PetId>,
    /// Only of this person.
    pub owner: Option<UserId>,
    /// Only those at this point of their way.
    pub status: Option<UploadStatus>,
}

impl Media {
    /// One photo.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`], also for one that the caller may not see.
    pub async fn get(&self, caller: &Caller, id: UploadId) -> Result<Photo, MediaError> {
        self.visible(caller, id).await.map(|upload| self.photo(upload))
    }

    /// A page of photos, the newest first.
    ///
    /// # Errors
    /// [`MediaError::Invalid`] for a status that no photo has, and a cursor of another list.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: PhotoFilter,
        page: &PageRequest,
    ) -> Result<Page<Photo>, MediaError> {
        caller.require(Permission::ReadPets)?;
        if filter.status == Some(UploadStatus::Reserved) {
            return Err(MediaError::Invalid(FieldErrors::one("status", "photos are here once they are uploaded")));
        }
        let listed = self.listed(caller, filter).await?;
        let list = self.cursors.list(&("photos", &listed));
        let Some(listed) = listed else { return Ok(Page::empty(page)) };
        let total = match page.offset() {
            Some(_) => Some(store::count_listed(&self.db, &listed).await?),
            None => None,
        };
        let rows = store::list_photos(&self.db, &listed, page, page.after_key(&list)?).await?;
        let page = Page::of(page, rows, total, |row| Key { at: row.created_at, id: row.id }, &list);
        Ok(page.map(|upload| self.photo(upload)))
    }

    /// What of the filter the caller may see.
    async fn listed(&self, caller: &Caller, filter: PhotoFilter) -> Result<Option<ListedPhotos>, MediaError> {
        let PhotoFilter { pet, owner, status } = filter;
        let owner = if pet.is_none() && owner.is_none() && !caller.may(Permission::Moderate) {
            Some(caller.user_id().ok_or(Denied::Unauthenticated)?)
        } else {
            owner
        };
        let own_pet = match pet {
            Some(pet) => caller.is(self.pets.get(caller, pet).await?.owner_id),
            None => false,
        };
        if own_pet || caller.may(Permission::Moderate) || owner.is_some_and(|owner| caller.is(owner)) {
            return Ok(Some(ListedPhotos { pet, owner, status, public_for: None }));
        }
        let may_be = status.is_none_or(|status| status == UploadStatus::Approved);
        Ok(may_be.then_some(ListedPhotos { pet, owner, status: None, public_for: Some(caller.user_id()) }))
    }

    /// Deletes a photo, or another upload; what is kept of it is removed within minutes.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`], [`MediaError::NotYourPhoto`].
    pub async fn delete(&self, caller: &Caller, id: UploadId) -> Result<(), MediaError> {
        let upload = self.visible(caller, id).await?;
        self.delete_upload(caller, &upload).await
    }

    /// The same for an upload that may not have been completed, by its key.
    ///
    /// # Errors
    /// [`MediaError::UploadNotFound`], also for those of others.
    pub async fn delete_by_key(&self, caller: &Caller, key: &str) -> Result<(), MediaError> {
        let (_, id, _) = Links::parse(key).ok_or(MediaError::UploadNotFound)?;
        let upload = store::find(&self.db, id).await?.filter(|upload| caller.is(upload.owner_id));
        self.delete_upload(caller, &upload.ok_or(MediaError::UploadNotFound)?).await
    }

    async fn delete_upload(&self, caller: &Caller, upload: &Upload) -> Result<(), MediaError> {
        if !caller.is(upload.owner_id) && !caller.may(Permission::ManagePets) {
            return Err(MediaError::NotYourPhoto);
        }
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        reserve::take_turns(&mut tx, upload.owner_id).await?;
        if store::delete(&mut tx, upload.id).await? {
            // Whatever it was when it was looked at: it may have been approved since.
            self.show(&mut tx, upload).await?;
            if !caller.is(upload.owner_id) {
                let event = Event::new(Action::PhotoDeleted).on(Subject::User(upload.owner_id));
                audit::record(&mut tx, now, caller, event.detail("photo", upload.id.to_string())).await?;
            }
            self.sweep_soon(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Puts the photos of a pet of the caller's into this order: all that are shown, each once. Those that
    /// aren't shown (yet) may be among them; the others of these come behind, in the order that they had.
    ///
    /// # Errors
    /// [`MediaError::Invalid`] when some are missing, twice there, or of another pet; and as
    /// [`Pets::get`](crate::pets::Pets::get) with [`PetError::NotOwner`] for those of others.
    pub async fn order(&self, caller: &Caller, pet: PetId, photos: &[UploadId]) -> Result<Pet, MediaError> {
        let owner_id = self.pets.get(caller, pet).await.map_err(MediaError::Pet)?.owner_id;
        if !caller.is(owner_id) && !caller.may(Permission::ManagePets) {
            return Err(MediaError::Pet(PetError::NotOwner));
        }
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        reserve::take_turns(&mut tx, owner_id).await?;
        let there = store::photos_in_order(&mut tx, pet).await?;
        let order = reordered(&there, photos).ok_or_else(|| {
            let problem = "must have every photo that the pet shows, and none twice or of another";
            MediaError::Invalid(FieldErrors::one("photoIds", problem))
        })?;
        for (position, id) in (0..).zip(order) {
            store::set_position(&mut tx, id, position, now).await?;
        }
        store::refresh_pet(&mut tx, pet, now).await?;
        tx.commit().await?;
        self.pets.get(caller, pet).await.map_err(MediaError::Pet)
    }

    /// A photo or document that the caller may see.
    async fn visible(&self, caller: &Caller, id: UploadId) -> Result<Upload, MediaError> {
        caller.require(Permission::ReadPets)?;
        let found = store::find(&self.db, id).await?.filter(|upload| upload.status != UploadStatus::Reserved);
        let upload = found.ok_or(MediaError::PhotoNotFound)?;
        if caller.is(upload.owner_id) {
            return Ok(upload);
        }
        if upload.purpose == Purpose::Document {
            return Err(MediaError::PhotoNotFound);
        }
        if caller.may(Permission::Moderate) {
            return Ok(upload);
        }
        match upload.pet_id {
            Some(pet) if upload.status == UploadStatus::Approved => {
                self.pets.get(caller, pet).await?;
                Ok(upload)
            }
            _ => Err(MediaError::PhotoNotFound),
        }
    }
}

/// All that is `there` in the `wanted` order, what isn't wanted behind; nothing if that leaves a photo out
/// that is shown, or has one twice or of elsewhere.
fn reordered(there: &[(UploadId, UploadStatus)], wanted: &[UploadId]) -> Option<Vec<UploadId>> {
    let mut left = there.to_vec();
    for id in wanted {
        let at = left.iter().position(|(other, _)| other == id)?;
        left.remove(at);
    }
    let is_shown = |(_, status): &(UploadId, UploadStatus)| *status == UploadStatus::Approved;
    let behind = left.iter().map(|(id, _)| *id);
    (!left.iter().any(is_shown)).then(|| wanted.iter().copied().chain(behind).collect())
}
