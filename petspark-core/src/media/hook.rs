//! Asking a service of the operator's own whether a photo may be shown. The photo waits meanwhile, as
//! a task that moderators see, so that whatever goes wrong with the question holds it: they decide.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::photo::{Photo, Size, UploadStatus};
use super::processing::About;
use super::{HookSettings, Media, MediaType, Purpose, store};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::{PetId, SubjectId, UploadId, UserId};
use crate::jobs::{Handler, Job, NewJob};
use crate::mail::{self, Mail, Recipient, Template};
use crate::moderation::{self, Decision, SubjectKind};
use crate::text::{hex, one_line};

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 500;

/// Asks about one photo. As often as photos are tried to be made; what remains unanswered waits for a
/// moderator.
pub(crate) struct Ask(pub(crate) Media);

impl Ask {
    const KIND: &'static str = "media.ask";

    pub(super) fn job(upload: UploadId) -> NewJob {
        About::job(Self::KIND, upload)
    }
}

impl Handler for Ask {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.0.ask(About::of(job)?).await })
    }
}

/// What the service is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    photo_id: UploadId,
    owner_id: UserId,
    pet_id: Option<PetId>,
    upload_type: Purpose,
    /// Of the largest size as JPEG; for a quarter of an hour.
    url: &'a str,
    width: u32,
    height: u32,
}

/// What it answers.
#[derive(Deserialize)]
struct Answer {
    verdict: Verdict,
    /// For moderators and the audit log.
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Approve,
    Reject,
    /// A moderator shall look at it.
    Hold,
}

impl Media {
    async fn ask(&self, id: UploadId) -> Result<(), Fault> {
        // Decided meanwhile, or deleted.
        let upload = store::find(&self.db, id).await?.filter(|upload| upload.status == UploadStatus::Pending);
        let (Some(upload), Some(url)) = (upload, &self.settings.hook.url) else { return Ok(()) };
        let photo = self.photo(upload);
        let question = question(&photo, url.as_str(), &self.settings.hook, self.clock.now())?;
        let answer = self.outgoing.send(question, self.settings.hook.timeout, MAX_ANSWER).await?;
        if answer.status() != StatusCode::OK {
            return Err(Fault::unavailable(format!("media.hook.url answered {}", answer.status().as_u16())));
        }
        let Answer { verdict, reason } = serde_json::from_slice(answer.body())
            .map_err(|_| Fault::unavailable("media.hook.url answered with something else than a verdict"))?;
        let decision = match verdict {
            Verdict::Approve => Decision::Approved,
            Verdict::Reject => Decision::Rejected,
            Verdict::Hold => return Ok(()),
        };
        let reason = reason.and_then(|reason| one_line(&reason, MAX_REASON));
        self.obey(id, decision, reason.as_deref().unwrap_or("as media.hook.url answered")).await
    }

    /// Decides the photo's task and carries it out, unless a moderator is at it already.
    async fn obey(&self, id: UploadId, decision: Decision, reason: &str) -> Result<(), Fault> {
        let (now, system) = (self.clock.now(), Caller::system());
        let subject = (SubjectKind::Photo, SubjectId::from_bytes(*id.as_bytes()));
        let mut tx = self.db.begin().await?;
        let task = moderation::decide_open(&mut tx, subject, &system.to_string(), decision, reason, now).await?;
        let Some(task) = task else { return Ok(()) };
        let event = Event::new(Action::TaskDecided).on(Subject::Task(task)).reason(reason.to_owned());
        let event = event.detail("decision", decision.as_str()).detail("photo", id.to_string());
        audit::record(&mut tx, now, &system, event).await?;
        let why = "An automatic check decided not to show this photo.";
        let photo = self.decided(&mut tx, id, decision, why).await?;
        if let (Some(photo), Decision::Rejected) = (photo, decision) {
            let mail = Mail::new(Recipient::User(photo.owner_id), Template::PhotoRejected, now);
            mail::send(&mut tx, mail.time("added", photo.created_at)).await?;
        }
        tx.commit().await
    }
}

/// The request. Its signature is over time and body, so that neither is somebody else's, or an old one's.
fn question(photo: &Photo, to: &str, hook: &HookSettings, now: Timestamp) -> Result<Request<Full<Bytes>>, Fault> {
    let is_it = |name| move |variant: &&super::Variant| variant.name == name && variant.media_type == MediaType::Jpeg;
    let mut sizes = [Size::Large, Size::Medium, Size::Small, Size::Thumb].into_iter();
    let largest = sizes.find_map(|name| photo.variants.iter().find(is_it(name)));
    let largest = largest.ok_or_else(|| Fault::lasting("a photo waits and has no sizes"))?;
    let body = serde_json::to_vec(&Question {
        photo_id: photo.id,
        owner_id: photo.owner_id,
        pet_id: photo.pet_id,
        upload_type: photo.purpose,
        url: &largest.url,
        width: largest.width,
        height: largest.height,
    })
    .map_err(Fault::internal)?;
    let secret = hook.secret.as_ref().ok_or_else(|| Fault::lasting("media.hook.secret is missing"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(Fault::internal)?;
    mac.update(format!("{}.", now.as_seconds()).as_bytes());
    mac.update(&body);
    let signature = format!("t={},v1={}", now.as_seconds(), hex(&mac.finalize().into_bytes()));
    Request::post(to)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("petspark/", env!("CARGO_PKG_VERSION")))
        .header("petspark-signature", signature)
        .body(Full::from(body))
        .map_err(Fault::internal)
}
