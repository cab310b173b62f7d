//! Plans: what somebody may have of what costs us something. Which there are is a setting; the free one is
//! made of the limits that pets and media have anyway.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::config::{ByteSize, Value};

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Photos of a pet.
    pub photos_per_pet: u32,
    /// What uploads can take altogether, in bytes.
    pub storage_bytes: u64,
    /// Pets of a user.
    pub pets: u32,
}

/// A plan: its name, limits and features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// How much of everything.
    pub limits: Limits,
    /// What it has beside numbers, such as `advanced_filters`: for frontends and embedders to ask for. PetSpark
    /// itself keeps nothing from anybody by them.
    pub features: BTreeSet<String>,
}

/// The name of the plan that everybody has.
pub const FREE: &str = "free";

/// `premium photos=30 storage=10240MiB pets=50 advanced_filters`
impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "a plan such as `premium photos=30 storage=10240MiB pets=50 advanced_filters`: its name, its three limits, \
             and its features"
                .to_owned()
        };
        let is_name =
            |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        let mut words = text.split_whitespace();
        let name = words.next().filter(|name| is_name(name)).ok_or_else(expected)?.to_owned();
        let (mut photos, mut storage, mut pets, mut features) = (None, None, None, BTreeSet::new());
        for word in words {
            match word.split_once('=') {
                Some(("photos", count)) => photos = Some(count.parse().map_err(|_| expected())?),
                Some(("storage", size)) => storage = Some(ByteSize::parse(size).map_err(|_| expected())?.0),
                Some(("pets", count)) => pets = Some(count.parse().map_err(|_| expected())?),
                None if is_name(word) => drop(features.insert(word.to_owned())),
                _ => return Err(expected()),
            }
        }
        let (Some(photos_per_pet), Some(storage_bytes), Some(pets)) = (photos, storage, pets) else {
            return Err(expected());
        };
        Ok(Self { name, limits: Limits { photos_per_pet, storage_bytes, pets }, features })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { photos_per_pet, storage_bytes, pets } = self.limits;
        let storage = ByteSize(storage_bytes).render();
        write!(f, "{} photos={photos_per_pet} storage={storage} pets={pets}", self.name)?;
        self.features.iter().try_for_each(|feature| write!(f, " {feature}"))
    }
}

impl Value for Plan {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

/// All plans, the free one first, and each worth more than those before it.
#[derive(Clone, Debug)]
pub struct Plans(Arc<[Plan]>);

impl Plans {
    /// The free plan with these limits, and `paid` ones, the least first. None has less of anything than
    /// the free one: whoever pays doesn't lose by it.
    pub(crate) fn new(free: Limits, paid: &[Plan]) -> Self {
        let free = Plan { name: FREE.to_owned(), limits: free, features: BTreeSet::new() };
        let paid = paid.iter().map(|plan| Plan {
            limits: Limits {
                photos_per_pet: plan.limits.photos_per_pet.max(free.limits.photos_per_pet),
                storage_bytes: plan.limits.storage_bytes.max(free.limits.storage_bytes),
                pets: plan.limits.pets.max(free.limits.pets),
            },
            ..plan.clone()
        });
        Self([free.clone()].into_iter().chain(paid).collect())
    }

    /// The plan of everybody.
    #[must_use]
    pub fn free(&self) -> &Plan {
        // There is always one: see `new`.
        &self.0[0]
    }

    /// Every plan, the least first.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter()
    }

    /// The plan of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Plan> {
        self.rank(name).map(|rank| &self.0[rank])
    }

    /// How much it is worth: its place among the others.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|plan| plan.name == name)
    }

    /// Features of all plans.
    pub(super) fn features(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|plan| &plan.features).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let text = "premium photos=30 storage=10240MiB pets=50 advanced_filters badge";
        let plan: Plan = text.parse().unwrap();
        assert_eq!(plan.to_string(), text);
        assert_eq!(plan.limits, Limits { photos_per_pet: 30, storage_bytes: 10 << 30, pets: 50 });
        for wrong in
            ["", "premium", "premium photos=1 pets=1", "Pro photos=1 storage=1 pets=1", "p photos=x storage=1 pets=1"]
        {
            assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_plan_has_less_than_the_free_one() {
        let free = Limits { photos_per_pet: 12, storage_bytes: 1 << 30, pets: 100 };
        let plans = Plans::new(free, &["small photos=1 storage=10240MiB pets=5 badge".parse().unwrap()]);
        let small = plans.find("small").unwrap();
        assert_eq!(small.limits, Limits { photos_per_pet: 12, storage_bytes: 10 << 30, pets: 100 });
        assert_eq!((plans.rank("free"), plans.rank("small"), plans.rank("pro")), (Some(0), Some(1), None));
    }
}
