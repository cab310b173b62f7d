//! What every service error has in common: a [`Kind`], a stable code, and [`Fault`] for what
//! the caller can do nothing about. Which status or exit code follows is decided by the front doors.

mod variants;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub(crate) use variants::failure;

/// The class of an error: HTTP chooses the status by it, the command line its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The request can't be right, whoever sends it and whenever.
    Invalid,
    /// Nobody is signed in, or the proof of it doesn't hold.
    Unauthenticated,
    /// Signed in, and not allowed.
    Forbidden,
    /// There is no such thing, or none that the caller may know of.
    NotFound,
    /// At odds with what is stored.
    Conflict,
    /// Meant for another version than there is; see [`Expected`](crate::Expected).
    Outdated,
    /// Larger than anything may be here.
    TooLarge,
    /// Understood, and not what it is said to be.
    Unprocessable,
    /// Too often; see [`Failure::retry_after`].
    RateLimited,
    /// Temporarily not possible: the database is away, the machine is busy.
    Unavailable,
    /// A defect of ours. Its cause goes to the log, never to the caller.
    Internal,
}

/// An error that a service of this crate gives to its callers.
///
/// Its `Display` is safe to show; the cause, if there is one, is only in [`Error::source`].
pub trait Failure: Error + Send + Sync + 'static {
    /// The class of this error.
    fn kind(&self) -> Kind;

    /// A code that stays the same when the message changes, for example `AUTH_001`.
    fn code(&self) -> &'static str;

    /// What is wrong with which field, if this is about fields.
    fn fields(&self) -> Option<&FieldErrors> {
        None
    }

    /// Why, for operators and for the log; other callers are never told.
    fn for_operators(&self) -> Option<String> {
        None
    }

    /// More for a program, to go with the error as it is.
    fn details(&self) -> Option<serde_json::Value> {
        None
    }

    /// When it makes sense to try again.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Invalid fields by name, each with what is wrong with it, for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// One field with one problem.
    #[must_use]
    pub fn one(field: &str, problem: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, problem);
        errors
    }

    /// Adds a problem to a field.
    pub fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(problem.into());
    }

    /// Takes the value, or notes its problem under `field`.
    pub fn check<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(field, problem.to_string())).ok()
    }

    /// `value` if there were no problems, else all of them.
    ///
    /// # Errors
    /// `self`, when any problem was noted. `value` is `None` only then.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// The fields and their problems, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(field, problems)| (field.as_str(), problems.as_slice()))
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (field, problems)) in self.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {}", problems.join(", "))?;
        }
        Ok(())
    }
}

/// Something failed below the services: the database, the disk, a defect.
#[derive(Debug)]
pub struct Fault {
    kind: Kind,
    lasting: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl Fault {
    /// A defect: what should not be able to happen did.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: Kind::Internal, lasting: false, source: source.into() }
    }

    /// Something that PetSpark needs is away or busy, and may be back in a moment.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: Kind::Unavailable, lasting: false, source: source.into() }
    }

    /// Something that stays as it is however often it is tried: a job that meets it is not
    /// tried again.
    pub fn lasting(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { lasting: true, ..Self::internal(source) }
    }

    /// Whether trying again is in vain.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// The cause, if it is one of these.
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.source.downcast_ref()
    }

    /// The cause and what caused it, in one line, for a log.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(&*self.source)
    }
}

/// An error and its causes in one line, for a log; a cause that its parent already tells is left out.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Unavailable => "The service is temporarily unavailable. Please try again in a moment.",
            _ => "Something went wrong on our side.",
        })
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl Failure for Fault {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn code(&self) -> &'static str {
        match self.kind {
            Kind::Unavailable => "UNAVAILABLE",
            _ => "INTERNAL_ERROR",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        (self.kind == Kind::Unavailable).then_some(Duration::from_secs(1))
    }
}
