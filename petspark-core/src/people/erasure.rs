//! Erasing people for good, when the time to restore them is over. Their rows go, those of
//! everything that is theirs go with them, and the audit log forgets all of them but an id.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Known, People, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::User;
use crate::billing;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{Handler, Job, NewJob};
use crate::mail::{self, Mail, Recipient, Template};
use crate::moderation;

impl People {
    /// Erases somebody in the caller's transaction.
    pub(super) async fn erase(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        person: &User,
        reason: Option<&str>,
    ) -> Result<(), Fault> {
        let user = person.id;
        for session in store::session_ids(tx, user).await? {
            audit::anonymize(tx, Subject::Session(session)).await?;
        }
        for task in moderation::task_ids_of(tx, user).await? {
            audit::anonymize(tx, Subject::Task(task)).await?;
        }
        audit::anonymize(tx, Subject::User(user)).await?;
        self.auth.forget_attempts(tx, &person.email).await?;
        billing::detach(tx, user, self.clock.now()).await?;
        // What refers to the user goes with the row, by its foreign key.
        store::erase(tx, user).await?;
        let event = Event::new(Action::UserErased).on(Subject::User(user)).because(reason);
        audit::record(tx, self.clock.now(), caller, event).await
    }
}

/// Every hour: erases those whose time has come.
pub(crate) struct Erasure(pub(crate) People);

/// People looked up at a time.
const BATCH: i64 = 100;

impl Handler for Erasure {
    fn kind(&self) -> &'static str {
        "people.erase"
    }

    fn every(&self) -> Option<Duration> {
        Some(HOUR)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(people) = self;
            loop {
                let due = store::due(&people.db, people.clock.now(), BATCH).await?;
                let mut erased = 0;
                for user in due {
                    let mut tx = people.db.begin().await?;
                    // They may have been restored a moment ago.
                    let held = store::hold(&mut tx, user).await?;
                    let is_over = |at: Timestamp| at <= people.clock.now();
                    let is_due = |known: &Known| known.deleted_at.is_some() && known.erase_at.is_some_and(is_over);
                    if let Some(known) = held.filter(is_due) {
                        people.erase(&mut tx, &Caller::system(), &known.user, None).await?;
                        people.auth.commit_ended(tx).await?;
                        erased += 1;
                    }
                }
                if erased == 0 {
                    return Ok(());
                }
                tracing::info!(people = erased, "erased for good");
            }
        })
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// Says good-bye shortly before the erasure, while there still is an address to say it to.
pub(crate) struct Farewell(pub(crate) People);

const FAREWELL: &str = "people.farewell";

impl Farewell {
    /// For somebody who is to be erased at `erase_at`, which is `grace` from now.
    pub(super) fn job(user: UserId, erase_at: Timestamp, grace: Duration) -> NewJob {
        NewJob::new(FAREWELL, json!({ "user": user, "erase_at": erase_at })).after(grace.saturating_sub(HOUR))
    }
}

#[derive(serde::Deserialize)]
struct Leaving {
    user: UserId,
    erase_at: Timestamp,
}

impl Handler for Farewell {
    fn kind(&self) -> &'static str {
        FAREWELL
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(people) = self;
            let leaving: Leaving = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            let mut tx = people.db.begin().await?;
            let held = store::hold(&mut tx, leaving.user).await?;
            // Restored meanwhile, and perhaps deleted again: then another job says good-bye.
            if held.is_none_or(|known| known.erase_at != Some(leaving.erase_at)) {
                return Ok(());
            }
            let to = Recipient::User(leaving.user);
            mail::send(&mut tx, Mail::new(to, Template::AccountDeleted, people.clock.now())).await?;
            tx.commit().await
        })
    }
}
