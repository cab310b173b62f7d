//! API keys: made, rotated and revoked by administrators, and the requests that are signed with
//! one. A key is nobody's session: it has scopes instead of a role, and no account.

use std::sync::Arc;
use std::time::Duration;

use super::api_key::{self, ApiKey, IssuedApiKey, NewApiKey};
use super::api_key_states::ApiKeyState;
use super::permission::Permission;
use super::{Auth, AuthError, store};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::error::Fault;
use crate::id::ApiKeyId;
use crate::page::{Key, Page, PageRequest};

impl Auth {
    /// Makes an API key. Its token is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::ApiKeyNameTaken`]; [`AuthError::Forbidden`] unless an
    /// administrator asks, [`AuthError::StepUpRequired`] if they signed in a while ago.
    pub async fn create_api_key(&self, caller: &Caller, new: &NewApiKey) -> Result<IssuedApiKey, AuthError> {
        self.require_key_manager(caller)?;
        let (name, scopes) = new.check().map_err(AuthError::Invalid)?;
        let now = self.0.clock.now();
        let id = ApiKeyId::new();
        let (token, digest) = api_key::issue(id)?;
        let key = ApiKey {
            id,
            name,
            scopes,
            created_by: caller.to_string(),
            created_at: now,
            rotated_at: None,
            previous_expires_at: None,
            expires_at: new.expires_in.map(|time| now.after(time)),
            last_used_at: None,
            revoked_at: None,
        };
        let mut tx = self.0.db.begin().await?;
        if !store::insert_api_key(&mut tx, &key, &digest).await? {
            return Err(AuthError::ApiKeyNameTaken);
        }
        let event = Event::new(Action::ApiKeyCreated).on(Subject::ApiKey(id)).detail("scopes", scopes.to_string());
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        // Somebody may have tried the id before it was one.
        self.0.api_keys.forget_all();
        Ok(IssuedApiKey { key, token })
    }

    /// API keys, newest first; `revoked_too` for those that nobody can use any more.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a foreign cursor; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn list_api_keys(
        &self,
        caller: &Caller,
        revoked_too: bool,
        page: &PageRequest,
    ) -> Result<Page<ApiKey>, AuthError> {
        caller.require(Permission::ManageApiKeys)?;
        let list = self.0.cursors.list(&("api keys", revoked_too));
        let rows = store::list_api_keys(&self.0.db, revoked_too, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, |key| Key { at: key.created_at, id: key.id }, &list))
    }

    /// One API key, by id, or by name if it was not revoked.
    ///
    /// # Errors
    /// [`AuthError::ApiKeyNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn get_api_key(&self, caller: &Caller, id_or_name: &str) -> Result<ApiKey, AuthError> {
        caller.require(Permission::ManageApiKeys)?;
        let found = match id_or_name.parse::<ApiKeyId>() {
            Ok(id) => store::find_api_key(&self.0.db, id).await?,
            Err(_) => store::find_api_key_by_name(&self.0.db, id_or_name.trim()).await?,
        };
        found.map(|row| row.key).ok_or(AuthError::ApiKeyNotFound)
    }

    /// Gives a key another secret. The one it had counts for `overlap` longer, so that its holder
    /// can change over without an interruption; one from a rotation before that ends now.
    ///
    /// # Errors
    /// [`AuthError::ApiKeyNotFound`], also for one that was revoked or has expired;
    /// [`AuthError::Forbidden`] unless an administrator asks, [`AuthError::StepUpRequired`] if
    /// they signed in a while ago.
    pub async fn rotate_api_key(
        &self,
        caller: &Caller,
        id: ApiKeyId,
        overlap: Duration,
    ) -> Result<IssuedApiKey, AuthError> {
        self.require_key_manager(caller)?;
        let now = self.0.clock.now();
        let (token, digest) = api_key::issue(id)?;
        let mut tx = self.0.db.begin().await?;
        if !store::rotate_api_key(&mut tx, id, &digest, now.after(overlap), now).await? {
            return Err(AuthError::ApiKeyNotFound);
        }
        let event = Event::new(Action::ApiKeyRotated)
            .on(Subject::ApiKey(id))
            .detail("previous_expires_at", now.after(overlap).to_string());
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        self.0.api_keys.forget_all();
        let row = store::find_api_key(&self.0.db, id).await?.ok_or(AuthError::ApiKeyNotFound)?;
        Ok(IssuedApiKey { key: row.key, token })
    }

    /// Ends a key: at once here, and within a second on other servers. Says whether it counted.
    ///
    /// # Errors
    /// [`AuthError::ApiKeyNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn revoke_api_key(&self, caller: &Caller, id: ApiKeyId, why: Option<&str>) -> Result<bool, AuthError> {
        // Without step-up: taking power away must not be hard.
        caller.require(Permission::ManageApiKeys)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        if !store::revoke_api_key(&mut tx, id, now).await? {
            drop(tx);
            return match store::find_api_key(&self.0.db, id).await? {
                Some(_) => Ok(false),
                None => Err(AuthError::ApiKeyNotFound),
            };
        }
        let event = Event::new(Action::ApiKeyRevoked).on(Subject::ApiKey(id)).because(why);
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        self.0.api_keys.forget_all();
        Ok(true)
    }

    /// The service that presents this API key.
    pub(super) async fn authenticate_api_key(&self, token: &str) -> Result<Caller, AuthError> {
        let (id, key) = self.accepted_api_key(token).await?.ok_or(AuthError::Unauthenticated)?;
        if key.is_news(self.0.clock.now()) {
            self.note_use(id).await;
        }
        Ok(Caller::api_key(id, key.scopes))
    }

    /// The key that this is, if it would be let in; that it was looked at is no use of it.
    pub(super) async fn accepted_api_key(
        &self,
        token: &str,
    ) -> Result<Option<(ApiKeyId, Arc<ApiKeyState>)>, AuthError> {
        let Some((id, digest)) = api_key::parse(token) else { return Ok(None) };
        let key = self.0.api_keys.get(id, || store::find_api_key(&self.0.db, id)).await?;
        Ok(key.filter(|key| key.accepts(&digest, self.0.clock.now())).map(|key| (id, key)))
    }

    /// That a key was used is worth a row, and not worth refusing the request if it can't be written.
    async fn note_use(&self, id: ApiKeyId) {
        if let Err(fault) = store::touch_api_key(&self.0.db, id, self.0.clock.now()).await {
            tracing::warn!(%id, cause = %Fault::chain(&fault), "the last use of an API key can't be written down");
        }
    }

    fn require_key_manager(&self, caller: &Caller) -> Result<(), AuthError> {
        caller.require(Permission::ManageApiKeys)?;
        self.require_recent(caller)
    }
}
