//! What people say of themselves, and what their apps remember for them.

use serde_json::{Map, Value};

use super::{People, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{AuthError, DisplayName};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::expected::Expected;
use crate::id::UserId;
use crate::pets::Patch;
use crate::text::{one_line, paragraphs};

/// What a person says of themselves.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Profile {
    /// Who.
    pub id: UserId,
    /// The name others see.
    pub display_name: String,
    /// Up to 1,000 characters about them.
    pub bio: Option<String>,
    /// Where they live, in their own words.
    pub location: Option<String>,
    /// When their account was made.
    pub created_at: Timestamp,
    /// When their account was last changed.
    pub updated_at: Timestamp,
    /// Counts every change of what they say.
    pub version: i64,
}

/// What a person's apps remember for them.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Preferences {
    /// Whatever they put there.
    #[sqlx(json, rename = "preferences")]
    pub values: Map<String, Value>,
    /// Counts every change.
    pub version: i64,
}

/// What to change of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// 1 to 80 characters in one line. Can't be cleared.
    pub display_name: Patch<String>,
    /// At most 1,000 characters.
    pub bio: Patch<String>,
    /// At most 100 characters in one line.
    pub location: Patch<String>,
}

/// A change after all rules were checked. The outer `None` means: as it is.
pub(super) struct CheckedChange {
    pub(super) display_name: Option<DisplayName>,
    pub(super) bio: Option<Option<String>>,
    pub(super) location: Option<Option<String>>,
}

impl ProfileChange {
    const MAX_BIO: usize = 1000;
    const MAX_LOCATION: usize = 100;

    fn check(self) -> Result<CheckedChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let display_name = match self.display_name {
            Patch::Keep => None,
            Patch::Clear => {
                errors.add("displayName", "can't be empty");
                None
            }
            Patch::Set(text) => errors.check("displayName", DisplayName::parse(&text)),
        };
        let bio = text(&mut errors, "bio", self.bio, |text| {
            paragraphs(text, Self::MAX_BIO).ok_or("must have at most 1000 characters")
        });
        let location = text(&mut errors, "location", self.location, |text| {
            one_line(text, Self::MAX_LOCATION).ok_or("must have at most 100 characters in one line")
        });
        errors.finish(Some(CheckedChange { display_name, bio, location }))
    }
}

/// A text that may be empty, which is the same as none.
fn text(
    errors: &mut FieldErrors,
    field: &str,
    patch: Patch<String>,
    parse: impl FnOnce(&str) -> Result<String, &'static str>,
) -> Option<Option<String>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(text) if text.trim().is_empty() => Some(None),
        Patch::Set(text) => errors.check(field, parse(&text)).map(Some),
    }
}

impl CheckedChange {
    fn fields(&self) -> Vec<&'static str> {
        let given = [
            ("displayName", self.display_name.is_some()),
            ("bio", self.bio.is_some()),
            ("location", self.location.is_some()),
        ];
        given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }
}

/// Largest preferences, in bytes of JSON without white space.
const MAX_PREFERENCES: usize = 16 * 1024;

impl People {
    /// The caller's own profile.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn profile(&self, caller: &Caller) -> Result<Profile, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        store::profile(&self.db, id).await?.ok_or(AuthError::Unauthenticated)
    }

    /// Changes what is given of the caller's own profile, and keeps the rest.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with every invalid field; [`AuthError::Unauthenticated`].
    pub async fn change_profile(&self, caller: &Caller, change: ProfileChange) -> Result<Profile, AuthError> {
        self.change_profile_expected(caller, change, &Expected::Any).await
    }

    /// The same, if the profile still is what the change is meant for.
    ///
    /// # Errors
    /// As [`People::change_profile`], and [`AuthError::Outdated`].
    pub async fn change_profile_expected(
        &self,
        caller: &Caller,
        change: ProfileChange,
        expected: &Expected,
    ) -> Result<Profile, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        let change = change.check().map_err(AuthError::Invalid)?;
        let fields = change.fields();
        if fields.is_empty() {
            let profile = self.profile(caller).await?;
            return if expected.admits(profile.version) { Ok(profile) } else { Err(AuthError::Outdated) };
        }
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let profile = store::change_profile(&mut tx, id, &change, now).await?.ok_or(AuthError::Unauthenticated)?;
        if !expected.admits(profile.version - 1) {
            return Err(AuthError::Outdated);
        }
        let event = Event::new(Action::UserUpdated).on(Subject::User(id)).detail("fields", fields);
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Ok(profile)
    }

    /// What the caller's apps remember for them; empty at first.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn preferences(&self, caller: &Caller) -> Result<Preferences, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        store::preferences(&self.db, id).await?.ok_or(AuthError::Unauthenticated)
    }

    /// Replaces what the caller's apps remember for them.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when they are larger than 16 KiB or have a NUL character in them,
    /// which PostgreSQL can't store; [`AuthError::Unauthenticated`].
    pub async fn set_preferences(
        &self,
        caller: &Caller,
        preferences: Map<String, Value>,
    ) -> Result<Preferences, AuthError> {
        self.set_preferences_expected(caller, preferences, &Expected::Any).await
    }

    /// The same, if they still are what is meant to be replaced.
    ///
    /// # Errors
    /// As [`People::set_preferences`], and [`AuthError::Outdated`].
    pub async fn set_preferences_expected(
        &self,
        caller: &Caller,
        preferences: Map<String, Value>,
        expected: &Expected,
    ) -> Result<Preferences, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        let invalid = |problem: &str| AuthError::Invalid(FieldErrors::one("preferences", problem));
        let value = Value::Object(preferences);
        if value.to_string().len() > MAX_PREFERENCES {
            return Err(invalid("must have at most 16 KiB"));
        }
        if has_nul(&value) {
            return Err(invalid("must not have a NUL character in a name or text"));
        }
        let mut tx = self.db.begin().await?;
        let stored = store::set_preferences(&mut tx, id, &value).await?.ok_or(AuthError::Unauthenticated)?;
        if !expected.admits(stored.version - 1) {
            return Err(AuthError::Outdated);
        }
        tx.commit().await?;
        Ok(stored)
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
