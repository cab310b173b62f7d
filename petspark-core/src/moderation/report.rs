//! Reporting something. Whoever may see a pet may report it, once until it is decided on; all
//! reports of one pet make one task.

use serde::{Deserialize, Serialize};

use super::{Moderation, ModerationError, SubjectKind, store};
use crate::auth::Denied;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::database::text_enum;
use crate::error::FieldErrors;
use crate::id::{PetId, SubjectId, TaskId};
use crate::idempotency::{Begun, IdempotencyKey, Once, Request};
use crate::text::paragraphs;

text_enum! {
    /// Why somebody reports something.
    pub enum ReportReason {
        /// Advertising, or the same again and again.
        Spam = "spam",
        /// Somebody wants money for nothing.
        Scam = "scam",
        /// An animal suffers.
        Cruelty = "cruelty",
        /// Insults, hatred, or what children shouldn't see.
        Offensive = "offensive",
        /// It isn't their pet, or not their text or picture.
        NotTheirs = "not-theirs",
        /// Something else: the note says what.
        Other = "other",
    }
}

/// A report as somebody makes it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewReport {
    /// A [`ReportReason`].
    pub reason: String,
    /// At most 1,000 characters for the moderator. Needed when the reason is `other`.
    pub note: Option<String>,
}

/// What somebody said of something. Who it was isn't told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Report {
    /// Why they reported it.
    pub reason: ReportReason,
    /// In their words.
    pub note: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

impl NewReport {
    const MAX_NOTE: usize = 1000;

    fn check(self, now: Timestamp) -> Result<Report, FieldErrors> {
        let mut errors = FieldErrors::default();
        let reason = errors.check("reason", self.reason.parse::<ReportReason>());
        let note = self.note.and_then(|note| {
            let note = paragraphs(&note, Self::MAX_NOTE).ok_or("must have at most 1000 characters");
            errors.check("note", note).filter(|note| !note.is_empty())
        });
        if reason == Some(ReportReason::Other) && note.is_none() {
            errors.add("note", "is needed when the reason is other");
        }
        errors.finish(reason.map(|reason| Report { reason, note, created_at: now }))
    }
}

impl Moderation {
    /// Most reports of one person in 24 hours, so that nobody buries the queue by themselves. Some
    /// more get through if they are made at the same moment.
    pub const MAX_REPORTS_PER_DAY: u32 = 50;

    /// Reports a pet to the moderators.
    ///
    /// # Errors
    /// [`ModerationError::Invalid`], [`ModerationError::AlreadyReported`], [`ModerationError::TooMany`],
    /// [`ModerationError::OwnPet`], and as [`Pets::get`](crate::pets::Pets::get) for one that the caller may not see.
    pub async fn report_pet(&self, caller: &Caller, pet: PetId, report: NewReport) -> Result<Report, ModerationError> {
        Ok(self.report_pet_once(caller, pet, report, None).await?.result)
    }

    /// The same, once for however many requests with this key.
    ///
    /// # Errors
    /// As [`Moderation::report_pet`]; [`ModerationError::Idempotency`] for a key that was used for
    /// something else.
    pub async fn report_pet_once(
        &self,
        caller: &Caller,
        pet: PetId,
        report: NewReport,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Report>, ModerationError> {
        let reporter = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let now = self.clock.now();
        let request = Request::new(reporter, "pets.report", &(pet, &report), key)?;
        let report = report.check(now).map_err(ModerationError::Invalid)?;
        let seen = self.pets.get(caller, pet).await?;
        if caller.is(seen.owner_id) {
            return Err(ModerationError::OwnPet);
        }
        let mut attempt = match request.begin(&self.db, now).await? {
            Begun::Before(made) => return Ok(made),
            Begun::Now(attempt) => attempt,
        };
        let tx = attempt.tx();
        let subject =
            store::Subject { kind: SubjectKind::Pet, id: SubjectId::from_bytes(*pet.as_bytes()), pet: Some(pet) };
        let task = store::join_task(tx, TaskId::new(), &subject, now).await?;
        if !store::insert_report(tx, task, reporter, &report).await? {
            return Err(ModerationError::AlreadyReported);
        }
        let recent = store::reports_since(tx, reporter, now.before(DAY)).await?;
        if recent.count > i64::from(Self::MAX_REPORTS_PER_DAY) {
            return Err(ModerationError::TooMany { retry_after: recent.first.after(DAY).since(now) });
        }
        Ok(attempt.finish(report).await?)
    }
}
