//! A task for a moderator, and the queue of them.

use std::collections::BTreeMap;

use super::report::{Report, ReportReason};
use super::{Moderation, ModerationError, store};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::{PetId, SubjectId, TaskId, UploadId};
use crate::page::{Key, Page, PageRequest};

text_enum! {
    /// What a task is about.
    pub enum SubjectKind {
        /// A pet.
        Pet = "pet",
        /// A photo that somebody uploaded.
        Photo = "photo",
    }
}

text_enum! {
    /// Where a task is on its way.
    pub enum TaskStatus {
        /// Nobody is at it.
        Open = "open",
        /// A moderator looks at it.
        Taken = "taken",
        /// It is over.
        Decided = "decided",
    }
}

text_enum! {
    /// What becomes of the thing.
    pub enum Decision {
        /// It stays.
        Approved = "approved",
        /// It is banned.
        Rejected = "rejected",
    }
}

/// Something that people reported, and what was decided on it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Task {
    /// Which.
    pub id: TaskId,
    /// What kind of thing it is about.
    pub subject_kind: SubjectKind,
    /// Which of them.
    pub subject_id: SubjectId,
    /// Where it is on its way.
    pub status: TaskStatus,
    /// When it was first reported.
    pub created_at: Timestamp,
    /// When it was last reported.
    pub reported_at: Timestamp,
    /// Who took it last, and decided it if it is decided: `user:<id>` and the like, as in the audit log.
    pub taken_by: Option<String>,
    /// When they took it.
    pub taken_at: Option<Timestamp>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// Why, in the moderator's words.
    pub reason: Option<String>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// How many people reported it for which reason.
    #[sqlx(skip)]
    pub reasons: BTreeMap<ReportReason, u64>,
}

impl Task {
    /// How many people reported it.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// What it is about.
    pub(super) fn about(&self) -> About {
        let id = *self.subject_id.as_bytes();
        match self.subject_kind {
            SubjectKind::Pet => About::Pet(PetId::from_bytes(id)),
            SubjectKind::Photo => About::Photo(UploadId::from_bytes(id)),
        }
    }
}

/// What a task is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    Pet(PetId),
    Photo(UploadId),
}

/// A task as its moderator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The task.
    pub task: Task,
    /// What people said, the last first; not all of it, if there is very much.
    pub reports: Vec<Report>,
}

/// Which tasks to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only with this status. Without it, all that aren't decided.
    pub status: Option<TaskStatus>,
}

impl Moderation {
    /// Tasks, the oldest first.
    ///
    /// # Errors
    /// [`ModerationError::Invalid`] for a foreign cursor; [`ModerationError::Denied`] unless a
    /// moderator asks.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: TaskFilter,
        page: &PageRequest,
    ) -> Result<Page<Task>, ModerationError> {
        caller.require(Permission::Moderate)?;
        let list = self.cursors.list(&("moderation", filter));
        let mut tasks = store::list(&self.db, filter, page, page.after_key(&list)?).await?;
        let ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
        for (id, reason, count) in store::count_reasons(&self.db, &ids).await? {
            if let Some(task) = tasks.iter_mut().find(|task| task.id == id) {
                task.reasons.insert(reason, count.unsigned_abs());
            }
        }
        Ok(Page::of(page, tasks, None, |task| Key { at: task.created_at, id: task.id }, &list))
    }
}
