//! Breeds to suggest, on the wire.

use petspark_core::pets::{self, Species};
use petspark_core::{FieldErrors, InvalidPage, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::words;
use crate::error::ApiError;

/// A breed as it is usually called.
#[derive(Serialize, ToSchema)]
pub(crate) struct Breed {
    /// The usual English name.
    #[schema(value_type = String, example = "German Shepherd Dog")]
    name: &'static str,
    /// What else it is called.
    #[schema(value_type = Vec<String>, example = json!(["Alsatian"]))]
    synonyms: &'static [&'static str],
}

impl From<&'static pets::Breed> for Breed {
    fn from(breed: &'static pets::Breed) -> Self {
        Self { name: breed.name, synonyms: &breed.synonyms }
    }
}

/// Which breeds to suggest.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BreedQuery {
    /// Of this species.
    #[param(value_type = words::Species, required)]
    species: Option<String>,
    /// What was typed: the beginning of a name, or of words in it; case and accents don't matter.
    #[param(max_length = 80, example = "alsat")]
    q: Option<String>,
    /// Most breeds in the answer.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
}

impl BreedQuery {
    /// Species, what was typed, and how many.
    pub(crate) fn check(self) -> Result<(Species, String, u32), ApiError> {
        let mut errors = FieldErrors::default();
        let species = self.species.ok_or_else(|| "is required".to_owned()).and_then(|text| text.parse());
        let species = errors.check("species", species);
        let limit = self.limit.map_or(Ok(PageRequest::DEFAULT_LIMIT), |text| text.parse());
        let limit = errors.check("limit", limit.map_err(|_| InvalidPage::Limit));
        let checked = species.zip(limit).map(|(species, limit)| (species, self.q.unwrap_or_default(), limit));
        errors.finish(checked).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}
