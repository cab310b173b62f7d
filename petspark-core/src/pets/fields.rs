//! What a client may say of a pet, and the rules for it: one set of rules for adding and for
//! changing, and every invalid field reported at once.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use time::macros::format_description;
use time::{Date, Month};

use super::pet::{Gender, Pet, PetStatus, Size, Species, full_years};
use super::place::Coordinates;
use crate::error::FieldErrors;
use crate::text::{one_line, paragraphs};

/// What a client says of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// It shall be empty.
    Clear,
    /// It shall be this.
    Set(T),
}

/// What is kept is `null`, so that a request says the same with fields that didn't exist when it was made.
impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_none(),
            Self::Clear => [(); 0].serialize(serializer),
            Self::Set(value) => [value].serialize(serializer),
        }
    }
}

impl<T> Patch<T> {
    /// `Set` for a value, `Clear` for none.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

/// A pet as a client describes it. Text is taken as it was typed and checked by the service.
///
/// ```
/// use petspark_core::pets::{Patch, PetFields, Species};
/// let rex = PetFields { breed: Patch::Set("Beagle".into()), ..PetFields::new("Rex", Species::Dog) };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PetFields {
    /// 1 to 50 characters.
    pub name: Patch<String>,
    /// A [`Species`].
    pub species: Patch<String>,
    /// At most 80 characters.
    pub breed: Patch<String>,
    /// `YYYY-MM-DD`, not in the future and at most 80 years ago.
    pub birth_date: Patch<String>,
    /// Full years, 0 to 80, when the birth date isn't known. A birth date wins.
    pub age: Patch<i64>,
    /// A [`Gender`].
    pub gender: Patch<String>,
    /// A [`Size`].
    pub size: Patch<String>,
    /// At most ten, each of 1 to 30 characters; repetitions are dropped.
    pub personality: Patch<Vec<String>>,
    /// At most 1,000 characters.
    pub bio: Patch<String>,
    /// Where it lives; replaced as a whole.
    pub location: Patch<LocationFields>,
    /// A [`PetStatus`].
    pub status: Patch<String>,
}

/// Where a pet lives, as a client describes it. Without coordinates it isn't found near a place.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LocationFields {
    /// Degrees from -90 to 90; with a longitude or not at all.
    pub latitude: Option<f64>,
    /// Degrees from -180 to 180.
    pub longitude: Option<f64>,
    /// At most 80 characters.
    pub city: Option<String>,
    /// At most 80 characters.
    pub country: Option<String>,
}

impl PetFields {
    /// The least that can be said of a pet.
    pub fn new(name: impl Into<String>, species: Species) -> Self {
        Self { name: Patch::Set(name.into()), species: Patch::Set(species.as_str().to_owned()), ..Self::default() }
    }
}

/// A pet's fields after all rules were checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CheckedPet {
    pub(crate) name: String,
    pub(crate) species: Species,
    pub(crate) breed: Option<String>,
    pub(crate) birth: Birth,
    pub(crate) gender: Gender,
    pub(crate) size: Option<Size>,
    pub(crate) personality: Vec<String>,
    pub(crate) bio: Option<String>,
    pub(crate) location: CheckedLocation,
    pub(crate) status: PetStatus,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CheckedLocation {
    pub(crate) city: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) exact: Option<Coordinates>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) date: Option<Date>,
    pub(crate) is_estimate: bool,
}

pub(super) const MAX_AGE: u32 = 80;
pub(super) const MAX_BREED_CHARS: usize = 80;
const MAX_TRAITS: usize = 10;
const MAX_TRAIT_CHARS: usize = 30;
const MAX_PLACE_CHARS: usize = 80;

impl PetFields {
    /// These fields laid over those of `current`, or over a pet that has none yet.
    pub(crate) fn check(self, current: Option<&Pet>, today: Date) -> Result<CheckedPet, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = required(&mut errors, "name", self.name, current.map(|pet| pet.name.clone()), |text| {
            one_line(&text, 50).ok_or_else(|| "must have 1 to 50 characters in one line".to_owned())
        });
        let species = required(&mut errors, "species", self.species, current.map(|pet| pet.species), parse::<Species>);
        let breed = optional(&mut errors, "breed", self.breed, current.and_then(|pet| pet.breed.clone()), |text| {
            check_breed(&text)
        });
        let birth = check_birth(&mut errors, self.birth_date, self.age, current, today);
        let gender = optional(&mut errors, "gender", self.gender, current.map(|pet| pet.gender), parse::<Gender>);
        let size = optional(&mut errors, "size", self.size, current.and_then(|pet| pet.size), parse::<Size>);
        let personality = optional(
            &mut errors,
            "personality",
            self.personality,
            current.map(|pet| pet.personality.clone()),
            check_traits,
        );
        let bio = optional(&mut errors, "bio", self.bio, current.and_then(|pet| pet.bio.clone()), |text| {
            paragraphs(&text, 1000).ok_or_else(|| "must have at most 1000 characters".to_owned())
        });
        let location =
            optional(&mut errors, "location", self.location, current.map(CheckedLocation::of), LocationFields::check);
        // Clearing it would show a hidden pet to everybody.
        let status = match (self.status, current) {
            (Patch::Keep, None) => Some(PetStatus::Active),
            (status, _) => required(&mut errors, "status", status, current.map(|pet| pet.status), parse::<PetStatus>),
        };
        let checked = name.zip(species).map(|(name, species)| CheckedPet {
            name,
            species,
            breed,
            birth,
            gender: gender.unwrap_or(Gender::Unknown),
            size,
            personality: personality.unwrap_or_default(),
            bio: bio.filter(|text| !text.is_empty()),
            location: location.unwrap_or_default(),
            status: status.unwrap_or(PetStatus::Active),
        });
        errors.finish(checked)
    }
}

impl LocationFields {
    fn check(self) -> Result<CheckedLocation, String> {
        let exact = match (self.latitude, self.longitude) {
            (None, None) => None,
            (Some(latitude), Some(longitude)) => Some(
                Coordinates::new(latitude, longitude)
                    .ok_or("latitude must be from -90 to 90, and longitude from -180 to 180")?,
            ),
            _ => return Err("latitude and longitude must be given together".to_owned()),
        };
        let place = |field: &str, text: Option<String>| match text.filter(|text| !text.trim().is_empty()) {
            None => Ok(None),
            Some(text) => one_line(&text, MAX_PLACE_CHARS)
                .map(Some)
                .ok_or_else(|| format!("{field} must have at most {MAX_PLACE_CHARS} characters in one line")),
        };
        Ok(CheckedLocation { city: place("city", self.city)?, country: place("country", self.country)?, exact })
    }
}

impl CheckedLocation {
    fn of(pet: &Pet) -> Self {
        let location = &pet.location;
        Self { city: location.city.clone(), country: location.country.clone(), exact: location.exact() }
    }
}

fn required<I, T>(
    errors: &mut FieldErrors,
    field: &str,
    patch: Patch<I>,
    current: Option<T>,
    parse: impl FnOnce(I) -> Result<T, String>,
) -> Option<T> {
    match patch {
        Patch::Keep if current.is_some() => current,
        Patch::Keep | Patch::Clear => {
            errors.add(field, "is required");
            None
        }
        Patch::Set(input) => errors.check(field, parse(input)),
    }
}

fn optional<I, T>(
    errors: &mut FieldErrors,
    field: &str,
    patch: Patch<I>,
    current: Option<T>,
    parse: impl FnOnce(I) -> Result<T, String>,
) -> Option<T> {
    match patch {
        Patch::Keep => current,
        Patch::Clear => None,
        Patch::Set(input) => errors.check(field, parse(input)),
    }
}

fn parse<T: FromStr<Err = String>>(text: String) -> Result<T, String> {
    text.parse()
}

/// A breed, to be stored or to be looked for.
pub(super) fn check_breed(text: &str) -> Result<String, String> {
    one_line(text, MAX_BREED_CHARS).ok_or_else(|| "must have 1 to 80 characters in one line".to_owned())
}

fn check_traits(traits: Vec<String>) -> Result<Vec<String>, String> {
    let mut checked: Vec<String> = Vec::with_capacity(traits.len().min(MAX_TRAITS));
    for text in traits {
        let text = one_line(&text, MAX_TRAIT_CHARS)
            .ok_or_else(|| "each must have 1 to 30 characters in one line".to_owned())?;
        if !checked.contains(&text) {
            checked.push(text);
        }
        if checked.len() > MAX_TRAITS {
            return Err("must be at most 10".to_owned());
        }
    }
    Ok(checked)
}

/// An age is stored as the birth date that gives it today. An age that is what we would say
/// anyway changes nothing: clients send back what they read.
fn check_birth(
    errors: &mut FieldErrors,
    date: Patch<String>,
    age: Patch<i64>,
    current: Option<&Pet>,
    today: Date,
) -> Birth {
    let stored = current
        .map_or_else(Birth::default, |pet| Birth { date: pet.birth_date, is_estimate: pet.birth_date_is_estimate });
    if let Patch::Set(text) = date {
        let date = errors.check("birthDate", parse_birth_date(&text, today));
        return Birth { date, is_estimate: false };
    }
    // Clearing a date that was only reckoned from an age is no news.
    let kept = if date == Patch::Clear && !stored.is_estimate { Birth::default() } else { stored };
    match age {
        Patch::Keep => kept,
        // Who knows the day knows the age: a stale form must not turn the day into a guess.
        _ if kept.date.is_some() && !kept.is_estimate => kept,
        Patch::Clear if kept.is_estimate => Birth::default(),
        Patch::Clear => kept,
        Patch::Set(years) => match u32::try_from(years).ok().filter(|years| *years <= MAX_AGE) {
            None => {
                errors.add("age", "must be a whole number of years from 0 to 80");
                kept
            }
            Some(years) if kept.date.is_some_and(|born| full_years(born, today) == years) => kept,
            Some(years) => Birth { date: Some(years_before(today, years)), is_estimate: true },
        },
    }
}

fn parse_birth_date(text: &str, today: Date) -> Result<Date, &'static str> {
    let parsed = Date::parse(text, format_description!("[year]-[month]-[day]"));
    // The parser would take a sign before the year.
    let date = parsed.ok().filter(|_| text.len() == 10).ok_or("must be a date such as 2021-05-30")?;
    if date > today {
        return Err("must not be in the future");
    }
    if full_years(date, today) > MAX_AGE {
        return Err("must be at most 80 years ago");
    }
    Ok(date)
}

/// The day that many years before; whoever was born then or earlier is at least that old.
pub(super) fn years_before(day: Date, years: u32) -> Date {
    let year = day.year() - i32::try_from(years).unwrap_or(0);
    // 29 February has no namesake in most years; the day before is as good a guess.
    day.replace_year(year).or_else(|_| Date::from_calendar_date(year, Month::February, 28)).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    const TODAY: Date = date!(2026 - 11 - 22);

    fn set(text: &str) -> Patch<String> {
        Patch::Set(text.to_owned())
    }

    fn rex() -> PetFields {
        PetFields::new("Rex", Species::Dog)
    }

    #[test]
    fn every_invalid_field_is_reported_at_once() {
        let fields = PetFields {
            name: set("  "),
            species: set("dragon"),
            breed: set(&"x".repeat(81)),
            birth_date: set("2026-11-23"),
            age: Patch::Keep,
            gender: set("m"),
            size: set("huge"),
            personality: Patch::Set(vec!["calm".to_owned(), String::new()]),
            bio: set(&"x".repeat(1001)),
            location: Patch::Set(LocationFields { latitude: Some(1.0), ..LocationFields::default() }),
            status: set("gone"),
        };
        let errors = fields.check(None, TODAY).unwrap_err();
        let names: Vec<_> = errors.iter().map(|(field, _)| field).collect();
        assert_eq!(
            names,
            ["bio", "birthDate", "breed", "gender", "location", "name", "personality", "size", "species", "status"]
        );
    }

    #[test]
    fn name_and_species_are_all_that_is_needed() {
        let pet = rex().check(None, TODAY).unwrap();
        assert_eq!((pet.gender, pet.status, pet.birth), (Gender::Unknown, PetStatus::Active, Birth::default()));
        let errors = PetFields::default().check(None, TODAY).unwrap_err();
        assert_eq!(errors.to_string(), "name: is required; species: is required");
    }

    #[test]
    fn an_age_is_kept_as_an_estimated_birth_date() {
        let pet = PetFields { age: Patch::Set(3), ..rex() }.check(None, TODAY).unwrap();
        assert_eq!(pet.birth, Birth { date: Some(date!(2023 - 11 - 22)), is_estimate: true });
        for wrong in [-1, 81, i64::MAX] {
            assert!(PetFields { age: Patch::Set(wrong), ..rex() }.check(None, TODAY).is_err());
        }
        let leap_day = date!(2024 - 02 - 29);
        let pet = PetFields { age: Patch::Set(1), ..rex() }.check(None, leap_day).unwrap();
        assert_eq!(full_years(pet.birth.date.unwrap(), leap_day), 1);
    }

    #[test]
    fn a_birth_date_wins_over_an_age_and_has_bounds() {
        let pet = PetFields { birth_date: set("2021-05-30"), age: Patch::Set(50), ..rex() }.check(None, TODAY).unwrap();
        assert_eq!(pet.birth, Birth { date: Some(date!(2021 - 05 - 30)), is_estimate: false });
        for wrong in ["2026-11-23", "+2021-05-30", "1945-11-22", "30.5.2021", "2021-02-30", "", "2021-05-30T00:00:00Z"]
        {
            assert!(PetFields { birth_date: set(wrong), ..rex() }.check(None, TODAY).is_err(), "{wrong}");
        }
    }

    #[test]
    fn traits_are_trimmed_and_not_repeated() {
        let personality = Patch::Set(vec![" calm ".to_owned(), "calm".to_owned(), "shy".to_owned()]);
        assert_eq!(PetFields { personality, ..rex() }.check(None, TODAY).unwrap().personality, ["calm", "shy"]);
        let personality = Patch::Set((0..11).map(|n| n.to_string()).collect());
        assert!(PetFields { personality, ..rex() }.check(None, TODAY).is_err());
    }
}
