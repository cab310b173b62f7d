//! Pets: adding, reading, listing, changing and deleting, who may, and whose favourites they are.
//! Photos are the media service's business.

mod breeds;
mod error;
mod favorites;
mod fields;
mod filter;
mod import;
mod json;
mod kept;
mod lifecycle;
mod oversight;
mod pet;
mod place;
mod refold;
mod search;
pub(crate) mod store;
mod stored;

pub use breeds::Breed;
pub use error::PetError;
pub(crate) use fields::{Birth, CheckedLocation, CheckedPet};
pub use fields::{LocationFields, Patch, PetFields};
pub use filter::{PetFilter, Sort};
pub use import::{PetImport, PetLine, PetsImported};
pub use lifecycle::PetSettings;
pub(crate) use lifecycle::Purge;
pub use oversight::{Intervened, Intervention, Standing};
pub use pet::{Gender, Location, Pet, PetStatus, Size, Species};
pub use place::{Coordinates, Near};
pub(crate) use refold::Refold;
pub use stored::StoredPet;

use self::kept::Kept;
use self::store::Selection;
use crate::audit::Action;
use crate::auth::{Denied, Permission};
use crate::billing::Entitled;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::database::Database;
use crate::error::{Fault, FieldErrors};
use crate::expected::Expected;
use crate::id::{PetId, UserId};
use crate::idempotency::{Begun, IdempotencyKey, Once, Request};
use crate::page::{Cursors, Page, PageRequest};

/// How often a change is tried that others are quicker than.
const ROUNDS: u32 = 100;

/// The pets service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Pets {
    db: Database,
    clock: Clock,
    cursors: Cursors,
    entitled: Entitled,
    settings: PetSettings,
}

impl Pets {
    pub(crate) fn open(
        db: Database,
        clock: Clock,
        cursors: Cursors,
        entitled: Entitled,
        settings: PetSettings,
    ) -> Self {
        Self { db, clock, cursors, entitled, settings }
    }

    /// Adds a pet of the caller's.
    ///
    /// # Errors
    /// [`PetError::Invalid`] with every invalid field.
    pub async fn create(&self, caller: &Caller, fields: PetFields) -> Result<Pet, PetError> {
        Ok(self.create_once(caller, fields, None).await?.result)
    }

    /// The same, but a request with a `key` that the caller used in the last 24 hours gives the pet
    /// that was added then, as it was then. What is refused leaves the key free.
    ///
    /// # Errors
    /// [`PetError::Invalid`]; [`PetError::LimitReached`] when the caller's plan has no room for more;
    /// [`PetError::Idempotency`] for a key that was used for another pet.
    pub async fn create_once(
        &self,
        caller: &Caller,
        fields: PetFields,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Pet>, PetError> {
        let owner_id = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let now = self.clock.now();
        let request = Request::new(owner_id, "pets.create", &fields, key)?;
        let fields = fields.check(None, now.date()).map_err(PetError::Invalid)?;
        refuse_self_made_ban(caller, None, fields.status)?;
        let most = self.entitled.limits(owner_id).await?.pets;
        let mut attempt = match request.begin(&self.db, now).await? {
            Begun::Before(kept) => return Ok(kept.map(|Kept(pet)| pet)),
            Begun::Now(attempt) => attempt,
        };
        store::take_turns(attempt.tx(), owner_id).await?;
        if store::count_pets_of(attempt.tx(), owner_id).await? >= u64::from(most) {
            return Err(PetError::LimitReached { most });
        }
        let row = store::NewPetRow::new(PetId::new(), owner_id, fields, now);
        let id = row.id;
        store::insert_pets(attempt.tx(), &[row]).await?;
        let pet = store::find_own_pet(attempt.tx(), id).await?.ok_or(PetError::NotFound)?;
        Ok(attempt.finish(Kept(pet)).await?.map(|Kept(pet)| pet))
    }

    /// One pet.
    ///
    /// # Errors
    /// [`PetError::NotFound`], also for one that the caller may not see.
    pub async fn get(&self, caller: &Caller, id: PetId) -> Result<Pet, PetError> {
        caller.require(Permission::ReadPets)?;
        self.visible(caller, id).await
    }

    /// A page of pets. What the caller may not see is not in it, whatever the filter says.
    ///
    /// # Errors
    /// [`PetError::Invalid`] for a filter that can't be, and a cursor that belongs to another list.
    pub async fn list(&self, caller: &Caller, filter: PetFilter, page: &PageRequest) -> Result<Page<Pet>, PetError> {
        caller.require(Permission::ReadPets)?;
        let selection = filter.select(self.clock.now().date()).map_err(PetError::Invalid)?;
        let Some(selection) = visible_part(caller, selection) else { return Ok(Page::empty(page)) };
        // Ages, not days: a list goes on after midnight.
        let list = self.cursors.list(&("pets", &filter, caller.may(Permission::ManagePets)));
        let after = page.after_key(&list)?;
        let total = match page.offset() {
            Some(_) => Some(store::count_pets(&self.db, &selection).await?),
            None => None,
        };
        let rows = store::list_pets(&self.db, &selection, page, after).await?;
        let found = Page::of(page, rows, total, |found| found.key(selection.order), &list);
        Ok(found.map(|found| found.pet.seen_from(selection.near)))
    }

    /// How the database would find a page, for tests of that: a line a step.
    ///
    /// # Errors
    /// As [`Pets::list`].
    #[cfg(feature = "testing")]
    pub async fn explain_list(
        &self,
        caller: &Caller,
        filter: &PetFilter,
        page: &PageRequest,
    ) -> Result<Vec<String>, PetError> {
        let selection = filter.select(self.clock.now().date()).map_err(PetError::Invalid)?;
        match visible_part(caller, selection) {
            Some(selection) => Ok(store::explain_list(&self.db, &selection, page).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Changes the fields that are given, and keeps the others.
    ///
    /// # Errors
    /// [`PetError::Invalid`], [`PetError::NotFound`], [`PetError::NotOwner`], [`PetError::Banned`].
    pub async fn update(&self, caller: &Caller, id: PetId, fields: PetFields) -> Result<Pet, PetError> {
        self.update_expected(caller, id, fields, &Expected::Any).await
    }

    /// The same, if the pet still is what the change is meant for.
    ///
    /// # Errors
    /// As [`Pets::update`], and [`PetError::Outdated`].
    pub async fn update_expected(
        &self,
        caller: &Caller,
        id: PetId,
        fields: PetFields,
        expected: &Expected,
    ) -> Result<Pet, PetError> {
        // Two who change different fields at the same time both get what they want: who comes
        // second looks again, and finds a version that is expected or not. In every round
        // somebody gets through.
        for _ in 0..ROUNDS {
            let pet = self.owned(caller, id).await?;
            if !expected.admits(pet.version) {
                return Err(PetError::Outdated);
            }
            let now = self.clock.now();
            let checked = fields.clone().check(Some(&pet), now.date()).map_err(PetError::Invalid)?;
            refuse_self_made_ban(caller, Some(pet.status), checked.status)?;
            let mut tx = self.db.begin().await?;
            if store::update_pet(&mut tx, id, pet.version, &checked, now).await? {
                let action = if checked.status == pet.status { Action::PetUpdated } else { Action::PetStatusChanged };
                oversight::record(&mut tx, now, caller, &pet, action, checked.status.as_str()).await?;
                tx.commit().await?;
                return self.find(caller, id).await?.ok_or(PetError::NotFound);
            }
        }
        Err(PetError::Contended)
    }

    /// Deletes a pet. Its row stays, unseen, until it is purged; see [`Pets::restore`].
    ///
    /// # Errors
    /// [`PetError::NotFound`], [`PetError::NotOwner`].
    pub async fn delete(&self, caller: &Caller, id: PetId) -> Result<(), PetError> {
        self.delete_expected(caller, id, &Expected::Any).await
    }

    /// The same, if the pet still is what is meant to be deleted.
    ///
    /// # Errors
    /// As [`Pets::delete`], and [`PetError::Outdated`].
    pub async fn delete_expected(&self, caller: &Caller, id: PetId, expected: &Expected) -> Result<(), PetError> {
        for _ in 0..ROUNDS {
            let pet = self.owned(caller, id).await?;
            if !expected.admits(pet.version) {
                return Err(PetError::Outdated);
            }
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            if store::delete_pet(&mut tx, id, pet.version, now).await? {
                oversight::record(&mut tx, now, caller, &pet, Action::PetDeleted, "deleted").await?;
                return Ok(tx.commit().await?);
            }
        }
        Err(PetError::Contended)
    }

    /// Breeds of a species to suggest for what somebody `typed`, the best first; any text may be
    /// stored as a breed all the same. Nothing typed, all are meant.
    ///
    /// # Errors
    /// [`PetError::Invalid`] for a text longer than a breed, and a `limit` that no page has.
    pub async fn breeds(
        &self,
        caller: &Caller,
        species: Species,
        typed: &str,
        limit: u32,
    ) -> Result<Vec<&'static Breed>, PetError> {
        caller.require(Permission::ReadPets)?;
        PageRequest::first(limit)?;
        if typed.chars().count() > fields::MAX_BREED_CHARS {
            let problem = format!("must have at most {} characters", fields::MAX_BREED_CHARS);
            return Err(PetError::Invalid(FieldErrors::one("q", problem)));
        }
        let mut found = breeds::matching(species, typed);
        found.truncate(limit as usize);
        Ok(found)
    }

    /// How many pets there are, deleted ones included.
    ///
    /// # Errors
    /// [`PetError::Fault`].
    pub async fn count(&self) -> Result<u64, PetError> {
        Ok(store::count_all(&self.db).await?)
    }

    async fn find(&self, caller: &Caller, id: PetId) -> Result<Option<Pet>, Fault> {
        store::find_pet(&self.db, id, viewer(caller)).await
    }

    async fn visible(&self, caller: &Caller, id: PetId) -> Result<Pet, PetError> {
        self.find(caller, id).await?.filter(|pet| may_see(caller, pet)).ok_or(PetError::NotFound)
    }

    /// A pet that the caller may change.
    async fn owned(&self, caller: &Caller, id: PetId) -> Result<Pet, PetError> {
        let pet = self.visible(caller, id).await?;
        if caller.is(pet.owner_id) || caller.may(Permission::ManagePets) { Ok(pet) } else { Err(PetError::NotOwner) }
    }
}

/// For whom blocks count. Who looks after all pets sees them all.
fn viewer(caller: &Caller) -> Option<UserId> {
    caller.user_id().filter(|_| !caller.may(Permission::ManagePets))
}

fn may_see(caller: &Caller, pet: &Pet) -> bool {
    pet.status == PetStatus::Active || caller.is(pet.owner_id) || caller.may(Permission::ManagePets)
}

/// The selection narrowed to what the caller may see; `None` if that is nothing.
fn visible_part(caller: &Caller, selection: Selection) -> Option<Selection> {
    let selection = Selection { viewer: viewer(caller), ..selection };
    let asks_for_own = selection.owner.is_some_and(|owner| caller.is(owner));
    let is_specific = selection.owner.is_some() || selection.status.is_some();
    if asks_for_own || caller.may(Permission::ManagePets) && is_specific {
        return Some(selection);
    }
    match selection.status {
        None | Some(PetStatus::Active) => Some(Selection { status: Some(PetStatus::Active), ..selection }),
        // Hidden and banned ones are seen by their owner only.
        Some(_) if selection.owner.is_none() => caller.user_id().map(|id| Selection { owner: Some(id), ..selection }),
        Some(_) => None,
    }
}

/// Banning and lifting a ban are for moderators.
fn refuse_self_made_ban(caller: &Caller, old: Option<PetStatus>, new: PetStatus) -> Result<(), PetError> {
    if caller.may(Permission::ManagePets) || old == Some(new) {
        return Ok(());
    }
    if old == Some(PetStatus::Banned) {
        return Err(PetError::Banned);
    }
    if new == PetStatus::Banned {
        return Err(PetError::Invalid(FieldErrors::one("status", "must be active or hidden")));
    }
    Ok(())
}
