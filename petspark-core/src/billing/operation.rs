//! What we ask Stripe to do, written down before it is asked. The row's id is in the idempotency key, so that
//! whoever asks for the same again, in a race or after a crash, sends the same key, and Stripe does it once.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::remote::RemoteError;
use super::store::OperationRow;
use super::{Billing, BillingError, store};
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::{OperationId, UserId};
use crate::idempotency::{IdempotencyError, IdempotencyKey};

/// Stripe forgets keys after 24 hours at the earliest (<https://docs.stripe.com/api/idempotent_requests>).
pub(super) const KEY_LIVES: Duration = Duration::from_secs(23 * 3600);
/// What is done is found by Stripe's id instead, and a client's key counts for a day, whole.
const DONE_LIVES: Duration = Duration::from_secs(25 * 3600);

/// An operation that was begun, now or before.
pub(super) struct Operation {
    pub(super) id: OperationId,
    kind: String,
    /// What Stripe knows it by.
    pub(super) key: String,
    /// What came of it, if it is over.
    pub(super) done: Option<String>,
}

impl Operation {
    fn of(kind: &str, id: OperationId, done: Option<String>) -> Self {
        Self { id, kind: kind.to_owned(), key: format!("petspark-{kind}-{id}"), done }
    }

    /// One that was begun before, and of which it isn't known what became.
    pub(super) fn open(row: &OperationRow) -> Self {
        Self::of(&row.kind, row.id, None)
    }
}

/// What is to be written down.
#[derive(Clone)]
pub(super) struct Wanted {
    row: OperationRow,
    noted: Option<(Caller, Event)>,
}

impl Wanted {
    /// It is recognised by `kind` and `name`, and `request` must be the same then.
    pub(super) fn new(
        user: Option<UserId>,
        kind: &str,
        name: &str,
        request: &impl Serialize,
    ) -> Result<Self, BillingError> {
        let body = serde_json::to_string(request).map_err(Fault::internal)?;
        let row = OperationRow {
            id: OperationId::new(),
            user_id: user,
            kind: kind.to_owned(),
            object_id: None,
            idempotency_key: format!("{kind} {name}"),
            request_hash: Sha256::digest(format!("{kind} {body}")).to_vec(),
            state: "pending".to_owned(),
            stripe_id: None,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        };
        Ok(Self { row, noted: None })
    }

    /// Recognised by this alone, whatever kind it is.
    pub(super) fn named(mut self, name: String) -> Self {
        self.row.idempotency_key = name;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.row.idempotency_key
    }

    /// About which object it is.
    pub(super) fn about(mut self, object: &str) -> Self {
        self.row.object_id = Some(object.to_owned());
        self
    }

    /// Whoever begins it has this in the audit log, whatever becomes of it.
    pub(super) fn noted(self, caller: &Caller, event: Event) -> Self {
        Self { noted: Some((caller.clone(), event)), ..self }
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
        self.begin_wanted(&Wanted::new(user, kind, name, request)?).await
    }

    /// The same for what has more to be said of.
    pub(super) async fn begin_wanted(&self, wanted: &Wanted) -> Result<Operation, BillingError> {
        let row = OperationRow { created_at: self.clock.now(), id: OperationId::new(), ..wanted.row.clone() };
        let idle = self.idle();
        let begun = || Operation::of(&row.kind, row.id, None);
        for _ in 0..ROUNDS {
            let mut tx = self.db.begin().await?;
            if store::claim_operation(&mut tx, &row).await? {
                self.commit_begun(tx, wanted).await?;
                return Ok(begun());
            }
            drop(tx);
            let Some(known) = store::find_operation(&self.db, &row.idempotency_key).await? else { continue };
            let lives = if known.state == "done" { DONE_LIVES } else { KEY_LIVES };
            let is_asked_for = known.state == "pending" && known.updated_at > idle;
            let is_forgotten = row.created_at.since(known.created_at) >= lives && !is_asked_for;
            if known.state == "refused" || is_forgotten {
                let mut tx = self.db.begin().await?;
                if store::renew_operation(&mut tx, known.id, &row, idle).await? {
                    self.commit_begun(tx, wanted).await?;
                    return Ok(begun());
                }
                continue;
            }
            if known.request_hash != row.request_hash {
                return Err(IdempotencyError::Reused.into());
            }
            return Ok(Operation::of(&known.kind, known.id, known.stripe_id.filter(|_| known.state == "done")));
        }
        Err(Fault::unavailable("an operation is begun again and again").into())
    }

    async fn commit_begun(&self, mut tx: crate::database::Tx, wanted: &Wanted) -> Result<(), Fault> {
        if let Some((caller, event)) = &wanted.noted {
            audit::record(&mut tx, self.clock.now(), caller, event.clone()).await?;
        }
        tx.commit().await
    }

    /// Begins one that is over anew; one for which somebody is asking stays.
    pub(super) async fn begin_again(&self, wanted: &Wanted, over: OperationId) -> Result<Operation, BillingError> {
        store::give_up_operation(&self.db, over, self.idle(), self.clock.now()).await?;
        self.begin_wanted(wanted).await
    }

    /// Says that it is asked for from now on, so that nobody gives it up meanwhile. Who was quicker may have done
    /// it: then it is `done`.
    ///
    /// # Errors
    /// [`BillingError::Conflict`] when it was given up.
    pub(super) async fn hold(&self, operation: &mut Operation) -> Result<(), BillingError> {
        if store::touch_operation(&self.db, operation.id, self.clock.now()).await? {
            return Ok(());
        }
        let known = store::operation_by_id(&self.db, operation.id).await?.filter(|known| known.state == "done");
        operation.done = known.and_then(|known| known.stripe_id);
        match operation.done {
            Some(_) => Ok(()),
            None => Err(BillingError::Conflict("Something else was begun instead. Please try again in a moment.")),
        }
    }

    /// As long as a call to Stripe may take, with all its attempts.
    pub(super) fn under_way(&self) -> Duration {
        self.settings.stripe.timeout.saturating_mul(3) + Duration::from_secs(10)
    }

    /// Whoever began to ask before then has an answer by now, or none will come.
    pub(super) fn idle(&self) -> Timestamp {
        self.clock.now().before(self.under_way())
    }

    /// Gives an operation another key, after it was looked for what may have come of it under the old one.
    pub(super) async fn renew(&self, operation: &mut Operation) -> Result<(), BillingError> {
        let fresh = Operation::of(&operation.kind, OperationId::new(), None);
        if !store::rekey_operation(&self.db, operation.id, fresh.id, self.clock.now()).await? {
            return Err(Fault::unavailable("somebody else asks for the same anew").into());
        }
        *operation = fresh;
        Ok(())
    }

    /// Awaits Stripe's answer. A refusal ends the operation; whatever else happens leaves it to be found.
    pub(super) async fn operate<T>(
        &self,
        operation: &Operation,
        call: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, BillingError> {
        self.answered(operation, call.await).await
    }

    /// The same for an answer that is here.
    pub(super) async fn answered<T>(
        &self,
        operation: &Operation,
        answer: Result<T, RemoteError>,
    ) -> Result<T, BillingError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error.is_refusal() {
                    self.end_operation(operation, "refused", None).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Writes down what became of an operation that changes nothing of ours.
    pub(super) async fn end_operation(
        &self,
        operation: &Operation,
        state: &str,
        stripe_id: Option<&str>,
    ) -> Result<(), Fault> {
        store::finish_operation_now(&self.db, operation.id, state, stripe_id, self.clock.now()).await
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
