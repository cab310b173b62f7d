//! Query parameters as a struct of optional texts; unknown and repeated names are refused.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use petspark_core::FieldErrors;
use serde::de::{DeserializeOwned, Deserializer, Visitor, value};
use serde::forward_to_deserialize_any;

use crate::error::ApiError;

/// Most problems told at once: an answer shall not be many times as long as its request.
const MAX_PROBLEMS: usize = 16;
/// A longer name is cut, for the same reason.
const MAX_NAME: usize = 100;

pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            let axum::extract::Query(pairs) = read::<Vec<(String, String)>>(parts)?;
            check_names(&pairs, names_of::<T>())?;
        }
        read(parts).map(|axum::extract::Query(value)| Self(value))
    }
}

fn read<T: DeserializeOwned>(parts: &Parts) -> Result<axum::extract::Query<T>, ApiError> {
    axum::extract::Query::try_from_uri(&parts.uri).map_err(|rejection| {
        let text = rejection.body_text();
        let problem = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        ApiError::invalid_fields(&FieldErrors::one("query", problem))
    })
}

fn check_names(pairs: &[(String, String)], known: &[&str]) -> Result<(), ApiError> {
    let (mut seen, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut errors = FieldErrors::default();
    for (name, _) in pairs {
        let problem = if !known.contains(&name.as_str()) {
            "is not a parameter of this list"
        } else if !seen.insert(name) {
            "is given twice"
        } else {
            continue;
        };
        if refused.len() < MAX_PROBLEMS && refused.insert(name) {
            errors.add(&name.chars().take(MAX_NAME).collect::<String>(), problem);
        }
    }
    errors.finish(Some(())).map_err(|fields| ApiError::invalid_fields(&fields))
}

/// The names of `T`'s fields on the wire, asked of serde: a second list of them could go stale.
fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: there are no values. The names are known by then.
    let _ = T::deserialize(Names(&mut names));
    names
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(serde::de::Error::custom("only the names are wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
