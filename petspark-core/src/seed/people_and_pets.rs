//! Invents users and pets from a number. Row `n` depends on the seed and on `n` only, so that
//! any part of the set can be made again.

use std::time::Duration;

use super::cities::CITIES;
use crate::auth::store::NewUserRow;
use crate::auth::{DisplayName, Email, Role};
use crate::clock::Timestamp;
use crate::id::{PetId, UserId};
use crate::pets::store::NewPetRow;
use crate::pets::{Birth, CheckedLocation, CheckedPet, Coordinates, Gender, PetStatus, Size, Species};

const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Amir",
    "Anna",
    "Beatriz",
    "Carlos",
    "Chen",
    "Chloe",
    "Daniel",
    "Elif",
    "Emma",
    "Fatima",
    "Felix",
    "Grace",
    "Hana",
    "Ivan",
    "Jonas",
    "Kofi",
    "Lena",
    "Lucas",
    "Maja",
    "Marta",
    "Mateo",
    "Nadia",
    "Noah",
    "Oleksandr",
    "Priya",
    "Rosa",
    "Samuel",
    "Sofia",
    "Tariq",
    "Uma",
    "Viktor",
    "Wei",
    "Yara",
    "Yusuf",
    "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Andersson",
    "Banerjee",
    "Costa",
    "Diallo",
    "Evans",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jensen",
    "Kovács",
    "Lopez",
    "Moreau",
    "Novak",
    "Okafor",
    "Petrova",
    "Quinn",
    "Rossi",
    "Silva",
    "Tanaka",
    "Usman",
    "Vargas",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zhou",
];
const PET_NAMES: &[&str] = &[
    "Bailey", "Bella", "Biscuit", "Bruno", "Charlie", "Coco", "Cosmo", "Daisy", "Ember", "Felix", "Ginger", "Hazel",
    "Juno", "Kiwi", "Loki", "Luna", "Maple", "Max", "Milo", "Mochi", "Nala", "Nova", "Olive", "Oscar", "Pepper",
    "Pixel", "Poppy", "Rex", "Rocky", "Rosie", "Ruby", "Simba", "Socks", "Toby", "Waffles", "Willow", "Ziggy",
];
const TRAITS: &[&str] = &[
    "affectionate",
    "brave",
    "calm",
    "clever",
    "curious",
    "energetic",
    "friendly",
    "gentle",
    "independent",
    "loyal",
    "mischievous",
    "patient",
    "playful",
    "quiet",
    "shy",
    "social",
    "stubborn",
    "talkative",
];
const PASTIMES: &[&str] = &[
    "long walks in the rain",
    "naps in the sun",
    "chasing leaves",
    "watching birds at the window",
    "car rides",
    "cardboard boxes",
    "new people",
    "belly rubs",
    "apple slices",
    "hide and seek",
];
/// Species, how many in a hundred, and some of its breeds.
const SPECIES: &[(Species, u64, &[&str])] = &[
    (
        Species::Dog,
        45,
        &[
            "Beagle",
            "Border Collie",
            "Boxer",
            "Dachshund",
            "German Shepherd",
            "Golden Retriever",
            "Labrador Retriever",
            "Mixed breed",
            "Poodle",
            "Pug",
        ],
    ),
    (
        Species::Cat,
        35,
        &[
            "Bengal",
            "British Shorthair",
            "Domestic Shorthair",
            "Maine Coon",
            "Norwegian Forest Cat",
            "Ragdoll",
            "Siamese",
            "Sphynx",
        ],
    ),
    (Species::Bird, 5, &["Budgerigar", "Canary", "Cockatiel"]),
    (Species::Rabbit, 5, &["Holland Lop", "Lionhead", "Netherland Dwarf"]),
    (Species::Rodent, 4, &["Guinea pig", "Golden hamster", "Gerbil"]),
    (Species::Reptile, 2, &["Bearded dragon", "Corn snake", "Leopard gecko"]),
    (Species::Fish, 2, &["Betta", "Goldfish"]),
    (Species::Horse, 1, &["Haflinger", "Icelandic", "Shetland pony"]),
    (Species::Other, 1, &["Alpaca", "Hedgehog"]),
];

/// 2026-01-01T00:00:00Z. Fixed, so that the same seed gives the same rows on any day.
const NEWEST: Timestamp = Timestamp::from_micros_const(1_767_225_600_000_000);
/// 2024-01-01T00:00:00Z.
const FIRST_PET: Timestamp = Timestamp::from_micros_const(1_704_067_200_000_000);
const TWO_YEARS: u64 = 2 * 365 * 86_400;

pub(super) struct Generator {
    seed: u64,
    users: u32,
    password_hash: Option<String>,
}

impl Generator {
    pub(super) fn new(seed: u64, users: u32, password_hash: Option<String>) -> Self {
        Self { seed, users, password_hash }
    }

    pub(super) fn user(&self, n: u32) -> NewUserRow {
        let mut dice = Dice::new(self.seed, 'u', n);
        let created_at = dice.moment();
        let (first, last) = (dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES));
        // The seed is in the address: sets of different seeds share no address.
        let email = format!("{first}.{last}.{n}@seed{}.example.org", self.seed);
        NewUserRow {
            id: self.user_id(n),
            email: Email::invented(&email),
            email_verified_at: Some(created_at),
            password_hash: self.password_hash.clone(),
            display_name: DisplayName::invented(&format!("{first} {last}")),
            role: Role::User,
            created_at,
        }
    }

    pub(super) fn pet(&self, n: u32) -> NewPetRow {
        let mut dice = Dice::new(self.seed, 'p', n);
        let created_at = pet_added_at(n);
        let id = PetId::from_bytes(dice.uuid(created_at));
        let owner_id = self.user_id(u32::try_from(dice.below(u64::from(self.users))).unwrap_or(0));
        let (species, breeds) = dice.species();
        let (name, first, second) = (dice.pick(PET_NAMES), dice.pick(TRAITS), dice.pick(TRAITS));
        let mut personality = vec![first.to_owned()];
        if second != first {
            personality.push(second.to_owned());
        }
        let born = created_at.before(Duration::from_secs(dice.below(14 * 365 * 86_400)));
        let date = (dice.below(8) > 0).then(|| born.date());
        let birth = Birth { date, is_estimate: dice.below(3) == 0 && date.is_some() };
        let fields = CheckedPet {
            name: name.to_owned(),
            species,
            breed: (dice.below(10) > 0).then(|| dice.pick(breeds).to_owned()),
            birth,
            gender: dice.pick(&[Gender::Female, Gender::Male, Gender::Female, Gender::Male, Gender::Unknown]),
            size: (dice.below(4) > 0).then(|| dice.pick(Size::ALL)),
            bio: (dice.below(4) > 0).then(|| format!("{name} is {first} and loves {}.", dice.pick(PASTIMES))),
            personality,
            location: dice.location(),
            status: if dice.below(20) == 0 { PetStatus::Hidden } else { PetStatus::Active },
        };
        NewPetRow::new(id, owner_id, fields, created_at)
    }

    fn user_id(&self, n: u32) -> UserId {
        let mut dice = Dice::new(self.seed, 'u', n);
        let created_at = dice.moment();
        UserId::from_bytes(dice.uuid(created_at))
    }
}

/// Pets come one after the other, as they do in life, so that indexes grow at their ends: one a
/// minute for two years, and whatever is more than that every second.
fn pet_added_at(n: u32) -> Timestamp {
    let minutes = n.min(1_000_000);
    FIRST_PET.after(Duration::from_secs(u64::from(minutes) * 60 + u64::from(n - minutes)))
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine. Nothing here
/// needs to be unpredictable.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, kind: char, n: u32) -> Self {
        let mut dice =
            Self(seed ^ (u64::from(u32::from(kind)) << 56) ^ u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    /// Somewhere in one of the cities, or not said.
    fn location(&mut self) -> CheckedLocation {
        if self.below(6) == 0 {
            return CheckedLocation::default();
        }
        let (city, country, latitude, longitude) = self.pick(CITIES);
        let (north, east) = (self.below(3000), self.below(3000));
        // Up to 0.15 degrees, about as far as a city goes.
        let off = |steps: u64| u32::try_from(steps).map_or(0.0, f64::from) / 10_000.0 - 0.15;
        CheckedLocation {
            city: Some(city.to_owned()),
            country: Some(country.to_owned()),
            exact: Coordinates::new(latitude + off(north), longitude + off(east)),
        }
    }

    fn moment(&mut self) -> Timestamp {
        NEWEST.before(Duration::from_secs(self.below(TWO_YEARS)))
    }

    fn species(&mut self) -> (Species, &'static [&'static str]) {
        let mut roll = self.below(100);
        for (species, share, breeds) in SPECIES {
            if roll < *share {
                return (*species, breeds);
            }
            roll -= share;
        }
        (Species::Other, &["Hedgehog"])
    }

    /// A UUIDv7 (RFC 9562 section 5.7) of that moment.
    fn uuid(&mut self, at: Timestamp) -> [u8; 16] {
        let millis = (at.as_micros() / 1000).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis[2..]);
        bytes[6..8].copy_from_slice(&self.next().to_be_bytes()[..2]);
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_invents_the_same_and_another_seed_something_else() {
        let describe = |seed| {
            let generator = Generator::new(seed, 10, None);
            (0..50).map(|n| (generator.pet(n).id, generator.pet(n).fields)).collect::<Vec<_>>()
        };
        assert_eq!(describe(1), describe(1));
        assert_ne!(describe(1), describe(2));
    }

    #[test]
    fn every_pet_has_an_owner_and_every_invented_field_would_pass_the_checks() {
        use crate::pets::{Patch, PetFields};
        let generator = Generator::new(7, 25, None);
        let users: Vec<_> = (0..25).map(|n| generator.user(n)).collect();
        for user in &users {
            assert_eq!(Email::parse(user.email.as_str()).unwrap(), user.email);
        }
        for n in 0..500 {
            let pet = generator.pet(n);
            assert!(users.iter().any(|user| user.id == pet.owner_id));
            let fields = PetFields {
                breed: Patch::from_option(pet.fields.breed.clone()),
                bio: Patch::from_option(pet.fields.bio.clone()),
                personality: Patch::Set(pet.fields.personality.clone()),
                ..PetFields::new(pet.fields.name.clone(), pet.fields.species)
            };
            let checked = fields.check(None, NEWEST.date()).unwrap();
            assert_eq!((checked.name, checked.breed, checked.bio), (pet.fields.name, pet.fields.breed, pet.fields.bio));
        }
    }
}
