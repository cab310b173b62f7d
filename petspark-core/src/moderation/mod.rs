//! Reports of what shouldn't be there, and the moderators' decisions on them: a queue of tasks,
//! one for each thing. Pets come here when they are reported, photos when the settings want them
//! looked at before they are shown.

mod decision;
mod error;
mod report;
mod settings;
mod store;
mod task;

pub use decision::NewDecision;
pub use error::ModerationError;
pub use report::{NewReport, Report, ReportReason};
pub use settings::ModerationSettings;
#[cfg(feature = "hook")]
pub(crate) use store::decide_open;
pub(crate) use store::{Subject, join_task, task_ids_of};
pub use task::{Decision, SubjectKind, Taken, Task, TaskFilter, TaskStatus};

use crate::clock::Clock;
use crate::database::Database;
use crate::media::Media;
use crate::page::Cursors;
use crate::pets::Pets;

/// The moderation service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Moderation {
    db: Database,
    clock: Clock,
    cursors: Cursors,
    pets: Pets,
    media: Media,
    settings: ModerationSettings,
}

impl Moderation {
    pub(crate) fn open(
        db: Database,
        clock: Clock,
        cursors: Cursors,
        pets: Pets,
        media: Media,
        settings: ModerationSettings,
    ) -> Self {
        Self { db, clock, cursors, pets, media, settings }
    }
}
