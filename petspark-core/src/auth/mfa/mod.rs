//! Second factors: an authenticator app and, for when it is lost, recovery codes. Here is how a
//! factor is set up and removed and when a code counts; signing in with one is `challenge`'s
//! business, proving oneself anew `step_up`'s, and helping those who lost theirs `operators`'.

mod challenge;
mod operators;
mod recovery_codes;
mod reseal;
mod settings;
mod step_up;
mod totp;

pub use operators::{Factors, SecondFactorReset};
pub(crate) use recovery_codes::CodeDigest;
pub(in crate::auth) use reseal::Resealed;
pub use settings::{SecondFactorFor, SecondFactorSettings};
pub use step_up::StepUp;
pub use totp::Enrolment;
#[cfg(feature = "testing")]
pub(crate) use totp::code_at;

use std::time::Duration;

use super::session::Tokens;
use super::{Auth, AuthError, store};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::{FactorId, SessionId, UserId};
use crate::mail::{self, Mail, Recipient, Template};
use crate::secret::Secret;

/// How long a new authenticator may wait to be confirmed.
const ENROLMENT_TTL: Duration = Duration::from_secs(15 * 60);
/// Wrong codes in a row that cost nothing but themselves.
const FREE_FAILURES: i64 = 9;
/// Longest wait between two guesses. At one guess in a quarter of an hour, three codes of a
/// million being right, a year of guessing succeeds with a chance of one in ten.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// What somebody gets who has set up a second factor.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Each gets in once, without the authenticator. Shown this once.
    pub recovery_codes: Vec<Secret>,
    /// The session's new tokens: those from before the second factor don't count any more.
    pub tokens: Tokens,
}

/// What a right code was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Totp,
    RecoveryCode,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
        }
    }
}

impl Auth {
    /// Begins to set up an authenticator app. It counts once a code of it [confirmed](Auth::confirm_totp) it.
    ///
    /// # Errors
    /// [`AuthError::StepUpRequired`] when signing in was too long ago, [`AuthError::SecondFactorExists`].
    pub async fn begin_totp(&self, caller: &Caller) -> Result<Enrolment, AuthError> {
        let (user, _) = signed_in(caller)?;
        self.require_recent(caller)?;
        let account = self.me(caller).await?.email;
        let secret = totp::new_secret()?;
        let id = FactorId::new();
        let enrolment = totp::enrolment(&secret, &self.0.settings.second_factor.issuer, &account)?;
        let sealed = self.0.sealer.seal(&purpose(id), &secret)?;
        let mut tx = self.0.db.begin().await?;
        if !store::put_totp(&mut tx, id, user, &sealed, self.0.clock.now()).await? {
            return Err(AuthError::SecondFactorExists);
        }
        tx.commit().await?;
        Ok(enrolment)
    }

    /// Sets up the authenticator app whose code this is. The user's other sessions, which never
    /// saw it, end; this one goes on with new tokens.
    ///
    /// # Errors
    /// [`AuthError::WrongCode`]; [`AuthError::NoSecondFactor`] if none was begun in the last quarter of an hour.
    pub async fn confirm_totp(&self, caller: &Caller, code: &str) -> Result<Enrolled, AuthError> {
        let (user, session) = signed_in(caller)?;
        let now = self.0.clock.now();
        let (recovery_codes, digests) = new_codes()?;
        let mut tx = self.0.db.begin().await?;
        let begun = store::find_totp(&mut tx, user).await?;
        let begun = begun.filter(|row| row.confirmed_at.is_none() && now.since(row.created_at) <= ENROLMENT_TTL);
        let begun = begun.ok_or(AuthError::NoSecondFactor)?;
        let step = self.matching_step(begun.id, &begun.sealed_secret, code, now)?.ok_or(AuthError::WrongCode)?;
        if !store::confirm_totp(&mut tx, begun.id, step, now).await? {
            return Err(AuthError::NoSecondFactor);
        }
        store::replace_recovery_codes(&mut tx, user, &digests, now).await?;
        let ended = store::revoke_other_sessions(&mut tx, user, session, "second_factor_added", now).await?;
        let renewed = store::renew_session(&mut tx, session, now, Some(now)).await?;
        let renewed = renewed.ok_or(AuthError::Unauthenticated)?;
        mail::send(&mut tx, Mail::new(Recipient::User(user), Template::SecondFactorAdded, now)).await?;
        let event = Event::new(Action::SecondFactorAdded).on(Subject::User(user)).detail("sessions_ended", ended);
        audit::record(&mut tx, now, caller, event).await?;
        self.commit_ended(tx).await?;
        Ok(Enrolled { recovery_codes, tokens: self.renewed_tokens(session, &renewed, now).await? })
    }

    /// Removes the second factor, with a code of it or shortly after giving one. The user's other
    /// sessions end.
    ///
    /// # Errors
    /// [`AuthError::NoSecondFactor`], [`AuthError::WrongCode`], [`AuthError::TooMany`];
    /// [`AuthError::StepUpRequired`] without a code, when none was given lately.
    pub async fn remove_totp(&self, caller: &Caller, code: Option<&str>) -> Result<(), AuthError> {
        let (user, session) = signed_in(caller)?;
        let now = self.0.clock.now();
        let mut tx = self.prove_second_factor(caller, code, now).await?;
        if !store::delete_second_factor(&mut tx, user).await? {
            return Err(AuthError::NoSecondFactor);
        }
        let ended = store::revoke_other_sessions(&mut tx, user, session, "second_factor_removed", now).await?;
        mail::send(&mut tx, Mail::new(Recipient::User(user), Template::SecondFactorRemoved, now)).await?;
        let event = Event::new(Action::SecondFactorRemoved).on(Subject::User(user)).detail("sessions_ended", ended);
        audit::record(&mut tx, now, caller, event).await?;
        self.commit_ended(tx).await?;
        Ok(())
    }

    /// Ten new recovery codes in place of all old ones.
    ///
    /// # Errors
    /// As [`Auth::remove_totp`].
    pub async fn renew_recovery_codes(&self, caller: &Caller, code: Option<&str>) -> Result<Vec<Secret>, AuthError> {
        let (user, _) = signed_in(caller)?;
        let now = self.0.clock.now();
        let (codes, digests) = new_codes()?;
        let mut tx = self.prove_second_factor(caller, code, now).await?;
        store::replace_recovery_codes(&mut tx, user, &digests, now).await?;
        let event = Event::new(Action::RecoveryCodesRenewed).on(Subject::User(user));
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// A transaction for somebody who just proved their second factor. The password is no proof:
    /// who found it out must not get rid of the factor.
    async fn prove_second_factor(&self, caller: &Caller, code: Option<&str>, now: Timestamp) -> Result<Tx, AuthError> {
        let (user, _) = signed_in(caller)?;
        let mut tx = self.0.db.begin().await?;
        if store::find_totp(&mut tx, user).await?.is_none_or(|row| row.confirmed_at.is_none()) {
            return Err(AuthError::NoSecondFactor);
        }
        let Some(code) = code else {
            let proven = caller.proof().and_then(|proof| proof.second_factor_at);
            let lately = proven.is_some_and(|at| now.since(at) <= self.0.settings.step_up_ttl);
            return if lately { Ok(tx) } else { Err(AuthError::StepUpRequired) };
        };
        match self.use_code(&mut tx, user, code, now).await? {
            Some(_) => Ok(tx),
            None => self.refuse_code(tx, caller, user, now).await,
        }
    }

    /// Uses up a code of `user`. `None` if it is wrong or was used before: that was counted in
    /// `tx`, which must be [committed](Auth::refuse_code) then too.
    async fn use_code(&self, tx: &mut Tx, user: UserId, code: &str, now: Timestamp) -> Result<Option<Kind>, AuthError> {
        if let Some(digest) = recovery_codes::digest(code) {
            // Not counted: nobody guesses 120 bits, and so who guesses codes can't lock out the owner.
            let right = store::use_recovery_code(tx, user, &digest, now).await?;
            return Ok(right.then_some(Kind::RecoveryCode));
        }
        let Some(charged) = store::charge_totp(tx, user, now).await? else {
            let blocked = store::find_totp(tx, user).await?.and_then(|row| row.blocked_until);
            return match blocked {
                Some(until) => Err(AuthError::TooMany { retry_after: until.since(now) }),
                None => Ok(None),
            };
        };
        let step = self.matching_step(charged.id, &charged.sealed_secret, code, now)?;
        if let Some(step) = step
            && store::use_totp_step(tx, charged.id, step).await?
        {
            return Ok(Some(Kind::Totp));
        }
        if let Some(wait) = wait_after(charged.failures) {
            store::block_totp(tx, charged.id, now.after(wait)).await?;
        }
        Ok(None)
    }

    /// Keeps what was counted, writes the failure down, and refuses.
    async fn refuse_code<T>(&self, mut tx: Tx, caller: &Caller, user: UserId, now: Timestamp) -> Result<T, AuthError> {
        let event = Event::new(Action::SecondFactorFail).on(Subject::User(user)).failed();
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Err(AuthError::WrongCode)
    }

    fn matching_step(&self, id: FactorId, sealed: &[u8], code: &str, now: Timestamp) -> Result<Option<i64>, Fault> {
        let secret = self.0.sealer.open(&purpose(id), sealed).ok_or_else(|| {
            Fault::internal("the secret of a second factor can't be decrypted: is the key it was sealed with still in auth.encryption_key or JWT_SECRET?")
        })?;
        // Apps show a gap in the middle, and people type it.
        let code: String = code.split_whitespace().collect();
        totp::matching_step(&secret, &code, now)
    }
}

/// Names what is sealed: the secret of one authenticator can't be passed off as another's.
fn purpose(id: FactorId) -> String {
    format!("totp {id}")
}

fn signed_in(caller: &Caller) -> Result<(UserId, SessionId), AuthError> {
    caller.user_id().zip(caller.session_id()).ok_or(AuthError::Unauthenticated)
}

fn new_codes() -> Result<(Vec<Secret>, Vec<CodeDigest>), Fault> {
    let codes = (0..recovery_codes::COUNT).map(|_| recovery_codes::new_code()).collect::<Result<Vec<_>, _>>()?;
    Ok(codes.into_iter().unzip())
}

/// How long no further code is looked at after so many wrong ones in a row: 1 s after the tenth,
/// twice as long after each more.
fn wait_after(failures: i64) -> Option<Duration> {
    let doublings = failures - FREE_FAILURES - 1;
    (doublings >= 0).then(|| Duration::from_secs(1 << doublings.min(16)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_tenth_wrong_code_up_to_a_quarter_of_an_hour() {
        let seconds = |failures| wait_after(failures).map(|wait| wait.as_secs());
        assert_eq!([1, 9, 10, 11, 12, 19].map(seconds), [None, None, Some(1), Some(2), Some(4), Some(512)]);
        assert_eq!([20, 90, i64::MAX].map(seconds), [Some(900); 3]);
    }
}
