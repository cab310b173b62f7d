//! The memory of which API keys count, so that a service with a key doesn't cost a query with
//! each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;

use super::api_key::{Digest, same};
use super::permission::Scopes;
use super::session::shared;
use super::store::ApiKeyRow;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::ApiKeyId;

/// How long a key is believed to be as it was: what another process changes is felt after that.
/// One query a second for each key in use is nothing, and needs no word from anybody.
const BELIEVED: Duration = Duration::from_secs(1);
/// Keys remembered at most, made-up ones included; about 2 MB.
const CAPACITY: u64 = 10_000;
/// How exactly the last use is known.
const USE_IS_NOTED_EVERY: Duration = Duration::from_secs(60);

/// What a request needs to know of its key.
pub(super) struct ApiKeyState {
    digest: Vec<u8>,
    previous: Option<(Vec<u8>, Timestamp)>,
    expires_at: Option<Timestamp>,
    revoked: bool,
    pub(super) scopes: Scopes,
    /// In microseconds since 1970.
    last_used: AtomicI64,
}

impl ApiKeyState {
    fn of(row: ApiKeyRow) -> Self {
        Self {
            digest: row.digest,
            previous: row.previous_digest.zip(row.key.previous_expires_at),
            expires_at: row.key.expires_at,
            revoked: row.key.revoked_at.is_some(),
            scopes: row.key.scopes,
            last_used: AtomicI64::new(row.key.last_used_at.map_or(i64::MIN, Timestamp::as_micros)),
        }
    }

    /// Whether a token with this digest counts now.
    pub(super) fn accepts(&self, digest: &Digest, now: Timestamp) -> bool {
        let by_previous = self.previous.as_ref().is_some_and(|(old, end)| same(digest, old) & (*end > now));
        let right = same(digest, &self.digest) | by_previous;
        right && !self.revoked && self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether this use is to be written down; of callers at the same time one is told so.
    pub(super) fn is_news(&self, now: Timestamp) -> bool {
        let last = self.last_used.load(Ordering::Relaxed);
        let stale = last == i64::MIN || now.since(Timestamp::from_micros(last)) >= USE_IS_NOTED_EVERY;
        stale && self.last_used.compare_exchange(last, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[derive(Clone)]
struct Seen {
    changes: u64,
    state: Option<Arc<ApiKeyState>>,
}

/// API keys seen lately. What this process changes is forgotten at once.
pub(super) struct ApiKeyStates {
    seen: Cache<ApiKeyId, Seen>,
    /// Counts what this process changed. What was looked up before the last change, and may have
    /// been on its way meanwhile, is not believed.
    changes: AtomicU64,
}

impl ApiKeyStates {
    pub(super) fn new() -> Self {
        let seen = Cache::builder().max_capacity(CAPACITY).time_to_live(BELIEVED).build();
        Self { seen, changes: AtomicU64::new(0) }
    }

    /// The state of a key, from memory or by `look_up`, which callers at the same time share. If
    /// it can't be known the answer is an error, never a pass.
    pub(super) async fn get<F>(&self, id: ApiKeyId, look_up: impl Fn() -> F) -> Result<Option<Arc<ApiKeyState>>, Fault>
    where
        F: Future<Output = Result<Option<ApiKeyRow>, Fault>>,
    {
        // Each round but the first means that a key was changed meanwhile.
        for _ in 0..4 {
            let look = async {
                let changes = self.changes.load(Ordering::SeqCst);
                look_up().await.map(|row| Seen { changes, state: row.map(ApiKeyState::of).map(Arc::new) })
            };
            let seen = self.seen.try_get_with(id, look).await.map_err(|fault| shared(&fault))?;
            if seen.changes == self.changes.load(Ordering::SeqCst) {
                return Ok(seen.state);
            }
            self.seen.invalidate(&id).await;
        }
        Err(Fault::unavailable("API keys change faster than one can be looked up"))
    }

    /// Keys are changed so seldom that all may be forgotten.
    pub(super) fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.seen.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::api_key::{ApiKey, issue};

    fn row(revoked_at: Option<Timestamp>) -> ApiKeyRow {
        let now = Timestamp::from_micros(0);
        let id = ApiKeyId::new();
        let key = ApiKey {
            id,
            name: "test".to_owned(),
            scopes: Scopes::default(),
            created_by: "test".to_owned(),
            created_at: now,
            rotated_at: None,
            previous_expires_at: None,
            expires_at: None,
            last_used_at: None,
            revoked_at,
        };
        ApiKeyRow { key, digest: issue(id).unwrap().1.to_vec(), previous_digest: None }
    }

    #[tokio::test]
    async fn a_look_up_that_began_before_the_key_was_revoked_is_not_believed() {
        let states = ApiKeyStates::new();
        let id = ApiKeyId::new();
        let revoked = std::cell::Cell::new(None);
        let (arrived, go_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let slow = || async {
            let seen = row(revoked.get());
            arrived.notify_one();
            go_on.notified().await;
            Ok(Some(seen))
        };
        let writer = async {
            arrived.notified().await;
            revoked.set(Some(Timestamp::from_micros(1)));
            states.forget_all();
            go_on.notify_one();
            arrived.notified().await;
            go_on.notify_one();
        };
        let (seen, ()) = tokio::join!(states.get(id, slow), writer);
        assert!(seen.unwrap().unwrap().revoked);
    }

    #[test]
    fn a_use_is_news_once_a_minute() {
        let state = ApiKeyState::of(row(None));
        let at = Timestamp::from_micros(0);
        assert!(state.is_news(at));
        assert!(!state.is_news(at.after(Duration::from_secs(59))));
        assert!(state.is_news(at.after(Duration::from_secs(60))));
        assert!(!state.is_news(at.after(Duration::from_secs(60))));
    }
}
