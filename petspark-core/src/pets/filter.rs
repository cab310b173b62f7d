//! Which pets a caller wants listed, in which order, and whether that makes sense. Who may see
//! which is the service's business.

use time::Date;

use super::fields::{MAX_AGE, check_breed, years_before};
use super::pet::{Gender, PetStatus, Size, Species};
use super::place::Near;
use super::search::Words;
use super::store::{Order, Selection};
use crate::database::text_enum;
use crate::error::FieldErrors;
use crate::id::UserId;
use crate::text::fold;

text_enum! {
    /// The order of a list.
    pub enum Sort {
        /// Last added first.
        Newest = "-createdAt",
        /// First added first.
        Oldest = "createdAt",
        /// By name, without case and accents.
        Name = "name",
        /// Nearest first; only near a place.
        Distance = "distance",
    }
}

/// Which pets to list, and in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PetFilter {
    /// Only of this owner.
    pub owner: Option<UserId>,
    /// Only of this species.
    pub species: Option<Species>,
    /// Only of this breed; case, accents and punctuation don't matter.
    pub breed: Option<String>,
    /// Only of this gender.
    pub gender: Option<Gender>,
    /// Only of this size.
    pub size: Option<Size>,
    /// Only of this age in full years, or older. Pets of unknown age are not.
    pub min_age: Option<u32>,
    /// Only of this age in full years, or younger. Pets of unknown age are not.
    pub max_age: Option<u32>,
    /// Only with this status. Without it, active ones; of one's own pets, all.
    pub status: Option<PetStatus>,
    /// Only with these words, or words that begin like them, in name, breed or bio: 1 to 10 words,
    /// at most 100 characters. Case and accents don't matter, and nothing in it is syntax.
    pub q: Option<String>,
    /// Only those around a place. Pets are where others are told they are, about a kilometre off.
    pub near: Option<Near>,
    /// In which order. When nothing is said: near a place the nearest first; with words the best
    /// fit first; otherwise the newest first.
    pub sort: Option<Sort>,
}

impl PetFilter {
    /// This as the store understands it, on the day `today`.
    pub(super) fn select(&self, today: Date) -> Result<Selection, FieldErrors> {
        let mut errors = FieldErrors::default();
        let breed = self.breed.as_deref().and_then(|text| errors.check("breed", check_breed(text)));
        let words = self.q.as_deref().and_then(|text| errors.check("q", Words::parse(text)));
        for (field, age) in [("minAge", self.min_age), ("maxAge", self.max_age)] {
            if age.is_some_and(|age| age > MAX_AGE) {
                errors.add(field, "must be from 0 to 80");
            }
        }
        if self.min_age.zip(self.max_age).is_some_and(|(min, max)| min > max) {
            errors.add("maxAge", "must not be less than minAge");
        }
        if self.sort == Some(Sort::Distance) && self.near.is_none() {
            errors.add("sort", "can be distance only together with near");
        }
        let order = match self.sort {
            Some(Sort::Newest) => Order::Newest,
            Some(Sort::Oldest) => Order::Oldest,
            Some(Sort::Name) => Order::Name,
            Some(Sort::Distance) => Order::Distance,
            None if self.near.is_some() => Order::Distance,
            None if words.is_some() => Order::Fit,
            None => Order::Newest,
        };
        errors.finish(Some(Selection {
            owner: self.owner,
            species: self.species,
            breed: breed.map(|breed| fold(&breed)),
            gender: self.gender,
            size: self.size,
            status: self.status,
            born_by: self.min_age.filter(|age| *age <= MAX_AGE).map(|age| years_before(today, age)),
            born_after: self.max_age.filter(|age| *age <= MAX_AGE).map(|age| years_before(today, age + 1)),
            words,
            near: self.near,
            order,
            viewer: None,
        }))
    }
}
