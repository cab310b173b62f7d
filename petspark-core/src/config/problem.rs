//! What is wrong with the settings: all of it, each with its source and what to do.

use std::fmt;

use super::sources::Origin;
use crate::error::{Failure, Kind};

/// One thing that is wrong with the settings.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The setting's key.
    pub key: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn one(key: &str, origin: Origin, message: String) -> Self {
        Self(vec![Problem { key: key.to_owned(), origin, message }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem{} in the settings", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for Problem { key, origin, message } in &self.0 {
            write!(f, "\n  {key} ({origin}): {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Failure for Problems {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "CONFIG_INVALID"
    }
}
