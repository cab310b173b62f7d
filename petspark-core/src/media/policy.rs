//! Which photos wait for a moderator, and what becomes of one when they decided.

use super::photo::{Upload, UploadStatus};
use super::{Media, ModerationPolicy, store};
use crate::database::Tx;
use crate::error::Fault;
use crate::id::{SubjectId, TaskId, UploadId, UserId};
use crate::moderation::{self, Decision, SubjectKind};

impl Media {
    /// Whether a photo is shown at once.
    pub(super) async fn policy(&self, upload: &Upload) -> Result<UploadStatus, Fault> {
        let shown = match self.settings.moderation {
            ModerationPolicy::ApproveAll => true,
            ModerationPolicy::HoldAll | ModerationPolicy::Hook => false,
            ModerationPolicy::HoldNewUsers => {
                let since = self.clock.now().before(self.settings.new_for);
                store::is_known(&self.db, upload.owner_id, since).await?
            }
        };
        Ok(if shown { UploadStatus::Approved } else { UploadStatus::Pending })
    }

    /// Lets a photo wait for a moderator; or for the operator's service, if that is quicker. Whatever
    /// becomes of the question, the photo waits.
    pub(super) async fn hold(&self, tx: &mut Tx, upload: &Upload) -> Result<(), Fault> {
        let id = SubjectId::from_bytes(*upload.id.as_bytes());
        let subject = moderation::Subject { kind: SubjectKind::Photo, id, pet: upload.pet_id };
        moderation::join_task(tx, TaskId::new(), &subject, self.clock.now()).await?;
        #[cfg(feature = "hook")]
        if self.settings.moderation == ModerationPolicy::Hook {
            crate::jobs::enqueue(tx, self.clock.now(), super::Ask::job(upload.id)).await?;
        }
        Ok(())
    }

    /// Whose a photo is.
    pub(crate) async fn owner(&self, tx: &mut Tx, id: UploadId) -> Result<Option<UserId>, Fault> {
        Ok(store::find_again(tx, id).await?.map(|upload| upload.owner_id))
    }

    /// Does what was decided about a photo, if it is there and was made. Gives whose it is. What
    /// moderators write is for colleagues; the owner is told `why`.
    pub(crate) async fn decided(
        &self,
        tx: &mut Tx,
        id: UploadId,
        decision: Decision,
        why: &'static str,
    ) -> Result<Option<Upload>, Fault> {
        let (from, status, reason) = match decision {
            Decision::Approved => ([UploadStatus::Pending, UploadStatus::Rejected], UploadStatus::Approved, None),
            Decision::Rejected => ([UploadStatus::Pending, UploadStatus::Approved], UploadStatus::Rejected, Some(why)),
        };
        let changed = store::set_status(tx, id, from, status, reason, self.clock.now()).await?;
        let found = store::find_again(tx, id).await?;
        if let Some(upload) = found.as_ref().filter(|_| changed) {
            self.show(tx, upload).await?;
        }
        Ok(found)
    }
}
