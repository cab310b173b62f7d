//! Accounts: registering, signing in, sessions and their tokens, and what operators do with
//! users. Cookies and headers are the front door's business; what a pet is, is not known here.

mod access_token;
mod api_key;
mod api_key_states;
mod api_keys;
mod bootstrap;
pub(crate) mod derived_token;
mod email_change;
mod error;
mod hash_pool;
mod import;
mod keys;
mod leaving;
mod leftovers;
mod mfa;
mod one_time_token;
mod password;
mod password_change;
mod password_policy;
mod permission;
mod recovery;
mod refresh_limit;
mod refresh_token;
mod refresh_worth;
mod rescue;
pub(crate) mod sealed;
mod sealed_with;
mod session;
mod session_control;
mod sessions;
mod sign_in;
mod signer;
mod signing_keys;
mod standing;
mod stats;
pub(crate) mod store;
mod stored_hash;
mod throttle;
mod token_report;
mod user;
mod users;
mod work;

pub use api_key::{ApiKey, ApiKeyState, IssuedApiKey, NewApiKey};
pub use error::AuthError;
pub use import::{Import, Imported};
pub(crate) use keys::{KEY_ID_LEN, Secrets, is_damaged, sealing_key_names, stored_jwt_secret};
pub(crate) use leftovers::ExpiredTokens;
pub use leftovers::Leftovers;
#[cfg(feature = "testing")]
pub(crate) use mfa::code_at;
pub use mfa::{Enrolled, Enrolment, Factors, SecondFactorFor, SecondFactorReset, SecondFactorSettings, StepUp};
pub use one_time_token::{OneTimeTokenSettings, Purpose};
pub use password::Password;
pub use permission::{Denied, Permission, Scopes};
pub use rescue::{Delivery, Invitation, NewEmail};
pub use sealed_with::lacking_secrets;
pub(crate) use sealed_with::sealed_with;
pub use session::{Client, ClientKind, SignedIn, Tokens};
pub(crate) use session_control::end_all_sessions;
pub use session_control::{SessionInfo, SessionSelection, TokenHolder};
pub use sign_in::{NewAccount, RegisterMode, Registered};
pub use signing_keys::{KeyProblem, KeyState, KeyStep, KeysChanged, PUBLISHED_FOR, SigningKey};
pub use standing::{StatusChange, UserChange, UserChanged};
pub use stats::AuthStats;
pub(crate) use throttle::Purge as PurgeThrottles;
pub use throttle::{Bucket, Limit, ThrottleSettings, Throttled, WhichThrottles};
pub use token_report::{RuleVerdict, TokenKind, TokenReport, Verdict};
pub use user::{DisplayName, Email, Role, User, UserStatus};
pub use users::{NewUser, UserDetails, UserFilter};
pub(crate) use work::RequestedLinks;

use std::path::Path;
use std::sync::Arc;

use access_token::AccessTokens;
use api_key_states::ApiKeyStates;
use derived_token::DerivedTokens;
use hash_pool::HashPool;
use refresh_limit::RefreshLimit;
use refresh_token::RefreshTokens;
use sealed::Sealer;
use session::SessionStates;
pub(crate) use signer::{MAC_LEN, Signer};
use signing_keys::SigningKeys;
use throttle::Throttle;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::AuthSettings;
use crate::database::Database;
use crate::error::Fault;
use crate::page::Cursors;

/// The accounts service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    settings: AuthSettings,
    access: AccessTokens,
    keys: SigningKeys,
    refresh: RefreshTokens,
    refresh_limit: RefreshLimit,
    derived: Arc<DerivedTokens>,
    media_signer: Arc<Signer>,
    cursors: Cursors,
    sealer: Arc<Sealer>,
    hashing: HashPool,
    sessions: SessionStates,
    api_keys: ApiKeyStates,
    throttle: Throttle,
}

impl Auth {
    pub(crate) fn open(db: Database, clock: Clock, settings: AuthSettings, data_dir: &Path) -> Result<Self, Fault> {
        let secrets = keys::signing_secrets(&settings, data_dir)?;
        let sealer = Arc::new(Sealer::new(&keys::sealing_secrets(&settings, &secrets))?);
        let keys = SigningKeys::new(&secrets, sealer.clone(), settings.access_token_ttl)?;
        let access = AccessTokens::new(settings.access_token_ttl);
        access.self_test(&keys.ring_of(&[], clock.now())?, clock.now())?;
        let throttle_keys = secrets.derive("petspark throttle v1")?;
        let throttle_key = throttle_keys.first().ok_or_else(|| Fault::internal("JWT_SECRET is empty"))?;
        Ok(Self(Arc::new(Inner {
            refresh: RefreshTokens::new(&secrets.derive("petspark refresh token v1")?)?,
            cursors: Cursors::new(Signer::new(&secrets.derive("petspark cursor v1")?)?),
            media_signer: Arc::new(Signer::new(&secrets.derive("petspark media url v1")?)?),
            refresh_limit: RefreshLimit::new(settings.refresh_per_minute),
            derived: Arc::new(DerivedTokens::new(&secrets.derive("petspark derived token v1")?)?),
            sealer,
            hashing: HashPool::start(settings.hash_concurrency).map_err(Fault::internal)?,
            sessions: SessionStates::new(settings.session_cache_ttl),
            api_keys: ApiKeyStates::new(),
            throttle: Throttle::new(db.clone(), throttle_key, settings.throttle.clone())?,
            access,
            keys,
            db,
            clock,
            settings,
        })))
    }

    /// For links in mails.
    pub(crate) fn link_tokens(&self) -> Arc<DerivedTokens> {
        Arc::clone(&self.0.derived)
    }

    /// For URLs of media.
    pub(crate) fn media_signer(&self) -> Arc<Signer> {
        Arc::clone(&self.0.media_signer)
    }

    /// For the lists of every service.
    pub(crate) fn cursors(&self) -> Cursors {
        self.0.cursors.clone()
    }

    /// Lets those pass who proved themselves lately; operators are at a terminal of ours.
    pub(crate) fn require_recent(&self, caller: &Caller) -> Result<(), AuthError> {
        match caller.proof() {
            None if caller.has_role(Role::Admin) => Ok(()),
            None => Err(AuthError::StepUpRequired),
            Some(proof) => {
                let last = proof.second_factor_at.map_or(proof.authenticated_at, |at| at.max(proof.authenticated_at));
                let recent = self.0.clock.now().since(last) <= self.0.settings.step_up_ttl;
                if recent { Ok(()) } else { Err(AuthError::StepUpRequired) }
            }
        }
    }
}

#[cfg(feature = "testing")]
impl Auth {
    /// How many passwords were hashed since this was opened.
    #[must_use]
    pub fn hashes_for_tests(&self) -> u64 {
        self.0.hashing.begun()
    }

    /// For benches: the next token is verified as if it had never been seen.
    pub fn forget_tokens_for_tests(&self) {
        self.0.access.forget();
    }
}
