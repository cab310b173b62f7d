//! What a pet is.

use time::Date;

use super::place::{Coordinates, Near};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::{PetId, UserId};
use crate::media::ShownPhoto;

text_enum! {
    /// What kind of animal.
    pub enum Species {
        /// Canis familiaris.
        Dog = "dog",
        /// Felis catus.
        Cat = "cat",
        /// Any bird.
        Bird = "bird",
        /// Rabbits and hares.
        Rabbit = "rabbit",
        /// Hamsters, guinea pigs, rats, mice and their kin.
        Rodent = "rodent",
        /// Snakes, lizards, turtles.
        Reptile = "reptile",
        /// Any fish.
        Fish = "fish",
        /// Horses, ponies, donkeys.
        Horse = "horse",
        /// Anything else.
        Other = "other",
    }
}

text_enum! {
    /// A pet's sex, as far as it is known.
    pub enum Gender {
        /// Male.
        Male = "male",
        /// Female.
        Female = "female",
        /// Nobody looked, or nobody can tell.
        Unknown = "unknown",
    }
}

text_enum! {
    /// How big, compared with others of its species.
    pub enum Size {
        /// Small.
        Small = "small",
        /// Medium.
        Medium = "medium",
        /// Large.
        Large = "large",
        /// Extra large.
        ExtraLarge = "extra-large",
    }
}

text_enum! {
    /// Who can see a pet.
    pub enum PetStatus {
        /// Everybody who is signed in.
        Active = "active",
        /// Its owner, by their own choice.
        Hidden = "hidden",
        /// Its owner, by a moderator's decision.
        Banned = "banned",
    }
}

/// A pet and the little of its owner that others may know.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Pet {
    /// Which.
    pub id: PetId,
    /// Whose.
    pub owner_id: UserId,
    /// The owner's display name.
    pub owner_display_name: String,
    /// 1 to 50 characters.
    pub name: String,
    /// What kind of animal.
    pub species: Species,
    /// What kind of that kind.
    pub breed: Option<String>,
    /// When it was born, or about when.
    pub birth_date: Option<Date>,
    /// Whether the birth date was reckoned from an age that somebody guessed.
    pub birth_date_is_estimate: bool,
    /// Its sex.
    pub gender: Gender,
    /// How big.
    pub size: Option<Size>,
    /// Up to ten words for what it is like.
    #[sqlx(json)]
    pub personality: Vec<String>,
    /// Up to 1,000 characters about it.
    pub bio: Option<String>,
    /// Where it lives.
    #[sqlx(flatten)]
    pub location: Location,
    /// Kilometres from the place that pets were looked for near, rounded; only in such a list.
    #[sqlx(skip)]
    pub distance_km: Option<u32>,
    /// Whether somebody of PetSpark checked that it exists.
    pub verified: bool,
    /// Who can see it.
    pub status: PetStatus,
    pub(super) favorite_count: i64,
    #[sqlx(json(nullable))]
    pub(super) photos: Option<Vec<ShownPhoto>>,
    /// Where the owner's picture is kept; see [`Links::avatar`](crate::media::Links::avatar).
    pub owner_avatar: Option<String>,
    /// Counts every change.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Where a pet lives, as far as its owner said.
#[derive(Clone, Debug, Default, PartialEq, sqlx::FromRow)]
pub struct Location {
    /// At most 80 characters.
    pub city: Option<String>,
    /// At most 80 characters.
    pub country: Option<String>,
    pub(super) shown_latitude: Option<f64>,
    pub(super) shown_longitude: Option<f64>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
}

impl Location {
    /// A point about a kilometre around the exact one, for everybody.
    #[must_use]
    pub fn shown(&self) -> Option<Coordinates> {
        Coordinates::new(self.shown_latitude?, self.shown_longitude?)
    }

    /// For storing it again; nobody else is told.
    pub(super) fn exact(&self) -> Option<Coordinates> {
        Coordinates::new(self.latitude?, self.longitude?)
    }

    /// Whether anything was said.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.city.is_some() || self.country.is_some() || self.latitude.is_some()
    }
}

impl Pet {
    /// Whether everybody may see it, but for those who have blocked its owner.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.status == PetStatus::Active
    }

    /// Its photos that are shown, in the owner's order.
    #[must_use]
    pub fn photos(&self) -> &[ShownPhoto] {
        self.photos.as_deref().unwrap_or_default()
    }

    /// With its distance from the place that was looked near.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half around the earth")]
    pub(super) fn seen_from(self, near: Option<Near>) -> Self {
        let km = near.zip(self.location.shown()).map(|(near, shown)| near.center.km_to(shown).round() as u32);
        Self { distance_km: km, ..self }
    }

    /// Where exactly the pet lives, which nobody but its owner is told.
    #[must_use]
    pub fn exact_coordinates(&self, viewer: &Caller) -> Option<Coordinates> {
        if viewer.is(self.owner_id) { self.location.exact() } else { None }
    }

    /// How many people have it among their favourites, which nobody but its owner is told.
    #[must_use]
    pub fn favorite_count(&self, viewer: &Caller) -> Option<u64> {
        viewer.is(self.owner_id).then(|| self.favorite_count.unsigned_abs())
    }

    /// Full years since its birth on the day `today`.
    #[must_use]
    pub fn age(&self, today: Date) -> Option<u32> {
        self.birth_date.map(|born| full_years(born, today))
    }
}

/// Full years from `born` to `today`; somebody born on 29 February has their birthday on 1 March
/// in other years.
pub(super) fn full_years(born: Date, today: Date) -> u32 {
    let had_birthday = (today.month() as u8, today.day()) >= (born.month() as u8, born.day());
    u32::try_from(today.year() - born.year() - i32::from(!had_birthday)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn an_age_counts_full_years() {
        for (born, today, years) in [
            (date!(2020 - 06 - 15), date!(2026 - 06 - 14), 5),
            (date!(2020 - 06 - 15), date!(2026 - 06 - 15), 6),
            (date!(2020 - 02 - 29), date!(2021 - 02 - 28), 0),
            (date!(2020 - 02 - 29), date!(2021 - 03 - 01), 1),
            (date!(2026 - 06 - 15), date!(2026 - 06 - 14), 0),
        ] {
            assert_eq!(full_years(born, today), years, "{born} {today}");
        }
    }
}
