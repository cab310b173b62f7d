//! Removing what is left over: reservations that nobody used, uploads that broke off, and the objects of
//! uploads whose rows are gone. Every deleted row is remembered by the database until this is done, so
//! that nothing has to be thought of where pets and accounts are deleted.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::types::Json;

use super::objects::ObjectError;
use super::processing::{GIVEN_UP, Process};
use super::{Links, Media, MediaError, store};
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UploadId;
use crate::jobs::{self, Handler, Job, NewJob};

/// Every ten minutes, and soon after something was deleted.
pub(crate) struct Sweep(pub(crate) Media);

const KIND: &str = "media.sweep";
/// Uploads in one go.
const BATCH: i64 = 200;
/// A transfer that began before its URL expired may end after that.
const GRACE: Duration = Duration::from_secs(3600);
/// All attempts at a photo together take less.
const FORGOTTEN: Duration = Duration::from_secs(3 * 3600);

impl Handler for Sweep {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(600))
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.0.expire_reservations().await?;
            self.0.go_on_making().await?;
            self.0.remove_objects().await?;
            self.0.objects.remove_drafts(self.0.clock.now().before(GRACE)).await.map(drop).map_err(in_job)
        })
    }
}

impl Media {
    /// Has what the caller's transaction leaves over removed.
    pub(super) async fn sweep_soon(&self, tx: &mut Tx) -> Result<(), Fault> {
        // One at a time: each looks at all that is left over.
        if !jobs::bring_forward(tx, KIND, self.clock.now()).await? {
            jobs::enqueue(tx, self.clock.now(), NewJob::new(KIND, Value::Null)).await?;
        }
        Ok(())
    }

    /// Looks after photos whose job ended without saying so: it ran out of time, or those who did it died.
    /// They are tried again, and given up in the end.
    async fn go_on_making(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        for photo in store::unfinished(&self.db, now.before(FORGOTTEN), BATCH).await? {
            if photo.updated_at.since(photo.created_at) > 4 * FORGOTTEN {
                self.reject_unprocessed(photo.id, GIVEN_UP).await?;
                continue;
            }
            let mut tx = self.db.begin().await?;
            store::touch(&mut tx, photo.id, now).await?;
            jobs::enqueue(&mut tx, now, Process::job(photo.id)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn expire_reservations(&self) -> Result<(), Fault> {
        loop {
            let mut tx = self.db.begin().await?;
            let expired = store::expired_reservations(&mut tx, self.clock.now().before(GRACE), BATCH).await?;
            if expired.is_empty() {
                return Ok(());
            }
            for id in expired {
                store::delete_reservation(&mut tx, id).await?;
            }
            tx.commit().await?;
        }
    }

    pub(super) async fn remove_all(&self, names: Vec<String>) -> Result<(), ObjectError> {
        for name in names {
            self.objects.delete(&name.parse().map_err(Fault::internal)?).await?;
        }
        Ok(())
    }

    /// Removes the objects of uploads whose rows are gone.
    async fn remove_objects(&self) -> Result<(), Fault> {
        let mut after: Option<UploadId> = None;
        let mut failed = None;
        loop {
            let uploads = store::removed_uploads(&self.db, after, BATCH).await?;
            for upload in &uploads {
                after = Some(upload.id);
                let variants = upload.variants.as_ref().map_or(&[][..], |Json(variants)| variants);
                let names = Links::all(upload.owner_id, upload.id, upload.content_type, variants);
                // One that can't be removed must not keep the others.
                if let Err(error) = self.remove_all(names).await {
                    failed = Some(error);
                    continue;
                }
                // Until then something may still come, and this is done again.
                if upload.expires_at.after(GRACE) <= self.clock.now() {
                    store::forget_removed(&self.db, upload.id).await?;
                }
            }
            if uploads.len() < BATCH.unsigned_abs() as usize {
                return failed.map_or(Ok(()), |error| Err(in_job(error)));
            }
        }
    }
}

fn in_job(error: ObjectError) -> Fault {
    MediaError::from(error).into_fault()
}
