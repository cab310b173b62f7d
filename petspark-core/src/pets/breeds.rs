//! Breeds to suggest while somebody types one: a catalogue that is compiled in (`breeds.txt` says where
//! its names come from), matched without case and accents. What they then call the breed is up to them.

use std::sync::LazyLock;

use super::Species;
use crate::text::fold;

/// A breed as it is usually called.
#[derive(Debug, PartialEq, Eq)]
pub struct Breed {
    /// The usual English name.
    pub name: &'static str,
    /// What else it is called, in English or at home.
    pub synonyms: Vec<&'static str>,
    species: Species,
    /// Name and synonyms as they are matched.
    folded: Vec<String>,
}

/// In the order of species, and of names in each.
static CATALOGUE: LazyLock<Vec<Breed>> = LazyLock::new(|| parse(include_str!("breeds.txt")));

fn parse(text: &'static str) -> Vec<Breed> {
    let mut species = Species::Other;
    let mut breeds = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|heading| heading.trim_end_matches(']').parse().ok()) {
            Some(heading) => species = heading,
            None => {
                let names: Vec<_> = line.split(';').map(str::trim).collect();
                let folded = names.iter().map(|name| fold(name)).collect();
                breeds.push(Breed { name: names[0], synonyms: names[1..].to_vec(), species, folded });
            }
        }
    }
    breeds
}

/// How well a breed fits what was typed, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The name begins like that.
    Name,
    /// Another name does.
    Synonym,
    /// Words inside of one name begin like those that were typed, in any order.
    Words,
}

impl Breed {
    fn fit(&self, typed: &str) -> Option<Fit> {
        let has_words = |name: &String| typed.split(' ').all(|word| name.split(' ').any(|own| own.starts_with(word)));
        match self.folded.iter().position(|name| name.starts_with(typed)) {
            Some(0) => Some(Fit::Name),
            Some(_) => Some(Fit::Synonym),
            None => self.folded.iter().any(has_words).then_some(Fit::Words),
        }
    }
}

/// The breeds of a species that fit what was typed, those that fit best first, by name among equals;
/// all of them if nothing was.
pub(super) fn matching(species: Species, typed: &str) -> Vec<&'static Breed> {
    let of_species = CATALOGUE.iter().filter(|breed| breed.species == species);
    if typed.trim().is_empty() {
        return of_species.collect();
    }
    let typed = fold(typed);
    if typed.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<_> = of_species.filter_map(|breed| Some((breed.fit(&typed)?, breed))).collect();
    found.sort_by_key(|(fit, _)| *fit);
    found.into_iter().map(|(_, breed)| breed).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names(species: Species, typed: &str) -> Vec<&'static str> {
        matching(species, typed).iter().map(|breed| breed.name).collect()
    }

    #[test]
    fn the_catalogue_has_breeds_of_every_kind_of_animal_but_other() {
        for species in Species::ALL {
            let least = match species {
                Species::Dog => 300,
                Species::Cat => 60,
                Species::Other => 0,
                _ => 20,
            };
            let breeds = matching(*species, "");
            assert!(breeds.len() >= least, "{species}: {}", breeds.len());
            let folded: Vec<_> = breeds.iter().map(|breed| &breed.folded[0]).collect();
            assert!(folded.is_sorted(), "{species}: {folded:?}");
        }
        assert!(matching(Species::Other, "").is_empty());
    }

    #[test]
    fn no_name_of_a_species_stands_for_two_breeds() {
        let mut seen = BTreeMap::new();
        for breed in CATALOGUE.iter() {
            for name in [breed.name].iter().chain(&breed.synonyms) {
                assert_eq!(super::super::fields::check_breed(name).as_deref(), Ok(*name));
                let other = seen.insert((breed.species.as_str(), fold(name)), breed.name);
                assert_eq!(other, None, "{name} of {}", breed.name);
            }
        }
    }

    #[test]
    fn a_breed_is_found_by_the_beginning_of_its_names_and_of_their_words() {
        for (species, typed, first) in [
            (Species::Dog, "lowchen", "Löwchen"),
            (Species::Dog, "LÖWCH", "Löwchen"),
            (Species::Dog, "alsat", "German Shepherd Dog"),
            (Species::Dog, "shepherd ger", "German Shepherd Dog"),
            (Species::Dog, "deutscher-schaferhund", "German Shepherd Dog"),
            (Species::Dog, "Lab", "Labradoodle"),
            (Species::Dog, "cao de agua", "Portuguese Water Dog"),
            (Species::Cat, "moggie", "Domestic Shorthair"),
            (Species::Cat, "coon maine", "Maine Coon"),
            (Species::Bird, "budgie", "Budgerigar"),
            (Species::Rodent, "golden", "Syrian Hamster"),
            (Species::Horse, "PRE", "Andalusian"),
        ] {
            assert_eq!(names(species, typed).first(), Some(&first), "{typed}");
        }
        for (species, typed) in [
            (Species::Cat, "alsatian"),
            (Species::Dog, "etriever"),
            (Species::Dog, "german retriever"),
            (Species::Dog, "%"),
            (Species::Dog, "🐶"),
            (Species::Other, "a"),
        ] {
            assert_eq!(names(species, typed), Vec::<&str>::new(), "{typed}");
        }
    }

    #[test]
    fn names_come_before_synonyms_and_those_before_words_inside() {
        let found = names(Species::Dog, "collie");
        assert_eq!(found[0], "Rough Collie");
        assert!(found[1..].contains(&"Bearded Collie") && found[1..].contains(&"Border Collie"), "{found:?}");
        let found = names(Species::Dog, "bull");
        assert_eq!(found[..3], ["Bull Terrier", "Bulldog", "Bullmastiff"]);
        assert!(found[3..].contains(&"French Bulldog"), "{found:?}");
    }
}
