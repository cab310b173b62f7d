//! Which pets to list, as a query string says it.

use std::fmt::Display;
use std::str::FromStr;

use petspark_core::pets::{Coordinates, Near, PetFilter};
use petspark_core::{FieldErrors, PageRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{page_request, words};
use crate::error::ApiError;

/// Which pets to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PetQuery {
    /// Only of this owner.
    #[param(format = "uuid")]
    owner_id: Option<String>,
    /// Only of this species.
    #[param(value_type = Option<words::Species>)]
    species: Option<String>,
    /// Only of this breed; case, accents and punctuation don't matter.
    breed: Option<String>,
    /// Only of this gender.
    #[param(value_type = Option<words::Gender>)]
    gender: Option<String>,
    /// Only of this size.
    #[param(value_type = Option<words::Size>)]
    size: Option<String>,
    /// Only of this age in full years, or older.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 80)]
    min_age: Option<String>,
    /// Only of this age in full years, or younger.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 80)]
    max_age: Option<String>,
    /// Only with this status. Without it active ones; of one's own, all.
    #[param(value_type = Option<words::PetStatus>)]
    status: Option<String>,
    /// Only with these words, or words that begin like them, in name, breed or bio. Case and
    /// accents don't matter. 1 to 10 words.
    #[param(max_length = 100, example = "rex beag")]
    q: Option<String>,
    /// Only those around this place: latitude, longitude.
    #[param(example = "52.52,13.405")]
    near: Option<String>,
    /// How far around `near`, in kilometres.
    #[param(value_type = Option<f64>, minimum = 1, maximum = 500, default = 50)]
    radius_km: Option<String>,
    /// Without it: near a place `distance`; with `q` the best fit first; otherwise `-createdAt`.
    #[param(value_type = Option<words::PetSort>)]
    sort: Option<String>,
    /// Most pets in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// For old clients: skip this many, and tell the total.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
    offset: Option<String>,
}

impl PetQuery {
    pub(crate) fn check(self) -> Result<(PetFilter, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let near = near(&mut errors, self.near, self.radius_km);
        let filter = PetFilter {
            owner: parsed(&mut errors, "ownerId", self.owner_id),
            species: parsed(&mut errors, "species", self.species),
            breed: self.breed,
            gender: parsed(&mut errors, "gender", self.gender),
            size: parsed(&mut errors, "size", self.size),
            min_age: years(&mut errors, "minAge", self.min_age),
            max_age: years(&mut errors, "maxAge", self.max_age),
            status: parsed(&mut errors, "status", self.status),
            q: self.q,
            near,
            sort: parsed(&mut errors, "sort", self.sort),
        };
        let page = page_request(&mut errors, self.limit, self.cursor, self.offset);
        errors.finish(Some((filter, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}

fn parsed<T: FromStr<Err: Display>>(errors: &mut FieldErrors, field: &str, text: Option<String>) -> Option<T> {
    text.and_then(|text| errors.check(field, text.parse()))
}

fn years(errors: &mut FieldErrors, field: &str, text: Option<String>) -> Option<u32> {
    let years = text.map(|text| text.parse().map_err(|_| "must be a whole number of years from 0 to 80"));
    years.and_then(|years| errors.check(field, years))
}

fn near(errors: &mut FieldErrors, center: Option<String>, radius: Option<String>) -> Option<Near> {
    let Some(center) = center else {
        if radius.is_some() {
            errors.add("radiusKm", "needs near");
        }
        return None;
    };
    let center: Option<Coordinates> = errors.check("near", center.parse());
    let radius = radius.map_or(Some(Near::DEFAULT_RADIUS_KM), |text| text.parse().ok());
    let radius = radius.filter(|km| Near::RADII_KM.contains(km));
    let radius = errors.check("radiusKm", radius.ok_or("must be a number of kilometres from 1 to 500"));
    center.zip(radius).and_then(|(center, radius)| Near::new(center, radius))
}
