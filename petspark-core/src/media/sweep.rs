//! Removing what is left over: reservations that nobody used, uploads that broke off, and the objects of
//! uploads whose rows are gone. Every deleted row is remembered by the database until this is done, so
//! that nothing has to be thought of where pets and accounts are deleted.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::types::Json;

use super::objects::ObjectError;
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
            self.0.remove_objects().await?;
            self.0.objects.remove_drafts(self.0.clock.now().before(GRACE)).await.map(drop).map_err(in_job)
        })
    }
}

impl Media {
    /// Has what the caller's transaction leaves over removed.
    pub(super) async fn sweep_soon(&self, tx: &mut Tx) -> Result<(), Fault> {
        jobs::enqueue(tx, self.clock.now(), NewJob::new(KIND, Value::Null)).await.map(drop)
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
        loop {
            let uploads = store::removed_uploads(&self.db, after, BATCH).await?;
            for upload in &uploads {
                after = Some(upload.id);
                let variants = upload.variants.as_ref().map_or(&[][..], |Json(variants)| variants);
                let names = Links::all(upload.owner_id, upload.id, upload.content_type, variants);
                self.remove_all(names).await.map_err(in_job)?;
                // Until then something may still come, and this is done again.
                if upload.expires_at.after(GRACE) <= self.clock.now() {
                    store::forget_removed(&self.db, upload.id).await?;
                }
            }
            if uploads.len() < BATCH.unsigned_abs() as usize {
                return Ok(());
            }
        }
    }
}

fn in_job(error: ObjectError) -> Fault {
    MediaError::from(error).into_fault()
}
