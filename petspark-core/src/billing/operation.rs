//! What we ask Stripe to do, written down before it is asked. The row's id is in the idempotency key, so that
//! whoever asks for the same again, in a race or after a crash, sends the same key, and Stripe does it once.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::remote::RemoteError;
use super::store::OperationRow;
use super::{Billing, BillingError, store};
use crate::error::Fault;
use crate::id::{OperationId, UserId};
use crate::idempotency::{IdempotencyError, IdempotencyKey};

/// Stripe forgets keys after 24 hours at the earliest (<https://docs.stripe.com/api/idempotent_requests>).
pub(super) const KEY_LIVES: Duration = Duration::from_secs(23 * 3600);

/// An operation that was begun, now or before.
pub(super) struct Operation {
    pub(super) id: OperationId,
    /// What Stripe knows it by.
    pub(super) key: String,
    /// What came of it, if it is over.
    pub(super) done: Option<String>,
}

impl Operation {
    fn of(kind: &str, id: OperationId, done: Option<String>) -> Self {
        Self { id, key: Self::key_of(kind, id), done }
    }

    pub(super) fn key_of(kind: &str, id: OperationId) -> String {
        format!("petspark-{kind}-{id}")
    }
}

/// How often it is tried to begin one that others begin, too.
const ROUNDS: u32 = 10;

impl Billing {
    /// Begins the operation of that kind and name, or finds the one that others began. One that was refused,
    /// or that Stripe has forgotten, begins anew.
    ///
    /// # Errors
    /// [`BillingError::Idempotency`] when it was begun as another `request`.
    pub(super) async fn begin(
        &self,
        user: Option<UserId>,
        kind: &str,
        name: &str,
        request: &impl Serialize,
    ) -> Result<Operation, BillingError> {
        let body = serde_json::to_string(request).map_err(Fault::internal)?;
        let row = OperationRow {
            id: OperationId::new(),
            user_id: user,
            kind: kind.to_owned(),
            idempotency_key: format!("{kind} {name}"),
            request_hash: Sha256::digest(format!("{kind} {body}")).to_vec(),
            state: "pending".to_owned(),
            stripe_id: None,
            created_at: self.clock.now(),
        };
        for _ in 0..ROUNDS {
            if store::claim_operation(&self.db, &row).await? {
                return Ok(Operation::of(kind, row.id, None));
            }
            let Some(known) = store::find_operation(&self.db, &row.idempotency_key).await? else { continue };
            let forgotten = row.created_at.since(known.created_at) >= KEY_LIVES;
            if known.state == "refused" || forgotten {
                if store::renew_operation(&self.db, known.id, &row).await? {
                    return Ok(Operation::of(kind, row.id, None));
                }
                continue;
            }
            if known.request_hash != row.request_hash {
                return Err(IdempotencyError::Reused.into());
            }
            return Ok(Operation::of(kind, known.id, known.stripe_id.filter(|_| known.state == "done")));
        }
        Err(Fault::unavailable("an operation is begun again and again").into())
    }

    /// Begins one that is over anew.
    pub(super) async fn begin_again(
        &self,
        user: UserId,
        kind: &str,
        name: &str,
        request: &impl Serialize,
        over: &Operation,
    ) -> Result<Operation, BillingError> {
        store::give_up_operation(&self.db, over.id, self.clock.now()).await?;
        self.begin(Some(user), kind, name, request).await
    }

    /// Awaits Stripe's answer. A refusal ends the operation; whatever else happens leaves it to be found.
    pub(super) async fn operate<T>(
        &self,
        operation: &Operation,
        call: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, BillingError> {
        match call.await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error.is_refusal() {
                    store::finish_operation_now(&self.db, operation.id, "refused", None, self.clock.now()).await?;
                }
                Err(error.into())
            }
        }
    }
}

/// What an operation is called that somebody asks for: the same in every attempt under one key, and never the
/// same without.
pub(super) fn name_of(user: UserId, key: Option<&IdempotencyKey>) -> String {
    match key {
        // Not the key itself: clients make keys of whatever they have at hand.
        Some(key) => format!("{user} {}", crate::text::hex(&Sha256::digest(key.as_str()))),
        None => format!("{user} {}", OperationId::new()),
    }
}
