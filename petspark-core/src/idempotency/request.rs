//! One request to create something: recognised if it was sent before, else begun, and its result
//! kept when it is done.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{IdempotencyError, IdempotencyKey, KEPT_FOR, Once, store};
use crate::clock::Timestamp;
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::id::UserId;

/// A request that may have been sent before.
pub(crate) struct Request<'a> {
    user: UserId,
    operation: &'static str,
    keyed: Option<Keyed<'a>>,
}

struct Keyed<'a> {
    key: &'a IdempotencyKey,
    fingerprint: Vec<u8>,
}

/// Where a request stands.
pub(crate) enum Begun<T> {
    /// It was done before: this is what to answer.
    Before(Once<T>),
    /// It is to be done now, in this attempt's transaction.
    Now(Attempt),
}

/// The one attempt that does what was asked for; others with its key wait until this one has ended,
/// and are made if it fails. Dropping it undoes everything.
#[must_use]
pub(crate) struct Attempt {
    tx: Tx,
    claim: Option<(UserId, IdempotencyKey)>,
}

impl<'a> Request<'a> {
    /// What `user` asks of `operation` by `body`. Without a key, every request is the first.
    ///
    /// # Errors
    /// [`Fault`] for a body that has no JSON form.
    pub(crate) fn new(
        user: UserId,
        operation: &'static str,
        body: &impl Serialize,
        key: Option<&'a IdempotencyKey>,
    ) -> Result<Self, Fault> {
        let keyed = match key {
            Some(key) => Some(Keyed { key, fingerprint: fingerprint(operation, body)? }),
            None => None,
        };
        Ok(Self { user, operation, keyed })
    }

    /// Begins the transaction in which to do it, unless it was done before. Of requests with one
    /// key at the same moment one goes on; the others stand here until it has committed or failed.
    ///
    /// # Errors
    /// [`IdempotencyError::Reused`].
    pub(crate) async fn begin<T: DeserializeOwned>(
        self,
        db: &Database,
        now: Timestamp,
    ) -> Result<Begun<T>, IdempotencyError> {
        let mut tx = db.begin().await?;
        let Some(Keyed { key, fingerprint }) = self.keyed else {
            return Ok(Begun::Now(Attempt { tx, claim: None }));
        };
        let row = store::NewKey { user: self.user, key, operation: self.operation, fingerprint: &fingerprint };
        if store::claim(&mut tx, &row, now, now.before(KEPT_FOR)).await? {
            return Ok(Begun::Now(Attempt { tx, claim: Some((self.user, key.clone())) }));
        }
        let kept = store::find(&mut tx, self.user, key).await?;
        let kept = kept.ok_or_else(|| Fault::internal("a committed idempotency key has no result"))?;
        if kept.fingerprint != fingerprint {
            return Err(IdempotencyError::Reused);
        }
        let result = serde_json::from_value(kept.result).map_err(Fault::internal)?;
        Ok(Begun::Before(Once { result, replayed: true }))
    }
}

/// Whether a request with this key was done, for who would rather not begin before knowing.
pub(crate) async fn is_known(db: &Database, user: UserId, key: &IdempotencyKey, now: Timestamp) -> Result<bool, Fault> {
    store::is_known(db, user, key, now.before(KEPT_FOR)).await
}

impl Attempt {
    /// Where to do it: nothing of it counts before [`Attempt::finish`].
    pub(crate) fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Commits what was done, and with it the result for those who ask again. Its JSON form is
    /// read by other releases too: a field that is added later must be optional.
    pub(crate) async fn finish<T: Serialize>(mut self, result: T) -> Result<Once<T>, Fault> {
        if let Some((user, key)) = &self.claim {
            let kept = serde_json::to_value(&result).map_err(Fault::internal)?;
            store::keep(&mut self.tx, *user, key, &kept).await?;
        }
        self.tx.commit().await?;
        Ok(Once { result, replayed: false })
    }
}

/// By what a request is recognised: SHA-256 of the operation and of what it says. Fields that say
/// nothing don't count, so that a release with more fields knows the requests of the one before.
fn fingerprint(operation: &str, body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    let mut body = serde_json::to_value(body).map_err(Fault::internal)?;
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(Sha256::digest(format!("{operation} {body}")).to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::on_both;

    on_both! {
        async fn an_attempt_that_ends_half_way_leaves_the_key_free(app: TestApp) {
            let (ada, key) = (app.register("ada").await, IdempotencyKey::parse("x").unwrap());
            let (db, now) = (app.petspark.database(), app.clock.now());
            for n in 0..2 {
                let request = Request::new(ada.id, "test", &n, Some(&key)).unwrap();
                assert!(matches!(request.begin::<i32>(db, now).await, Ok(Begun::Now(_))), "attempt {n}");
            }
            let request = || Request::new(ada.id, "test", &2, Some(&key)).unwrap();
            let Ok(Begun::Now(attempt)) = request().begin::<i32>(db, now).await else { panic!("taken") };
            attempt.finish(7).await.unwrap();
            let Ok(Begun::Before(once)) = request().begin(db, now).await else { panic!("forgotten") };
            assert_eq!(once, Once { result: 7, replayed: true });
        }
    }

    #[test]
    fn a_request_is_recognised_by_what_it_says_and_not_by_what_it_could_say() {
        let of = |operation, body: Value| fingerprint(operation, &body).unwrap();
        let first = of("pets.create", json!({"name": "Rex", "age": 3}));
        assert_eq!(of("pets.create", json!({"age": 3, "colour": null, "name": "Rex"})), first);
        for (operation, body) in [
            ("pets.create", json!({"name": "Rex", "age": 4})),
            ("pets.create", json!({"name": "Rex"})),
            ("pets.create", json!({"name": "Rex", "age": 3, "colour": []})),
            ("reports.create", json!({"name": "Rex", "age": 3})),
        ] {
            assert_ne!(of(operation, body.clone()), first, "{operation} {body}");
        }
    }
}
