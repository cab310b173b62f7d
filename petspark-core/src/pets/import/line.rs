//! A pet as a line of an import has it, and how it is checked: by the rules for pets that owners
//! add, and some for what only an import says.

use crate::auth::Email;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::{PetId, UserId};
use crate::lines::explain;
use crate::pets::json::degrees;
use crate::pets::store::{NewPetRow, Past};
use crate::pets::{LocationFields, Patch, PetFields};

/// A pet to be imported: name, species and owner are needed. Of a [`StoredPet`](crate::pets::StoredPet),
/// this is every field.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "named like the fields of a stored pet, or like those of the contract")]
pub struct PetLine {
    pub id: Option<PetId>,
    pub owner_id: Option<UserId>,
    /// Instead of their id.
    pub owner_email: Option<String>,
    pub name: Option<String>,
    pub species: Option<String>,
    pub breed: Option<String>,
    pub birth_date: Option<String>,
    pub birth_date_is_estimate: Option<bool>,
    pub age: Option<i64>,
    pub gender: Option<String>,
    pub size: Option<String>,
    pub personality: Option<Vec<String>>,
    #[serde(alias = "description")]
    pub bio: Option<String>,
    pub city: Option<String>,
    pub country: Option<String>,
    #[serde(default, deserialize_with = "degrees::deserialize")]
    pub latitude: Option<f64>,
    #[serde(default, deserialize_with = "degrees::deserialize")]
    pub longitude: Option<f64>,
    pub verified: Option<bool>,
    pub status: Option<String>,
    pub version: Option<i64>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
}

/// Who owns it, as the line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnerRef {
    Id(UserId),
    Email(String),
}

/// A pet that lacks nothing but a look at its owner.
pub(super) struct Candidate {
    pub(super) owner: OwnerRef,
    /// Whether the line has an id.
    pub(super) has_id: bool,
    /// Of nobody yet.
    pub(super) row: NewPetRow,
}

impl PetLine {
    /// Longest line of JSON, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Reads a line of JSON.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn from_json(line: &[u8]) -> Result<Self, String> {
        if line.len() > Self::MAX_BYTES {
            return Err("is longer than 64 KiB".to_owned());
        }
        serde_json::from_slice(line).map_err(|error| explain(&error))
    }

    pub(super) fn check(self, now: Timestamp) -> Result<Candidate, FieldErrors> {
        let mut errors = FieldErrors::default();
        let owner = match (self.owner_id, &self.owner_email) {
            (Some(id), None) => Some(OwnerRef::Id(id)),
            (None, Some(email)) => {
                errors.check("ownerEmail", Email::parse(email)).map(|email| OwnerRef::Email(email.as_str().to_owned()))
            }
            _ => {
                errors.add("ownerId", "is needed, or ownerEmail instead");
                None
            }
        };
        let created_at = self.created_at.unwrap_or(now);
        let updated_at = self.updated_at.unwrap_or(created_at);
        for (field, at) in
            [("createdAt", Some(created_at)), ("updatedAt", Some(updated_at)), ("deletedAt", self.deleted_at)]
        {
            match at {
                Some(at) if at > now => errors.add(field, "is in the future"),
                Some(at) if at < created_at => errors.add(field, "is before createdAt"),
                _ => {}
            }
        }
        let version = self.version.unwrap_or(1);
        if version < 1 {
            errors.add("version", "must be at least 1");
        }
        let (is_estimate, verified) = (self.birth_date_is_estimate == Some(true), self.verified == Some(true));
        let (id, deleted_at) = (self.id, self.deleted_at);
        let checked = match self.into_fields().check(None, now.date()) {
            Ok(mut fields) => {
                fields.birth.is_estimate |= is_estimate && fields.birth.date.is_some();
                Some(fields)
            }
            Err(wrong) => {
                wrong.iter().for_each(|(field, problems)| {
                    problems.iter().for_each(|problem| errors.add(field, problem.clone()));
                });
                None
            }
        };
        let (owner, fields) = errors.finish(owner.zip(checked))?;
        let past = Past { verified, version, updated_at, deleted_at };
        let owner_id = UserId::from_bytes([0; 16]);
        let row = NewPetRow { id: id.unwrap_or_else(PetId::new), owner_id, fields, created_at, past };
        Ok(Candidate { owner, has_id: id.is_some(), row })
    }

    fn into_fields(self) -> PetFields {
        fn patch<T>(value: Option<T>) -> Patch<T> {
            value.map_or(Patch::Keep, Patch::Set)
        }
        let location = LocationFields {
            latitude: self.latitude,
            longitude: self.longitude,
            city: self.city,
            country: self.country,
        };
        PetFields {
            name: patch(self.name),
            species: patch(self.species),
            breed: patch(self.breed),
            birth_date: patch(self.birth_date),
            age: patch(self.age),
            gender: patch(self.gender),
            size: patch(self.size),
            personality: patch(self.personality),
            bio: patch(self.bio),
            location: Patch::Set(location),
            status: patch(self.status),
        }
    }
}
