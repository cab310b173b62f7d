//! One step of a signing key's life, planned and done by the same code: a preview is the step
//! itself, undone at the end.

use std::time::Duration;

use super::ring::{NewKey, open, seal};
use super::{KeyState, MARGIN, PUBLISHED_FOR, SigningKey};
use crate::audit::{self, Action, Event};
use crate::auth::mfa::Resealed;
use crate::auth::sealed::Sealer;
use crate::auth::store::{self, KeyRow};
use crate::auth::{Auth, AuthError, Permission};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;

/// A step to take.
#[derive(Clone, Debug)]
pub enum KeyStep {
    /// Make a key and publish it; it doesn't sign yet.
    Generate,
    /// Let a published key sign from now on.
    Promote {
        /// Which.
        kid: String,
        /// Even if others may not know it yet.
        force: bool,
    },
    /// Never accept anything again that this key signed.
    Retire {
        /// Which.
        kid: String,
        /// Even if tokens it signed are still valid: who has one gets another by refreshing.
        force: bool,
    },
    /// Whatever is due: promote the key that was published long enough, publish the one after
    /// it, and retire those that were replaced `overlap` ago. For a timer.
    Rotate {
        /// At least the life of an access token and a minute.
        overlap: Duration,
    },
}

/// What a step changed.
#[derive(Clone, Debug, Default)]
pub struct KeysChanged {
    /// The key that was made.
    pub made: Option<SigningKey>,
    /// The key that signs now.
    pub promoted: Option<SigningKey>,
    /// The key that signed before.
    pub replaced: Option<SigningKey>,
    /// The keys that count no more.
    pub retired: Vec<SigningKey>,
    /// How many keys and secrets of second factors were sealed anew, because the secret that sealed them is no
    /// longer the newest.
    pub resealed: usize,
    /// How many of them stay as they are, because none of the secrets that are set opens them.
    pub unopened: usize,
}

/// Why a step can't be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Others may not know the key yet.
    #[error("Others may not know this key before {0}, ten minutes after it was published.")]
    TooNew(Timestamp),
    /// The key signs.
    #[error("This key signs; promote another one first.")]
    Signs,
    /// Tokens it signed are valid.
    #[error("Tokens that this key signed may be valid until {0}.")]
    InUse(Timestamp),
    /// A key lives once.
    #[error("This key is {0}, and can't become that.")]
    Past(KeyState),
    /// Sealed by a secret that isn't set here.
    #[error("This key can't be opened with the secrets that are set; set the one that it was made with.")]
    Sealed,
    /// An overlap that ends before the tokens do.
    #[error("The overlap must be at least {} s: an access token's life, and a minute.", .0.as_secs())]
    ShortOverlap(Duration),
}

impl Auth {
    /// Takes a step. Running servers feel it within two seconds; sessions live on.
    ///
    /// # Errors
    /// [`AuthError::KeyNotFound`]; [`AuthError::Key`] when it's too early for it;
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn change_keys(&self, caller: &Caller, step: &KeyStep) -> Result<KeysChanged, AuthError> {
        caller.require(Permission::ManageSigningKeys)?;
        // By itself, and before: there may be very many, and it is right whatever becomes of the step.
        let factors = self.reseal_factors(false).await?;
        if let Some(event) = resealed_event("second_factors", factors) {
            audit::record_now(&self.0.db, self.0.clock.now(), caller, event).await?;
        }
        let (tx, mut changed) = self.take_step(caller, step).await?;
        tx.commit().await?;
        changed.add(factors);
        self.keys_changed().await;
        Ok(changed)
    }

    /// What [`Auth::change_keys`] would do. A key that would be made is not the one that will be.
    ///
    /// # Errors
    /// As [`Auth::change_keys`].
    pub async fn preview_keys(&self, caller: &Caller, step: &KeyStep) -> Result<KeysChanged, AuthError> {
        caller.require(Permission::ManageSigningKeys)?;
        let factors = self.reseal_factors(true).await?;
        let mut changed = self.take_step(caller, step).await?.1;
        changed.add(factors);
        Ok(changed)
    }

    async fn take_step(&self, caller: &Caller, step: &KeyStep) -> Result<(Tx, KeysChanged), AuthError> {
        let now = self.0.clock.now();
        let least_overlap = self.0.settings.access_token_ttl + MARGIN;
        let mut tx = self.0.db.begin().await?;
        tx.take_turns("signing keys").await?;
        let rows = store::signing_keys(&mut tx).await?;
        let sealer = &*self.0.sealer;
        let mut change = Change { tx, caller, sealer, now, rows, changed: KeysChanged::default() };
        change.reseal().await?;
        match step {
            KeyStep::Generate => change.generate(NewKey::make(sealer)?).await?,
            KeyStep::Promote { kid, force } => {
                let key = change.find(kid)?;
                check_promotion(&key, *force, now)?;
                change.promote(key).await?;
            }
            KeyStep::Retire { kid, force } => {
                let key = change.find(kid)?;
                check_retirement(&key, *force, now, least_overlap)?;
                change.retire(key).await?;
            }
            KeyStep::Rotate { overlap } if *overlap < least_overlap => {
                return Err(KeyProblem::ShortOverlap(least_overlap).into());
            }
            KeyStep::Rotate { overlap } => change.rotate(*overlap, NewKey::make(sealer)?).await?,
        }
        Ok((change.tx, change.changed))
    }
}

impl KeysChanged {
    fn add(&mut self, resealed: Resealed) {
        self.resealed += resealed.anew;
        self.unopened += resealed.unopened;
    }
}

/// Also of what could not be sealed anew: whoever takes the old secret away next should not be told nothing.
fn resealed_event(what: &str, resealed: Resealed) -> Option<Event> {
    let event =
        || Event::new(Action::SecretsResealed).detail(what, resealed.anew).detail("unopened", resealed.unopened);
    (resealed.anew + resealed.unopened > 0).then(event)
}

fn check_promotion(key: &KeyRow, force: bool, now: Timestamp) -> Result<(), KeyProblem> {
    let known_at = key.created_at.after(PUBLISHED_FOR);
    match key.state {
        KeyState::Next if force || now >= known_at => Ok(()),
        KeyState::Next => Err(KeyProblem::TooNew(known_at)),
        state => Err(KeyProblem::Past(state)),
    }
}

fn check_retirement(key: &KeyRow, force: bool, now: Timestamp, overlap: Duration) -> Result<(), KeyProblem> {
    match (key.state, key.replaced_at) {
        (KeyState::Retired, _) => Err(KeyProblem::Past(KeyState::Retired)),
        (KeyState::Active, _) if !force => Err(KeyProblem::Signs),
        (KeyState::VerifyOnly, Some(at)) if !force && now < at.after(overlap) => {
            Err(KeyProblem::InUse(at.after(overlap)))
        }
        _ => Ok(()),
    }
}

/// A step being taken, in its transaction.
struct Change<'a> {
    tx: Tx,
    caller: &'a Caller,
    sealer: &'a Sealer,
    now: Timestamp,
    rows: Vec<KeyRow>,
    changed: KeysChanged,
}

impl Change<'_> {
    fn find(&self, kid: &str) -> Result<KeyRow, AuthError> {
        self.rows.iter().find(|row| row.kid == kid).cloned().ok_or(AuthError::KeyNotFound)
    }

    fn in_state(&self, state: KeyState) -> Vec<KeyRow> {
        self.rows.iter().filter(|row| row.state == state).cloned().collect()
    }

    /// Every step brings all keys under the newest secret: after one, the older secrets can go.
    async fn reseal(&mut self) -> Result<(), Fault> {
        let mut done = Resealed::default();
        let is_outdated =
            |row: &&mut KeyRow| row.private_key.as_deref().is_some_and(|key| self.sealer.is_outdated(key));
        for row in self.rows.iter_mut().filter(is_outdated) {
            let Some(key) = open(row, self.sealer) else {
                done.unopened += 1;
                continue;
            };
            row.private_key = Some(seal(&row.kid, key.as_bytes(), self.sealer)?);
            store::update_signing_key(&mut self.tx, row).await?;
            done.anew += 1;
        }
        if let Some(event) = resealed_event("signing_keys", done) {
            audit::record(&mut self.tx, self.now, self.caller, event).await?;
        }
        self.changed.add(done);
        Ok(())
    }

    async fn generate(&mut self, new: NewKey) -> Result<(), Fault> {
        let row = KeyRow {
            kid: new.kid,
            state: KeyState::Next,
            public_key: new.public.to_vec(),
            private_key: Some(new.sealed),
            created_at: self.now,
            activated_at: None,
            replaced_at: None,
            retired_at: None,
        };
        store::insert_signing_key(&mut self.tx, &row).await?;
        self.record(Action::SigningKeyCreated, &row).await?;
        self.changed.made = Some(SigningKey::of(&row));
        Ok(())
    }

    async fn promote(&mut self, mut key: KeyRow) -> Result<(), AuthError> {
        if open(&key, self.sealer).is_none() {
            return Err(KeyProblem::Sealed.into());
        }
        // The old one first: two never sign.
        for mut old in self.in_state(KeyState::Active) {
            (old.state, old.replaced_at) = (KeyState::VerifyOnly, Some(self.now));
            store::update_signing_key(&mut self.tx, &old).await?;
            self.changed.replaced = Some(SigningKey::of(&old));
        }
        (key.state, key.activated_at) = (KeyState::Active, Some(self.now));
        store::update_signing_key(&mut self.tx, &key).await?;
        self.record(Action::SigningKeyPromoted, &key).await?;
        self.changed.promoted = Some(SigningKey::of(&key));
        Ok(())
    }

    async fn retire(&mut self, mut key: KeyRow) -> Result<(), Fault> {
        (key.state, key.retired_at, key.private_key) = (KeyState::Retired, Some(self.now), None);
        store::update_signing_key(&mut self.tx, &key).await?;
        self.record(Action::SigningKeyRetired, &key).await?;
        self.changed.retired.push(SigningKey::of(&key));
        Ok(())
    }

    async fn rotate(&mut self, overlap: Duration, new: NewKey) -> Result<(), AuthError> {
        for key in self.in_state(KeyState::VerifyOnly) {
            if key.replaced_at.is_none_or(|at| self.now >= at.after(overlap)) {
                self.retire(key).await?;
            }
        }
        // Newest first: the last has waited longest.
        let mut waiting = self.in_state(KeyState::Next);
        if let Some(key) = waiting.pop_if(|key| self.now >= key.created_at.after(PUBLISHED_FOR)) {
            self.promote(key).await?;
        }
        if waiting.is_empty() {
            self.generate(new).await?;
        }
        Ok(())
    }

    async fn record(&mut self, action: Action, key: &KeyRow) -> Result<(), Fault> {
        let event = Event::new(action).detail("kid", key.kid.as_str());
        audit::record(&mut self.tx, self.now, self.caller, event).await
    }
}
