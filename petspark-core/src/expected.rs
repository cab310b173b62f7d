//! Optimistic concurrency: which version of something a change is meant for, so that nobody
//! overwrites what they haven't seen.

/// Which versions of something a change is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whichever there is.
    #[default]
    Any,
    /// One of these; of none, never.
    OneOf(Vec<i64>),
}

impl Expected {
    pub(crate) fn admits(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}
