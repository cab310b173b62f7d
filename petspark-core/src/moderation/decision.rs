//! Taking a task and deciding it: one moderator at a time, and nobody about their own.

use super::task::About;
use super::{Decision, Moderation, ModerationError, Taken, Task, TaskStatus, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::database::Tx;
use crate::error::{Fault, FieldErrors};
use crate::id::{TaskId, UserId};
use crate::mail::{self, Mail, Recipient, Template};
use crate::pets;
use crate::text::one_line;

/// Reports that a moderator is shown at once.
const SHOWN_REPORTS: i64 = 50;

/// A decision as a moderator makes it.
#[derive(Clone, Debug, Default)]
pub struct NewDecision {
    /// A [`Decision`].
    pub decision: String,
    /// Why, for the record and for colleagues: 1 to 500 characters in one line.
    pub reason: String,
}

impl NewDecision {
    const MAX_REASON: usize = 500;

    fn check(self) -> Result<(Decision, String), FieldErrors> {
        let mut errors = FieldErrors::default();
        let decision = errors.check("decision", self.decision.parse());
        let reason = one_line(&self.reason, Self::MAX_REASON).ok_or("must have 1 to 500 characters in one line");
        let reason = errors.check("reason", reason);
        errors.finish(decision.zip(reason))
    }
}

impl Moderation {
    /// Takes a task: until it is decided, or `moderation.take_over_after` has passed, it is the
    /// caller's. Taking it again gives the same again.
    ///
    /// # Errors
    /// [`ModerationError::NotFound`], [`ModerationError::TakenByOther`], [`ModerationError::Decided`],
    /// [`ModerationError::OwnPet`]; [`ModerationError::Denied`] unless a moderator asks.
    pub async fn take(&self, caller: &Caller, id: TaskId) -> Result<Taken, ModerationError> {
        caller.require(Permission::Moderate)?;
        let (now, actor) = (self.clock.now(), caller.to_string());
        let mut tx = self.db.begin().await?;
        let given_up = now.before(self.settings.take_over_after);
        let task = match store::take(&mut tx, id, &actor, now, given_up).await? {
            Some(task) => {
                audit::record(&mut tx, now, caller, Event::new(Action::TaskTaken).on(Subject::Task(id))).await?;
                task
            }
            None => match store::retake(&mut tx, id, &actor, now).await? {
                Some(task) => task,
                None => return Err(why_not(&mut tx, id, &actor).await?),
            },
        };
        let owner = self.owner(&mut tx, &task).await?;
        if owner.is_some_and(|owner| caller.is(owner)) {
            return Err(ModerationError::OwnPet);
        }
        let reports = store::last_reports(&mut tx, id, SHOWN_REPORTS).await?;
        tx.commit().await?;
        Ok(Taken { task: self.with_reasons(task).await?, reports })
    }

    /// Decides a task that the caller took. What is rejected is banned; its owner is told either way.
    ///
    /// # Errors
    /// [`ModerationError::Invalid`], [`ModerationError::NotFound`], [`ModerationError::NotTaken`],
    /// [`ModerationError::TakenByOther`], [`ModerationError::Decided`]; [`ModerationError::Denied`] unless a moderator asks.
    pub async fn decide(&self, caller: &Caller, id: TaskId, decision: NewDecision) -> Result<Task, ModerationError> {
        let (tx, task) = self.begin_decision(caller, id, decision).await?;
        tx.commit().await?;
        self.with_reasons(task).await
    }

    /// What [`Moderation::decide`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Moderation::decide`].
    pub async fn preview_decision(
        &self,
        caller: &Caller,
        id: TaskId,
        decision: NewDecision,
    ) -> Result<Task, ModerationError> {
        let (_, task) = self.begin_decision(caller, id, decision).await?;
        self.with_reasons(task).await
    }

    /// Decides in a transaction that is yet to be committed.
    async fn begin_decision(
        &self,
        caller: &Caller,
        id: TaskId,
        decision: NewDecision,
    ) -> Result<(Tx, Task), ModerationError> {
        caller.require(Permission::Moderate)?;
        let (decision, reason) = decision.check().map_err(ModerationError::Invalid)?;
        let (now, actor) = (self.clock.now(), caller.to_string());
        let mut tx = self.db.begin().await?;
        let Some(task) = store::decide(&mut tx, id, &actor, decision, &reason, now).await? else {
            return Err(why_not(&mut tx, id, &actor).await?);
        };
        let event = Event::new(Action::TaskDecided).on(Subject::Task(id)).reason(reason);
        let event = event.detail("decision", decision.as_str());
        let event = event.detail(task.subject_kind.as_str(), task.subject_id.to_string());
        audit::record(&mut tx, now, caller, event).await?;
        if let Some(notice) = self.carry_out(&mut tx, &task, decision).await? {
            mail::send(&mut tx, notice).await?;
        }
        Ok((tx, task))
    }

    /// Does what was decided, and gives the mail that tells the owner. It has neither the reason, which
    /// is written for colleagues, nor the pet's name.
    async fn carry_out(&self, tx: &mut Tx, task: &Task, decision: Decision) -> Result<Option<Mail>, Fault> {
        let now = self.clock.now();
        Ok(match task.about() {
            About::Pet(pet) => {
                let template = match decision {
                    Decision::Approved => Template::PetApproved,
                    Decision::Rejected => {
                        pets::store::ban(tx, pet, now).await?;
                        Template::PetBanned
                    }
                };
                pets::store::find_sketch(tx, pet).await?.map(|pet| {
                    let mail = Mail::new(Recipient::User(pet.owner_id), template, now);
                    mail.value("species", pet.species.as_str()).time("added", pet.created_at)
                })
            }
            About::Photo(photo) => {
                let template = match decision {
                    Decision::Approved => Template::PhotoApproved,
                    Decision::Rejected => Template::PhotoRejected,
                };
                let why = "A moderator decided not to show this photo.";
                self.media.decided(tx, photo, decision, why).await?.map(|photo| {
                    Mail::new(Recipient::User(photo.owner_id), template, now).time("added", photo.created_at)
                })
            }
        })
    }

    /// Whose it is that a task is about.
    async fn owner(&self, tx: &mut Tx, task: &Task) -> Result<Option<UserId>, Fault> {
        Ok(match task.about() {
            About::Pet(pet) => pets::store::find_sketch(tx, pet).await?.map(|pet| pet.owner_id),
            About::Photo(photo) => self.media.owner(tx, photo).await?,
        })
    }

    async fn with_reasons(&self, mut task: Task) -> Result<Task, ModerationError> {
        let reasons = store::count_reasons(&self.db, &[task.id]).await?;
        task.reasons = reasons.into_iter().map(|(_, reason, count)| (reason, count.unsigned_abs())).collect();
        Ok(task)
    }
}

/// Why a task is not this actor's to take or to decide.
async fn why_not(tx: &mut Tx, id: TaskId, actor: &str) -> Result<ModerationError, Fault> {
    Ok(match store::find(tx, id).await? {
        None => ModerationError::NotFound,
        Some(task) if task.status == TaskStatus::Decided => ModerationError::Decided,
        Some(task) if task.taken_by.as_deref().is_some_and(|other| other != actor) => ModerationError::TakenByOther,
        Some(_) => ModerationError::NotTaken,
    })
}
