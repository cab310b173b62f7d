//! Pets as they are stored, for operators: with their exact place, deleted ones too, one of them or
//! all as a stream.

use futures_util::{Stream, stream};
use serde::Serialize;
use time::Date;

use super::json::{day, degrees};
use super::{Gender, PetError, PetStatus, Pets, Size, Species, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::{PetId, UserId};

/// A pet with everything that was said of it, for who operates the database.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct StoredPet {
    #[serde(skip)]
    pub(super) number: i64,
    /// Which.
    pub id: PetId,
    /// Whose.
    pub owner_id: UserId,
    /// Its name.
    pub name: String,
    /// What kind of animal.
    pub species: Species,
    /// What kind of that kind.
    pub breed: Option<String>,
    /// When it was born, or about when.
    #[serde(with = "day::option")]
    pub birth_date: Option<Date>,
    /// Whether that was reckoned from an age.
    pub birth_date_is_estimate: bool,
    /// Its sex.
    pub gender: Gender,
    /// How big.
    pub size: Option<Size>,
    /// What it is like.
    #[sqlx(json)]
    pub personality: Vec<String>,
    /// About it.
    pub bio: Option<String>,
    /// Where it lives.
    pub city: Option<String>,
    /// Where it lives.
    pub country: Option<String>,
    /// Where exactly, in degrees; as text, because readers of JSON may round numbers.
    #[serde(serialize_with = "degrees::serialize")]
    pub latitude: Option<f64>,
    /// Where exactly, in degrees.
    #[serde(serialize_with = "degrees::serialize")]
    pub longitude: Option<f64>,
    /// Whether somebody of PetSpark checked that it exists.
    pub verified: bool,
    /// Who can see it.
    pub status: PetStatus,
    /// Counts every change.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// Pets that an export reads at a time.
const BATCH: i64 = 1000;

impl Pets {
    /// A pet, deleted or not.
    ///
    /// # Errors
    /// [`PetError::NotFound`]; [`PetError::Denied`] unless an administrator asks.
    pub async fn stored(&self, caller: &Caller, id: PetId) -> Result<StoredPet, PetError> {
        caller.require(Permission::ManageStaff)?;
        store::find_stored(&self.db, id).await?.ok_or(PetError::NotFound)
    }

    /// All pets in the order in which they were added, read in batches: memory stays the same
    /// however many there are. What changes meanwhile may be there as it was or as it is. A fault
    /// ends the stream.
    ///
    /// # Errors
    /// [`PetError::Denied`] unless an administrator asks.
    pub async fn export(
        &self,
        caller: &Caller,
    ) -> Result<impl Stream<Item = Result<Vec<StoredPet>, Fault>> + Send + 'static, PetError> {
        caller.require(Permission::ManageStaff)?;
        let event = Event::new(Action::DataExported).detail("of", "pets");
        audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        let db = self.db.clone();
        Ok(stream::try_unfold(i64::MIN, move |last| {
            let db = db.clone();
            async move {
                let pets = store::stored_pets(&db, last, BATCH).await?;
                Ok(pets.last().map(|pet| pet.number).map(|next| (pets, next)))
            }
        }))
    }
}
